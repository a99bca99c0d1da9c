/* SPDX-License-Identifier: BSD-3-Clause */
/* Collective matmul: open and close.  A call is handed to the form in use, and its
 * result shown to the watch, if there is one.
 *
 * A rank alone has nothing to gather: it takes a ring of one turn with one panel, which
 * is just the product.
 */
#include "config.h"

#include "mesh/cmm_impl.h"

#include "mesh/trace.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/plan/act.h"

#include <string.h>

enum { SECTIONS = 8 };

/* ---- open and close -------------------------------------------------------------- */

enum dtype cmm_sums(const struct mesh *mesh, enum dtype dtype)
{
    return traffic_sums_wire(dtype, mesh->has_wide_sums && mesh->M > 1);
}

int64_t cmm_bytes(const struct mesh *mesh, int64_t rows, int64_t width,
                  enum dtype dtype, enum cmm_form form)
{
    return act_cmm_bytes(rows, width, mesh->M, dtype, cmm_sums(mesh, dtype), form);
}

/* Make room '*r' of 'slices' in format 't', of what 'lanes' carry of one, from '*at' of
 * the block on.
 */
static void carve(struct cmm *c, int64_t *at, struct buf *r, enum dtype t, int slices,
                  int lanes)
{
    const int64_t cols  = split_most(split_most(c->width, c->mesh->M), lanes);
    const size_t bytes  = (size_t)(c->rows * cols) * dtype_size(t);
    const int64_t whole = slices * (int64_t)mem_round(bytes);

    *r = (struct buf){ .dev = c->dev, .at = c->block.at + *at, .bytes = (size_t)whole };
    *at += whole;
}

static void carve_lanes(struct cmm *c, struct buf *room, int lanes)
{
    const enum dtype t    = dev_dtype(c->dev);
    const enum dtype sums = cmm_sums(c->mesh, t);
    const int M           = c->mesh->M;
    const int slices      = lanes > 1 || M > 2 ? GATHER_ROOMS : M - 1;
    int64_t at            = 0;

    for (int lane = 0; lane < lanes; lane++, room += LANE_ROOMS) {
        for (int i = 0; i < slices; i++)
            carve(c, &at, &room[i], t, 1, lanes);
        for (int i = 0; i < act_cmm_sums(M, t, sums); i++)
            carve(c, &at, &room[GATHER_ROOMS + i], sums, 1, lanes);
        carve(c, &at, &room[LANE_ROOMS - 1], sums, 1, lanes);
    }
}

static void carve_all(struct cmm *c)
{
    const enum dtype sums = cmm_sums(c->mesh, dev_dtype(c->dev));
    const int M           = c->mesh->M;
    int64_t at            = 0;

    if (M == 1)
        return;
    carve(c, &at, &c->rooms[CMM_PLAIN][0], sums, M, 1);
    carve(c, &at, &c->rooms[CMM_PLAIN][1], sums, M - 1, 1);
    carve_lanes(c, c->rooms[CMM_RING], 1);
    carve_lanes(c, c->rooms[CMM_BIDIR], RING_LANES);
}

/* Make room for the form in use; what is there stays if it is large enough.  Zeroed, so
 * that products of slices that never came (a muted mesh) are of numbers.
 */
static int make_room(struct cmm *c, enum cmm_form form)
{
    const enum dtype t  = dev_dtype(c->dev);
    const int64_t bytes = cmm_bytes(c->mesh, c->rows, c->width, t, form);

    if ((int64_t)c->block.bytes < bytes) {
        dev_sync(c->stream);
        dev_free(&c->block);
        TRY(dev_alloc(&c->block, c->dev, (size_t)bytes));
        c->moves++;
        dev_fill(c->stream, mat_of(&c->block, t, 1, bytes / (int64_t)dtype_size(t)), 0);
        carve_all(c);
    }
    c->form = form;
    return 0;
}

/* Get ready for a call: the form of its product in this pass.  One rank alone has no
 * messages to push; one model rank has those of other groups over the data axis.  Where
 * nobody polls between panels, or polls while a GPU computes, cuts only cost.
 */
static void use_form(struct cmm *c, enum cmm_pass pass)
{
    const struct cmm_choice *tuned = &c->tuned.of[c->product][pass];
    const bool is_auto             = c->form == CMM_AUTO;
    const enum cmm_form form       = is_auto ? tuned->form : c->form;
    const int panels               = is_auto ? tuned->panels : c->panels;
    const bool is_alone            = c->mesh->M == 1;
    const bool is_cut              = form != CMM_PLAIN && c->mesh->size > 1;
    const bool is_polled = progress_of(c->mesh) == PROGRESS_POLL && dev_is_host(c->dev);

    c->ops   = form == CMM_PLAIN && !is_alone ? &cmm_plain : &cmm_ring;
    c->lanes = form == CMM_BIDIR && !is_alone ? RING_LANES : 1;
    c->cuts  = is_cut ? (panels > 0 ? panels : is_polled ? PANELS : 1) : 1;
    c->least = panels > 0 ? 1 : PANEL_LEAST;
    c->room  = c->rooms[form];
    c->used  = form;
}

