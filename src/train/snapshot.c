/* SPDX-License-Identifier: BSD-3-Clause */
/* A list of views of what is kept on the device, and a block of host memory that holds
 * a copy of them all.
 */
#include "config.h"

#include "src/train/snapshot.h"

#include "src/base/mem.h"

struct snapshot {
    struct vit *vit; /* borrowed, as is 'optim' */
    struct optim *optim;
    int64_t steps;
    struct mat *view; /* 'views' of them */
    int views;
    char *bytes; /* one after another, each on a multiple of MEM_ALIGN */
};

static void add_view(struct snapshot *s, struct mat view)
{
    if (mat_size(view) > 0)
        s->view[s->views++] = view;
}

static void list_views(struct snapshot *s)
{
    const struct layout *l = vit_layout(s->vit);
    struct optim_state *list;
    const int states  = optim_states(&list, s->optim);
    const size_t most = (size_t)(l->params.count + states) * LAYOUT_PIECES;

    s->view = mem_new(most, sizeof *s->view);
    for (int i = 0; i < l->params.count; i++) {
        struct piece piece[LAYOUT_PIECES];
        const int pieces = layout_pieces(piece, l, &l->item[i], l->d, l->m);

        for (int k = 0; k < pieces; k++)
            add_view(s, shard_piece_param(vit_shard(s->vit), &l->item[i], &piece[k]));
    }
    for (int i = 0; i < states; i++) {
        for (int k = 0; k < list[i].pieces; k++)
            add_view(s, list[i].piece[k].at);
    }
    mem_free(list);
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
    list_views(s);
    for (int i = 0; i < s->views; i++)
        size += mem_round((size_t)mat_bytes(s->view[i]));
    rc = mem_alloc(&bytes, size);
    if (rc != 0) {
        snapshot_free(&s);
        return rc;
    }
    s->bytes = bytes;
    for (int i = 0; i < s->views; i++) {
        dev_get(dev_stream(vit_dev(vit), LANE_COMPUTE), s->bytes + at, s->view[i]);
        at += mem_round((size_t)mat_bytes(s->view[i]));
    }
    *snapshot = s;
    return 0;
}

void snapshot_restore(const struct snapshot *s)
{
    size_t at = 0;

    for (int i = 0; i < s->views; i++) {
        dev_put(dev_stream(vit_dev(s->vit), LANE_COMPUTE), s->view[i], s->bytes + at);
        at += mem_round((size_t)mat_bytes(s->view[i]));
    }
    optim_set_steps(s->optim, s->steps);
    vit_changed(s->vit);
}

void snapshot_free(struct snapshot **snapshot)
{
    struct snapshot *s = *snapshot;

    if (s == NULL)
        return;
    mem_free(s->view);
    mem_free(s->bytes);
    mem_free(s);
    *snapshot = NULL;
}
