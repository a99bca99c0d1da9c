/* SPDX-License-Identifier: BSD-3-Clause */
/* Groups in memory.  Gradients are summed while the host waits: a ring over the data
 * axis, and for the replicated group one over the model axis before it.
 */
#include "config.h"

#include "mesh/shard.h"

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

/* Elements of the room that all sums share. */
static int64_t work_size(const struct shard *sh)
{
    const struct layout *l = sh->layout;
    const size_t bytes     = dtype_size(dev_acc(sh->dev));
    int64_t most           = larger_room(0, l->size[l->groups - 1], bytes, l->M);

    for (int g = 0; g < l->groups; g++)
        most = larger_room(most, l->size[g], bytes, l->D);
    return most;
}

static int alloc_zeroed(struct buf *b, struct dev *dev, enum dtype dtype, int64_t size)
{
    TRY(dev_alloc(b, dev, (size_t)size * dtype_size(dtype)));
    dev_fill(dev_stream(dev, LANE_COMPUTE), mat_of(b, dtype, 1, size), 0);
    return 0;
}

static int alloc_all(struct shard *sh)
{
    const struct layout *l = sh->layout;

    for (int g = 0; g < l->groups; g++) {
        TRY(alloc_zeroed(&sh->param[g], sh->dev, dev_dtype(sh->dev), l->size[g]));
        TRY(alloc_zeroed(&sh->grad[g], sh->dev, dev_acc(sh->dev), l->size[g]));
        if (sh->master != NULL)
            TRY(alloc_zeroed(&sh->master[g], sh->dev, dev_acc(sh->dev), l->size[g]));
    }
    return alloc_zeroed(&sh->work, sh->dev, dev_acc(sh->dev), work_size(sh));
}

/* The parameters that are updated. */
static struct buf *updated(const struct shard *sh)
{
    return sh->master != NULL ? sh->master : sh->param;
}

static enum dtype updated_dtype(const struct shard *sh)
{
    return sh->master != NULL ? dev_acc(sh->dev) : dev_dtype(sh->dev);
}

static struct mat item_view(struct buf *of, enum dtype dtype, const struct item *it)
{
    return (
        struct mat){ &of[it->group], dtype, it->offset, it->rows, it->cols, it->ld };
}

void shard_changed(struct shard *sh)
{
    for (int g = 0; g < sh->layout->groups && sh->master != NULL; g++) {
        const int64_t size = sh->layout->size[g];

        dev_copy(dev_stream(sh->dev, LANE_COMPUTE),
                 mat_of(&sh->param[g], dev_dtype(sh->dev), 1, size),
                 mat_of(&sh->master[g], dev_acc(sh->dev), 1, size));
    }
}

/* The initial values of an item, a few rows at a time through 'values' for 'size'
 * numbers, and through 'room' if the model is not in f32.
 */
static void init_item(const struct shard *sh, const struct item *it, uint64_t seed,
                      float *values, void *room, int64_t size)
{
    const struct mat all = item_view(updated(sh), updated_dtype(sh), it);
    const int64_t step   = it->cols > 0 ? size / it->cols : 0;

    for (int64_t lo = 0; it->cols > 0 && lo < it->rows; lo += step) {
        const int64_t hi = lo + step < it->rows ? lo + step : it->rows;

        for (int64_t r = lo; r < hi; r++)
            param_fill(values + (r - lo) * it->cols, it->cols, it->param, seed,
                       item_index(it, r, 0));
        for (int64_t i = 0; room != NULL && i < (hi - lo) * it->cols; i++)
            dtype_store(all.dtype, room, i, values[i]);
        dev_put(dev_stream(sh->dev, LANE_COMPUTE), mat_rows(all, lo, hi),
                room != NULL ? room : values);
        guard_alive(); /* a large model takes minutes */
    }
}

static int init_params(const struct shard *sh, uint64_t seed)
{
    const struct layout *l = sh->layout;
    const enum dtype dtype = updated_dtype(sh);
    int64_t size           = 1 << 16;
    void *values, *room = NULL;
    int rc;

    for (int i = 0; i < l->params.count; i++) {
        if (l->item[i].cols > size)
            size = l->item[i].cols;
    }
    TRY(mem_alloc(&values, (size_t)size * sizeof(float)));
    rc = dtype == DTYPE_F32 ? 0 : mem_alloc(&room, (size_t)size * dtype_size(dtype));
    for (int i = 0; rc == 0 && i < l->params.count; i++)
        init_item(sh, &l->item[i], seed, values, room, size);
    mem_free(room);
    mem_free(values);
    return rc;
}