int cmm_open(struct cmm **c, struct mesh *mesh, struct dev *dev, int64_t rows,
             int64_t width, enum cmm_form form, int panels)
{
    struct cmm *new;
    int rc;

    if (width < mesh->M)
        return ERR(ERR_SHAPE, "a width of %lld cannot be cut for %d model ranks",
                   (long long)width, mesh->M);
    new         = mem_new(1, sizeof *new);
    new->mesh   = mesh;
    new->dev    = dev;
    new->stream = dev_stream(dev, LANE_COMPUTE);
    new->rows   = rows;
    new->width  = width;
    new->panels = panels;
    new->what   = "product";
    new->cols   = mem_new((size_t)mesh->M, sizeof *new->cols);
    for (int j = 0; j < mesh->M; j++)
        new->cols[j] = split_size(width, mesh->M, j);
    for (int k = 0; k < CMM_PRODUCTS * CMM_PASSES; k++)
        new->tuned.of[k / CMM_PASSES][k % CMM_PASSES].form = CMM_RING;
    rc = make_room(new, form);
    if (rc == 0)
        rc = ring_events_open(new->event, CMM_RINGS, dev);
    if (rc != 0)
        cmm_close(&new);
    else
        *c = new;
    return rc;
}

void cmm_close(struct cmm **c)
{
    if (*c == NULL)
        return;
    ring_events_close((*c)->event, CMM_RINGS);
    dev_free(&(*c)->block);
    mem_free((*c)->cols);
    mem_free(*c);
    *c = NULL;
}

enum cmm_form cmm_form_of(const struct cmm *c)
{
    return c->form;
}

int cmm_moves(const struct cmm *c)
{
    return c->moves;
}

void cmm_set_form(struct cmm *c, enum cmm_form form)
{
    if (make_room(c, form) != 0)
        die("no other form of collective matmul: %s", err_sentence());
}

void cmm_keep(struct cmm *c)
{
    c->is_to_keep = true;
}

void cmm_from(struct cmm *c, struct cmm_source source)
{
    c->source = source;
}

void cmm_need(struct cmm *c, int64_t rows)
{
    if (c->source.make != NULL)
        c->source.make(c->source.ctx, rows);
}

void cmm_set_panels(struct cmm *c, int panels)
{
    c->panels = panels;
}

void cmm_tune(struct cmm *c, const struct cmm_tuned *tuned)
{
    c->tuned = *tuned;
}

void cmm_select(struct cmm *c, enum cmm_product product)
{
    c->product = product;
}

void cmm_watch(struct cmm *c, cmm_watch_fn watch, void *ctx)
{
    c->watch     = watch;
    c->watch_ctx = ctx;
}

void cmm_label(struct cmm *c, const char *what)
{
    c->what = what;
}

/* ---- calls ----------------------------------------------------------------------- */

/* 'slice' is this rank's columns of the width, and fits. */
static void check_slice(const struct cmm *c, struct mat slice)
{
    if (slice.rows > c->rows || slice.cols != c->cols[c->mesh->m])
        die("a slice of %lld x %lld for rooms of %lld x %lld", (long long)slice.rows,
            (long long)slice.cols, (long long)c->rows, (long long)c->cols[c->mesh->m]);
}

/* A call, for the record of a trace; returns when it began. */
static double begin(struct cmm *c, enum cmm_pass pass)
{
    use_form(c, pass);
    c->is_kept = cmm_keeps(c->mesh->M, c->kept, c->used);
    c->kept    = CMM_PLAIN;
    return clock_now();
}

static void end(struct cmm *c, const char *name, double start)
{
    trace_add(c->mesh, (struct trace_span){ .track = TRACE_COMPUTE,
                                            .name  = name,
                                            .what  = c->what,
                                            .start = start,
                                            .end   = clock_now() });
}

static void show(struct cmm *c, struct cmm_seen seen)
{
    if (c->watch == NULL)
        return;
    seen.what = c->what;
    dev_sync(c->stream);
    c->watch(c->watch_ctx, &seen);
}

/* Copy the sections into 'bare' without EPI_DGELU; true if there was one.  The value
 * before it can only be seen by making the product twice.
 */
