/* SPDX-License-Identifier: BSD-3-Clause */
/* The model's memory by groups, and its traffic over the data axis.
 *
 * Parameters are replicated over the data axis: gathering has nothing to do yet, and a
 * group's gradients are summed when its backward is done.  The calls stand where
 * sharded parameters will need them: a group is gathered while the one before it
 * computes, and scattered while the one after it (in backward order) does.
 */
#ifndef MESH_SHARD_H
#define MESH_SHARD_H

#include "mesh/coll.h"
#include "mesh/layout.h"

struct shard {
    struct mesh *mesh; /* borrowed, as are dev and layout */
    struct dev *dev;
    const struct layout *layout;
    struct buf *param;  /* a buffer a group, dev_dtype() */
    struct buf *grad;   /* the same for gradients, dev_acc() */
    struct buf *master; /* of bf16 parameters: what is updated, dev_acc(); else NULL */
    struct buf work;    /* for the sums: the largest part of a group, dev_acc() */
};

/* Allocate all groups; parameters are set to their initial values for 'seed', gradients
 * to zero.  Returns 0 or ERR_MEMORY (local: agree afterwards).
 */
int shard_open(struct shard **shard, struct mesh *mesh, struct dev *dev,
               const struct layout *layout, uint64_t seed);
void shard_close(struct shard **shard);

/* Views of a slot's parameters and gradients, none where the group has no such slot. */
struct mat shard_param(const struct shard *sh, int group, enum slot slot, int block);
struct mat shard_grad(const struct shard *sh, int group, enum slot slot, int block);

/* Views of one item. */
struct mat shard_item_param(const struct shard *sh, const struct item *it);
struct mat shard_item_grad(const struct shard *sh, const struct item *it);

/* What this rank owns and updates of a group: how many elements, and one piece of it as a
 * view of the parameters and of the gradients once they are summed.  Moments have the
 * same size and places.  In bf16 the parameters of a piece are the f32 masters.
 */
int64_t shard_own_size(const struct shard *sh, int group);
struct mat shard_piece_param(const struct shard *sh, const struct item *it,
                             const struct piece *p);
struct mat shard_piece_grad(const struct shard *sh, const struct item *it,
                            const struct piece *p);

/* The pieces' parameters were changed: in bf16, round them to those that are used. */
void shard_changed(struct shard *sh);

/* Bring the parameters of 'group' here, starting now / by the time finish returns.
 * Collective over the data axis.
 */
void shard_gather_start(struct shard *sh, int group);
void shard_gather_finish(struct shard *sh, int group);

/* Sum the gradients of 'group' over the data axis, likewise.  The replicated group is
 * summed over the model axis too.
 */
void shard_scatter_start(struct shard *sh, int group);
void shard_scatter_finish(struct shard *sh, int group);

#endif
