/* SPDX-License-Identifier: BSD-3-Clause */
/* Collective matmul, the ring: the slice in hand is multiplied while the next one
 * travels.
 *
 * In each of M turns the products are made panel by panel of their columns, and
 * messages are pushed after each panel.  With t the time of a turn's products and l
 * that of a slice on the link, a pass takes (M - 1) max(t, l) + t, and sends M - 1
 * slices of n C / M elements in each direction that is in use.
 *
 * With two lanes each turn brings one half of two slices, from either side: the same
 * products, and l half as long where a link carries both directions at once.  Lane 0 has
 * the larger halves, which are never empty, and comes last, so that its last product can
 * carry the epilogue.  A rank's own slice is multiplied whole.
 */
#include "config.h"

#include "mesh/cmm_impl.h"

/* ---- lanes ----------------------------------------------------------------------- */

static void open_gather(struct cmm *c, struct ring *in, struct mat own)
{
    for (int l = 0; l < c->lanes; l++)
        gather_open(&in[l], c->mesh, c->dev, ACT_GATHER, l, c->lanes, own, own.rows,
                    c->cols, &c->room[l * LANE_ROOMS]);
}

static void open_scatter(struct cmm *c, struct ring *out, struct mat own)
{
    for (int l = 0; l < c->lanes; l++)
        scatter_open(&out[l], c->mesh, c->dev, ACT_SCATTER, l, c->lanes, own, own.rows,
                     c->cols, &c->room[l * LANE_ROOMS + GATHER_ROOMS]);
}

static void start_gather(struct cmm *c, struct ring *in)
{
    for (int l = 0; l < c->lanes; l++)
        gather_start(&in[l]);
}

static void finish_gather(struct cmm *c, struct ring *in)
{
    for (int l = 0; l < c->lanes; l++)
        gather_finish(&in[l]);
}

/* What a turn of a gather is to multiply: the own slice, or each lane's part of one. */
struct piece_in_hand {
    struct mat slice;
    int owner;
    struct range part;      /* its columns in the owner's slice */
    bool is_first, is_last; /* of all that are multiplied */
};

/* The next one of this turn, from the last lane to the first; '*lane' starts at the
 * number of lanes.  False when there is none.
 */
static bool next_piece(struct piece_in_hand *p, const struct cmm *c,
                       const struct ring *in, struct mat own, int *lane)
{
    const int turn = in[0].turn;

    if (*lane == 0)
        return false;
    *lane = turn == 0 ? 0 : *lane - 1;
    if (turn == 0)
        *p = (struct piece_in_hand){ .slice = own,
                                     .owner = c->mesh->m,
                                     .part  = range_all(own.cols) };
    else
        *p = (struct piece_in_hand){ .slice = gather_slice(&in[*lane]),
                                     .owner = gather_owner(&in[*lane]),
                                     .part  = ring_part(&in[*lane],
                                                        gather_owner(&in[*lane])) };
    p->is_first = turn == 0;
    p->is_last  = turn == c->mesh->M - 1 && *lane == 0;
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
    for (int turn = 0; turn < c->mesh->M; turn++) {
        int lane = c->lanes;

        start_gather(c, in); /* the next slice sets out */
        while (next_piece(&p, c, in, x, &lane))
            cmm_multiply(c, y, p.slice, w, cmm_rows_for(c, p.slice, p.owner, p.part),
                         range_all(y.cols), !p.is_first, p.is_last ? section : NULL,
                         sections);
        finish_gather(c, in); /* and has arrived */
    }
}

/* Two rings turn together: x travels up for the gradient of the weights, the sums for
 * dx travel down, so that each hides behind both products.
 */
static void ring_gather_backward(struct cmm *c, struct mat dx, struct mat dw,
                                 bool is_dw_added, struct mat dy, struct mat x,
                                 const struct dev_weight *w)
{
    struct ring in[RING_LANES], out[RING_LANES];
    struct piece_in_hand p;

    open_gather(c, in, x);
    open_scatter(c, out, dx);
    for (int turn = 0; turn < c->mesh->M; turn++) {
        int lane = c->lanes;

        start_gather(c, in);
        for (int l = 0; l < c->lanes; l++)
            scatter_start(&out[l]);
        for (int l = 0; l < c->lanes; l++) {
            cmm_multiply_t(c, scatter_partial(&out[l]), dy, w, range_all(dy.cols),
                           place_of_sum(c, &out[l]), false, NULL, 0);
            scatter_finish(&out[l], c->stream); /* it travels behind other products */
        }
        while (!mat_is_none(dw) && next_piece(&p, c, in, x, &lane)) {
            const struct range rows = place_of(c, &p);

            cmm_multiply_dw(c, mat_rows(dw, rows.lo, rows.hi), p.slice, dy,
                            is_dw_added);
        }
        finish_gather(c, in);
    }
}

static void ring_scatter(struct cmm *c, struct mat y, struct mat x,
                         const struct dev_weight *w, struct mat bias)
{
    const int M = c->mesh->M;
    struct ring out[RING_LANES];

    open_scatter(c, out, y);
    for (int turn = 0; turn < M; turn++) {
        for (int l = 0; l < c->lanes; l++)
            scatter_start(&out[l]); /* a sum is on its way here */
        for (int l = 0; l < c->lanes; l++) {
            const struct mat sum    = scatter_partial(&out[l]);
            const struct range part = ring_part(&out[l], scatter_owner(&out[l]));
            const struct mat share =
                mat_is_none(bias) ? bias : mat_cols(bias, part.lo, part.hi);
            const struct cmm_section with_bias = cmm_bias_section(sum, share);

            cmm_multiply(c, sum, x, w, range_all(x.cols), place_of_sum(c, &out[l]),
                         false, turn == M - 1 ? &with_bias : NULL, 1);
            scatter_finish(&out[l],
                           c->stream); /* and goes on, larger by the own part */
        }
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
    for (int turn = 0; turn < c->mesh->M; turn++) {
        int lane = c->lanes;

        start_gather(c, in);
        while (next_piece(&p, c, in, dy, &lane)) {
            const struct range cols = place_of(c, &p);

            cmm_multiply_t(c, dx, p.slice, w, cols, range_all(dx.cols), !p.is_first,
                           p.is_last ? section : NULL, sections);
            if (!mat_is_none(dw))
                cmm_multiply_dw(c, mat_cols(dw, cols.lo, cols.hi), x, p.slice,
                                is_dw_added);
        }
        finish_gather(c, in);
    }
}

const struct cmm_ops cmm_ring = {
    .name             = "ring",
    .gather           = ring_gather,
    .gather_backward  = ring_gather_backward,
    .scatter          = ring_scatter,
    .scatter_backward = ring_scatter_backward,
};
