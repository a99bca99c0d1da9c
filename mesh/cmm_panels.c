/* SPDX-License-Identifier: BSD-3-Clause */
/* Collective matmul: the products themselves.  They are cut into panels of output
 * columns, with a poll after each, so that messages move meanwhile; and gradients that
 * nobody waits for are put aside, and made while the rank waits.
 */
#include "config.h"

#include "mesh/cmm_impl.h"

#include "mesh/trace.h"
#include "src/base/clock.h"

enum { PANEL_ALIGN = 16 /* columns */ };

/* ---- products in panels ---------------------------------------------------------- */

struct range cmm_slice(const struct cmm *c, int j)
{
    return split_range(c->width, c->mesh->M, j);
}

struct range cmm_rows_for(struct cmm *c, struct mat slice, int j, struct range part)
{
    const int M              = c->mesh->M;
    const enum fault fault   = c->mesh->fault;
    const struct range right = range_moved(part, cmm_slice(c, j).lo);
    int64_t lo;

    if (M == 1 || j != (c->mesh->m + 1) % M)
        return right;
    if (fault == FAULT_DROP)
        dev_fill(c->stream, slice, 0);
    if (fault != FAULT_SLICE)
        return right;
    lo = cmm_slice(c, (j + 1) % M).lo;
    if (lo > c->width - slice.cols) /* the neighbour has fewer */
        lo = c->width - slice.cols;
    return (struct range){ lo, lo + slice.cols };
}

/* How many panels a range of columns has when all 'cols' of a product have
 * 'cuts'.  Each panel packs the other operand again, so that narrow ones
 * cost more than they hide.
 */
static int panels_of(const struct cmm *c, int64_t cuts, int64_t cols, struct range part)
{
    const int64_t even  = (cols + cuts - 1) / cuts;
    const int64_t most  = even > c->least ? even : c->least;
    const int64_t width = (most + PANEL_ALIGN - 1) / PANEL_ALIGN * PANEL_ALIGN;

    return range_size(part) > 0 ? (int)((range_size(part) + width - 1) / width) : 0;
}

/* Panel 'p' of 'panels': nearly equal, cut at multiples of PANEL_ALIGN. */
static struct range panel_of(struct range part, int panels, int p)
{
    const int64_t units  = (range_size(part) + PANEL_ALIGN - 1) / PANEL_ALIGN;
    const struct range r = split_range(units, panels, p);
    const int64_t hi     = part.lo + r.hi * PANEL_ALIGN;

    return (struct range){ part.lo + r.lo * PANEL_ALIGN, hi < part.hi ? hi : part.hi };
}

static struct mat cut_mat(struct mat a, struct range rows, struct range cols)
{
    return mat_is_none(a) ? a
                          : mat_rows(mat_cols(a, cols.lo, cols.hi), rows.lo, rows.hi);
}

/* The epilogue of a section for some rows of a panel of it. */
static struct epilogue epilogue_of(const struct cmm_section *section, struct range rows,
                                   struct range panel)
{
    const int64_t lo        = section->cols.lo;
    const struct range part = { panel.lo - lo, panel.hi - lo };
    struct epilogue e       = section->epilogue;

    e.bias = cut_mat(e.bias, range_all(1), part);
    e.act  = cut_mat(e.act, rows, part);
    e.pre  = cut_mat(e.pre, rows, part);
    e.rest = cut_mat(e.rest, rows, part);
    return e;
}

/* A piece of the rows has as many fewer panels. */
static void multiply(struct cmm *c, struct mat y, struct range rows, struct mat x,
                     const struct dev_weight *w, bool is_transposed, struct range depth,
                     struct range out, bool is_added, const struct cmm_section *section,
                     int sections)
{
    const struct cmm_section whole = cmm_bias_section(y, mat_none());
    const int64_t part             = range_size(rows);
    const int64_t share            = part > 0 ? y.rows / part : 1;
    const int64_t cuts             = (c->cuts + share - 1) / share;

    if (section == NULL) {
        section  = &whole;
        sections = 1;
    }
    for (int k = 0; k < sections; k++) {
        const int panels = panels_of(c, cuts, y.cols, section[k].cols);

        for (int p = 0; p < panels; p++) {
            const struct range panel = panel_of(section[k].cols, panels, p);
            const struct range at    = { out.lo + panel.lo, out.lo + panel.hi };
            const struct epilogue e  = epilogue_of(&section[k], rows, panel);
            const struct mat to      = cut_mat(y, rows, panel);

            if (is_transposed)
                dev_gemm_t(c->stream, to, x, w, at, depth, is_added, &e);
            else
                dev_gemm(c->stream, to, x, w, depth, at, is_added, &e);
            progress_poll(c->mesh);
        }
    }
}

