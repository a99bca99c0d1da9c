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

/* Groups of rows that are projected side by side: the weights are read once for all. */
enum { SIDE = 16 };

/* Projections under way, of 'n' groups of 'step' rows of the result, 'apart' rows
 * apart: vectors over the result's columns, and numbers.
 */
struct work {
    struct reader *reader;
    MPI_Comm group;
    int M, m;
    uint64_t seed;
    int n;
    int64_t first, step, apart;
    double *left;      /* [n, cols] r'Y, without what an epilogue added */
    double *right;     /* [n, cols] (r'X) W */
    double *w2;        /* [cols] |W_j|^2 */
    double *y2;        /* [n, cols] |Y_j|^2 */
    double x2[SIDE];   /* |X|_F^2 */
    double p2[SIDE];   /* |P|^2 of a column of length 1 */
    double rows[SIDE]; /* of the result */
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

/* Of 'n' vectors of 'size' elements over the whole width keep this rank's slice. */
static void keep_slice(double *x, int n, int64_t size, struct range own)
{
    const int64_t kept = range_size(own);

    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < kept; j++)
            x[i * kept + j] = x[i * size + own.lo + j];
}

/* Group 'g' of the rows of 'a'; of a weight gradient all. */
static struct mat group_rows(const struct work *k, struct mat a, int g)
{
    const int64_t lo = k->first + g * k->apart;

    return mat_rows(a, lo, lo + k->step < a.rows ? lo + k->step : a.rows);
}

/* r'Y of group 'g' less the biases that were added to every row. */
static void project_result(struct work *k, const struct cmm_seen *seen, int g,
                           const double *r)
{
    const struct mat y = group_rows(k, seen->y, g);
    double *left       = k->left + g * y.cols;
    double sum         = 0;

    k->rows[g] = (double)y.rows;
    reader_combine(k->reader, left, k->y2 + g * y.cols, 1, r, y);
    for (int64_t i = 0; i < y.rows; i++)
        sum += r[i];
    for (int s = 0; s < seen->sections; s++) {
        const struct cmm_section *at = &seen->section[s];
        const enum epilogue_kind e   = at->epilogue.kind;

        if ((e != EPI_BIAS && e != EPI_GELU) || mat_is_none(at->epilogue.bias))
            continue;

        const double *bias = reader_get(k->reader, at->epilogue.bias, 0, 1);

        for (int64_t j = at->cols.lo; j < at->cols.hi; j++)
            left[j] -= sum * bias[j - at->cols.lo];
    }
}

/* v W or v W^T, and the squares of what it was multiplied with. */
static void project_weight(struct work *k, const double *v, struct mat w,
                           bool is_transposed)
{
    if (is_transposed)
        reader_apply(k->reader, k->right, k->w2, k->n, w, v);
    else
        reader_combine(k->reader, k->right, k->w2, k->n, v, w);
}

/* r'X of all groups, in slices 'at' and on of vectors of 'depth' elements. */
static void project_operand(struct work *k, double *rx, int64_t depth, int64_t at,
                            const double *r, struct mat x)
{
    for (int g = 0; g < k->n; g++) {
        const struct mat rows = group_rows(k, x, g);

        reader_combine(k->reader, rx + g * depth + at, NULL, 1, r, rows);
        k->x2[g] = reader_norm(k->reader, rows);
    }
}

/* y = gather(x) W, or dx = gather(dy) W^T. */
static void project_whole(struct work *k, const struct cmm_seen *seen, struct mat x,
                          bool is_transposed)
{
    const int64_t depth    = is_transposed ? seen->w.cols : seen->w.rows;
    const struct range own = split_range(depth, k->M, k->m);
    double *r = signs(k, 0, k->step), *rx = vector(k->n * depth);

    project_operand(k, rx, depth, own.lo, r, x);
    add_up(k, rx, k->n * depth);
    project_weight(k, rx, seen->w, is_transposed);
    for (int g = 0; g < k->n; g++)
        project_result(k, seen, g, r);
    mem_free(rx);
    mem_free(r);
}

/* y = scatter(x W), or dx = scatter(dy W^T). */
static void project_partial(struct work *k, const struct cmm_seen *seen, struct mat x,
                            bool is_transposed)
{
    const int64_t width    = is_transposed ? seen->w.rows : seen->w.cols;
    const struct range own = split_range(width, k->M, k->m);
    double *r = signs(k, 0, k->step), *rx = vector(k->n * x.cols);

    project_operand(k, rx, x.cols, 0, r, x);
    project_weight(k, rx, seen->w, is_transposed);
    add_up(k, k->right, k->n * width);
    add_up(k, k->w2, width);
    keep_slice(k->right, k->n, width, own);
    keep_slice(k->w2, 1, width, own);
    for (int g = 0; g < k->n; g++)
        project_result(k, seen, g, r);
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
    double *x2             = vector(seen->x.rows);

    reader_apply(k->reader, xr, x2, 1, seen->x, is_scatter ? r : r + own.lo);
    for (int64_t i = 0; i < seen->x.rows; i++)
        k->x2[0] += x2[i];
    add_up(k, xr, seen->x.rows);
    reader_combine(k->reader, k->right, k->w2, 1, xr, seen->dy);
    project_result(k, seen, 0, r);
    if (is_scatter) {
        add_up(k, k->left, seen->y.cols);
        add_up(k, k->y2, seen->y.cols);
        add_up(k, k->rows, 1);
        keep_slice(k->left, 1, seen->y.cols, own);
        keep_slice(k->y2, 1, seen->y.cols, own);
        k->cols = range_size(own);
    }
    mem_free(x2);
    mem_free(xr);
    mem_free(r);
}

