/* SPDX-License-Identifier: BSD-3-Clause */
/* What a struct vit is, and the helpers that its parts share; for src/vit only. */
#ifndef VIT_MODEL_H
#define VIT_MODEL_H

#include "src/plan/act.h"
#include "src/vit/vit.h"

struct vit {
    struct spec spec;
    struct local local;
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

    struct act_table act;
    struct buf block[ACT_FAMILIES]; /* kept and work */

    int64_t *widths;  /* [M] columns of C of every model rank */
    int64_t *ones;    /* [M] ones: slices of single columns */
    int64_t *moments; /* [M] R each: slices of moments */
    double *partial;  /* [M] partial sums of the loss */
    double seconds[VIT_PARTS];
};

/* The matrix 'which' of activations, of block 'i' where every block has one. */
struct mat vit_act(struct vit *v, enum act which, int64_t i);

static inline struct mat vit_work(struct vit *v, enum act which)
{
    return vit_act(v, which, 0);
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

static inline const struct dev_weight *vit_weight(const struct vit *v, int group,
                                                  enum slot slot)
{
    return v->weight[group * SLOT_COUNT + (int)slot];
}

/* The single number in 'x', once the device has it. */
double vit_scalar(const struct vit *v, struct mat x);

#endif
