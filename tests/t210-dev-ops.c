/* SPDX-License-Identifier: BSD-3-Clause */
/* Every operation of every backend, products apart, against cpu:ref in f64, from
 * equal inputs, on views of larger matrices, with sizes that nothing divides and sizes
 * of zero, on one to three threads.  Tolerances count roundings: a sum of n terms may
 * be off by n units of rounding of the sum of their magnitudes, a function of bounded
 * condition by a few units.
 */
#include "config.h"

#include "tests/tap.h"
#include "tests/twin.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"

#include <math.h>
#include <stdio.h>

static const char *const norm_names[] = { "rms", "layer" };

/* ---- Copies and sums ------------------------------------------------------------- */

static const int64_t shapes[][2] = { { 7, 50 },    { 9, 136 },  { 1, 33 }, { 10, 5 },
                                     { 140, 150 }, { 2, 9001 }, { 0, 50 }, { 7, 0 } };
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void copies(struct twins *two)
{
    bool is_right = true;

    for (int i = 0; i < SHAPES; i++) {
        const int64_t n = shapes[i][0], m = shapes[i][1];
        struct twin x = twin_random(two, n, m, 1.0), y = twin_blank(two, n, m);
        struct twin z = twin_random(two, n, m, 1.0), f = twin_blank(two, n, m);
        struct twin d = twin_blank_f64(two, n, m), top = twin_like(two, x);

        EACH dev_copy(ON, V(y), V(x));
        EACH dev_copy(ON, V(d), V(x));
        is_right &= twin_agrees(two, y, 0.0, 1.0, "copy");
        is_right &= twin_agrees(two, d, 0.0, 1.0, "copy to f64");
        EACH dev_add(ON, V(y), V(z));
        is_right &= twin_agrees(two, y, 1.0, 8.0, "add");
        EACH dev_max(ON, V(top), V(z));
        is_right &= twin_agrees(two, top, 0.0, 1.0, "max");
        EACH dev_fill(ON, V(f), 0.5);
        EACH dev_fill(ON, V(d), 0.25);
        is_right &= twin_agrees(two, f, 0.0, 1.0, "fill");
        is_right &= twin_agrees(two, d, 0.0, 1.0, "fill of f64");
        twins_clear(two);
    }
    ok(is_right, "fill, copy, add, max");
}

/* The same bits on every device, in its format; even and odd counts from either on. */
static void normals(struct twins *two)
{
    bool is_right = true, is_drawn = true;

    for (int64_t n = 0; n < 1200; n = 3 * n + 1) {
        const uint64_t first = ((uint64_t)n << 30) + (uint64_t)(7 * n + n / 4 % 2);
        struct twin y        = twin_blank(two, 1, n);

        EACH dev_normals(ON, V(y), 3, RNG_TEST, first);
        is_right &= twin_agrees(two, y, 0.0, 0.0, "normals");
        for (int64_t i = 0; i < n; i++)
            is_drawn &= twin_ref(y, 0, i) ==
                        (float)rng_normal(3, RNG_TEST, first + (uint64_t)i);
        twins_clear(two);
    }
    ok(is_right && is_drawn, "normal numbers");
}

