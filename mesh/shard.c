/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of groups: what is owned, what is whole, and views of both.  How they
 * travel over the data axis is shard_move.c.
 */
#include "config.h"

#include "mesh/shard_impl.h"

#include "mesh/guard.h"
#include "src/base/err.h"
#include "src/base/mem.h"

/* ---- open and close -------------------------------------------------------------- */

/* The larger of 'most' and what an all-reduce of 'size' elements needs to add them. */
static int64_t larger_room(int64_t most, int64_t size, size_t bytes, int ranks)
{
    const int64_t room = traffic_allreduce_room(size, bytes, ranks);

    return room > most ? room : most;
}

/* The most elements that a sum over the data axis, or of the replicated group over
 * both, receives at a time; if they are narrow, what is sent finds room beside them.
 */
static int64_t work_size(const struct shard *sh)
{
    const struct layout *l = sh->layout;
    const size_t bytes     = dtype_size(dev_acc(sh->dev));
    const int last         = l->groups - 1;
    int64_t most           = larger_room(0, l->size[last], bytes, l->M);

    if (l->D == 1)
        return most;
    most = larger_room(most, l->size[last], bytes, l->D);
    return l->room > most ? l->room : most;
}

static int alloc_zeroed(struct buf *b, struct dev *dev, enum dtype dtype, int64_t size)
{
    TRY(dev_alloc(b, dev, (size_t)size * dtype_size(dtype)));
    dev_fill(dev_stream(dev, LANE_COMPUTE), mat_of(b, dtype, 1, size), 0);
    return 0;
}

static int lane_open(struct shard_lane *l, struct dev *dev, enum dev_lane lane)
{
    l->stream = dev_stream(dev, lane);
    TRY(dev_event_open(&l->out, dev));
    TRY(dev_event_open(&l->home, dev));
    return dev_event_open(&l->ready, dev);
}

static void lane_close(struct shard_lane *l)
{
    dev_event_close(&l->out);
    dev_event_close(&l->home);
    dev_event_close(&l->ready);
}

static bool has_copy(const struct shard *sh, int group)
{
    return dev_dtype(sh->dev) != dev_acc(sh->dev) && sh->layout->size[group] > 0 &&
           !layout_is_sharded(sh->layout, group);
}

static int alloc_all(struct shard *sh, bool is_poisoned)
{
    const struct layout *l = sh->layout;
    const enum dtype acc   = dev_acc(sh->dev);
    const int sharded      = l->is_sharded ? l->groups - 1 : 0;

    TRY(lane_open(&sh->gathers, sh->dev, LANE_GATHER));
    TRY(lane_open(&sh->scatters, sh->dev, LANE_SCATTER));
    for (int g = 0; g < l->groups; g++) {
        const int64_t size = shard_own_size(sh, g);

        TRY(alloc_zeroed(&sh->param[g], sh->dev, acc, size));
        TRY(alloc_zeroed(&sh->grad[g], sh->dev, acc, size));
        if (has_copy(sh, g))
            TRY(alloc_zeroed(&sh->copy[g], sh->dev, dev_dtype(sh->dev), size));
    }
    TRY(arena_open(&sh->params, sh->dev, dev_dtype(sh->dev), l->size, sharded,
                   is_poisoned));
    TRY(arena_open(&sh->grads, sh->dev, acc, l->size, sharded, is_poisoned));
    return alloc_zeroed(&sh->work, sh->dev, acc, work_size(sh));
}

/* The initial values of a piece, a few rows at a time through 'values' for 'size'
 * numbers, and through 'room' if masters are not in f32.  All threads draw; what a
 * number is depends on its place alone.
 */
static void init_piece(const struct shard *sh, const struct item *it,
                       const struct piece *p, uint64_t seed, float *values, void *room,
                       int64_t size)
{
    const struct mat all = shard_piece_param(sh, it, p);
    const int64_t step   = size / p->cols;

    for (int64_t lo = 0; lo < p->rows; lo += step) {
        const int64_t hi = lo + step < p->rows ? lo + step : p->rows;

#ifdef _OPENMP
#pragma omp parallel for schedule(static)                                              \
    num_threads(dev_threads(sh->dev)) if ((hi - lo) * p->cols > 1 << 14)
#endif
        for (int64_t r = lo; r < hi; r++) {
            const int64_t at = (r - lo) * p->cols;

            param_fill(values + at, p->cols, it->param, seed,
                       item_index(it, p->row + r, 0));
            for (int64_t i = at; room != NULL && i < at + p->cols; i++)
                dtype_store(all.dtype, room, i, values[i]);
        }
        dev_put(sh->stream, mat_rows(all, lo, hi), room != NULL ? room : values);
        guard_alive(); /* a large model takes minutes */
    }
}

static void init_item(const struct shard *sh, const struct item *it, uint64_t seed,
                      float *values, void *room, int64_t size)
{
    const struct layout *l = sh->layout;
    struct piece piece[LAYOUT_PIECES];
    const int pieces = layout_pieces(piece, l, it, l->d, l->m);

    for (int i = 0; i < pieces; i++)
        init_piece(sh, it, &piece[i], seed, values, room, size);
}

static int init_params(struct shard *sh, uint64_t seed)
{
    const struct layout *l = sh->layout;
    const enum dtype acc   = dev_acc(sh->dev);
    int64_t size           = (int64_t)1 << 16; /* of a thread */
    void *values, *room = NULL;
    int rc;

    size *= dev_threads(sh->dev);
    for (int i = 0; i < l->params.count; i++) {
        if (l->item[i].cols > size)
            size = l->item[i].cols;
    }
    TRY(mem_alloc(&values, (size_t)size * sizeof(float)));
    rc = acc == DTYPE_F32 ? 0 : mem_alloc(&room, (size_t)size * dtype_size(acc));
    for (int i = 0; rc == 0 && i < l->params.count; i++)
        init_item(sh, &l->item[i], seed, values, room, size);
    mem_free(room);
    mem_free(values);
    shard_changed(sh, false);
    return rc;
}