/* ---- verdict --------------------------------------------------------------------- */

struct projection project_worse(struct projection a, struct projection b)
{
    return (struct projection){ .residual = fmax(a.residual, b.residual),
                                .sees     = fmax(a.sees, b.sees) };
}

/* |P|^2 of the partial sums of every group, to be scaled by a column's |W_j|^2: they
 * are as long as sums are where these do not cancel, so all columns of all ranks tell.
 */
static void measure_partials(struct work *k)
{
    double sum[SIDE + 1] = { 0 }; /* |Y|_F^2 of the groups, |W|_F^2 */

    for (int64_t j = 0; j < k->cols; j++) {
        for (int g = 0; g < k->n; g++)
            sum[g] += k->y2[g * k->cols + j];
        sum[SIDE] += k->w2[j];
    }
    add_up(k, sum, SIDE + 1);
    for (int g = 0; g < k->n; g++)
        k->p2[g] = sum[SIDE] > 0 ? (k->M - 1) * sum[g] / sum[SIDE] : 0;
}

static struct projection judge(const struct work *k, int g, enum dtype result)
{
    const double eps_acc =
        result == DTYPE_BF16 ? dtype_eps(DTYPE_F32) : dev_eps(k->reader->dev);
    const double eps_out = result == DTYPE_BF16 ? dtype_eps(DTYPE_BF16) : 0;
    const double *left = k->left + g * k->cols, *right = k->right + g * k->cols;
    const double *y2    = k->y2 + g * k->cols;
    struct projection p = { 0, 0 };

    for (int64_t j = 0; j < k->cols; j++) {
        const double rounded = sqrt(y2[j] + k->p2[g] * k->w2[j]);
        const double scale =
            eps_acc * sqrt(k->x2[g]) * sqrt(k->w2[j]) + eps_out * rounded;
        const double d   = fabs(left[j] - right[j]);
        const double rms = sqrt(y2[j] / k->rows[g]);

        if (d <= DBL_MAX && scale <= DBL_MAX && (d == 0 || scale > 0))
            p.residual = fmax(p.residual, d == 0 ? 0 : d / scale);
        else
            p.residual = INFINITY;
        if (rms > 0)
            p.sees = fmax(p.sees, PROJECT_THRESHOLD * scale / rms);
    }
    return p;
}

/* 'n' groups of a product of rows; all of a weight gradient. */
static struct projection project_groups(struct work k, const struct cmm_seen *seen)
{
    /* Enough for vectors of any kind, before a slice is kept. */
    const int64_t width = seen->w.rows + seen->w.cols + seen->y.cols;
    struct projection p = { 0, 0 };

    k.left  = vector(k.n * width);
    k.right = vector(k.n * width);
    k.y2    = vector(k.n * width);
    k.w2    = vector(width);
    switch (seen->kind) {
    case CMM_GATHER_Y:
    case CMM_SCATTER_DX:
        project_whole(&k, seen, seen->kind == CMM_SCATTER_DX ? seen->dy : seen->x,
                      seen->kind == CMM_SCATTER_DX);
        break;
    case CMM_GATHER_DX:
    case CMM_SCATTER_Y:
        project_partial(&k, seen, seen->kind == CMM_GATHER_DX ? seen->dy : seen->x,
                        seen->kind == CMM_GATHER_DX);
        break;
    default:
        project_gradient(&k, seen, seen->kind == CMM_SCATTER_DW);
        break;
    }
    add_up(&k, k.x2, k.n);
    measure_partials(&k);
    for (int g = 0; g < k.n; g++)
        p = project_worse(p, judge(&k, g, seen->y.dtype));
    mem_free(k.left);
    mem_free(k.right);
    mem_free(k.w2);
    mem_free(k.y2);
    return p;
}

/* How many groups of rows there are for one that is looked at.  The host multiplies
 * with all of the weights for every group: where they are on another device, whose
 * products have many more rows, so few groups that it multiplies about so many numbers.
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
    const bool is_weights = seen->kind == CMM_GATHER_DW || seen->kind == CMM_SCATTER_DW;
    const int64_t rows    = seen->y.rows;
    const bool is_rounded = seen->y.dtype == DTYPE_BF16 && !is_weights;
    int64_t step, apart;
    struct projection p = { 0, 0 };
    struct work k = { .reader = r, .group = group, .seed = seed, .cols = seen->y.cols };

    TRY_MPI(MPI_Comm_size(group, &k.M));
    TRY_MPI(MPI_Comm_rank(group, &k.m));
    step    = !is_rounded ? rows : k.M < BF16_ROWS ? BF16_ROWS / k.M : 1;
    apart   = step * groups_apart(r, seen, (rows + step - 1) / step);
    k.step  = step;
    k.apart = apart;
    for (; k.first < rows; k.first += SIDE * apart) {
        const int64_t left = (rows - k.first + apart - 1) / apart;

        k.n = left < SIDE ? (int)left : SIDE;
        p   = project_worse(p, project_groups(k, seen));
    }
    return p;
}