static void sums(struct twins *two)
{
    bool is_right = true;

    for (int i = 0; i < SHAPES; i++) {
        for (int added = 0; added < 2; added++) {
            const int64_t n = shapes[i][0], m = shapes[i][1], B = 3;
            const double depth = (double)n + 2.0;
            struct twin x      = twin_random(two, n, m, 1.0);
            struct twin all    = twin_random(two, B * n, m, 1.0);
            struct twin db =
                added ? twin_random(two, 1, m, 1.0) : twin_blank(two, 1, m);
            struct twin dt =
                added ? twin_random(two, n, m, 1.0) : twin_blank(two, n, m);
            struct twin y = twin_like(two, all), pool = twin_blank(two, B, m);
            struct twin spread = twin_blank(two, B * n, m);
            struct twin few    = twin_random(two, B, m, 1.0);

            EACH dev_column_sums(ON, V(db), V(x), added == 1);
            is_right &= twin_agrees(two, db, depth, depth * 5.0, "column sums");
            EACH dev_sum_tables(ON, V(dt), V(all), added == 1);
            is_right &= twin_agrees(two, dt, 5.0, 20.0, "sum of tables");
            EACH dev_add_table(ON, V(y), V(x));
            is_right &= twin_agrees(two, y, 1.0, 10.0, "add table");
            EACH dev_pool_rows(ON, V(pool), V(all), 0.125);
            is_right &= twin_agrees(two, pool, depth, depth, "pooled rows");
            EACH dev_spread_rows(ON, V(spread), V(few), 0.3);
            is_right &= twin_agrees(two, spread, 2.0, 2.0, "spread rows");
            twins_clear(two);
        }
    }
    ok(is_right, "sums of columns, tables, pools");

    static const int64_t rows[] = { 3, 140, 140, 3 }, cols[] = { 211, 211, 208, 0 };
    struct mat ref[4], got[4];
    struct twin sum = twin_blank_f64(two, 1, 1);
    double terms    = 0.0;

    for (int i = 0; i < 4; i++) {
        struct twin x = twin_random(two, rows[i], cols[i], 1.0);

        ref[i] = x.ref;
        got[i] = x.got;
        terms += (double)mat_size(x.ref);
    }
    dev_sum_squares(twin_stream(two, 0), sum.ref, ref, 4, false);
    dev_sum_squares(twin_stream(two, 1), sum.got, got + 1, 3, false);
    dev_sum_squares(twin_stream(two, 1), sum.got, got, 1, true);
    /* squares and sums are formed in double in every format */
    ok(fabs(twin_got(sum, 0, 0) / twin_ref(sum, 0, 0) - 1.0) < terms * 0x1p-53,
       "sum of squares");
    dev_sum_squares(twin_stream(two, 1), sum.got, got, 0, false);
    ok(twin_got(sum, 0, 0) == 0.0, "and of nothing");
    twins_clear(two);
}

static void patches(struct twins *two)
{
    static const struct {
        int B, image, patch, more;
    } cases[] = { { 7, 9, 3, 0 }, { 2, 17, 5, 1 }, { 1, 12, 4, 1 }, { 5, 56, 14, 0 } };
    bool is_right = true;

    for (int i = 0; i < 4; i++) {
        const int side  = cases[i].image / cases[i].patch;
        const int64_t N = side * side + cases[i].more;
        struct twin x =
            twin_random(two, cases[i].B, cases[i].image * cases[i].image * 3, 1);
        struct twin y =
            twin_blank(two, cases[i].B * N, 3 * cases[i].patch * cases[i].patch);

        EACH dev_patches(ON, V(y), V(x), cases[i].image, cases[i].patch, N);
        is_right &= twin_agrees(two, y, 0.0, 1.0, "patches");
        twins_clear(two);
    }
    ok(is_right, "patches");
}

/* To the host and back: matrices of more than one of the pieces that pass through
 * pinned memory, whole rows at a time and less than a row, with gaps between rows.
 */
static void moves(struct twins *two)
{
    static const int64_t sizes[][2] = { { 2, 1100000 }, { 1700, 1003 }, { 5, 3 } };
    bool is_right                   = true;

    for (int i = 0; i < 3; i++) {
        const int64_t n = sizes[i][0], m = sizes[i][1];
        struct twin x = twin_random(two, n, m, 1.0), y = twin_blank(two, n, m);
        void *host = mem_new((size_t)(n * m), dtype_size(dev_dtype(two->got)));

        dev_copy(twin_stream(two, 0), y.ref, x.ref);
        dev_get(twin_stream(two, 1), host, x.got);
        dev_put(twin_stream(two, 1), y.got, host);
        is_right &= twin_agrees(two, y, 0.0, 0.0, "to the host and back");
        mem_free(host);
        twins_clear(two);
    }
    ok(is_right, "matrices to the host and back");
}

/* ---- Norms ----------------------------------------------------------------------- */

