/* SPDX-License-Identifier: BSD-3-Clause */
/* Collective matmul, the plain form: a collective and then products, or the other way
 * round.  Rings are checked and timed against it.
 *
 * What is gathered are slices one after another, each a packed matrix, so here, too,
 * the products are made slice by slice.
 */
#include "config.h"

#include "mesh/cmm_impl.h"

#include "mesh/coll.h"

/* Room for a whole [n, C], slice by slice. */
static struct mat all_slices(struct cmm *c, enum dtype t, int64_t n)
{
    return mat_of(&c->room[0], t, 1, n * c->width);
}

static struct mat all_sums(struct cmm *c, int64_t n)
{
    return all_slices(c, cmm_sums(c->mesh, dev_dtype(c->dev)), n);
}

static struct mat slice_at(const struct cmm *c, struct mat all, int64_t n, int j)
{
    return slices_at(all, n, c->cols, j);
}

static struct mat gather(struct cmm *c, struct mat own)
{
    const struct mat all = all_slices(c, dev_dtype(c->dev), own.rows);

    coll_allgather(c->mesh, AXIS_MODEL, ACT_GATHER, c->stream, all, own, own.rows,
                   c->cols);
    return all;
}

static void scatter(struct cmm *c, struct mat own, struct mat all)
{
    const struct mat work =
        mat_of(&c->room[1], all.dtype, c->mesh->M - 1, own.rows * own.cols);

    coll_reduce_scatter(c->mesh, AXIS_MODEL, ACT_SCATTER, c->stream, own, all, work,
                        own.rows, c->cols);
}

static void plain_gather(struct cmm *c, struct mat y, struct mat x,
                         const struct dev_weight *w, const struct cmm_section *section,
                         int sections)
{
    const struct mat all = gather(c, x);
    const int M          = c->mesh->M;

    for (int j = 0; j < M; j++) {
        const struct mat slice = slice_at(c, all, x.rows, j);

        cmm_multiply(c, y, range_all(y.rows), slice, w,
                     cmm_rows_for(c, slice, j, range_all(slice.cols)),
                     range_all(y.cols), j > 0, j == M - 1 ? section : NULL, sections);
    }
}

static void plain_gather_backward(struct cmm *c, struct mat dx, struct mat dw,
                                  bool is_dw_added, struct mat dy, struct mat x,
                                  const struct dev_weight *w)
{
    const struct mat all = gather(c, x), sums = all_sums(c, dx.rows);

    for (int j = 0; j < c->mesh->M && !mat_is_none(dw); j++) {
        const struct range rows = cmm_slice(c, j);

        cmm_multiply_dw(c, mat_rows(dw, rows.lo, rows.hi), slice_at(c, all, x.rows, j),
                        dy, is_dw_added);
    }
    for (int j = 0; j < c->mesh->M; j++)
        cmm_multiply_t(c, slice_at(c, sums, dx.rows, j), range_all(dx.rows), dy, w,
                       range_all(dy.cols), cmm_slice(c, j), false, NULL, 0);
    scatter(c, dx, sums);
}

static void plain_scatter(struct cmm *c, struct mat y, struct mat x,
                          const struct dev_weight *w, struct mat bias)
{
    const struct cmm_section with_bias = cmm_bias_section(y, bias);
    const struct mat all               = all_sums(c, y.rows);

    cmm_need(c, x.rows);
    for (int j = 0; j < c->mesh->M; j++)
        cmm_multiply(c, slice_at(c, all, y.rows, j), range_all(y.rows), x, w,
                     range_all(x.cols), cmm_slice(c, j), false,
                     j == c->mesh->m ? &with_bias : NULL, 1);
    scatter(c, y, all);
}

static void plain_scatter_backward(struct cmm *c, struct mat dx,
                                   const struct cmm_section *section, int sections,
                                   struct mat dw, bool is_dw_added, struct mat dy,
                                   struct mat x, const struct dev_weight *w)
{
    const struct mat all = gather(c, dy);
    const int M          = c->mesh->M;

    for (int j = 0; j < M; j++) {
        const struct mat slice  = slice_at(c, all, dy.rows, j);
        const struct range cols = cmm_slice(c, j);

        cmm_multiply_t(c, dx, range_all(dx.rows), slice, w, cols, range_all(dx.cols),
                       j > 0, j == M - 1 ? section : NULL, sections);
        if (!mat_is_none(dw))
            cmm_multiply_dw(c, mat_cols(dw, cols.lo, cols.hi), x, slice, is_dw_added);
    }
}

const struct cmm_ops cmm_plain = {
    .gather           = plain_gather,
    .gather_backward  = plain_gather_backward,
    .scatter          = plain_scatter,
    .scatter_backward = plain_scatter_backward,
};
