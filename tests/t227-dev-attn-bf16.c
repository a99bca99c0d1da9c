/* SPDX-License-Identifier: BSD-3-Clause */
/* Attention in bf16 against cpu:ref in f64 on the same numbers, with what rounding may
 * do worked out for each element: with u = 2^-8 the rounding of bf16,
 *
 *   o    weights are rounded, and o:                u sum p |v| + u |o|
 *   dv   likewise:                                  u sum p |d_o| + u |dv|
 *   ds   = p (d_o v - d_o o) / sqrt(E) is rounded:  u |ds|
 *   dq   from it, and dk likewise:                  sum of ds's |k| + u |dq|
 *
 * and what f32 adds, whose sums of n terms are off by n roundings of the terms' sum,
 * and weights by twice as much as their logits.
 */
#include "config.h"

#include "tests/tap.h"
#include "tests/twin.h"

#include "src/base/mem.h"
#include "src/dev/cpu.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double U = 0x1p-8, F32 = 0x1p-23;

/* What one attention reads and writes. */
struct scene {
    struct attn a;
    struct twin q, k, v, d_o, o, dq, dk, dv, kept, peak;
};

static struct scene scene_of(struct twins *two, struct attn a)
{
    const int64_t n = a.B * (a.Nq > a.Nk ? a.Nq : a.Nk), A = a.H * a.E;
    const struct twin all = twin_random(two, n, 3 * A, 1.0); /* side by side */
    struct scene s        = { .a = a };

    s.q    = twin_part(all, a.B * a.Nq, 0, A);
    s.k    = twin_part(all, a.B * a.Nk, A, 2 * A);
    s.v    = twin_part(all, a.B * a.Nk, 2 * A, 3 * A);
    s.d_o  = twin_random(two, a.B * a.Nq, A, 1.0);
    s.o    = twin_blank(two, a.B * a.Nq, A);
    s.dq   = twin_blank(two, a.B * a.Nq, A);
    s.dk   = twin_blank(two, a.B * a.Nk, A);
    s.dv   = twin_blank(two, a.B * a.Nk, A);
    s.kept = twin_blank_acc(two, 1, dev_attn_kept(two->got, &a));
    s.peak = twin_blank_acc(two, 1, 1);
    return s;
}

static void forward(struct twins *two, struct scene *s)
{
    EACH dev_attn(ON, V(s->o), V(s->kept), V(s->peak), V(s->q), V(s->k), V(s->v),
                  &s->a);
}

/* Both go on from the same output. */
static void backward(struct twins *two, struct scene *s)
{
    s->o = twin_like(two, s->o);
    EACH dev_attn_backward(ON, V(s->dq), V(s->dk), V(s->dv), V(s->d_o), V(s->o),
                           V(s->kept), V(s->q), V(s->k), V(s->v), &s->a);
}

/* ---- What may be ----------------------------------------------------------------- */

/* Of one image's head: the sums of magnitudes above, [Nq or Nk, E]. */
struct bounds {
    double *o, *dq, *dk, *dv;
};

/* |x| of row r and |y| of row t of a head, multiplied and added. */
static double reach(struct twin x, struct twin y, int64_t r, int64_t t, int64_t c,
                    int64_t E, bool is_signed)
{
    double sum = 0;

    for (int64_t e = c; e < c + E; e++) {
        const double term = twin_ref(x, r, e) * twin_ref(y, t, e);

        sum += is_signed ? term : fabs(term);
    }
    return sum;
}

static void bounds_of(struct bounds *m, const struct scene *s, int64_t b, int64_t h)
{
    const int64_t E = s->a.E, Nq = s->a.Nq, Nk = s->a.Nk, c = h * E;
    const double factor = 1 / sqrt((double)E);
    double *p = mem_new((size_t)(2 * Nk), sizeof *p), *far = p + Nk;

    memset(m->o, 0, (size_t)(2 * (Nq + Nk) * E) * sizeof *m->o);
    for (int64_t i = 0; i < Nq; i++) {
        const int64_t r    = b * Nq + i;
        const double delta = reach(s->d_o, s->o, r, r, c, E, true);
        double most = -INFINITY, sum = 0, loose = 0;

        for (int64_t j = 0; j < Nk; j++) {
            p[j]   = factor * reach(s->q, s->k, r, b * Nk + j, c, E, true);
            far[j] = factor * reach(s->q, s->k, r, b * Nk + j, c, E, false);
            most   = fmax(most, p[j]);
            loose  = fmax(loose, far[j]);
        }
        for (int64_t j = 0; j < Nk; j++)
            sum += p[j] = exp(p[j] - most);
        /* of a weight, relatively: logit, exponential, sum */
        loose = 2 * F32 * ((double)E + 4) * (loose + 1) + F32 * (double)(Nk + Nq);
        for (int64_t j = 0; j < Nk; j++) {
            const int64_t t     = b * Nk + j;
            const double weight = p[j] / sum;
            const double ds =
                weight * factor * (reach(s->d_o, s->v, r, t, c, E, true) - delta);
            const double off =
                (U + loose) * fabs(ds) + F32 * ((double)E + 4) * weight * factor *
                                             (reach(s->d_o, s->v, r, t, c, E, false) +
                                              reach(s->d_o, s->o, r, r, c, E, false));

            for (int64_t e = 0; e < E; e++) {
                m->o[i * E + e] +=
                    (U + loose) * weight * fabs(twin_ref(s->v, t, c + e));
                m->dv[j * E + e] +=
                    (U + loose) * weight * fabs(twin_ref(s->d_o, r, c + e));
                m->dq[i * E + e] += off * fabs(twin_ref(s->k, t, c + e));
                m->dk[j * E + e] += off * fabs(twin_ref(s->q, r, c + e));
            }
        }
    }
    mem_free(p);
}