static bool norm_is_right(struct twins *two, enum norm_kind k, int64_t n, int M,
                          const int64_t *widths, bool is_added)
{
    const int64_t R = k == NORM_RMS ? 1 : 2;
    int64_t C       = 0;
    bool is_right   = true;
    struct twin parts, stat;

    for (int m = 0; m < M; m++)
        C += widths[m];
    stat  = twin_blank(two, n, 2);
    parts = twin_blank(two, M * n, R);
    for (int m = 0; m < M; m++) {
        struct twin x    = twin_random(two, n, widths[m], 2.0),
                    part = twin_blank(two, n, R);

        EACH dev_norm_moments(ON, V(part), V(x), k);
        is_right &= twin_agrees(two, part, (double)C + 4.0, 8.0 * (double)C, "moments");
        for (int64_t r = 0; r < n; r++)
            for (int64_t c = 0; c < R; c++)
                twin_set(parts, m * n + r, c, twin_ref(part, r, c));
    }
    EACH dev_norm_merge(ON, V(stat), V(parts), M, widths, k);
    is_right &= twin_agrees(two, stat, 3.0 * M + 8.0, 0.0, "merge");
    stat = twin_like(two, stat);

    {
        const int64_t c   = widths[0];
        struct twin x     = twin_random(two, n, c, 2.0),
                    scale = twin_random(two, 1, c, 1.0);
        struct twin bias  = k == NORM_LAYER ? twin_random(two, 1, c, 1.0) : twin_none();
        struct twin y = twin_blank(two, n, c), dy = twin_random(two, n, c, 1.0);
        struct twin part = twin_blank(two, n, R);
        struct twin sums = twin_random(two, M * n, R, 3.0);
        struct twin dx = is_added ? twin_random(two, n, c, 1.0) : twin_blank(two, n, c);
        struct twin dscale =
            is_added ? twin_random(two, 1, c, 1.0) : twin_blank(two, 1, c);
        struct twin dbias = k == NORM_RMS ? twin_none()
                            : is_added    ? twin_random(two, 1, c, 1.0)
                                          : twin_blank(two, 1, c);

        EACH dev_norm_apply(ON, V(y), V(x), V(stat), V(scale), V(bias));
        is_right &= twin_agrees(two, y, 8.0, 10.0, "apply");
        EACH dev_norm_backward_moments(ON, V(part), V(dy), V(x), V(stat), V(scale), k);
        is_right &= twin_agrees(two, part, (double)c + 8.0, 10.0 * (double)c,
                                "backward moments");
        EACH dev_norm_backward(ON, V(dx), is_added, V(dscale), V(dbias), is_added,
                               V(dy), V(x), V(stat), V(scale), V(sums), M, C, k);
        is_right &= twin_agrees(two, dx, M + 16.0, 20.0, "backward dx");
        is_right &= twin_agrees(two, dscale, (double)n + 8.0, 8.0 * (double)n + 4.0,
                                "backward dscale");
        if (k == NORM_LAYER)
            is_right &= twin_agrees(two, dbias, (double)n + 4.0, 4.0 * (double)n + 4.0,
                                    "backward dbias");
    }
    twins_clear(two);
    return is_right;
}

static void norms(struct twins *two)
{
    static const int64_t widths[][3] = {
        { 50, 0, 0 }, { 17, 17, 16 }, { 25, 25, 0 }, { 300, 1, 70 }, { 3, 0, 1 }
    };
    static const int ranks[]    = { 1, 3, 2, 3, 3 };
    static const int64_t rows[] = { 7, 9, 1, 131, 0 };

    for (enum norm_kind k = NORM_RMS; k <= NORM_LAYER; k++) {
        bool is_right = true;

        for (int i = 0; i < 5; i++)
            for (int j = 0; j < 5; j++)
                for (int added = 0; added < 2; added++)
                    is_right &=
                        norm_is_right(two, k, rows[j], ranks[i], widths[i], added);
        ok(is_right, "norms in steps, %s", norm_names[k]);
    }
}

/* Whole rows against the steps: widths that teams of one to eight warps hold, that
 * leave threads without columns, and that no team can hold.
 */
