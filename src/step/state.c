/* SPDX-License-Identifier: BSD-3-Clause */
/* First all tensors are listed under the names that model and optimizer have for them;
 * then those of the blocks are stacked: the tensor of block i is entry i of a dataset.
 */
#include "config.h"

#include "src/step/state.h"

#include "src/base/mem.h"

#include <stdio.h>
#include <string.h>

/* Numbers of one kind that are kept of a tensor: a tensor of its own, and this rank's
 * pieces of it.
 */
struct kept {
    char folder[16]; /* "params", "opt/mu", .. */
    const struct param *param;
    int dims, fold, pieces;
    int64_t dim[PARAM_DIMS];
    struct ckpt_piece piece[LAYOUT_PIECES];
};

/* ---- what is kept ---------------------------------------------------------------- */

static void keep_param(struct kept *k, struct vit *vit, const struct item *it)
{
    const struct layout *l = vit_layout(vit);
    struct piece piece[LAYOUT_PIECES];

    *k = (struct kept){ .folder = "params",
                        .param  = it->param,
                        .dims   = it->param->dims,
                        .fold   = it->param->fold,
                        .pieces = layout_pieces(piece, l, it, l->d, l->m) };
    memcpy(k->dim, it->param->dim, sizeof k->dim);
    for (int i = 0; i < k->pieces; i++) {
        memcpy(k->piece[i].lo, piece[i].lo, sizeof piece[i].lo);
        memcpy(k->piece[i].hi, piece[i].hi, sizeof piece[i].hi);
        k->piece[i].is_first = piece[i].is_first;
        k->piece[i].at       = shard_piece_param(vit_shard(vit), it, &piece[i]);
    }
}

static void keep_state(struct kept *k, const struct optim_state *s)
{
    *k = (struct kept){
        .param = s->param, .dims = s->dims, .fold = s->fold, .pieces = s->pieces
    };
    snprintf(k->folder, sizeof k->folder, "opt/%s", s->kind);
    memcpy(k->dim, s->dim, sizeof k->dim);
    for (int i = 0; i < k->pieces; i++) {
        memcpy(k->piece[i].lo, s->piece[i].lo, sizeof s->piece[i].lo);
        memcpy(k->piece[i].hi, s->piece[i].hi, sizeof s->piece[i].hi);
        k->piece[i].is_first = s->piece[i].is_first;
        k->piece[i].at       = s->piece[i].at;
    }
}

/* All of it, kind after kind, each in the order of the blocks; returns how many. */
static int keep_all(struct kept **all, struct vit *vit, const struct optim *optim)
{
    const struct layout *l     = vit_layout(vit);
    const int items            = l->params.count;
    struct optim_state *states = NULL;
    const int count            = optim != NULL ? optim_states(&states, optim) : 0;

    *all = mem_new((size_t)(items + count), sizeof **all);
    for (int i = 0; i < items; i++)
        keep_param(&(*all)[i], vit, &l->item[i]);
    for (int i = 0; i < count; i++)
        keep_state(&(*all)[items + i], &states[i]);
    mem_free(states);
    return items + count;
}

/* ---- the list -------------------------------------------------------------------- */

static void add(struct ckpt_list *list, const struct kept *k, int64_t L)
{
    struct ckpt_tensor *t = &list->tensor[list->tensors++];
    const struct param *p = k->param;
    const bool is_stacked = p->block >= 0;
    char name[PARAM_NAME];

    t->dims   = k->dims;
    t->fold   = k->fold;
    t->layer  = is_stacked ? p->block : 0;
    t->layers = is_stacked ? L : 0;
    t->first  = list->pieces;
    t->count  = k->pieces;
    memcpy(t->dim, k->dim, sizeof t->dim);
    param_stacked_name(name, p);
    snprintf(t->dataset, sizeof t->dataset, "%s/%s", k->folder, name);
    for (int i = 0; i < k->pieces; i++)
        list->piece[list->pieces++] = k->piece[i];
}

static bool is_beside(const struct kept *a, const struct kept *b)
{
    char name_a[PARAM_NAME], name_b[PARAM_NAME];

    if (a->param->block <= 0 || strcmp(a->folder, b->folder) != 0)
        return false;
    param_stacked_name(name_a, a->param);
    param_stacked_name(name_b, b->param);
    return strcmp(name_a, name_b) == 0;
}

void state_list(struct ckpt_list *list, struct vit *vit, const struct optim *optim)
{
    const int64_t L = vit_layout(vit)->blocks;
    struct kept *kept;
    const int count = keep_all(&kept, vit, optim);

    *list        = (struct ckpt_list){ 0 };
    list->tensor = mem_new((size_t)count, sizeof *list->tensor);
    list->piece  = mem_new((size_t)count * LAYOUT_PIECES, sizeof *list->piece);
    for (int i = 0; i < count; i++) {
        const bool is_block = kept[i].param->block == 0;

        if (kept[i].param->block > 0)
            continue;
        add(list, &kept[i], L);
        for (int k = i + 1; is_block && k < count; k++) {
            if (is_beside(&kept[k], &kept[i]))
                add(list, &kept[k], L);
        }
    }
    mem_free(kept);
}

void state_free(struct ckpt_list *list)
{
    mem_free(list->tensor);
    mem_free(list->piece);
    *list = (struct ckpt_list){ 0 };
}

int state_load(struct vit *vit, const struct optim *optim, const char *path)
{
    struct ckpt_list list;
    int rc;

    state_list(&list, vit, optim);
    rc = ckpt_load(&list, vit_mesh(vit), vit_dev(vit), path);
    state_free(&list);
    if (rc == 0)
        vit_changed(vit);
    return rc;
}