/* The largest error of a head's rows, where 1 is what may be. */
static double worst_of(struct twin x, const double *may, int64_t first, int64_t rows,
                       int64_t c, int64_t E)
{
    double worst = 0;

    for (int64_t r = 0; r < rows; r++)
        for (int64_t e = 0; e < E; e++) {
            const double is  = twin_ref(x, first + r, c + e);
            const double off = fabs(twin_got(x, first + r, c + e) - is) /
                               (may[r * E + e] + U * fabs(is) + 1e-30);

            if (!(off <= worst))
                worst = isnan(off) ? INFINITY : off;
        }
    return worst;
}

enum { OF_O, OF_DQ, OF_DK, OF_DV, RESULTS };

/* The worst of each result over all heads. */
static void errors_of(double worst[RESULTS], const struct scene *s)
{
    const int64_t E = s->a.E, Nq = s->a.Nq, Nk = s->a.Nk;
    struct bounds m;

    m.o  = mem_new((size_t)(2 * (Nq + Nk) * E), sizeof *m.o);
    m.dq = m.o + Nq * E;
    m.dk = m.dq + Nq * E;
    m.dv = m.dk + Nk * E;
    memset(worst, 0, RESULTS * sizeof *worst);
    for (int64_t i = 0; i < s->a.B * s->a.H; i++) {
        const int64_t b = i / s->a.H, h = i % s->a.H, c = h * E;

        bounds_of(&m, s, b, h);
        worst[OF_DQ] = tap_worse(worst[OF_DQ], worst_of(s->dq, m.dq, b * Nq, Nq, c, E));
        worst[OF_DK] = tap_worse(worst[OF_DK], worst_of(s->dk, m.dk, b * Nk, Nk, c, E));
        worst[OF_DV] = tap_worse(worst[OF_DV], worst_of(s->dv, m.dv, b * Nk, Nk, c, E));
    }
    mem_free(m.o);
}

static double error_of_o(const struct scene *s)
{
    const int64_t E = s->a.E, Nq = s->a.Nq, Nk = s->a.Nk;
    double worst = 0;
    struct bounds m;

    m.o  = mem_new((size_t)(2 * (Nq + Nk) * E), sizeof *m.o);
    m.dq = m.o + Nq * E;
    m.dk = m.dq + Nq * E;
    m.dv = m.dk + Nk * E;
    for (int64_t i = 0; i < s->a.B * s->a.H; i++) {
        bounds_of(&m, s, i / s->a.H, i % s->a.H);
        worst = tap_worse(worst,
                          worst_of(s->o, m.o, i / s->a.H * Nq, Nq, i % s->a.H * E, E));
    }
    mem_free(m.o);
    return worst;
}

/* ---- Tests ----------------------------------------------------------------------- */

/* True if all is within its bounds, and nothing beside the results was written. */
static bool is_right(struct twins *two, struct attn a)
{
    struct scene s = scene_of(two, a);
    double worst[RESULTS];
    bool right;

    forward(two, &s);
    worst[OF_O] = error_of_o(&s);
    right       = worst[OF_O] <= 1 && twin_agrees(two, s.o, 1e9, 1.0, "attention") &&
            twin_agrees(two, s.peak, 100.0 + (double)a.E, 0.0, "largest logit");
    if (!right)
        tap_note("o is off by %.2f of what may be", worst[OF_O]);
    backward(two, &s);
    errors_of(worst, &s);
    for (int i = OF_DQ; i < RESULTS; i++) {
        static const char *const name[] = { "o", "dq", "dk", "dv" };
        const struct twin x             = i == OF_DQ ? s.dq : i == OF_DK ? s.dk : s.dv;

        if (!(worst[i] <= 1) || !twin_agrees(two, x, 1e9, 1.0, name[i])) {
            tap_note("%s is off by %.2f of what may be", name[i], worst[i]);
            right = false;
        }
    }
    if (!right)
        tap_note("with B %d H %d E %d Nq %d Nk %d", (int)a.B, (int)a.H, (int)a.E,
                 (int)a.Nq, (int)a.Nk);
    twins_clear(two);
    return right;
}