static bool strip_dgelu(struct cmm_section bare[SECTIONS],
                        const struct cmm_section *section, int sections)
{
    bool has_dgelu = false;

    if (sections > SECTIONS)
        die("%d sections; %d can be watched", sections, SECTIONS);
    for (int k = 0; k < sections; k++) {
        bare[k] = section[k];
        if (section[k].epilogue.kind == EPI_DGELU) {
            bare[k].epilogue = (struct epilogue){ .kind = EPI_NONE };
            has_dgelu        = true;
        }
    }
    return has_dgelu;
}

void cmm_gather(struct cmm *c, struct mat y, struct mat x, const struct dev_weight *w,
                const struct cmm_section *section, int sections)
{
    const double start = begin(c, CMM_FORWARD);

    check_slice(c, x);
    if (c->is_to_keep)
        c->kept = c->used;
    c->is_to_keep = false;
    c->ops->gather(c, y, x, w, section, sections);
    end(c, "gather", start);
    show(c, (struct cmm_seen){ .kind     = CMM_GATHER_Y,
                               .y        = y,
                               .x        = x,
                               .w        = mat_cols(dev_weight_mat(w), 0, y.cols),
                               .section  = section,
                               .sections = sections });
}

/* One rank has all of a bias's gradient when it has that of the weights; else it is
 * formed after the products, with no message waiting for it.
 */
static void take_bias_gradient(struct cmm *c, struct mat db)
{
    c->db = c->mesh->M == 1 ? db : mat_none();
}

static void leave_bias_gradient(struct cmm *c, struct mat db, struct mat dy,
                                bool is_added)
{
    if (!mat_is_none(db) && mat_is_none(c->db))
        dev_column_sums(c->stream, db, mat_cols(dy, dy.cols - db.cols, dy.cols),
                        is_added);
    c->db = mat_none();
}

void cmm_gather_backward(struct cmm *c, struct mat dx, struct mat dw, struct mat db,
                         bool is_added, struct mat dy, struct mat x,
                         const struct dev_weight *w)
{
    const struct mat weights = mat_cols(dev_weight_mat(w), 0, dy.cols);
    const double start       = begin(c, CMM_BACKWARD);

    check_slice(c, x);
    check_slice(c, dx);
    take_bias_gradient(c, db);
    c->ops->gather_backward(c, dx, dw, is_added, dy, x, w);
    end(c, "gather backward", start);
    leave_bias_gradient(c, db, dy, is_added);
    show(c,
         (struct cmm_seen){ .kind = CMM_GATHER_DX, .y = dx, .dy = dy, .w = weights });
    if (!is_added)
        show(c, (struct cmm_seen){ .kind = CMM_GATHER_DW, .y = dw, .x = x, .dy = dy });
}

void cmm_scatter(struct cmm *c, struct mat y, struct mat x, const struct dev_weight *w,
                 struct mat bias, struct mat rest)
{
    const struct cmm_section section = cmm_bias_section(y, bias);
    const double start               = begin(c, CMM_FORWARD);
    const bool is_within             = c->mesh->M == 1 && c->watch == NULL;

    check_slice(c, y);
    c->rest = is_within ? rest : mat_none();
    c->ops->scatter(c, y, x, w, bias);
    c->rest   = mat_none();
    c->source = (struct cmm_source){ 0 };
    end(c, "scatter", start);
    show(c, (struct cmm_seen){ .kind     = CMM_SCATTER_Y,
                               .y        = y,
                               .x        = x,
                               .w        = mat_rows(dev_weight_mat(w), 0, x.cols),
                               .section  = &section,
                               .sections = 1 });
    if (!mat_is_none(rest) && !is_within)
        dev_add(c->stream, y, rest);
}

void cmm_scatter_backward(struct cmm *c, struct mat dx,
                          const struct cmm_section *section, int sections,
                          struct mat dw, struct mat db, bool is_added, struct mat dy,
                          struct mat x, const struct dev_weight *w)
{
    struct cmm_section bare[SECTIONS];
    struct cmm_seen seen = { .kind     = CMM_SCATTER_DX,
                             .y        = dx,
                             .dy       = dy,
                             .w        = mat_rows(dev_weight_mat(w), 0, dx.cols),
                             .section  = section,
                             .sections = sections };
    const bool is_twice  = c->watch != NULL && strip_dgelu(bare, section, sections);
    const double start   = begin(c, CMM_BACKWARD);

    check_slice(c, dy);
    if (is_twice) {
        seen.section = bare;
        c->ops->scatter_backward(c, dx, bare, sections, mat_none(), false, dy, x, w);
        show(c, seen);
    }
    take_bias_gradient(c, db);
    c->ops->scatter_backward(c, dx, section, sections, dw, is_added, dy, x, w);
    end(c, "scatter backward", start);
    leave_bias_gradient(c, db, dy, is_added);
    if (!is_twice)
        show(c, seen);
    if (!is_added)
        show(c, (struct cmm_seen){ .kind = CMM_SCATTER_DW, .y = dw, .x = x, .dy = dy });
}
