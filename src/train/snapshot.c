/* SPDX-License-Identifier: BSD-3-Clause */
/* The pieces that a checkpoint would save, and a block of host memory that holds a copy
 * of them all.
 */
#include "config.h"

#include "src/train/snapshot.h"

#include "src/base/mem.h"
#include "src/step/state.h"

struct snapshot {
    struct vit *vit; /* borrowed, as is 'optim' */
    struct optim *optim;
    int64_t steps;
    struct ckpt_list list;
    char *bytes; /* one piece after another, each on a multiple of MEM_ALIGN */
};

static size_t size_of(const struct ckpt_piece *p)
{
    return mem_round((size_t)mat_bytes(p->at));
}

int snapshot_take(struct snapshot **snapshot, struct vit *vit, struct optim *optim)
{
    struct snapshot *s = mem_new(1, sizeof *s);
    size_t size = 0, at = 0;
    void *bytes;
    int rc;

    s->vit   = vit;
    s->optim = optim;
    s->steps = optim_steps(optim);
    state_list(&s->list, vit, optim);
    for (int i = 0; i < s->list.pieces; i++)
        size += size_of(&s->list.piece[i]);
    rc = mem_alloc(&bytes, size);
    if (rc != 0) {
        snapshot_free(&s);
        return rc;
    }
    s->bytes = bytes;
    for (int i = 0; i < s->list.pieces; i++) {
        const struct ckpt_piece *p = &s->list.piece[i];

        dev_get(dev_stream(vit_dev(vit), LANE_COMPUTE), s->bytes + at, p->at);
        at += size_of(p);
    }
    *snapshot = s;
    return 0;
}

void snapshot_restore(const struct snapshot *s)
{
    size_t at = 0;

    for (int i = 0; i < s->list.pieces; i++) {
        const struct ckpt_piece *p = &s->list.piece[i];

        dev_put(dev_stream(vit_dev(s->vit), LANE_COMPUTE), p->at, s->bytes + at);
        at += size_of(p);
    }
    optim_set_steps(s->optim, s->steps);
    vit_changed(s->vit);
}

void snapshot_free(struct snapshot **snapshot)
{
    struct snapshot *s = *snapshot;

    if (s == NULL)
        return;
    state_free(&s->list);
    mem_free(s->bytes);
    mem_free(s);
    *snapshot = NULL;
}
