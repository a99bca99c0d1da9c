/* SPDX-License-Identifier: BSD-3-Clause */
/* Collective matmul: products whose input or output is sharded by columns over the
 * model axis.  They need messages, which go before or after the multiplications, or
 * travel while these are made.
 *
 *   gather then multiply     y [n, N_l] = gather(x [n, C_l]) W,  W [C, N_l]: whole
 *                            columns of the product; the C_l slices of x travel.
 *   multiply then scatter    y [n, C_l] = scatter(x [n, K_l] W),  W [K_l, C]: whole
 *                            rows of the product; partial sums for each C_l travel.
 *
 * Each is the other's backward: the gradient of what was gathered is scattered, and the
 * other way round.
 *
 * There are three forms, which give the same answer but for rounding:
 *
 *   plain   first the whole collective, then the product, or the other way round; the
 *           oracle of the others
 *   ring    a slice is multiplied while the next one travels from neighbour to
 *           neighbour.  Products are cut along output columns into 'panels'; between
 *           two panels messages are pushed
 *   bidir   two half rings, one in each direction
 *
 * With M = 1 there is one product and no message.  The four products are collective
 * over the model axis; everything else is local.
 */
#ifndef MESH_CMM_H
#define MESH_CMM_H

#include "mesh/ring.h"

/* A range of output columns and what happens to it at the end; ranges of a call are in
 * order and cover the output.  EPI_NONE for plain columns; EPI_DGELU is for
 * cmm_scatter_backward() alone.
 */
struct cmm_section {
    struct range cols;
    struct epilogue epilogue;
};

/* For calls of up to 'rows' rows n and slices of 'width' columns C, cut over the M
 * ranks.  'panels' is about how many a ring's product is cut into; 0: a good default.
 * What is gathered must be packed.  CMM_AUTO is a ring for every product until
 * cmm_tune().  Returns 0, ERR_MEMORY (local), or ERR_SHAPE for a width below M.
 */
struct cmm;
int cmm_open(struct cmm **c, struct mesh *mesh, struct dev *dev, int64_t rows,
             int64_t width, enum cmm_form form, int panels);
void cmm_close(struct cmm **c);

/* The format in which partial sums are made and travel.  With M = 1 there are none. */
enum dtype cmm_sums(const struct mesh *mesh, enum dtype dtype);

/* Bytes that cmm_open() allocates, with slices of s = rows * (C / M rounded up)
 * elements: ring (2 min(2, M - 1) + 1) s, plain (2 M - 1) s, bidir about
 * (3 + min(2, M - 1)) s, auto as much as any of them; nothing with M = 1.  Partial sums
 * that are wide have larger ones, and a ring of two ranks one more.
 */
int64_t cmm_bytes(const struct mesh *mesh, int64_t rows, int64_t width,
                  enum dtype dtype, enum cmm_form form);

/* The form in use; and to change it, or the panels, for checks and for timing.  A form
 * that needs more memory allocates it, and dies if there is none.
 */
enum cmm_form cmm_form_of(const struct cmm *c);
void cmm_set_form(struct cmm *c, enum cmm_form form);
void cmm_set_panels(struct cmm *c, int panels);

/* How often that memory was allocated: a recorded step, which holds on to addresses,
 * sees by it that they have changed.
 */
int cmm_moves(const struct cmm *c);

/* The forms that CMM_AUTO takes, copied; and which product of a block the calls to come
 * are of, for that decides their form.  Both must agree on all ranks of the model axis.
 */
void cmm_tune(struct cmm *c, const struct cmm_tuned *tuned);
void cmm_select(struct cmm *c, enum cmm_product product);

/* A watch is shown every finished product of the six kinds, for the check of products
 * and for planted faults.  x is this rank's slice where it was gathered, y this rank's
 * slice where it was scattered; 'section' says what epilogues have added to y.  A
 * product with EPI_DGELU is made twice while there is a watch, which is shown the one
 * without: so all ranks must watch, or none.  Gradients of weights are shown unless
 * they were added to others.
 */
