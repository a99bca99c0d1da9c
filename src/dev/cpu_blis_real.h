/* SPDX-License-Identifier: BSD-3-Clause */
/* Products and attention through BLIS, once for each number format (cpu_real.h); who
 * includes this defines BLIS_GEMM too, BLIS's product in that format.
 *
 * Products are cut into rectangles of the output, one a thread, each a product of BLIS on
 * that thread alone.  BLIS's own threads are no faster on an idle machine and spin at
 * barriers: where anything else runs, a product took five times as long.  BLIS packs what it multiplies, so that views with any leading dimension are
 * as good as others.  Results depend on sizes and threads alone.
 */
#include "src/base/err.h"

#include <math.h>

#ifdef _OPENMP
#include <omp.h>
#endif

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

static struct strided packed(REAL *p, int64_t rows, int64_t cols)
{
    return (struct strided){ p, rows, cols, cols, 1 };
}

static struct strided flipped(struct strided a)
{
    return (struct strided){ a.p, a.cols, a.rows, a.col, a.row };
}

/* y = or += alpha a b, on this thread. */
static void product(struct strided y, REAL alpha, struct strided a, struct strided b,
                    bool is_added)
{
    REAL beta = is_added ? 1 : 0;
    rntm_t runtime;

    bli_rntm_init(&runtime);
    bli_rntm_set_num_threads(1, &runtime);
    /* BLIS 0.9's kernels for small dot products (haswell, zen) read rows beyond the end of
     * 'a'; its other ones stay within what mem_alloc() spares.
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
 * thread where that leaves enough rows for each, which is faster than to cut columns (80
 * against 77 % of peak on 2048 rows), else into as many as there are.
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
            product(cols_of(rows_of(plain(y), r), c), 1, rows_of(a, r), cols_of(b, c),
                    is_added);
    }
}

/* ---- Products ---------------------------------------------------------------------- */

static struct mat part_of(const struct dev_weight *weight, struct range i,
                          struct range j)
{
    return mat_cols(mat_rows(weight->w, i.lo, i.hi), j.lo, j.hi);
}

static void blis_gemm(struct dev_stream *s, struct mat y, struct mat x,
                      const struct dev_weight *weight, struct range i, struct range j,
                      bool is_added, const struct epilogue *e)
{
    multiply(s, y, plain(x), plain(part_of(weight, i, j)), is_added);
    OF(cpu_finish)(s, y, e);
}

static void blis_gemm_t(struct dev_stream *s, struct mat y, struct mat x,
                        const struct dev_weight *weight, struct range i, struct range j,
                        bool is_added, const struct epilogue *e)
{
    multiply(s, y, plain(x), flipped(plain(part_of(weight, i, j))), is_added);
    OF(cpu_finish)(s, y, e);
}

static void blis_gemm_dw(struct dev_stream *s, struct mat dw, struct mat x,
                         struct mat dy, bool is_added)
{
    multiply(s, dw, flipped(plain(x)), plain(dy), is_added);
}

/* ---- Attention --------------------------------------------------------------------- */

/* Every (image, head) is a job of one thread: logits of up to QUERIES rows at a time,
 * their exponentials, and products with the values, all in the thread's own block.
 *
 * FLOPs: 4 B H Nq Nk E forward and 10 backward, where logits are made again.
 */
enum { QUERIES = 256 };

static struct strided head_of(struct mat a, int64_t row, int64_t rows, int64_t h,
                              int64_t E)
{
    const struct mat view = mat_cols(mat_rows(a, row, row + rows), h * E, (h + 1) * E);

    return plain(view);
}

static REAL *row_of(struct strided a, int64_t r)
{
    return a.p + r * a.row;
}

static int member(void)
{
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

static void attend(struct dev_stream *s, int thread, struct mat o, REAL *kept,
                   struct mat q, struct mat k, struct mat v, const struct attn *a,
                   int64_t b, int64_t h)
{
    const struct OF(kernels) *loops =
        ((const struct cpu_state *)s->dev->state)->JOIN(k, FORMAT);
    const struct strided keys   = head_of(k, b * a->Nk, a->Nk, h, a->E);
    const struct strided values = head_of(v, b * a->Nk, a->Nk, h, a->E);
    const REAL factor           = (REAL)(1.0 / sqrt((double)a->E));

    for (int64_t lo = 0; lo < a->Nq; lo += QUERIES) {
        const int64_t n = a->Nq - lo < QUERIES ? a->Nq - lo : QUERIES;
        REAL *block = cpu_block(s->dev, thread, (size_t)(n * a->Nk) * sizeof *block);
        const struct strided p    = packed(block, n, a->Nk);
        const struct strided rows = head_of(q, b * a->Nq + lo, n, h, a->E);
        const struct strided out  = head_of(o, b * a->Nq + lo, n, h, a->E);

        product(p, factor, rows, flipped(keys), false);
        for (int64_t r = 0; r < n; r++)
            loops->softmax(row_of(p, r), kept + 2 * (lo + r), a->Nk);
        product(out, 1, p, values, false);
        for (int64_t r = 0; r < n; r++)
            loops->scale(row_of(out, r), row_of(out, r), 1 / kept[2 * (lo + r) + 1],
                         a->E);
    }
}

static void blis_attn(struct dev_stream *s, struct mat o, struct mat kept,
                      struct mat peak, struct mat q, struct mat k, struct mat v,
                      const struct attn *a)
{
    REAL most = (REAL)-INFINITY;

#pragma omp parallel for num_threads(s->dev->threads) schedule(static)
    for (int64_t i = 0; i < a->B * a->H; i++)
        attend(s, member(), o, at(kept, 0) + 2 * i * a->Nq, q, k, v, a, i / a->H,
               i % a->H);
    for (int64_t i = 0; i < a->B * a->H * a->Nq; i++) {
        const REAL largest = at(kept, 0)[2 * i];

        if (largest > most || isnan(largest))
            most = largest;
    }
    at(peak, 0)[0] = most;
}

/* With p the weights and delta = d_o o of a row: d logit = p (d_o v - delta). */
static void attend_back(struct dev_stream *s, int thread, struct mat dq, struct mat dk,
                        struct mat dv, struct mat d_o, struct mat o, const REAL *kept,
                        struct mat q, struct mat k, struct mat v, const struct attn *a,
                        int64_t b, int64_t h)
{
    const struct OF(kernels) *loops =
        ((const struct cpu_state *)s->dev->state)->JOIN(k, FORMAT);
    const struct strided keys    = head_of(k, b * a->Nk, a->Nk, h, a->E);
    const struct strided values  = head_of(v, b * a->Nk, a->Nk, h, a->E);
    const struct strided dkeys   = head_of(dk, b * a->Nk, a->Nk, h, a->E);
    const struct strided dvalues = head_of(dv, b * a->Nk, a->Nk, h, a->E);
    const REAL factor            = (REAL)(1.0 / sqrt((double)a->E));

    for (int64_t lo = 0; lo < a->Nq; lo += QUERIES) {
        const int64_t n     = a->Nq - lo < QUERIES ? a->Nq - lo : QUERIES;
        const int64_t first = b * a->Nq + lo;
        REAL *block =
            cpu_block(s->dev, thread, (size_t)(2 * n * a->Nk) * sizeof *block);
        const struct strided p    = packed(block, n, a->Nk);
        const struct strided dp   = packed(block + n * a->Nk, n, a->Nk);
        const struct strided rows = head_of(q, first, n, h, a->E);
        const struct strided out  = head_of(o, first, n, h, a->E);
        const struct strided dout = head_of(d_o, first, n, h, a->E);

        product(p, factor, rows, flipped(keys), false);
        product(dp, 1, dout, flipped(values), false);
        for (int64_t r = 0; r < n; r++)
            loops->softmax_back(row_of(p, r), row_of(dp, r), kept + 2 * (lo + r),
                                loops->dot(row_of(dout, r), row_of(out, r), a->E),
                                factor, a->Nk);
        product(dvalues, 1, flipped(p), dout, lo > 0);
        product(head_of(dq, first, n, h, a->E), 1, dp, keys, false);
        product(dkeys, 1, flipped(dp), rows, lo > 0);
    }
}

static void blis_attn_backward(struct dev_stream *s, struct mat dq, struct mat dk,
                               struct mat dv, struct mat d_o, struct mat o,
                               struct mat kept, struct mat q, struct mat k,
                               struct mat v, const struct attn *a)
{
#pragma omp parallel for num_threads(s->dev->threads) schedule(static)
    for (int64_t i = 0; i < a->B * a->H; i++)
        attend_back(s, member(), dq, dk, dv, d_o, o, at(kept, 0) + 2 * i * a->Nq, q, k,
                    v, a, i / a->H, i % a->H);
}

const struct dev_ops OF(cpu_blis) = {
    .gemm          = blis_gemm,
    .gemm_t        = blis_gemm_t,
    .gemm_dw       = blis_gemm_dw,
    .attn          = blis_attn,
    .attn_backward = blis_attn_backward,
};