int shard_open(struct shard **shard, struct mesh *mesh, struct dev *dev,
               const struct layout *layout, uint64_t seed, bool is_poisoned)
{
    struct shard *sh = mem_new(1, sizeof *sh);
    int rc;

    sh->mesh       = mesh;
    sh->dev        = dev;
    sh->stream     = dev_stream(dev, LANE_COMPUTE);
    sh->layout     = layout;
    sh->gathering  = ARENA_FREE;
    sh->scattering = ARENA_FREE;
    sh->param      = mem_new((size_t)layout->groups, sizeof *sh->param);
    sh->grad       = mem_new((size_t)layout->groups, sizeof *sh->grad);
    sh->copy       = mem_new((size_t)layout->groups, sizeof *sh->copy);
    shard_micro(sh, 0, 1);
    rc = alloc_all(sh, is_poisoned);
    if (rc == 0 && !dev_is_hollow(dev))
        rc = init_params(sh, seed);
    if (rc != 0) {
        shard_close(&sh);
        return rc;
    }
    *shard = sh;
    return 0;
}

void shard_close(struct shard **shard)
{
    struct shard *sh = *shard;

    if (sh == NULL)
        return;
    for (int g = 0; g < sh->layout->groups; g++) {
        dev_free(&sh->param[g]);
        dev_free(&sh->grad[g]);
        dev_free(&sh->copy[g]);
    }
    arena_close(&sh->params);
    arena_close(&sh->grads);
    lane_close(&sh->gathers);
    lane_close(&sh->scatters);
    dev_free(&sh->work);
    mem_free(sh->param);
    mem_free(sh->grad);
    mem_free(sh->copy);
    mem_free(sh);
    *shard = NULL;
}

/* ---- views ----------------------------------------------------------------------- */

static struct buf *whole_params(const struct shard *sh, int group)
{
    struct shard *of = (struct shard *)sh; /* views of a const shard are for reading */

    if (layout_is_sharded(sh->layout, group))
        return arena_room(&of->params, group);
    return has_copy(sh, group) ? &of->copy[group] : &of->param[group];
}

struct buf *shard_whole_grads(const struct shard *sh, int group)
{
    struct shard *of = (struct shard *)sh;

    if (layout_is_sharded(sh->layout, group))
        return arena_room(&of->grads, group);
    return &of->grad[group];
}

static struct mat slot_view(const struct shard *sh, struct buf *of, enum dtype dtype,
                            int group, enum slot slot, int block)
{
    const struct slot_place at = layout_slot(sh->layout, group, slot, block);

    if (at.rows == 0)
        return mat_none();
    return mat_at(of, dtype, at.offset, at.rows, at.cols);
}

struct mat shard_param(const struct shard *sh, int group, enum slot slot, int block)
{
    return slot_view(sh, whole_params(sh, group), dev_dtype(sh->dev), group, slot,
                     block);
}

struct mat shard_grad(const struct shard *sh, int group, enum slot slot, int block)
{
    return slot_view(sh, shard_whole_grads(sh, group), dev_acc(sh->dev), group, slot,
                     block);
}

struct mat shard_item_param(const struct shard *sh, const struct item *it)
{
    return (struct mat){ whole_params(sh, it->group),
                         dev_dtype(sh->dev),
                         it->offset,
                         it->rows,
                         it->cols,
                         it->ld };
}

struct mat shard_item_grad(const struct shard *sh, const struct item *it)
{
    return (struct mat){ shard_whole_grads(sh, it->group),
                         dev_acc(sh->dev),
                         it->offset,
                         it->rows,
                         it->cols,
                         it->ld };
}

int64_t shard_own_size(const struct shard *sh, int group)
{
    return layout_own_size(sh->layout, group, sh->layout->d);
}

static struct mat piece_view(const struct shard *sh, struct buf *of,
                             const struct piece *p)
{
    return (struct mat){ of, dev_acc(sh->dev), p->offset, p->rows, p->cols, p->ld };
}

struct mat shard_piece_param(const struct shard *sh, const struct item *it,
                             const struct piece *p)
{
    return piece_view(sh, &sh->param[it->group], p);
}

struct mat shard_piece_grad(const struct shard *sh, const struct item *it,
                            const struct piece *p)
{
    return piece_view(sh, &sh->grad[it->group], p);
}

struct mat shard_piece_copy(const struct shard *sh, const struct item *it,
                            const struct piece *p)
{
    struct shard *of = (struct shard *)sh; /* views of a const shard are for reading */

    if (!has_copy(sh, it->group))
        return mat_none();
    return (struct mat){
        &of->copy[it->group], dev_dtype(sh->dev), p->offset, p->rows, p->cols, p->ld
    };
}

struct mat shard_owned(const struct shard *sh, struct buf *of, int group)
{
    return mat_of(&of[group], dev_acc(sh->dev), 1, shard_own_size(sh, group));
}

struct mat shard_whole(const struct shard *sh, struct buf *of, enum dtype dtype,
                       int group)
{
    return mat_of(of, dtype, 1, sh->layout->size[group]);
}

/* ---- changes --------------------------------------------------------------------- */

void shard_changed(struct shard *sh, bool has_copies)
{
    for (int g = 0; g < sh->layout->groups && !has_copies; g++) {
        if (has_copy(sh, g))
            dev_copy(sh->stream, shard_whole(sh, &sh->copy[g], dev_dtype(sh->dev), g),
                     shard_owned(sh, sh->param, g));
    }
    arena_drop_all(&sh->params);
}
