/* SPDX-License-Identifier: BSD-3-Clause */
/* Collective matmul, the ring: the slice in hand is multiplied while the next one
 * travels.
 *
 * There are M turns.  In each the products are made panel by panel of their columns,
 * and messages are pushed after each panel.  A slice travels in pieces of some rows; a
 * piece is multiplied as soon as it is there, and sums are sent piece by piece as they
 * are made.  With t the time of a turn's products, l that of a slice on the link and p
 * pieces, a pass takes the longer of M t and (M - 1) l + t / p.  It sends M - 1 slices
 * of n C / M elements in each direction that is in use.
 *
 * With two lanes (bidir) each turn brings two half slices, one from either side: the
 * products are as many, and l is half as long where a link carries both directions at
 * once.  Lane 0 has the larger halves, which are never empty, and comes last, so that
 * its last product can carry the epilogue.  A rank's own slice is multiplied whole.
 */
#include "config.h"

#include "mesh/cmm_impl.h"

/* ---- lanes ----------------------------------------------------------------------- */

static void open_gather(struct cmm *c, struct ring *in, struct mat own)
{
    for (int l = 0; l < c->lanes; l++) {
        gather_open(&in[l], c->mesh, c->dev, ACT_GATHER, l, c->lanes, own, own.rows,
                    c->cols, &c->room[l * LANE_ROOMS], &c->event[l]);
        in[l].work = (struct meanwhile){ cmm_make_aside, c };
    }
}

static void open_scatter(struct cmm *c, struct ring *out, struct mat own)
{
    for (int l = 0; l < c->lanes; l++) {
        scatter_open(&out[l], c->mesh, c->dev, ACT_SCATTER, l, c->lanes, own,
                     cmm_sums(c->mesh, own.dtype), own.rows, c->cols,
                     &c->room[l * LANE_ROOMS + GATHER_ROOMS],
                     &c->event[RING_LANES + l]);
        out[l].work = (struct meanwhile){ cmm_make_aside, c };
    }
}

static void start_gather(struct cmm *c, struct ring *in)
{
    for (int l = 0; l < c->lanes; l++)
        gather_start(&in[l]);
}

static void next_gather(struct cmm *c, struct ring *in)
{
    for (int l = 0; l < c->lanes; l++)
        gather_next(&in[l]);
}

static void start_scatter(struct cmm *c, struct ring *out)
{
    for (int l = 0; l < c->lanes; l++)
        scatter_start(&out[l]);
}

static void next_scatter(struct cmm *c, struct ring *out)
{
    for (int l = 0; l < c->lanes; l++)
        scatter_next(&out[l], c->stream);
}

/* What is to be multiplied next in a turn of a gather: some or all rows of the own
 * slice, or of the part of a slice that a lane has brought.
 */
struct piece_in_hand {
    struct mat slice; /* these rows of it */
    struct range rows;
    int owner;
    struct range part;      /* its columns in the owner's slice */
    bool is_first, is_last; /* of all that are multiplied for these rows */
};

/* Take the next piece of this turn, of slices in 'cuts' pieces or whole (1), from the
 * last lane to the first.  '*done' counts those that were taken, from 0 on.  False when
 * there is none left.
 */
static bool next_piece(struct piece_in_hand *p, const struct cmm *c, struct ring *in,
                       struct mat own, int cuts, int *done)
{
    const int turn = in[0].turn, piece = *done / c->lanes;
    const int lane       = c->lanes - 1 - *done % c->lanes;
    struct ring *of      = &in[lane];
    const int owner      = gather_owner(of);
    const struct mat all = gather_slice(of);

    if (piece == (turn == 0 ? 1 : cuts))
        return false;
    *p = (struct piece_in_hand){ .slice    = own,
                                 .rows     = range_all(own.rows),
                                 .owner    = owner,
                                 .part     = range_all(own.cols),
                                 .is_first = turn == 0,
                                 .is_last  = turn == c->mesh->M - 1 && lane == 0 };
    *done += turn == 0 ? c->lanes : 1; /* the own slice is not cut */
    if (turn == 0) {
        p->is_last = c->mesh->M == 1;
        return true;
    }
    gather_take(of, cuts == 1 ? of->pieces : piece + 1);
    p->rows  = cuts == 1 ? p->rows : ring_piece(of, piece);
    p->slice = mat_rows(all, p->rows.lo, p->rows.hi);
    p->part  = ring_part(of, owner);
    return true;
}

/* Where it lies in the whole width. */
static struct range place_of(const struct cmm *c, const struct piece_in_hand *p)
{
    return range_moved(p->part, cmm_slice(c, p->owner).lo);
}

/* The columns of the whole width that a lane's partial sum is for. */
static struct range place_of_sum(const struct cmm *c, const struct ring *out)
{
    const int owner = scatter_owner(out);

    return range_moved(ring_part(out, owner), cmm_slice(c, owner).lo);
}

/* ---- the four calls -------------------------------------------------------------- */

static void ring_gather(struct cmm *c, struct mat y, struct mat x,
                        const struct dev_weight *w, const struct cmm_section *section,
                        int sections)
{
    struct ring in[RING_LANES];
    struct piece_in_hand p;

    open_gather(c, in, x);
    start_gather(c, in); /* the own slice sets out */
    for (int turn = 0; turn < c->mesh->M; turn++) {
        int done = 0;

        while (next_piece(&p, c, in, x, in[0].pieces, &done))
            cmm_multiply(c, y, p.rows, p.slice, w,
                         cmm_rows_for(c, p.slice, p.owner, p.part), range_all(y.cols),
                         !p.is_first, p.is_last ? section : NULL, sections);
        next_gather(c, in);
    }
}

/* A turn's part of dx = scatter(dy W^T).  What others are to add to goes on piece by
 * piece; the own part, in the last turn, is one product.
 */
