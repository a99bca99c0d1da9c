/* SPDX-License-Identifier: BSD-3-Clause */
/* Elementwise operations, norms, sums and updates, once for each number format
 * (cpu_real.h): the rows or columns of a matrix are dealt out to the threads by fixed
 * rules, and each runs the loops of cpu_kernels.h over its own.
 */

#include "src/base/err.h"

#include <math.h>
#include <string.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "src/dev/cpu_real.h"

#define at OF(at)

static const enum dtype FORMAT_HERE = sizeof(REAL) == 8 ? DTYPE_F64 : DTYPE_F32;

/* Below this many elements threads cost more than they bring. */
enum { THREADED = 16384 };

/* Line after line of 'THREADS(s, size)', then a block: done by all threads at once. */
#define THREADS(s, size)                                                               \
    PARALLEL(omp parallel num_threads((s)->dev->threads) if ((size) > THREADED))
#define PARALLEL(x) _Pragma(#x)

static const struct OF(kernels) * loops(const struct dev_stream *s)
{
    return ((const struct cpu_state *)s->dev->state)->JOIN(k, FORMAT);
}

static int team(void)
{
#ifdef _OPENMP
    return omp_get_num_threads();
#else
    return 1;
#endif
}

static int member(void)
{
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

/* Of 'n' things this thread's. */
static struct range my_share(int64_t n)
{
    return split_range(n, team(), member());
}

/* Of 'n' columns this thread's: whole cache lines, so that no two threads write one. */
static struct range my_columns(int64_t n)
{
    const int64_t line = 64 / (int64_t)sizeof(REAL);
    struct range r     = my_share((n + line - 1) / line);

    r.lo *= line;
    r.hi = r.hi * line < n ? r.hi * line : n;
    return r;
}

/* Of a matrix this thread's part: rows, or columns where rows are few. */
struct box {
    struct range r, c;
};

static struct box my_box(int64_t rows, int64_t cols)
{
    struct box box = { { 0, rows }, { 0, cols } };

    if (rows >= 4 * team())
        box.r = my_share(rows);
    else
        box.c = my_columns(cols);
    return box;
}

/* ---- Copies ------------------------------------------------------------------------ */

static void ops_fill(struct dev_stream *s, struct mat y, double value)
{
    if (y.dtype != FORMAT_HERE) {
        dev_cpu_ref.fill(s, y, value);
        return;
    }
    THREADS(s, mat_size(y))
    {
        const struct box b = my_box(y.rows, y.cols);

        for (int64_t r = b.r.lo; r < b.r.hi; r++)
            loops(s)->fill(at(y, r) + b.c.lo, (REAL)value, range_size(b.c));
    }
}

static void ops_copy(struct dev_stream *s, struct mat y, struct mat x)
{
    if (y.dtype != FORMAT_HERE || x.dtype != FORMAT_HERE) {
        dev_cpu_ref.copy(s, y, x);
        return;
    }
    THREADS(s, mat_size(y))
    {
        const struct box b = my_box(y.rows, y.cols);

        for (int64_t r = b.r.lo; r < b.r.hi && b.c.lo < b.c.hi; r++)
            memcpy(at(y, r) + b.c.lo, at(x, r) + b.c.lo,
                   (size_t)range_size(b.c) * sizeof(REAL));
    }
}

static void ops_add(struct dev_stream *s, struct mat y, struct mat x)
{
    if (y.dtype != FORMAT_HERE || x.dtype != FORMAT_HERE) {
        dev_cpu_ref.add(s, y, x);
        return;
    }
    THREADS(s, mat_size(y))
    {
        const struct box b = my_box(y.rows, y.cols);

        for (int64_t r = b.r.lo; r < b.r.hi; r++)
            loops(s)->add(at(y, r) + b.c.lo, at(x, r) + b.c.lo, range_size(b.c));
    }
}

static void ops_max(struct dev_stream *s, struct mat y, struct mat x)
{
    if (y.dtype != FORMAT_HERE || x.dtype != FORMAT_HERE) {
        dev_cpu_ref.max(s, y, x);
        return;
    }
    for (int64_t r = 0; r < y.rows; r++)
        loops(s)->max(at(y, r), at(x, r), y.cols);
}

/* ---- Sums -------------------------------------------------------------------------- */

void OF(cpu_finish)(struct dev_stream *s, struct mat y, const struct epilogue *e)
{
    if (e == NULL || e->kind == EPI_NONE)
        return;
    THREADS(s, mat_size(y))
    {
        const struct box b = my_box(y.rows, y.cols);
        const int64_t lo = b.c.lo, n = range_size(b.c);
        const bool has_bias = e->kind != EPI_DGELU && !mat_is_none(e->bias);
        const REAL *bias    = has_bias ? at(e->bias, 0) + lo : NULL;

        for (int64_t r = b.r.lo; r < b.r.hi; r++) {
            if (e->kind == EPI_BIAS)
                loops(s)->add(at(y, r) + lo, bias, n);
            else if (e->kind == EPI_GELU)
                loops(s)->gelu(at(y, r) + lo, at(e->act, r) + lo, bias, n, e->gelu);
            else
                loops(s)->dgelu(at(y, r) + lo, at(e->pre, r) + lo, n, e->gelu);
        }
    }
}

/* The sums over rows first, first + step, .. of columns lo .. hi, in blocks of columns
 * that stay in the nearest cache; each is formed by one thread, from top to bottom.
 */
static void sum_rows(struct dev_stream *s, REAL *y, struct mat x, int64_t first,
                     int64_t step, struct range c, REAL factor, bool is_added)
{
    enum { BLOCK = 16384 / sizeof(REAL) };
    REAL sum[BLOCK];

    for (int64_t lo = c.lo; lo < c.hi; lo += BLOCK) {
        const int64_t n = lo + BLOCK < c.hi ? BLOCK : c.hi - lo;

        loops(s)->fill(sum, 0, n);
        for (int64_t r = first; r < x.rows; r += step)
            loops(s)->add(sum, at(x, r) + lo, n);
        if (factor != 1)
            loops(s)->scale(sum, sum, factor, n);
        if (is_added)
            loops(s)->add(y + lo, sum, n);
        else
            memcpy(y + lo, sum, (size_t)n * sizeof *y);
    }
}

static void ops_column_sums(struct dev_stream *s, struct mat db, struct mat dy,
                            bool is_added)
{
    THREADS(s, mat_size(dy))
    sum_rows(s, at(db, 0), dy, 0, 1, my_columns(dy.cols), 1, is_added);
}

static void ops_sum_tables(struct dev_stream *s, struct mat dtable, struct mat dy,
                           bool is_added)
{
    THREADS(s, mat_size(dy))
    {
        const struct box b = my_box(dtable.rows, dtable.cols);

        for (int64_t t = b.r.lo; t < b.r.hi; t++)
            sum_rows(s, at(dtable, t), dy, t, dtable.rows, b.c, 1, is_added);
    }
}

static void ops_pool_rows(struct dev_stream *s, struct mat y, struct mat x,
                          double factor)
{
    const int64_t N = y.rows > 0 ? x.rows / y.rows : 0;

    THREADS(s, mat_size(x))
    {
        const struct box b = my_box(y.rows, y.cols);

        for (int64_t i = b.r.lo; i < b.r.hi; i++)
            sum_rows(s, at(y, i), mat_rows(x, i * N, (i + 1) * N), 0, 1, b.c,
                     (REAL)factor, false);
    }
}

static void ops_spread_rows(struct dev_stream *s, struct mat dx, struct mat dy,
                            double factor)
{
    THREADS(s, mat_size(dx))
    {
        const struct range mine = my_share(dx.rows);

        for (int64_t r = mine.lo; r < mine.hi; r++)
            loops(s)->scale(at(dx, r), at(dy, r / (dx.rows / dy.rows)), (REAL)factor,
                            dx.cols);
    }
}

static void ops_add_table(struct dev_stream *s, struct mat y, struct mat table)
{
    THREADS(s, mat_size(y))
    {
        const struct range mine = my_share(y.rows);

        for (int64_t r = mine.lo; r < mine.hi; r++)
            loops(s)->add(at(y, r), at(table, r % table.rows), y.cols);
    }
}

/* A patch's row of pixels is one run of memory. */
static void ops_patches(struct dev_stream *s, struct mat rows, struct mat images,
                        int image, int patch, int64_t N)
{
    const int64_t side = image / patch, T = side * side, run = 3 * (int64_t)patch;

    THREADS(s, mat_size(rows))
    {
        const struct range mine = my_share(rows.rows);

        for (int64_t r = mine.lo; r < mine.hi; r++) {
            const int64_t t = r % N - (N - T);

            if (t < 0) {
                loops(s)->fill(at(rows, r), 0, rows.cols);
                continue;
            }
            for (int64_t down = 0; down < patch; down++)
                memcpy(at(rows, r) + down * run,
                       at(images, r / N) +
                           ((t / side * patch + down) * image * 3 + t % side * run),
                       (size_t)run * sizeof(REAL));
        }
    }
}

/* ---- Norms ------------------------------------------------------------------------- */

static void ops_norm_moments(struct dev_stream *s, struct mat part, struct mat x,
                             enum norm_kind k)
{
    THREADS(s, mat_size(x))
    {
        const struct range mine = my_share(x.rows);

        for (int64_t r = mine.lo; r < mine.hi; r++)
            loops(s)->moments(at(part, r), at(x, r), x.cols, k);
    }
}

static void ops_norm_apply(struct dev_stream *s, struct mat y, struct mat x,
                           struct mat stat, struct mat scale, struct mat bias)
{
    const REAL *b = mat_is_none(bias) ? NULL : at(bias, 0);

    THREADS(s, mat_size(x))
    {
        const struct range mine = my_share(x.rows);

        for (int64_t r = mine.lo; r < mine.hi; r++)
            loops(s)->norm(at(y, r), at(x, r), at(stat, r), at(scale, 0), b, x.cols);
    }
}

static void ops_norm_backward_moments(struct dev_stream *s, struct mat part,
                                      struct mat dy, struct mat x, struct mat stat,
                                      struct mat scale, enum norm_kind k)
{
    THREADS(s, mat_size(x))
    {
        const struct range mine = my_share(x.rows);

        for (int64_t r = mine.lo; r < mine.hi; r++) {
            REAL sums[2];

            loops(s)->norm_back_sums(sums, at(dy, r), at(x, r), at(stat, r),
                                     at(scale, 0), x.cols);
            if (k == NORM_LAYER)
                at(part, r)[0] = sums[0];
            at(part, r)[k == NORM_LAYER] = sums[1];
        }
    }
}

/* What 'count' sums of [n] in every thread's block are together: y = or += the blocks'
 * row 'i' in the order of the threads.  Called by all threads after a barrier.
 */
static void gather_sums(struct dev_stream *s, REAL *y, int64_t i, int64_t n,
                        bool is_added)
{
    const struct range c = my_columns(n);
    const size_t bytes   = (size_t)((i + 1) * n) * sizeof(REAL);

    if (!is_added)
        loops(s)->fill(y + c.lo, 0, range_size(c));
    for (int t = 0; t < team(); t++)
        loops(s)->add(y + c.lo,
                      (const REAL *)cpu_block(s->dev, t, bytes) + i * n + c.lo,
                      range_size(c));
}

static void ops_norm_backward(struct dev_stream *s, struct mat dx, bool is_dx_added,
                              struct mat dscale, struct mat dbias, bool is_added,
                              struct mat dy, struct mat x, struct mat stat,
                              struct mat scale, struct mat parts, int M, int64_t C,
                              enum norm_kind k)
{
    const int64_t n = x.cols, R = k == NORM_LAYER ? 2 : 1;

    THREADS(s, mat_size(x))
    {
        const struct range mine = my_share(x.rows);
        REAL *sums = cpu_block(s->dev, member(), (size_t)(2 * n) * sizeof *sums);

        loops(s)->fill(sums, 0, 2 * n);
        for (int64_t r = mine.lo; r < mine.hi; r++) {
            REAL part[2] = { 0, 0 };

            for (int64_t m = 0; m < M; m++)
                for (int64_t i = 0; i < R; i++)
                    part[2 - R + i] += at(parts, m * x.rows + r)[i];
            part[0] /= (REAL)C;
            part[1] /= (REAL)C;
            loops(s)->norm_back(at(dx, r), is_dx_added, sums, sums + n, at(dy, r),
                                at(x, r), at(stat, r), at(scale, 0), part, n);
        }
#pragma omp barrier
        gather_sums(s, at(dscale, 0), 0, n, is_added);
        if (!mat_is_none(dbias))
            gather_sums(s, at(dbias, 0), 1, n, is_added);
    }
}

static void ops_head_norm(struct dev_stream *s, struct mat y, struct mat stat,
                          struct mat x, struct mat scale, int64_t E, enum norm_kind k)
{
    THREADS(s, mat_size(x))
    {
        const struct range mine = my_share(x.rows);

        for (int64_t i = mine.lo * x.cols / E; i < mine.hi * x.cols / E; i++) {
            const int64_t r = i / (x.cols / E), h = i % (x.cols / E);
            const REAL *head = at(x, r) + h * E;
            REAL *st         = at(stat, r) + 2 * h;
            REAL part[2]     = { 0, 0 };

            loops(s)->moments(part, head, E, k);
            st[0] = k == NORM_LAYER ? part[0] : 0;
            st[1] = (REAL)(1.0 / sqrt((double)part[k == NORM_LAYER] / (double)E +
                                      CPU_NORM_EPS));
            loops(s)->norm(at(y, r) + h * E, head, st, at(scale, 0), NULL, E);
        }
    }
}

static void ops_head_norm_backward(struct dev_stream *s, struct mat dx,
                                   struct mat dscale, bool is_added, struct mat dy,
                                   struct mat x, struct mat stat, struct mat scale,
                                   int64_t E, enum norm_kind k)
{
    THREADS(s, mat_size(x))
    {
        const struct range mine = my_share(x.rows);
        REAL *sums = cpu_block(s->dev, member(), (size_t)(2 * E) * sizeof *sums);

        loops(s)->fill(sums, 0, 2 * E);
        for (int64_t i = mine.lo * x.cols / E; i < mine.hi * x.cols / E; i++) {
            const int64_t r = i / (x.cols / E), h = i % (x.cols / E);
            const REAL *d = at(dy, r) + h * E, *head = at(x, r) + h * E;
            const REAL *st = at(stat, r) + 2 * h;
            REAL part[2];

            loops(s)->norm_back_sums(part, d, head, st, at(scale, 0), E);
            part[0] = k == NORM_LAYER ? part[0] / (REAL)E : 0;
            part[1] /= (REAL)E;
            loops(s)->norm_back(at(dx, r) + h * E, false, sums, sums + E, d, head, st,
                                at(scale, 0), part, E);
        }
#pragma omp barrier
        gather_sums(s, at(dscale, 0), 0, E, is_added);
    }
}

/* ---- Optimizer --------------------------------------------------------------------- */

/* A packed matrix is one row: so that a vector is shared by all threads too. */
static struct mat flat(struct mat a, bool is_packed)
{
    if (is_packed)
        a.cols = a.ld = mat_size(a), a.rows = 1;
    return a;
}

static void ops_adamw(struct dev_stream *s, const struct dev_segment *segment,
                      int count, const struct adamw *a)
{
    int64_t size = 0;

    for (int i = 0; i < count; i++)
        size += mat_size(segment[i].param);
    THREADS(s, size)
    for (int i = 0; i < count; i++) {
        const struct dev_segment *g = &segment[i];
        const bool is_packed = mat_is_packed(g->param) && mat_is_packed(g->grad) &&
                               mat_is_packed(g->mu) && mat_is_packed(g->nu);
        const struct mat param = flat(g->param, is_packed), mu = flat(g->mu, is_packed);
        const struct mat grad = flat(g->grad, is_packed), nu = flat(g->nu, is_packed);
        const struct box b           = my_box(param.rows, param.cols);
        const struct adamw_step step = {
            .beta1   = a->beta1,
            .beta2   = a->beta2,
            .eps     = a->eps,
            .clip    = a->clip,
            .debias1 = 1.0 / (1.0 - pow(a->beta1, (double)a->t)),
            .debias2 = 1.0 / (1.0 - pow(a->beta2, (double)a->t)),
            .rate    = a->schedule * a->lr,
            .decay   = g->decay,
        };

        for (int64_t r = b.r.lo; r < b.r.hi; r++)
            loops(s)->adamw(at(param, r) + b.c.lo, at(mu, r) + b.c.lo,
                            at(nu, r) + b.c.lo, at(grad, r) + b.c.lo, range_size(b.c),
                            &step);
    }
}

static void ops_sum_squares(struct dev_stream *s, struct mat sum, const struct mat *x,
                            int count)
{
    int64_t size = 0;
    double all   = 0.0;

    for (int i = 0; i < count; i++)
        size += mat_size(x[i]);
    for (int t = 0; t < s->dev->threads; t++)
        *(double *)cpu_block(s->dev, t, sizeof(double)) = 0.0;
    THREADS(s, size)
    {
        double *mine = cpu_block(s->dev, member(), sizeof *mine);

        for (int i = 0; i < count; i++) {
            const struct mat a = flat(x[i], mat_is_packed(x[i]));
            const struct box b = my_box(a.rows, a.cols);

            for (int64_t r = b.r.lo; r < b.r.hi; r++)
                *mine += loops(s)->sum_squares(at(a, r) + b.c.lo, range_size(b.c));
        }
    }
    for (int t = 0; t < s->dev->threads; t++)
        all += *(double *)cpu_block(s->dev, t, sizeof(double));
    *(double *)mat_ptr(sum) = all;
}

const struct dev_ops OF(cpu_ops) = {
    .fill                  = ops_fill,
    .copy                  = ops_copy,
    .add                   = ops_add,
    .max                   = ops_max,
    .column_sums           = ops_column_sums,
    .norm_moments          = ops_norm_moments,
    .norm_apply            = ops_norm_apply,
    .norm_backward_moments = ops_norm_backward_moments,
    .norm_backward         = ops_norm_backward,
    .head_norm             = ops_head_norm,
    .head_norm_backward    = ops_head_norm_backward,
    .patches               = ops_patches,
    .add_table             = ops_add_table,
    .sum_tables            = ops_sum_tables,
    .pool_rows             = ops_pool_rows,
    .spread_rows           = ops_spread_rows,
    .adamw                 = ops_adamw,
    .sum_squares           = ops_sum_squares,
};