int shard_open(struct shard **shard, struct mesh *mesh, struct dev *dev,
               const struct layout *layout, uint64_t seed)
{
    struct shard *sh = mem_new(1, sizeof *sh);
    int rc;

    sh->mesh   = mesh;
    sh->dev    = dev;
    sh->layout = layout;
    sh->param  = mem_new((size_t)layout->groups, sizeof *sh->param);
    sh->grad   = mem_new((size_t)layout->groups, sizeof *sh->grad);
    if (dev_dtype(dev) == DTYPE_BF16)
        sh->master = mem_new((size_t)layout->groups, sizeof *sh->master);
    rc = alloc_all(sh);
    if (rc == 0)
        rc = init_params(sh, seed);
    if (rc == 0)
        shard_changed(sh);
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
        if (sh->master != NULL)
            dev_free(&sh->master[g]);
    }
    dev_free(&sh->work);
    mem_free(sh->param);
    mem_free(sh->grad);
    mem_free(sh->master);
    mem_free(sh);
    *shard = NULL;
}

/* ---- views ----------------------------------------------------------------------- */

static struct mat slot_view(const struct shard *sh, struct buf *of, enum dtype dtype,
                            int group, enum slot slot, int block)
{
    const struct slot_place at = layout_slot(sh->layout, group, slot, block);

    if (at.rows == 0)
        return mat_none();
    return mat_at(&of[group], dtype, at.offset, at.rows, at.cols);
}

struct mat shard_param(const struct shard *sh, int group, enum slot slot, int block)
{
    return slot_view(sh, sh->param, dev_dtype(sh->dev), group, slot, block);
}

struct mat shard_grad(const struct shard *sh, int group, enum slot slot, int block)
{
    return slot_view(sh, sh->grad, dev_acc(sh->dev), group, slot, block);
}

struct mat shard_item_param(const struct shard *sh, const struct item *it)
{
    return item_view(sh->param, dev_dtype(sh->dev), it);
}

struct mat shard_item_grad(const struct shard *sh, const struct item *it)
{
    return item_view(sh->grad, dev_acc(sh->dev), it);
}

int64_t shard_own_size(const struct shard *sh, int group)
{
    return sh->layout->size[group];
}

static struct mat piece_view(struct buf *of, enum dtype dtype, const struct item *it,
                             const struct piece *p)
{
    return (struct mat){ &of[it->group], dtype, p->offset, p->rows, p->cols, p->ld };
}

struct mat shard_piece_param(const struct shard *sh, const struct item *it,
                             const struct piece *p)
{
    return piece_view(updated(sh), updated_dtype(sh), it, p);
}

struct mat shard_piece_grad(const struct shard *sh, const struct item *it,
                            const struct piece *p)
{
    return piece_view(sh->grad, dev_acc(sh->dev), it, p);
}

/* ---- traffic --------------------------------------------------------------------- */

void shard_gather_start(struct shard *sh, int group)
{
    (void)sh;
    (void)group;
}

void shard_gather_finish(struct shard *sh, int group)
{
    (void)sh;
    (void)group;
}

/* The sum needs the device between its messages, so all of it is done in finish. */
void shard_scatter_start(struct shard *sh, int group)
{
    (void)sh;
    (void)group;
}

static void sum_over(struct shard *sh, enum axis axis, enum traffic kind, int group)
{
    const enum dtype acc = dev_acc(sh->dev);
    const int64_t size   = sh->layout->size[group];
    const int ranks      = mesh_axis_size(sh->mesh, axis);

    if (ranks == 1 || size == 0)
        return;
    coll_allreduce(sh->mesh, axis, kind, dev_stream(sh->dev, LANE_COMPUTE),
                   mat_of(&sh->grad[group], acc, 1, size),
                   mat_of(&sh->work, acc, 1,
                          traffic_allreduce_room(size, dtype_size(acc), ranks)));
}

void shard_scatter_finish(struct shard *sh, int group)
{
    const bool is_replicated = group == sh->layout->groups - 1;

    if (is_replicated)
        sum_over(sh, AXIS_MODEL, REDUCE, group);
    sum_over(sh, AXIS_DATA, is_replicated ? REDUCE : GRAD_SCATTER, group);
}