static bool whole_is_right(struct twins *two, enum norm_kind k, int64_t n, int64_t C,
                           bool is_added)
{
    const int64_t R    = k == NORM_RMS ? 1 : 2;
    const double terms = (double)C;
    struct twin x = twin_random(two, n, C, 2.0), dy = twin_random(two, n, C, 1.0);
    struct twin scale = twin_random(two, 1, C, 1.0);
    struct twin bias  = k == NORM_LAYER ? twin_random(two, 1, C, 1.0) : twin_none();
    struct twin y = twin_blank(two, n, C), stat = twin_blank(two, n, 2);
    struct twin part   = twin_blank(two, n, R);
    struct twin dx     = is_added ? twin_random(two, n, C, 1.0) : twin_blank(two, n, C);
    struct twin dscale = is_added ? twin_random(two, 1, C, 1.0) : twin_blank(two, 1, C);
    struct twin dbias  = k == NORM_RMS ? twin_none()
                         : is_added    ? twin_random(two, 1, C, 1.0)
                                       : twin_blank(two, 1, C);
    bool is_right      = true;
    double rstd;

    EACH dev_norm_whole(ON, V(y), V(stat), V(part), V(x), V(scale), V(bias), k);
    is_right &= twin_agrees(two, stat, terms + 16.0, 0.0, "statistics of whole rows");
    is_right &= twin_agrees(two, y, terms + 16.0, 10.0, "norm of whole rows");
    rstd = twin_largest(stat);
    stat = twin_like(two, stat);
    EACH dev_norm_whole_backward(ON, V(dx), is_added, V(dscale), V(dbias), is_added,
                                 V(dy), V(x), V(stat), V(scale), V(part), k);
    is_right &= twin_agrees(two, dx, terms + 16.0, 10.0 + 10.0 * rstd, "whole dx");
    is_right &= twin_agrees(two, dscale, (double)n + 8.0, 8.0 * (double)n + 4.0,
                            "whole dscale");
    if (k == NORM_LAYER)
        is_right &= twin_agrees(two, dbias, (double)n + 4.0, 4.0 * (double)n + 4.0,
                                "whole dbias");
    twins_clear(two);
    return is_right;
}

static void whole_norms(struct twins *two)
{
    static const int64_t sizes[][2] = { { 7, 50 },  { 300, 8 },  { 67, 264 },
                                        { 0, 16 },  { 5, 1152 }, { 1, 1664 },
                                        { 2, 8200 } };

    for (enum norm_kind k = NORM_RMS; k <= NORM_LAYER; k++) {
        bool is_right = true;

        for (int i = 0; i < 14; i++)
            is_right &=
                whole_is_right(two, k, sizes[i / 2][0], sizes[i / 2][1], i % 2 == 1);
        ok(is_right, "norms of whole rows, %s", norm_names[k]);
    }
}

static void head_norms(struct twins *two)
{
    static const int64_t sizes[][3] = { { 7, 5, 10 }, { 9, 3, 55 }, { 130, 4, 72 },
                                        { 1, 1, 8 },  { 0, 2, 10 }, { 3, 0, 10 } };

    for (enum norm_kind k = NORM_RMS; k <= NORM_LAYER; k++) {
        bool is_right = true;

        for (int i = 0; i < 12; i++) {
            const int64_t *of = sizes[i / 2], n = of[0], H = of[1], E = of[2],
                          A     = H * E;
            const bool is_added = i % 2 == 1;
            struct twin x       = twin_random(two, n, A, 2.0),
                        scale   = twin_random(two, 1, E, 1);
            struct twin y = twin_blank(two, n, A), stat = twin_blank(two, n, 2 * H);
            struct twin dy = twin_random(two, n, A, 1.0), dx = twin_blank(two, n, A);
            struct twin ds =
                is_added ? twin_random(two, 1, E, 1.0) : twin_blank(two, 1, E);
            double rstd;

            EACH dev_head_norm(ON, V(y), V(stat), V(x), V(scale), E, k);
            is_right &= twin_agrees(two, stat, (double)E + 8.0, 0.0, "head stat");
            is_right &= twin_agrees(two, y, (double)E + 16.0, 0.0, "head norm");
            rstd = twin_largest(stat);
            stat = twin_like(two, stat);
            EACH dev_head_norm_backward(ON, V(dx), V(ds), is_added, V(dy), V(x),
                                        V(stat), V(scale), E, k);
            is_right &= twin_agrees(two, dx, (double)E + 16.0, 10.0 * rstd, "head dx");
            is_right &= twin_agrees(two, ds, (double)(n * H) + 16.0,
                                    4.0 * (double)(n * H) + 4.0, "head dscale");
            twins_clear(two);
        }
        ok(is_right, "norms of heads, %s", norm_names[k]);
    }
}

/* ---- Attention ------------------------------------------------------------------- */

/* Logits are sums of E products; an error d of one makes its weight wrong by a factor
 * 1 + d; the weights sum to one, so that outputs, averages of v, are off by 2 d max
 * |v|. Backward passes through two such steps, and sums over Nk or Nq.  With 'low' all
 * logits are about -low^2 sqrt(E), beside which 0 would have an infinite weight.
 */
