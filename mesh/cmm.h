/* SPDX-License-Identifier: BSD-3-Clause */
/* Collective matmul: products whose input or output is sharded by columns over the
 * model axis, with the messages that this needs between, or behind, the
 * multiplications.
 *
 *   gather then multiply     y [n, N_l] = gather(x [n, C_l]) W,  W [C, N_l]: whole
 *                            columns of the product; the C_l slices of x travel.
 *   multiply then scatter    y [n, C_l] = scatter(x [n, K_l] W),  W [K_l, C]: whole
 *                            rows of the product; partial sums for each C_l travel.
 *
 * The backward of the one is the other: d(gather) scatters, d(scatter) gathers.
 *
 * Forms, same answer: plain (collective, then product: the oracle), ring, and
 * bidir (two half rings, one each way).  In a ring products are cut along output
 * columns into 'panels', and messages are pushed between panels.  With M = 1 there
 * is one product and no message.  The four products are collective over the model
 * axis, all else is local.
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

/* Sizes that the calls may use: rows n up to 'rows', slices of 'width' C over M ranks.
 * 'panels' is how many a product of a ring is cut into, about; 0: a good default.  What
 * is gathered must be packed.  CMM_AUTO is a ring for all until cmm_tune().  Returns 0,
 * ERR_MEMORY (local), or ERR_SHAPE for a width below M.
 */
struct cmm;
int cmm_open(struct cmm **c, struct mesh *mesh, struct dev *dev, int64_t rows,
             int64_t width, enum cmm_form form, int panels);
void cmm_close(struct cmm **c);

/* The format in which partial sums travel and are made.  With M = 1 none do. */
enum dtype cmm_sums(const struct mesh *mesh, enum dtype dtype);

/* Bytes that cmm_open() allocates, with slices of s = rows * (C / M rounded up)
 * elements: ring (2 min(2, M - 1) + 1) s, plain (2 M - 1) s, bidir about
 * (3 + min(2, M - 1)) s, auto as much as any of them; nothing with M = 1.  Partial sums
 * that are wide have larger ones, and a ring of two ranks one more.
 */
int64_t cmm_bytes(const struct mesh *mesh, int64_t rows, int64_t width,
                  enum dtype dtype, enum cmm_form form);

/* The form in use; another one, or other panels, for the checks and for timing: what it
 * needs more is allocated, and it dies if there is none.
 */
enum cmm_form cmm_form_of(const struct cmm *c);

/* How often its rooms were made: who holds on to where they lie sees
 * that they moved.
 */
int cmm_moves(const struct cmm *c);
void cmm_set_form(struct cmm *c, enum cmm_form form);
void cmm_set_panels(struct cmm *c, int panels);

/* The choices of CMM_AUTO, copied, and which product the calls to come are of: this
 * decides their form.  Must agree on all ranks of the model axis.
 */
void cmm_tune(struct cmm *c, const struct cmm_tuned *tuned);
void cmm_select(struct cmm *c, enum cmm_product product);

/* What a finished product looked like, for the check of the products and for planted
 * faults.  Called after each of the six kinds when set; x is this rank's slice where it
 * was gathered, y this rank's slice where it was scattered; 'section' says what
 * epilogues have added to y.  Products with EPI_DGELU are made twice when a watch is
 * set, which shows the value before it (and sections without it): all ranks must watch,
 * or none.  Gradients of weights are shown unless they were added to others.
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

/* What the next cmm_gather() gathers is left for a cmm_gather_backward() of the same x,
 * if this is the call after it: where cmm_keeps() says so it does not travel again.
 * Must agree on all ranks of the model axis.
 */
void cmm_keep(struct cmm *c);

/* From now on cmm_gather_backward() may put a part of its dw aside, in rings: what
 * nobody waits for is made while this call and later ones wait for messages, and the
 * rest of it in cmm_finish().  Until then dw, dy and x of that call must stay as they
 * are.  (A device that runs behind the host makes it at once: it is under way while the
 * host waits.)  Local.
 */
void cmm_put_aside(struct cmm *c);
void cmm_finish(struct cmm *c);

/* The rows of the x of the next cmm_scatter() are made by 'make' when they are needed:
 * the first 'rows' of them, of which it knows how many it has made.  What others wait
 * for sets out while later rows are not there yet.
 */
struct cmm_source {
    void (*make)(void *ctx, int64_t rows); /* NULL: they are there */
    void *ctx;
};
void cmm_from(struct cmm *c, struct cmm_source source);

/* y [n, C_l] = scatter(x [n, K_l] W[K_l, C]) + bias [1, C_l] + rest [n, C_l];
 * 'bias' and 'rest' may be none.
 */
void cmm_scatter(struct cmm *c, struct mat y, struct mat x, const struct dev_weight *w,
                 struct mat bias, struct mat rest);

/* Its backward: dx [n, K_l] = gather(dy) W^T, section by section; dw [K_l, C] = or +=
 * x^T gather(dy), db [1, C_l] the sums of the columns of dy.  In both backwards dw and
 * db may be none; db without dw is.
 */
void cmm_scatter_backward(struct cmm *c, struct mat dx,
                          const struct cmm_section *section, int sections,
                          struct mat dw, struct mat db, bool is_added, struct mat dy,
                          struct mat x, const struct dev_weight *w);

/* The ways as tables; for cmm.c and tests.  A ring has one lane or two. */
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
