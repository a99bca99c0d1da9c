/* SPDX-License-Identifier: BSD-3-Clause */
/* The model's memory by groups (layout.h), and its traffic over the data axis.
 *
 * A rank keeps what it owns of a group, its parameters and the sums of its gradients,
 * in the format of accumulations, dev_acc().  But products take whole groups of
 * parameters, and backward writes whole groups of gradients:
 *
 *             not sharded                     sharded
 *   owned     all                             a part of every group
 *   whole     the same memory, always         two groups of parameters and two of
 *                                             gradients, in arenas, while they are in
 *                                             use or on their way
 *
 *   forward     while g computes, g + 1 is gathered
 *   backward    while g computes, g - 1 is gathered and g + 1 scattered
 *
 * Parameters that are not sharded need no gathering.  Their gradients are added up over
 * micro-batches; in the last one they are summed over the data axis in place, while the
 * next group computes.  The replicated group is never sharded.
 */
#ifndef MESH_SHARD_H
#define MESH_SHARD_H

#include "mesh/arena.h"
#include "mesh/coll.h"
#include "mesh/flight.h"
#include "mesh/layout.h"

/* Flights of one kind have a stream of their own, so that their copies and additions do
 * not wait behind products.  When a flight sets out, its stream waits for the compute
 * stream; when it has come home, the compute stream waits for it.
 */
struct shard_lane {
    struct dev_stream *stream;
    struct dev_event *out, *home, *ready; /* of these moments, and of hops */
};

struct shard {
    struct mesh *mesh; /* borrowed, as are dev and layout */
    struct dev *dev;
    struct dev_stream *stream;
    const struct layout *layout;
    struct buf *param, *grad; /* owned, a buffer a group, dev_acc() */
    struct buf *copy; /* of what is not sharded in dev_dtype(), if that differs */
    struct arena params, grads;
    struct flight gather, scatter;
    struct shard_lane gathers, scatters;
    int gathering, scattering;          /* groups that are under way, or ARENA_FREE */
    bool is_first_micro, is_last_micro; /* of the step, in the backward at hand */
    struct buf work; /* for sums that come in a hop, and go if they are narrow */
};

/* Allocate all groups; parameters are set to their initial values for 'seed', gradients
 * to zero; 'is_poisoned' as in arena_open().  Returns 0 or ERR_MEMORY (local: agree
 * afterwards).
 */
int shard_open(struct shard **shard, struct mesh *mesh, struct dev *dev,
               const struct layout *layout, uint64_t seed, bool is_poisoned);
void shard_close(struct shard **shard);

/* Views of a slot's parameters and gradients in the whole group, none where the group
 * has no such slot; and of one item.  If the group is sharded they hold something
 * between gather and release, and between shard_write() and scatter.
 */
struct mat shard_param(const struct shard *sh, int group, enum slot slot, int block);
struct mat shard_grad(const struct shard *sh, int group, enum slot slot, int block);
struct mat shard_item_param(const struct shard *sh, const struct item *it);
struct mat shard_item_grad(const struct shard *sh, const struct item *it);

/* What this rank owns and updates of a group: how many elements, and one piece of it as
 * a view of the parameters and of the gradients once they are summed.  Moments have the
 * same size and places.  In bf16 the parameters of a piece are the f32 masters.
 */
int64_t shard_own_size(const struct shard *sh, int group);
struct mat shard_piece_param(const struct shard *sh, const struct item *it,
                             const struct piece *p);
struct mat shard_piece_grad(const struct shard *sh, const struct item *it,
                            const struct piece *p);

/* Its copy in the format of products; none where there is no such copy. */
struct mat shard_piece_copy(const struct shard *sh, const struct item *it,
                            const struct piece *p);

/* Say that owned parameters were changed: copies of what is not sharded follow, unless
 * they were changed with them ('has_copies'), whole groups are forgotten.
 */
void shard_changed(struct shard *sh, bool has_copies);

/* Bring the parameters of 'group' here, starting now / by the time finish returns; at
 * once if they are.  One gather is under way at a time.  Release gives the room of what
 * has been gathered back.  Collective over the data axis, but for release.
 */
void shard_gather_start(struct shard *sh, int group);
bool shard_gather_finish(struct shard *sh, int group); /* true if they came */
bool shard_is_here(const struct shard *sh, int group); /* whole */
void shard_release(struct shard *sh, int group);
void shard_release_all(struct shard *sh); /* and gradients that nobody asked for */

/* The backward to come is of micro-batch 'micro' of 'micros'. */
void shard_micro(struct shard *sh, int micro, int micros);

/* Backward is about to write the gradients of 'group': true if it must add to what is
 * there.
 */
bool shard_write(struct shard *sh, int group);

/* Sum the gradients of 'group' over the data axis, likewise; of sharded groups
 * after every micro-batch, into what is owned; of others after the last one.
 * One sum is under way at a time.  The replicated group is summed over the model
 * axis too, all in finish.
 */
void shard_scatter_start(struct shard *sh, int group);
void shard_scatter_finish(struct shard *sh, int group);

#endif