static void add_to_sums(struct cmm *c, struct ring *out, struct mat dy,
                        const struct dev_weight *w)
{
    const bool is_own = out[0].turn == c->mesh->M - 1;

    for (int k = 0; k < (is_own ? 1 : out[0].pieces); k++) {
        const struct range rows = is_own ? range_all(dy.rows) : ring_piece(&out[0], k);

        for (int l = 0; l < c->lanes; l++) {
            cmm_multiply_t(c, scatter_partial(&out[l]), rows,
                           mat_rows(dy, rows.lo, rows.hi), w, range_all(dy.cols),
                           place_of_sum(c, &out[l]), false, NULL, 0);
            if (!is_own)
                scatter_send(&out[l], k, c->stream);
        }
    }
}

/* A turn's part of dw = gather(x)^T dy; the own part is made while messages are
 * awaited.
 */
static void multiply_slices(struct cmm *c, struct mat dw, bool is_dw_added,
                            struct ring *in, struct mat dy, struct mat x)
{
    struct piece_in_hand p;
    int done = 0;

    while (!mat_is_none(dw) && next_piece(&p, c, in, x, 1, &done)) {
        const struct range rows = place_of(c, &p);
        const struct mat part   = mat_rows(dw, rows.lo, rows.hi);

        if (in[0].turn == 0)
            cmm_leave_dw(c, part, p.slice, dy, is_dw_added);
        else
            cmm_multiply_dw(c, part, p.slice, dy, is_dw_added);
    }
}

/* Two rings turn together: x travels up for the gradient of the weights, the sums for
 * dx travel down, so that each hides behind both products.  What has to be sent comes
 * first, what has to be waited for last.
 */
static void ring_gather_backward(struct cmm *c, struct mat dx, struct mat dw,
                                 bool is_dw_added, struct mat dy, struct mat x,
                                 const struct dev_weight *w)
{
    const int M = c->mesh->M;
    struct ring in[RING_LANES], out[RING_LANES];

    open_gather(c, in, x);
    for (int l = 0; l < c->lanes; l++)
        in[l].is_kept = c->is_kept;
    open_scatter(c, out, dx);
    start_gather(c, in);
    for (int turn = 0; turn < M; turn++) {
        const bool is_between =
            turn > 0 && turn < M - 1; /* a slice is to be passed on */

        start_scatter(c, out);
        if (is_between)
            multiply_slices(c, dw, is_dw_added, in, dy, x);
        add_to_sums(c, out, dy, w);
        if (!is_between)
            multiply_slices(c, dw, is_dw_added, in, dy, x);
        next_gather(c, in);
        next_scatter(c, out);
    }
}

/* What this rank contributes, of 'rows' of x, to the sum that a lane has in hand; with
 * its own sum come its part of 'bias' and the rest.
 */
static void make_partial(struct cmm *c, const struct ring *out, struct range rows,
                         struct mat x, const struct dev_weight *w, struct mat bias,
                         bool is_own)
{
    const struct mat sum    = scatter_partial(out);
    const struct range part = ring_part(out, scatter_owner(out));
    const struct mat share =
        mat_is_none(bias) ? bias : mat_cols(bias, part.lo, part.hi);
    struct cmm_section with_bias = cmm_bias_section(sum, share);

    with_bias.epilogue.rest = c->rest;
    cmm_multiply(c, sum, rows, mat_rows(x, rows.lo, rows.hi), w, range_all(x.cols),
                 place_of_sum(c, out), false, is_own ? &with_bias : NULL, 1);
}

static void ring_scatter(struct cmm *c, struct mat y, struct mat x,
                         const struct dev_weight *w, struct mat bias)
{
    const int M = c->mesh->M;
    struct ring out[RING_LANES];

    open_scatter(c, out, y);
    for (int turn = 0; turn < M; turn++) {
        const bool is_own = turn == M - 1;

        start_scatter(c, out); /* a sum is on its way here */
        for (int k = 0; k < (is_own ? 1 : out[0].pieces); k++) {
            const struct range rows =
                is_own ? range_all(x.rows) : ring_piece(&out[0], k);

            cmm_need(c, rows.hi);
            for (int l = 0; l < c->lanes; l++) {
                make_partial(c, &out[l], rows, x, w, bias, is_own);
                if (!is_own) /* it goes on, larger by the own part */
                    scatter_send(&out[l], k, c->stream);
            }
        }
        next_scatter(c, out);
    }
}

static void ring_scatter_backward(struct cmm *c, struct mat dx,
                                  const struct cmm_section *section, int sections,
                                  struct mat dw, bool is_dw_added, struct mat dy,
                                  struct mat x, const struct dev_weight *w)
{
    struct ring in[RING_LANES];
    struct piece_in_hand p;

    open_gather(c, in, dy);
    start_gather(c, in);
    for (int turn = 0; turn < c->mesh->M; turn++) {
        int done = 0;

        while (next_piece(&p, c, in, dy, in[0].pieces, &done))
            cmm_multiply_t(c, dx, p.rows, p.slice, w, place_of(c, &p),
                           range_all(dx.cols), !p.is_first, p.is_last ? section : NULL,
                           sections);
        done = 0;
        while (!mat_is_none(dw) && next_piece(&p, c, in, dy, 1, &done)) {
            const struct range cols = place_of(c, &p);

            cmm_multiply_dw(c, mat_cols(dw, cols.lo, cols.hi), x, p.slice, is_dw_added);
        }
        next_gather(c, in);
    }
}

const struct cmm_ops cmm_ring = {
    .gather           = ring_gather,
    .gather_backward  = ring_gather_backward,
    .scatter          = ring_scatter,
    .scatter_backward = ring_scatter_backward,
};