static bool attention_is_right(struct twins *two, struct attn a, double low)
{
    const int64_t q_rows = a.B * a.Nq, k_rows = a.B * a.Nk, A = a.H * a.E;
    const double d = ((double)a.E + 32.0) * fmax(1.0, low * low * sqrt((double)a.E));
    /* side by side, as the product before leaves them */
    struct twin qkv = twin_random(two, q_rows > k_rows ? q_rows : k_rows, 3 * A, 1.0);
    struct twin q = twin_part(qkv, q_rows, 0, A), k = twin_part(qkv, k_rows, A, 2 * A);
    struct twin v = twin_part(qkv, k_rows, 2 * A, 3 * A);
    struct twin o = twin_blank(two, q_rows, A), d_o = twin_random(two, q_rows, A, 1.0);
    struct twin dq = twin_blank(two, q_rows, A), dk = twin_blank(two, k_rows, A);
    struct twin dv = twin_blank(two, k_rows, A), peak = twin_blank(two, 1, 1);
    struct twin kept = { .ref = twin_blank(two, 1, dev_attn_kept(two->ref, &a)).ref,
                         .got = twin_blank(two, 1, dev_attn_kept(two->got, &a)).got };
    bool is_right    = true;

    for (int64_t i = 0; low > 0.0 && i < q_rows * A; i++)
        twin_set(q, i / A, i % A, low);
    for (int64_t i = 0; low > 0.0 && i < k_rows * A; i++)
        twin_set(k, i / A, i % A, 0.25 * sin((double)i) - low);
    EACH dev_attn(ON, V(o), V(kept), V(peak), V(q), V(k), V(v), &a);
    is_right &= twin_agrees(two, o, 2.0 * d, 5.0, "attention");
    if (a.B * a.H > 0)
        is_right &= twin_agrees(two, peak, d, 5.0, "largest logit");
    /* both go on from the same output */
    if (mat_size(o.ref) > 0)
        o = twin_like(two, o);
    EACH dev_attn_backward(ON, V(dq), V(dk), V(dv), V(d_o), V(o), V(kept), V(q), V(k),
                           V(v), &a);
    is_right &= twin_agrees(two, dq, 4.0 * d, fmax(1.0, twin_largest(dq)), "dq");
    is_right &= twin_agrees(two, dk, 4.0 * d, fmax(1.0, twin_largest(dk)), "dk");
    is_right &= twin_agrees(two, dv, 4.0 * d, fmax(1.0, twin_largest(dv)), "dv");
    if (!is_right)
        fprintf(stderr, "# with B %d H %d E %d Nq %d Nk %d\n", (int)a.B, (int)a.H,
                (int)a.E, (int)a.Nq, (int)a.Nk);
    twins_clear(two);
    return is_right;
}

static void attention(struct twins *two)
{
    static const int64_t heads[] = { 8, 10, 38, 55, 72, 256 };
    bool is_right                = true;

    for (int i = 0; i < 6; i++) {
        is_right &= attention_is_right(two, (struct attn){ 2, 3, heads[i], 9, 9 }, 0.0);
        is_right &=
            attention_is_right(two, (struct attn){ 7, 1, heads[i], 1, 10 }, 0.0);
    }
    ok(is_right, "attention, head sizes 8 to 256");
    is_right = attention_is_right(two, (struct attn){ 1, 2, 10, 300, 70 }, 0.0);
#ifndef CUDA_ON_HOST
    is_right &= attention_is_right(two, (struct attn){ 1, 1, 10, 515, 300 }, 0.0);
    is_right &= attention_is_right(two, (struct attn){ 1, 1, 9, 20, 4096 }, 0.0);
#endif
    is_right &= attention_is_right(two, (struct attn){ 1, 1, 80, 49, 49 }, 0.0);
    ok(is_right, "attention of long sequences");
    is_right = attention_is_right(two, (struct attn){ 0, 2, 10, 9, 9 }, 0.0);
    is_right &= attention_is_right(two, (struct attn){ 2, 0, 10, 9, 9 }, 0.0);
    is_right &= attention_is_right(two, (struct attn){ 3, 5, 10, 1, 1 }, 0.0);
    is_right &= attention_is_right(two, (struct attn){ 1, 1, 8, 5, 6 }, 8.0);
    ok(is_right, "attention of nothing, of one row, and of logits far below 0");
}

