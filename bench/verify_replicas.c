/* SPDX-License-Identifier: BSD-3-Clause */
/* Are copies still copies?  Every tensor that several ranks hold, or get for the time
 * that they need it, is summed up to 64 bits, and the smallest and largest sum of all
 * holders must be the same.  Bits count times an odd number, modulo 2^64, so that one
 * wrong element is always seen.
 */
#include "config.h"

#include "bench/verify.h"

#include "mesh/guard.h"
#include "src/base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define ODD UINT64_C(0x9e3779b97f4a7c15)

/* Rows of a matrix are read in chunks of at least this many elements. */
enum { CHUNK = 1 << 15 };

/* The sum over 'n' elements of their bits times an odd number that follows from their
 * logical index, 'first' and on.
 */
static uint64_t digest_row(const void *row, size_t size, int64_t n, uint64_t first)
{
    uint64_t sum = 0;

#define ADD_UP(type)                                                                   \
    for (int64_t c = 0; c < n; c++)                                                    \
    sum += ((const type *)row)[c] * ((first + (uint64_t)c) * ODD | 1)
    if (size == sizeof(uint64_t))
        ADD_UP(uint64_t);
    else if (size == sizeof(uint32_t))
        ADD_UP(uint32_t);
    else
        ADD_UP(uint16_t);
#undef ADD_UP
    return sum;
}

static uint64_t digest(struct vit *vit, const struct item *it, void *room, int64_t size)
{
    const struct mat a = shard_item_param(vit_shard(vit), it);
    const int64_t step = a.cols > 0 ? size / a.cols : 1;
    const size_t bytes = dtype_size(a.dtype);
    uint64_t sum       = 0;

    for (int64_t lo = 0; lo < a.rows; lo += step) {
        const int64_t hi = lo + step < a.rows ? lo + step : a.rows;

        dev_get(dev_stream(vit_dev(vit), LANE_COMPUTE), room, mat_rows(a, lo, hi));
        for (int64_t r = lo; r < hi; r++)
            sum += digest_row((const char *)room + (r - lo) * a.cols * (int64_t)bytes,
                              bytes, a.cols, (uint64_t)item_index(it, r, 0));
    }
    return sum;
}

/* How many of the 'n' values are not the same on all ranks of 'comm'; names one. */
static int count_different(const uint64_t *value, int n, MPI_Comm comm, int *which)
{
    uint64_t *least = mem_new((size_t)n, sizeof *least);
    uint64_t *most  = mem_new((size_t)n, sizeof *most);
    int different   = 0;

    TRY_MPI(MPI_Allreduce(value, least, n, MPI_UINT64_T, MPI_MIN, comm));
    TRY_MPI(MPI_Allreduce(value, most, n, MPI_UINT64_T, MPI_MAX, comm));
    for (int i = 0; i < n; i++) {
        if (least[i] != most[i]) {
            different++;
            *which = i;
        }
    }
    mem_free(most);
    mem_free(least);
    return different;
}

/* Those of 'axis', 0 for all else. */
static void pick_digests(uint64_t *value, struct vit *vit, const uint64_t *all,
                         enum axis axis)
{
    const struct layout *l = vit_layout(vit);

    for (int i = 0; i < l->params.count; i++)
        value[i] = axis == AXIS_DATA || l->item[i].is_replicated ? all[i] : 0;
}

static bool is_held_by_others(const struct layout *l, const struct item *it)
{
    return l->D > 1 || (l->M > 1 && it->is_replicated);
}

/* Digests of the tensors of 'group' that other ranks hold too, or its gathered copies;
 * how many there are.
 */
static int digest_group(uint64_t *all, struct vit *vit, int group, void *room,
                        int64_t size)
{
    const struct layout *l = vit_layout(vit);
    int held               = 0;

    shard_gather_start(vit_shard(vit), group);
    shard_gather_finish(vit_shard(vit), group);
    for (int i = 0; i < l->params.count; i++) {
        if (l->item[i].group != group || !is_held_by_others(l, &l->item[i]))
            continue;
        all[i] = digest(vit, &l->item[i], room, size);
        guard_alive();
        held++;
    }
    shard_release(vit_shard(vit), group);
    return held;
}

static int digest_held(uint64_t *all, struct vit *vit)
{
    const struct layout *l = vit_layout(vit);
    int64_t size           = CHUNK;
    int held               = 0;
    void *room;

    for (int i = 0; i < l->params.count; i++) {
        if (l->item[i].cols > size)
            size = l->item[i].cols;
    }
    room = mem_new((size_t)size, dtype_size(dev_dtype(vit_dev(vit))));
    shard_release_all(vit_shard(vit));
    for (int g = 0; g < l->groups; g++)
        held += digest_group(all, vit, g, room, size);
    mem_free(room);
    return held;
}

void verify_replicas(struct check *c, struct bench *b, struct vit *vit,
                     const struct step_result *last)
{
    struct mesh *mesh      = b->mesh;
    const struct layout *l = vit_layout(vit);
    const int n            = l->params.count;
    uint64_t *all          = mem_new((size_t)n, sizeof *all);
    uint64_t *value        = mem_new((size_t)n, sizeof *value);
    uint64_t numbers[2];
    int which = -1, ignored, different, held;
    double total;

    held = digest_held(all, vit);
    pick_digests(value, vit, all, AXIS_DATA);
    different = count_different(value, n, mesh->comm[AXIS_DATA], &which);
    pick_digests(value, vit, all, AXIS_MODEL);
    different += count_different(value, n, mesh->comm[AXIS_MODEL], &which);

    memcpy(&numbers[0], &last->loss, sizeof numbers[0]);
    memcpy(&numbers[1], &last->grad_norm, sizeof numbers[1]);
    different += count_different(numbers, 2, mesh->comm[AXIS_MODEL], &ignored);
    different += !isfinite(last->loss) + !isfinite(last->grad_norm);

    total = coll_largest(mesh, AXIS_ALL, different);
    which = (int)coll_largest(mesh, AXIS_ALL, which);
    if (which >= 0)
        snprintf(c->note, sizeof c->note, "%s differs", l->params.param[which].name);
    else
        snprintf(c->note, sizeof c->note, "%d %s, loss and gradient norm", held,
                 held == 1 ? "tensor" : "tensors");
    verify_decide(c, "replicas", total, 0);
    mem_free(value);
    mem_free(all);
}