static void sizes(struct twins *two, const char *name)
{
    bool right = true;

    for (int64_t E = 8; E <= 256; E++)
        right &= is_right(two, (struct attn){ 1, 1, E, 5, 7 });
    ok(right, "%s: every head size from 8 to 256", name);
    right = is_right(two, (struct attn){ 2, 3, 9, 17, 33 }) &&
            is_right(two, (struct attn){ 1, 2, 72, 100, 100 }) &&
            is_right(two, (struct attn){ 1, 1, 55, 257, 131 });
    ok(right, "%s: several heads, several rounds of queries, odd lengths", name);
    right = is_right(two, (struct attn){ 7, 2, 72, 1, 10 }) &&
            is_right(two, (struct attn){ 3, 5, 10, 1, 1 }) &&
            is_right(two, (struct attn){ 1, 1, 8, 13, 2500 });
    ok(right, "%s: one query, one key, many keys", name);
}

/* One number of v, of two images and heads, that only the device sees. */
static void planted(struct twins *two, const char *name)
{
    const struct attn a = { 2, 2, 72, 9, 9 };
    struct scene s      = scene_of(two, a);
    uint16_t *at        = (uint16_t *)mat_ptr(s.v.got) + 10 * s.v.got.ld + 80;

    *at ^= 0x8000; /* its sign */
    forward(two, &s);
    ok(error_of_o(&s) > 2, "%s: a planted error is found (%.1f)", name, error_of_o(&s));
    twins_clear(two);
}

static int is_nan(double x)
{
    return isnan(x);
}

static int is_finite(double x)
{
    return isfinite(x);
}

/* Whether all of a box is so. */
static bool all(int (*is)(double), struct twin x, int64_t r, int64_t c, int64_t rows,
                int64_t cols)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            if (!is(twin_got(x, r + i, c + j)))
                return false;
    return true;
}

/* What is not a number, or infinite, reaches all results that it is part of, and no
 * other head.
 */
static void no_number(struct twins *two, const char *name, double what)
{
    enum { E = 11, N = 19 };
    const struct attn a = { 1, 2, E, N, N };
    struct scene s      = scene_of(two, a);
    bool right;

    twin_set(s.k, 18, E - 1, what); /* the last of the first head */
    forward(two, &s);
    right = all(is_nan, s.o, 0, 0, N, E) || isinf(what);
    right &= !all(is_finite, s.o, 0, 0, N, E) && all(is_finite, s.o, 0, E, N, E);
    backward(two, &s);
    right &= all(is_nan, s.dq, 0, 0, N, E) || isinf(what);
    right &= !all(is_finite, s.dq, 0, 0, N, E) && !all(is_finite, s.dv, 0, 0, N, E) &&
             all(is_finite, s.dq, 0, E, N, E) && all(is_finite, s.dk, 0, E, N, E);
    ok(right, "%s: %g among the keys is seen in all results of its head", name, what);
    twins_clear(two);
    s = scene_of(two, a);
    twin_set(s.v, 18, E - 1, what);
    forward(two, &s);
    ok(!all(is_finite, s.o, 0, E - 1, 1, 1) && !all(is_finite, s.o, 18, E - 1, 1, 1) &&
           all(is_finite, s.o, 0, 0, N, E - 1) && all(is_finite, s.o, 0, E, N, E),
       "%s: and among the values, in their column", name);
    twins_clear(two);
}

static void run(const char *device, const struct kernels_bf16 *loops, const char *name,
                int threads)
{
    struct twins two;

    if (!twins_can(device, DTYPE_BF16)) {
        tap_skip(name, "this processor cannot");
        return;
    }
    twins_open(&two, device, DTYPE_BF16, threads);
    if (loops != NULL)
        ((struct cpu_state *)two.got->state)->k_bf16 = loops;
    sizes(&two, name);
    planted(&two, name);
    no_number(&two, name, NAN);
    no_number(&two, name, INFINITY);
    twins_close(&two);
}

int main(void)
{
    run("cpu:onednn", NULL, "cpu:onednn", 2);
    run("cpu:emulate", &kernels_base_bf16, "plain loops", 1);
#if defined(__x86_64__)
    if (cpu_isa() >= CPU_ISA_AVX2)
        run("cpu:emulate", &kernels_avx2_bf16, "AVX2 loops", 2);
    if (cpu_isa() >= CPU_ISA_AVX512)
        run("cpu:emulate", &kernels_avx512_bf16, "AVX-512 loops", 1);
    if (cpu_has_bf16())
        run("cpu:emulate", &kernels_dots_bf16, "AVX512-BF16 loops", 2);
#endif
    return tap_done();
}