/* Logits up to a thousand: exponentials stay finite. */
static void steep_attention(struct twins *two)
{
    const struct attn a = { 1, 1, 8, 5, 6 };
    struct twin q = twin_random(two, 5, 8, 30.0), k = twin_random(two, 6, 8, 30.0);
    struct twin v = twin_random(two, 6, 8, 1.0), o = twin_blank(two, 5, 8);
    struct twin kept = twin_blank(two, 1, 10), peak = twin_blank(two, 1, 1);

    EACH dev_attn(ON, V(o), V(kept), V(peak), V(q), V(k), V(v), &a);
    ok(twin_largest(peak) > 500.0 &&
           twin_agrees(two, o, 40.0 * 8.0, twin_largest(peak), "steep"),
       "attention with logits up to %.0f", twin_largest(peak));
    twins_clear(two);
}

#if defined(HAVE_BLIS) && !defined(CUDA_ON_HOST)
/* Attention of many tokens takes memory by their number, not its square. */
static void attention_memory(const char *name)
{
    enum { T = 8192, E = 8 };
    const struct attn a  = { 1, 1, E, T, T };
    const int64_t square = (int64_t)T * T * (int64_t)sizeof(float);
    struct dev *dev;
    struct dev_stream *s;
    struct buf b, k;
    struct mat m[8], kept, peak;
    int64_t before;

    if (dev_open(&dev, name, DTYPE_F32, 1) != 0)
        die("%s", err_sentence());
    s = dev_stream(dev, LANE_COMPUTE);
    if (dev_alloc(&b, dev, 8 * T * E * sizeof(float)) != 0 ||
        dev_alloc(&k, dev, (size_t)(dev_attn_kept(dev, &a) + 1) * sizeof(float)) != 0)
        die("%s", err_sentence());
    for (int i = 0; i < 8; i++) {
        m[i] = mat_at(&b, DTYPE_F32, (int64_t)i * T * E, T, E);
        dev_fill(s, m[i], 0.01 * i);
    }
    kept = mat_of(&k, DTYPE_F32, 1, dev_attn_kept(dev, &a));
    peak = mat_at(&k, DTYPE_F32, kept.cols, 1, 1);
    dev_fill(s, kept, 0.0);
    before = mem_high_water();
    dev_attn(s, m[0], kept, peak, m[1], m[2], m[3], &a);
    dev_attn_backward(s, m[4], m[5], m[6], m[7], m[0], kept, m[1], m[2], m[3], &a);
    ok(mem_high_water() - before < square / 8,
       "%s: attention of %d tokens takes %.1f MB, their square %.1f", name, T,
       (double)(mem_high_water() - before) * 1e-6, (double)square * 1e-6);
    dev_free(&b);
    dev_free(&k);
    dev_close(&dev);
}
#endif

/* ---- Losses and optimizer -------------------------------------------------------- */

static void losses(struct twins *two)
{
    static const int64_t sizes[][2] = { { 7, 10 }, { 9, 1 }, { 1, 333 }, { 5, 0 } };
    bool is_right                   = true;

    for (int i = 0; i < 4; i++) {
        const int64_t B = sizes[i][0], K = sizes[i][1];
        const double terms = (double)(B * K) + 8.0;
        struct twin z = twin_random(two, B, K, 9.0), y = twin_random(two, B, K, 1.0);
        struct twin loss = twin_blank(two, 1, 1), dz = twin_blank(two, B, K);
        struct twin top = twin_blank(two, B, 1), sum = twin_blank(two, B, 1);
        struct twin total = twin_blank(two, B, 1);

        for (int64_t r = 0; r < B; r++)
            for (int64_t c = 0; c < K; c++)
                twin_set(y, r, c, fmin(1.0, fabs(twin_ref(y, r, c))));
        EACH dev_sigmoid_loss(ON, V(loss), V(dz), V(z), V(y), 0.25);
        is_right &= twin_agrees(two, loss, terms, 10.0 * terms, "sigmoid loss");
        is_right &= twin_agrees(two, dz, 8.0, 1.0, "its gradient");
        if (K > 0) {
            EACH dev_softmax_largest(ON, V(top), V(z));
            is_right &= twin_agrees(two, top, 0.0, 1.0, "largest");
        } else {
            EACH dev_fill(ON, V(top), 0.0);
        }
        EACH dev_softmax_sum(ON, V(sum), V(total), V(z), V(y), V(top));
        is_right &= twin_agrees(two, sum, terms, terms, "sum");
        is_right &= twin_agrees(two, total, terms, terms, "total");
        if (K > 0) {
            sum   = twin_like(two, sum);
            total = twin_like(two, total);
        }
        EACH dev_softmax_loss(ON, V(loss), V(dz), V(z), V(y), V(top), V(sum), V(total),
                              0.25);
        is_right &= twin_agrees(two, loss, terms, 30.0 * terms, "softmax loss");
        is_right &= twin_agrees(two, dz, 16.0, terms, "its gradient");
        twins_clear(two);
    }
    ok(is_right, "losses");
}