void cmm_multiply(struct cmm *c, struct mat y, struct range rows, struct mat x,
                  const struct dev_weight *w, struct range depth, struct range out,
                  bool is_added, const struct cmm_section *section, int sections)
{
    multiply(c, y, rows, x, w, false, depth, out, is_added, section, sections);
}

void cmm_multiply_t(struct cmm *c, struct mat y, struct range rows, struct mat x,
                    const struct dev_weight *w, struct range depth, struct range out,
                    bool is_added, const struct cmm_section *section, int sections)
{
    multiply(c, y, rows, x, w, true, depth, out, is_added, section, sections);
}

/* Of the gradient of a bias of the last of 'cols' columns what belongs to a panel. */
static struct mat bias_gradient(const struct cmm *c, int64_t cols, struct range panel)
{
    const int64_t first = cols - c->db.cols;
    const int64_t lo    = panel.lo > first ? panel.lo : first;

    return mat_is_none(c->db) || lo >= panel.hi
               ? mat_none()
               : mat_cols(c->db, lo - first, panel.hi - first);
}

/* Panel 'p' of 'panels' of dw. */
static void multiply_dw(struct cmm *c, struct mat dw, struct mat x, struct mat dy,
                        bool is_added, int panels, int p)
{
    const struct range panel = panel_of(range_all(dw.cols), panels, p);

    dev_gemm_gradients(c->stream, mat_cols(dw, panel.lo, panel.hi),
                       bias_gradient(c, dw.cols, panel), x,
                       mat_cols(dy, panel.lo, panel.hi), is_added);
    progress_poll(c->mesh);
}

void cmm_multiply_dw(struct cmm *c, struct mat dw, struct mat x, struct mat dy,
                     bool is_added)
{
    const int panels = panels_of(c, c->cuts, dw.cols, range_all(dw.cols));

    for (int p = 0; p < panels; p++)
        multiply_dw(c, dw, x, dy, is_added, panels, p);
}

/* ---- put aside ------------------------------------------------------------------- */

void cmm_put_aside(struct cmm *c)
{
    c->may_put_aside = true;
}

void cmm_leave_dw(struct cmm *c, struct mat dw, struct mat x, struct mat dy,
                  bool is_added)
{
    cmm_finish(c);
    if (!c->may_put_aside || c->mesh->M == 1 || c->watch != NULL ||
        c->mesh->model != NULL || !dev_is_host(c->dev)) {
        cmm_multiply_dw(c, dw, x, dy, is_added);
        return;
    }
    c->aside = (struct cmm_aside){
        .dw       = dw,
        .x        = x,
        .dy       = dy,
        .is_added = is_added,
        .panels   = panels_of(c, PANELS, dw.cols, range_all(dw.cols)),
        .what     = c->what,
    };
}

bool cmm_make_aside(void *ctx)
{
    struct cmm *c       = ctx;
    struct cmm_aside *a = &c->aside;
    const double start  = clock_now();

    if (a->made == a->panels)
        return false;
    multiply_dw(c, a->dw, a->x, a->dy, a->is_added, a->panels, a->made++);
    trace_add(c->mesh, (struct trace_span){ .track = TRACE_COMPUTE,
                                            .name  = "gradient put aside",
                                            .what  = a->what,
                                            .start = start,
                                            .end   = clock_now() });
    return true;
}

void cmm_finish(struct cmm *c)
{
    while (cmm_make_aside(c))
        ;
}

struct cmm_section cmm_bias_section(struct mat y, struct mat bias)
{
    return (struct cmm_section){
        .cols     = range_all(y.cols),
        .epilogue = { .kind = mat_is_none(bias) ? EPI_NONE : EPI_BIAS, .bias = bias }
    };
}
