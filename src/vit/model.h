/* SPDX-License-Identifier: BSD-3-Clause */
/* What a struct vit is, and the helpers that its parts share; for src/vit only. */
#ifndef VIT_MODEL_H
#define VIT_MODEL_H

#include "src/plan/act.h"
#include "src/vit/vit.h"

struct vit {
    struct spec spec;
    struct local row;   /* this rank's share of a batch */
    struct local local; /* the same of the micro-batch at hand */
    struct vit_options options;
    struct mesh *mesh; /* borrowed, as is dev */
    struct dev *dev;
    struct dev_stream *stream;

    struct layout layout;
    struct shard *shard;
    struct dev_weight *
        *weight;          /* [groups][SLOT_COUNT], NULL where nothing multiplies */
    struct cmm *cmm;      /* of n = B_l N rows, in the form asked for */
    struct cmm *cmm_pool; /* of B_l rows, always plain */

    int micro; /* number of the micro-batch at hand */
    vit_group_fn written;
    void *written_ctx;
    struct act_table act;
    struct buf block[ACT_FAMILIES]; /* kept and work */
    struct buf losses;              /* of the micro-batches */

    int64_t *widths;   /* [M] columns of C of every model rank */
    int64_t *ones;     /* [M] ones: slices of single columns */
    int64_t *moments;  /* [M] R each: slices of moments */
    double *partial;   /* [M] partial sums of the loss */
    struct laps *laps; /* of the parts */
};

/* The activation 'which'; of block 'i' where every block has its own, else i is 0. */
struct mat vit_act(struct vit *v, enum act which, int64_t i);

static inline struct mat vit_work(struct vit *v, enum act which)
{
    return vit_act(v, which, 0);
}

/* Begin to write the gradients of 'group'; true if they are to be added to those that
 * are there.
 */
static inline bool vit_adds(const struct vit *v, int group)
{
    return shard_write(v->shard, group);
}

/* A slot's parameters, their gradients, and the weight to multiply with. */
static inline struct mat vit_param(const struct vit *v, int group, enum slot slot)
{
    return shard_param(v->shard, group, slot, 0);
}

static inline struct mat vit_grad(const struct vit *v, int group, enum slot slot)
{
    return shard_grad(v->shard, group, slot, 0);
}

/* The slot of a bias is the one after that of its weight, or of its norm's scale. */
static inline enum slot vit_bias_slot(enum slot slot)
{
    return (enum slot)((int)slot + 1);
}

/* The group in whose name the weights of 'group' are kept.  Sharded blocks are whole
 * only in a room of the arena; those that use the same room have one weight for all.
 */
static inline int vit_weight_group(const struct vit *v, int group)
{
    const bool is_block = group >= group_block(0) && group < group_head(&v->spec);

    if (!is_block || !layout_is_sharded(&v->layout, group))
        return group;
    return group_block((group - group_block(0)) % ARENA_ROOMS);
}

static inline const struct dev_weight *vit_weight(const struct vit *v, int group,
                                                  enum slot slot)
{
    return v->weight[vit_weight_group(v, group) * SLOT_COUNT + (int)slot];
}

/* The numbers in 'x' added up, once the device has them. */
double vit_sum(const struct vit *v, struct mat x);

#endif
