/* SPDX-License-Identifier: BSD-3-Clause */
/* The six kinds of sharded product by random projection.  Three shapes of it:
 *
 *                 depth of the product     r'X                     (r'X) W
 *   whole         cut: slices of X         joined                  local: whole columns
 *   partial       cut: slices of X         local                   added up, then cut
 *   weights       rows n, on every rank    added up or local       local: whole columns
 *
 * where for weights X is x^T, so that r'X is x r.
 */
#include "config.h"

#include "bench/project.h"

#include "src/base/mem.h"
#include "src/base/rng.h"

#include <float.h>
#include <math.h>

const char *const project_kind[CMM_KINDS] = {
    [CMM_GATHER_Y] = "gather_y",     [CMM_GATHER_DX] = "gather_dx",
    [CMM_GATHER_DW] = "gather_dw",   [CMM_SCATTER_Y] = "scatter_y",
    [CMM_SCATTER_DX] = "scatter_dx", [CMM_SCATTER_DW] = "scatter_dw",
};

/* One projection under way: vectors over the result's columns, and one number. */
struct work {
    struct reader *reader;
    MPI_Comm group;
    int M, m;
    uint64_t seed;
    double *left;  /* [cols] r'Y, without what an epilogue added */
    double *right; /* [cols] (r'X) W */
    double *w2;    /* [cols] |W_j|^2 */
    double *y2;    /* [cols] |Y_j|^2 */
    double x2;     /* |X|_F^2 */
    double rows;   /* of the result */
    int64_t cols;
};

static double *vector(int64_t n)
{
    return mem_new((size_t)(n > 0 ? n : 1), sizeof(double));
}

/* Signs for rows 'first' and on. */
static double *signs(const struct work *k, int64_t first, int64_t n)
{
    double *r = vector(n);

    for (int64_t i = 0; i < n; i++)
        r[i] = rng_sign(k->seed, RNG_CHECK, (uint64_t)(first + i));
    return r;
}

/* Sum over the group; slices join by it too, each in its place among zeros. */
static void add_up(const struct work *k, double *x, int64_t n)
{
    if (k->M > 1)
        TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, x, (int)n, MPI_DOUBLE, MPI_SUM, k->group));
}

/* Of vectors over the whole width keep this rank's slice. */
static void keep_slice(double *x, struct range own)
{
    for (int64_t j = 0; own.lo > 0 && j < range_size(own); j++)
        x[j] = x[own.lo + j];
}

/* r'Y less the biases that were added to every row. */
static void project_result(struct work *k, const struct cmm_seen *seen, struct mat y,
                           const double *r)
{
    double sum = 0;

    reader_combine(k->reader, k->left, r, y);
    reader_squares(k->reader, NULL, k->y2, y);
    for (int64_t i = 0; i < y.rows; i++)
        sum += r[i];
    for (int s = 0; s < seen->sections; s++) {
        const struct cmm_section *at = &seen->section[s];
        const enum epilogue_kind e   = at->epilogue.kind;

        if ((e != EPI_BIAS && e != EPI_GELU) || mat_is_none(at->epilogue.bias))
            continue;

        const double *bias = reader_get(k->reader, at->epilogue.bias, 0, 1);

        for (int64_t j = at->cols.lo; j < at->cols.hi; j++)
            k->left[j] -= sum * bias[j - at->cols.lo];
    }
}

/* v W or v W^T, and the squares of what it was multiplied with. */
static void project_weight(struct work *k, const double *v, struct mat w,
                           bool is_transposed)
{
    if (is_transposed) {
        reader_apply(k->reader, k->right, w, v);
        reader_squares(k->reader, k->w2, NULL, w);
    } else {
        reader_combine(k->reader, k->right, v, w);
        reader_squares(k->reader, NULL, k->w2, w);
    }
}

/* y = gather(x) W, or dx = gather(dy) W^T. */
static void project_whole(struct work *k, const struct cmm_seen *seen, struct mat y,
                          struct mat x, bool is_transposed)
{
    const int64_t depth    = is_transposed ? seen->w.cols : seen->w.rows;
    const struct range own = split_range(depth, k->M, k->m);
    double *r = signs(k, 0, y.rows), *rx = vector(depth);

    reader_combine(k->reader, rx + own.lo, r, x);
    add_up(k, rx, depth);
    project_weight(k, rx, seen->w, is_transposed);
    project_result(k, seen, y, r);
    mem_free(rx);
    mem_free(r);
}

/* y = scatter(x W), or dx = scatter(dy W^T). */
static void project_partial(struct work *k, const struct cmm_seen *seen, struct mat y,
                            struct mat x, bool is_transposed)
{
    const int64_t width    = is_transposed ? seen->w.rows : seen->w.cols;
    const struct range own = split_range(width, k->M, k->m);
    double *r = signs(k, 0, y.rows), *rx = vector(x.cols);

    reader_combine(k->reader, rx, r, x);
    project_weight(k, rx, seen->w, is_transposed);
    add_up(k, k->right, width);
    add_up(k, k->w2, width);
    keep_slice(k->right, own);
    keep_slice(k->w2, own);
    project_result(k, seen, y, r);
    mem_free(rx);
    mem_free(r);
}

/* dw [C, N_l] = gather(x)^T dy: rows of dw go with the slices of x.  Or dw [K_l, C] =
 * x^T gather(dy): the ranks' rows are one tall matrix, of which each rank then judges
 * the columns of its slice of dy.
 */
