/* SPDX-License-Identifier: BSD-3-Clause */
/* Collective matmul, the ring: the slice in hand is multiplied while the next one
 * travels.
 *
 * In each of M turns the products are made panel by panel of their columns, and
 * messages are pushed after each panel.  With t the time of a turn's products and l
 * that of a slice on the link, a pass takes (M - 1) max(t, l) + t, and sends M - 1
 * slices of n C / M elements in each direction that is in use.
 */
#include "config.h"

#include "mesh/cmm_impl.h"

static void ring_gather(struct cmm *c, struct mat y, struct mat x,
                        const struct dev_weight *w, const struct cmm_section *section,
                        int sections)
{
    const int M = c->mesh->M;
    struct ring in;

    gather_open(&in, c->mesh, c->dev, ACT_GATHER, x, x.rows, c->cols, c->room);
    for (int turn = 0; turn < M; turn++) {
        const struct mat slice  = gather_slice(&in);
        const struct range rows = cmm_rows_for(c, slice, gather_owner(&in));

        gather_start(&in); /* the next slice sets out */
        cmm_multiply(c, y, slice, w, rows, range_all(y.cols), turn > 0,
                     turn == M - 1 ? section : NULL, sections);
        gather_finish(&in); /* and has arrived */
    }
}

/* Two rings turn together: x travels up for the gradient of the weights, the sums for
 * dx travel down, so that each hides behind both products.
 */
static void ring_gather_backward(struct cmm *c, struct mat dx, struct mat dw,
                                 bool is_dw_added, struct mat dy, struct mat x,
                                 const struct dev_weight *w)
{
    struct ring in, out;

    gather_open(&in, c->mesh, c->dev, ACT_GATHER, x, x.rows, c->cols, c->room);
    scatter_open(&out, c->mesh, c->dev, ACT_SCATTER, dx, dx.rows, c->cols, c->room + 2);
    for (int turn = 0; turn < c->mesh->M; turn++) {
        const struct range rows = cmm_slice(c, gather_owner(&in));

        gather_start(&in);
        scatter_start(&out);
        cmm_multiply_t(c, scatter_partial(&out), dy, w, range_all(dy.cols),
                       cmm_slice(c, scatter_owner(&out)), false, NULL, 0);
        scatter_finish(&out, c->stream); /* its sum travels behind the other product */
        if (!mat_is_none(dw))
            cmm_multiply_dw(c, mat_rows(dw, rows.lo, rows.hi), gather_slice(&in), dy,
                            is_dw_added);
        gather_finish(&in);
    }
}

static void ring_scatter(struct cmm *c, struct mat y, struct mat x,
                         const struct dev_weight *w, struct mat bias)
{
    const struct cmm_section with_bias = cmm_bias_section(y, bias);
    const int M                        = c->mesh->M;
    struct ring out;

    scatter_open(&out, c->mesh, c->dev, ACT_SCATTER, y, y.rows, c->cols, c->room + 2);
    for (int turn = 0; turn < M; turn++) {
        scatter_start(&out); /* a sum is on its way here */
        cmm_multiply(c, scatter_partial(&out), x, w, range_all(x.cols),
                     cmm_slice(c, scatter_owner(&out)), false,
                     turn == M - 1 ? &with_bias : NULL, 1);
        scatter_finish(&out, c->stream); /* and goes on, larger by the own part */
    }
}

static void ring_scatter_backward(struct cmm *c, struct mat dx,
                                  const struct cmm_section *section, int sections,
                                  struct mat dw, bool is_dw_added, struct mat dy,
                                  struct mat x, const struct dev_weight *w)
{
    const int M = c->mesh->M;
    struct ring in;

    gather_open(&in, c->mesh, c->dev, ACT_GATHER, dy, dy.rows, c->cols, c->room);
    for (int turn = 0; turn < M; turn++) {
        const struct mat slice  = gather_slice(&in);
        const struct range cols = cmm_slice(c, gather_owner(&in));

        gather_start(&in);
        cmm_multiply_t(c, dx, slice, w, cols, range_all(dx.cols), turn > 0,
                       turn == M - 1 ? section : NULL, sections);
        if (!mat_is_none(dw))
            cmm_multiply_dw(c, mat_cols(dw, cols.lo, cols.hi), x, slice, is_dw_added);
        gather_finish(&in);
    }
}

const struct cmm_ops cmm_ring = {
    .name             = "ring",
    .gather           = ring_gather,
    .gather_backward  = ring_gather_backward,
    .scatter          = ring_scatter,
    .scatter_backward = ring_scatter_backward,
};
