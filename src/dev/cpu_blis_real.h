/* SPDX-License-Identifier: BSD-3-Clause */
/* Products through BLIS, once for each number format (cpu_real.h); who
 * includes this defines BLIS_GEMM too, BLIS's product in that format.
 *
 * Products are cut into rectangles of the output, one a thread, each a product of BLIS
 * on that thread alone.  BLIS's own threads are no faster on an idle machine and spin
 * at barriers: where anything else runs, a product took five times as long.  BLIS packs
 * what it multiplies, so that views with any leading dimension are as good as others.
 * Results depend on sizes and threads alone.
 */
#include "src/dev/cpu_real.h"

#define at OF(at)

/* A matrix with any strides: a view, or its transpose. */
struct strided {
    REAL *p;
    int64_t rows, cols, row, col; /* element (r, c) is p[r * row + c * col] */
};

static struct strided plain(struct mat a)
{
    return (struct strided){ at(a, 0), a.rows, a.cols, a.ld, 1 };
}

static struct strided flipped(struct strided a)
{
    return (struct strided){ a.p, a.cols, a.rows, a.col, a.row };
}

/* y = or += a b, on this thread. */
static void product(struct strided y, struct strided a, struct strided b, bool is_added)
{
    REAL alpha = 1, beta = is_added ? 1 : 0;
    rntm_t runtime;

    bli_rntm_init(&runtime);
    bli_rntm_set_num_threads(1, &runtime);
    /* BLIS 0.9's kernels for small dot products (haswell, zen) read rows beyond the end
     * of 'a'; its other ones stay within what mem_alloc() spares.
     */
    if (a.col == 1 && b.row == 1)
        bli_rntm_disable_l3_sup(&runtime);
    BLIS_GEMM(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, y.rows, y.cols, a.cols, &alpha, a.p,
              a.row, a.col, b.p, b.row, b.col, &beta, y.p, y.row, y.col, NULL,
              &runtime);
}

static struct strided rows_of(struct strided a, struct range r)
{
    a.p += r.lo * a.row;
    a.rows = range_size(r);
    return a;
}

static struct strided cols_of(struct strided a, struct range c)
{
    return flipped(rows_of(flipped(a), c));
}

/* Part 'i' of 'n' in 'parts', in whole tiles of every kernel. */
static struct range tiles(int64_t n, int parts, int i)
{
    enum { TILE = 48 };
    struct range r = split_range((n + TILE - 1) / TILE, parts, i);

    r.lo *= TILE;
    r.hi = r.hi * TILE < n ? r.hi * TILE : n;
    return r;
}

/* Into how many rows of rectangles to cut an output of 'rows' for 'threads': into one a
 * thread where that leaves enough rows for each, which is faster than to cut columns
 * (80 against 77 % of peak on 2048 rows), else into as many as there are.
 */
static int cuts(int64_t rows, int threads)
{
    enum { FEWEST = 192 };
    int down = threads;

    while (down > 1 && (rows / down < FEWEST || threads % down != 0))
        down--;
    return down;
}

/* y = or += a b for the matrices of an operation: any of its sizes may be zero. */
static void multiply(struct dev_stream *s, struct mat y, struct strided a,
                     struct strided b, bool is_added)
{
    enum { SMALL = 1 << 19 }; /* multiply-adds that are not worth waking a thread for */
    const bool is_small =
        (double)y.rows * (double)y.cols * (double)a.cols < (double)SMALL;
    const int threads = is_small ? 1 : s->dev->threads;
    const int down = cuts(y.rows, threads), across = threads / down;

    if (mat_size(y) == 0)
        return;
    if (a.cols == 0) {
        if (!is_added)
            s->dev->ops.fill(s, y, 0.0);
        return;
    }
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int i = 0; i < down * across; i++) {
        const struct range r = tiles(y.rows, down, i / across);
        const struct range c = tiles(y.cols, across, i % across);

        if (range_size(r) > 0 && range_size(c) > 0)
            product(cols_of(rows_of(plain(y), r), c), rows_of(a, r), cols_of(b, c),
                    is_added);
    }
}

/* ---- Products -------------------------------------------------------------------- */

static void blis_gemm(struct dev_stream *s, struct mat y, struct mat x,
                      const struct dev_weight *weight, struct range i, struct range j,
                      bool is_added, const struct epilogue *e)
{
    multiply(s, y, plain(x), plain(dev_weight_part(weight, i, j)), is_added);
    OF(cpu_finish)(s, y, e);
}

static void blis_gemm_t(struct dev_stream *s, struct mat y, struct mat x,
                        const struct dev_weight *weight, struct range i, struct range j,
                        bool is_added, const struct epilogue *e)
{
    multiply(s, y, plain(x), flipped(plain(dev_weight_part(weight, i, j))), is_added);
    OF(cpu_finish)(s, y, e);
}

static void blis_gemm_dw(struct dev_stream *s, struct mat dw, struct mat x,
                         struct mat dy, bool is_added)
{
    multiply(s, dw, flipped(plain(x)), plain(dy), is_added);
}

const struct dev_ops OF(cpu_blis) = {
    .gemm    = blis_gemm,
    .gemm_t  = blis_gemm_t,
    .gemm_dw = blis_gemm_dw,
};