static void project_gradient(struct work *k, const struct cmm_seen *seen,
                             bool is_scatter)
{
    const int64_t rows     = seen->y.rows;
    const struct range own = split_range(is_scatter ? seen->y.cols : rows, k->M, k->m);
    double *r              = signs(k, is_scatter ? (int64_t)k->m << 40 : 0, rows);
    double *xr             = vector(seen->x.rows);

    reader_apply(k->reader, xr, seen->x, is_scatter ? r : r + own.lo);
    add_up(k, xr, seen->x.rows);
    reader_combine(k->reader, k->right, xr, seen->dy);
    reader_squares(k->reader, NULL, k->w2, seen->dy);
    project_result(k, seen, seen->y, r);
    if (is_scatter) {
        add_up(k, k->left, seen->y.cols);
        add_up(k, k->y2, seen->y.cols);
        add_up(k, &k->rows, 1);
        keep_slice(k->left, own);
        keep_slice(k->y2, own);
        k->cols = range_size(own);
    }
    mem_free(xr);
    mem_free(r);
}

/* ---- verdict --------------------------------------------------------------------- */

struct projection project_worse(struct projection a, struct projection b)
{
    return (struct projection){ .residual = fmax(a.residual, b.residual),
                                .sees     = fmax(a.sees, b.sees) };
}

static struct projection judge(const struct work *k, enum dtype result)
{
    const double eps_acc =
        result == DTYPE_BF16 ? dtype_eps(DTYPE_F32) : dev_eps(k->reader->dev);
    const double eps_out = result == DTYPE_BF16 ? dtype_eps(DTYPE_BF16) : 0;
    struct projection p  = { 0, 0 };

    for (int64_t j = 0; j < k->cols; j++) {
        const double scale =
            eps_acc * sqrt(k->x2) * sqrt(k->w2[j]) + eps_out * sqrt(k->y2[j]);
        const double d   = fabs(k->left[j] - k->right[j]);
        const double rms = sqrt(k->y2[j] / k->rows);

        if (d <= DBL_MAX && scale <= DBL_MAX && (d == 0 || scale > 0))
            p.residual = fmax(p.residual, d == 0 ? 0 : d / scale);
        else
            p.residual = INFINITY;
        if (rms > 0)
            p.sees = fmax(p.sees, PROJECT_THRESHOLD * scale / rms);
    }
    return p;
}

/* The rows lo .. hi - 1 of a product of rows; all of a weight gradient. */
static struct projection project_rows(struct reader *reader, MPI_Comm group,
                                      const struct cmm_seen *seen, uint64_t seed,
                                      int64_t lo, int64_t hi)
{
    const bool is_weights = seen->kind == CMM_GATHER_DW || seen->kind == CMM_SCATTER_DW;
    const bool is_data    = seen->kind == CMM_GATHER_DX || seen->kind == CMM_SCATTER_DX;
    const struct mat y    = mat_rows(seen->y, lo, hi);
    const struct mat x =
        is_weights ? seen->x : mat_rows(is_data ? seen->dy : seen->x, lo, hi);
    const int64_t width = seen->w.rows + seen->w.cols + seen->y.cols; /* enough */
    struct projection p;
    struct work k = { .reader = reader,
                      .group  = group,
                      .seed   = seed,
                      .left   = vector(width),
                      .right  = vector(width),
                      .w2     = vector(width),
                      .y2     = vector(width),
                      .cols   = y.cols,
                      .rows   = (double)y.rows };

    TRY_MPI(MPI_Comm_size(group, &k.M));
    TRY_MPI(MPI_Comm_rank(group, &k.m));
    k.x2 = reader_norm(reader, x);
    add_up(&k, &k.x2, 1);
    switch (seen->kind) {
    case CMM_GATHER_Y:
    case CMM_SCATTER_DX:
        project_whole(&k, seen, y, x, seen->kind == CMM_SCATTER_DX);
        break;
    case CMM_GATHER_DX:
    case CMM_SCATTER_Y:
        project_partial(&k, seen, y, x, seen->kind == CMM_GATHER_DX);
        break;
    default:
        project_gradient(&k, seen, seen->kind == CMM_SCATTER_DW);
        break;
    }
    p = judge(&k, seen->y.dtype);
    mem_free(k.left);
    mem_free(k.right);
    mem_free(k.w2);
    mem_free(k.y2);
    return p;
}

/* How many groups of rows there are for one that is looked at.  The host reads all of the
 * weights for every group: where they are on another device, whose products have many
 * more rows, so few groups that it reads about so many numbers for a product.
 */
static int64_t groups_apart(const struct reader *r, const struct cmm_seen *seen,
                            int64_t groups)
{
    const double most = 1 << 30, size = (double)mat_size(seen->w) + 1;
    const int64_t few = (int64_t)(most / size) + 1;

    if (dev_is_host(r->dev) || groups <= few)
        return 1;
    return (groups + few - 1) / few;
}

struct projection project(struct reader *r, MPI_Comm group, const struct cmm_seen *seen,
                          uint64_t seed)
{
    enum { BF16_ROWS = 16 };
    const int64_t rows   = seen->y.rows;
    const int64_t step   = seen->y.dtype == DTYPE_BF16 ? BF16_ROWS : rows;
    const int64_t stride = step * groups_apart(r, seen, (rows + step - 1) / step);
    struct projection p  = { 0, 0 };

    for (int64_t lo = 0; lo < rows; lo += stride) {
        const int64_t hi = lo + step < rows ? lo + step : rows;

        p = project_worse(p, project_rows(r, group, seen, seed, lo, hi));
    }
    return p;
}