enum cmm_kind {
    CMM_GATHER_Y,   /* y_l = gather(x_l) W_l                     */
    CMM_GATHER_DX,  /* dx_l = scatter(dy_l W_l^T)                */
    CMM_GATHER_DW,  /* dW_l = gather(x_l)^T dy_l                 */
    CMM_SCATTER_Y,  /* y_l = scatter(x_l W_l)                    */
    CMM_SCATTER_DX, /* dx_l = gather(dy_l) W_l^T                 */
    CMM_SCATTER_DW, /* dW_l = x_l^T gather(dy_l)                 */
    CMM_KINDS
};
struct cmm_seen {
    enum cmm_kind kind;
    const char *what;    /* the label given by the caller, "in", "out", .. */
    struct mat y, x, dy; /* y is the result; the operands that the kind has */
    struct mat w;        /* the weight matrix, none for DW kinds */
    const struct cmm_section *section; /* of the result, 'sections' of them */
    int sections;
};
typedef void (*cmm_watch_fn)(void *ctx, const struct cmm_seen *seen);
void cmm_watch(struct cmm *c, cmm_watch_fn watch, void *ctx); /* NULL: none */
void cmm_label(struct cmm *c, const char *what); /* of the calls to come, borrowed */

/* y [n, N_l] = gather(x [n, C_l]) W[:, 0 .. N_l), section by section. */
void cmm_gather(struct cmm *c, struct mat y, struct mat x, const struct dev_weight *w,
                const struct cmm_section *section, int sections);

/* Its backward: dx [n, C_l] = scatter(dy W^T); dw [C, N_l] = or += gather(x)^T dy; db
 * likewise the sums of the last columns of dy.
 */
void cmm_gather_backward(struct cmm *c, struct mat dx, struct mat dw, struct mat db,
                         bool is_added, struct mat dy, struct mat x,
                         const struct dev_weight *w);

/* Keep what the next cmm_gather() gathers.  If the call after it is the
 * cmm_gather_backward() of the same x, the slices need not travel again, where
 * cmm_keeps() says so.  Must agree on all ranks of the model axis.
 */
void cmm_keep(struct cmm *c);

/* From now on cmm_gather_backward() may, in rings, put a part of its dw aside, for
 * which nobody waits: it is made while this call and later ones wait for messages, and
 * what is left of it in cmm_finish().  Until then dw, dy and x of that call must not
 * change.  (A device that runs behind the host is given it at once, and works on it
 * while the host waits.)  Local.
 */
void cmm_put_aside(struct cmm *c);
void cmm_finish(struct cmm *c);

/* The x of the next cmm_scatter() is not there yet: make(ctx, rows) is called when its
 * first 'rows' rows are needed, and makes those that it has not made before.  So what
 * other ranks wait for sets out before the later rows are made.
 */
struct cmm_source {
    void (*make)(void *ctx, int64_t rows); /* NULL: all of x is there */
    void *ctx;
};
void cmm_from(struct cmm *c, struct cmm_source source);

/* y [n, C_l] = scatter(x [n, K_l] W[K_l, C]) + bias [1, C_l] + rest [n, C_l];
 * 'bias' and 'rest' may be none.
 */
void cmm_scatter(struct cmm *c, struct mat y, struct mat x, const struct dev_weight *w,
                 struct mat bias, struct mat rest);

/* Its backward: dx [n, K_l] = gather(dy) W^T, section by section; dw [K_l, C] = or +=
 * x^T gather(dy), db [1, C_l] the sums of the columns of dy.  In both backwards db may
 * be none, or dw and db.
 */
void cmm_scatter_backward(struct cmm *c, struct mat dx,
                          const struct cmm_section *section, int sections,
                          struct mat dw, struct mat db, bool is_added, struct mat dy,
                          struct mat x, const struct dev_weight *w);

/* The forms as tables, for cmm.c and tests.  Ring and bidir share one: a ring has one
 * lane or two.
 */
struct cmm_ops {
    void (*gather)(struct cmm *, struct mat, struct mat, const struct dev_weight *,
                   const struct cmm_section *, int);
    void (*gather_backward)(struct cmm *, struct mat, struct mat, bool, struct mat,
                            struct mat, const struct dev_weight *);
    void (*scatter)(struct cmm *, struct mat, struct mat, const struct dev_weight *,
                    struct mat);
    void (*scatter_backward)(struct cmm *, struct mat, const struct cmm_section *, int,
                             struct mat, bool, struct mat, struct mat,
                             const struct dev_weight *);
};
extern const struct cmm_ops cmm_plain, cmm_ring;

#endif