/* Segments of several shapes, packed and not, with decay of their own. */
static void adamw(struct twins *two)
{
    enum { SEGMENTS = SHAPES };
    struct twin param[SEGMENTS], grad[SEGMENTS], mu[SEGMENTS], nu[SEGMENTS];
    struct dev_segment ref[SEGMENTS], got[SEGMENTS];
    bool is_right = true;

    for (int i = 0; i < SEGMENTS; i++) {
        const int64_t n = shapes[i][0], m = shapes[i][1];
        const double decay = i % 2 == 0 ? 0.1 : 0.0;

        param[i] = twin_random(two, n, m, 1.0);
        grad[i]  = twin_random(two, n, m, 1.0);
        mu[i]    = twin_random(two, n, m, 0.1);
        nu[i]    = twin_random(two, n, m, 0.1);
        for (int64_t r = 0; r < n; r++)
            for (int64_t c = 0; c < m; c++)
                twin_set(nu[i], r, c, fabs(twin_ref(nu[i], r, c)) + 0.01);
        ref[i] = (struct dev_segment){ .param = param[i].ref,
                                       .grad  = grad[i].ref,
                                       .mu    = mu[i].ref,
                                       .nu    = nu[i].ref,
                                       .decay = decay };
        got[i] = (struct dev_segment){ .param = param[i].got,
                                       .grad  = grad[i].got,
                                       .mu    = mu[i].got,
                                       .nu    = nu[i].got,
                                       .decay = decay };
    }
    for (int64_t t = 1; t <= 3; t++) {
        const struct adamw a = { 0.01, 0.9, 0.999, 1e-8, 0.5, 0.7, t, { 0 } };

        dev_adamw(twin_stream(two, 0), ref, SEGMENTS, &a);
        dev_adamw(twin_stream(two, 1), got, SEGMENTS, &a);
    }
    for (int i = 0; i < SEGMENTS; i++) {
        /* 1 / (1 - beta2^t) up to 1000: steps up to lr / 2 sqrt(1000) times few */
        is_right &= twin_agrees(two, mu[i], 12.0, 2.0, "mu");
        is_right &= twin_agrees(two, nu[i], 12.0, 2.0, "nu");
        is_right &= twin_agrees(two, param[i], 16.0, 6.0, "param");
    }
    ok(is_right, "AdamW, three steps");
    twins_clear(two);
}

static void one_device(const char *name, enum dtype dtype, int threads)
{
    struct twins pair, *two = &pair;

    twins_open(two, name, dtype, threads);
    tap_note("%s %s, %d threads: %s", name, dtype_name(dtype), threads,
             dev_about(two->got));
    copies(two);
    normals(two);
    sums(two);
    patches(two);
    moves(two);
    norms(two);
    whole_norms(two);
    head_norms(two);
    attention(two);
    steep_attention(two);
    losses(two);
    adamw(two);
    twins_close(two);
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
#ifndef CUDA_ON_HOST
    if (argc == 1) { /* with any argument cuda alone, as in t205 */
#ifdef HAVE_BLIS
        attention_memory("cpu:blis"); /* first: the mark must not be high yet */
        one_device("cpu:blis", DTYPE_F64, 2);
        for (int threads = 1; threads <= 3; threads++)
            one_device("cpu:blis", DTYPE_F32, threads);
#endif
        one_device("cpu:ref", DTYPE_F32, 1);
    }
#endif
    if (twins_can("cuda", DTYPE_F32))
        one_device("cuda", DTYPE_F32, 1);
    else
        tap_skip("cuda", "there is no GPU, or no CUDA in this build");
    return tap_done();
}
