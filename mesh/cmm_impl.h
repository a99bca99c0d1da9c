/* SPDX-License-Identifier: BSD-3-Clause */
/* What the forms of collective matmul share: the object, and products cut into panels.
 * For mesh/cmm*.c only.
 *
 * 'room[]' is memory for slices and partial sums, used by each form in its own way:
 *
 *   form    room                                               slices of memory
 *   plain   [0] all slices   [1] the parts of other ranks      M + (M - 1)
 *   ring    [0] [1] gather   [2] [3] partial sums (wide: both) 2 min(2, M - 1)
 *           [4] the sum that arrives                           + 1
 *   bidir   the same for each of two lanes, in half slices:    2 + min(2, M - 1)
 *           [0 .. 4] and [5 .. 9]                              + 1
 */
#ifndef MESH_CMM_IMPL_H
#define MESH_CMM_IMPL_H

#include "mesh/cmm.h"

enum { PANELS = 8, PANEL_LEAST = 768 /* columns */ };
enum { LANE_ROOMS = GATHER_ROOMS + SCATTER_ROOMS, CMM_ROOMS = RING_LANES * LANE_ROOMS };
enum { CMM_RINGS = 2 * RING_LANES };

/* The gradient of some rows of a weight that was put aside, to be made panel by panel
 * when there is nothing else to do.
 */
struct cmm_aside {
    struct mat dw, x, dy;
    bool is_added;
    int panels, made; /* nothing is left if these are equal */
    const char *what;
};

struct cmm {
    struct mesh *mesh; /* borrowed, as is dev */
    struct dev *dev;
    struct dev_stream *stream;
    enum cmm_form form;
    int panels;             /* asked for, but for CMM_AUTO */
    struct cmm_tuned tuned; /* for CMM_AUTO */
    int64_t rows, width;
    int64_t *cols;    /* [M] columns of each slice */
    struct buf block; /* all rooms; those of one form lie over those of another */
    int moves;        /* how often the block was allocated */
    struct buf rooms[CMM_AUTO][CMM_ROOMS]; /* views into the block, by form */
    struct ring_events
        event[CMM_RINGS]; /* of gathers, lane by lane, then of scatters */
    enum cmm_product product;
    cmm_watch_fn watch;
    void *watch_ctx;
    const char *what;
    bool is_to_keep;    /* the next gather leaves what it gathers */
    enum cmm_form kept; /* the form of the call before, if it did; else plain */
    bool may_put_aside;
    struct cmm_aside aside;

    /* Of the call that is being made. */
    const struct cmm_ops *ops;
    enum cmm_form used;
    bool is_kept;     /* what it gathers */
    int lanes;        /* of its rings */
    int cuts;         /* panels of a product */
    int64_t least;    /* columns of a panel */
    struct buf *room; /* of its form */
    struct mat db; /* gradient of a bias that comes with that of the weights, or none */
    struct mat rest;          /* what the product is added to, or none */
    struct cmm_source source; /* of x */
};

/* The columns of slice 'j' of the width. */
struct range cmm_slice(const struct cmm *c, int j);

/* The rows of W by which cmm_gather() multiplies the columns 'part' of slice 'j'.  A
 * fault that is planted on this rank spoils here the slice of the farthest rank.
 */
struct range cmm_rows_for(struct cmm *c, struct mat slice, int j, struct range part);

/* The 'rows' of y = or += x W[depth, out], or x W[out, depth]^T; x has just these rows.
 * Section by section, and in these panel by panel of y's columns, with a poll after
 * each.  'section' NULL: no epilogue.
 */
void cmm_multiply(struct cmm *c, struct mat y, struct range rows, struct mat x,
                  const struct dev_weight *w, struct range depth, struct range out,
                  bool is_added, const struct cmm_section *section, int sections);
void cmm_multiply_t(struct cmm *c, struct mat y, struct range rows, struct mat x,
                    const struct dev_weight *w, struct range depth, struct range out,
                    bool is_added, const struct cmm_section *section, int sections);

/* Have the first 'rows' of the x of a scatter made, if they are not there. */
void cmm_need(struct cmm *c, int64_t rows);

/* dw = or += x^T dy, panel by panel, too; and c->db, if there is one, from the last
 * columns of dy.
 */
void cmm_multiply_dw(struct cmm *c, struct mat dw, struct mat x, struct mat dy,
                     bool is_added);

/* The same, put aside where that is allowed; else done at once. */
void cmm_leave_dw(struct cmm *c, struct mat dw, struct mat x, struct mat dy,
                  bool is_added);

/* Make a panel of what was put aside; false if nothing is left.  'ctx' is the struct
 * cmm.
 */
bool cmm_make_aside(void *ctx);

/* The section of a scattered result: all of it, with a bias if there is one. */
struct cmm_section cmm_bias_section(struct mat y, struct mat bias);

static inline struct range range_all(int64_t n)
{
    return (struct range){ 0, n };
}

static inline struct range range_moved(struct range r, int64_t by)
{
    return (struct range){ r.lo + by, r.hi + by };
}

#endif
