/* SPDX-License-Identifier: BSD-3-Clause */
/* The loops of the CPU backends in every variant that this processor can run, f32
 * against f64 of the plain variant, for lengths that leave remainders; and the
 * exponential against that of the C library.
 */
#include "config.h"

#include "src/dev/cpu_kernels.h"

#include "src/base/dtype.h"
#include "src/base/rng.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 300 };

static const struct kernels_f32 *const f32[] = {
    &kernels_base_f32,
#if defined(__x86_64__)
    &kernels_avx2_f32,
    &kernels_avx512_f32,
#endif
};
static const struct kernels_f64 *const f64[] = {
    &kernels_base_f64,
#if defined(__x86_64__)
    &kernels_avx2_f64,
    &kernels_avx512_f64,
#endif
};

/* The same numbers in both formats. */
struct both {
    float f[MOST];
    double d[MOST];
};

static void draw(struct both *x, uint64_t seed, double size)
{
    for (int i = 0; i < MOST; i++) {
        x->f[i] = (float)(size * rng_normal(seed, RNG_TEST, (uint64_t)i));
        x->d[i] = x->f[i];
    }
}

/* The largest difference, in units of f32 rounding. */
static double distance(const struct both *x, int n)
{
    double most = 0.0;

    for (int i = 0; i < n; i++)
        most = fabs(x->f[i] - x->d[i]) > most ? fabs(x->f[i] - x->d[i]) : most;
    for (int i = 0; i < n; i++)
        if (isnan(x->f[i]))
            return INFINITY;
    return most / 0x1p-24;
}

static void exponential(const struct kernels_f32 *k, const char *name)
{
    enum { STEPS = 20000 };
    static float x[STEPS], given[STEPS];
    double worst = 0.0;
    float part[2];

    for (int i = 0; i < STEPS; i++)
        x[i] = given[i] = -86.0f * (float)i / STEPS;
    k->softmax(x, part, STEPS);
    for (int i = 0; i < STEPS; i++)
        worst = tap_worse(worst, fabs(x[i] / exp(given[i]) - 1.0));
    ok(worst < 2e-7, "%s: exponentials to 2e-7 of themselves (%.1e)", name, worst);
    x[0] = 0.0f;
    x[1] = NAN;
    x[2] = -1e30f;
    k->softmax(x, part, 3);
    ok(x[0] == 1.0f && isnan(x[1]) && isnan(part[1]) && x[2] < 1e-36f,
       "%s: NaN passes, what is far below is nothing", name);
}

/* The loops of SGD and Adafactor, with every pair of steps. */
static double run_updates(const struct kernels_f32 *f, const struct kernels_f64 *d,
                          const struct both *a, const struct both *b,
                          const struct both *c, int n)
{
    const struct sgd sgd        = { 0.1, 0.9, 0.5, 0.7, { 0 } };
    const struct adafactor with = { 0.1, 0.9, 0.99, 1e-30, 0.5, 0.7, { 0 } };
    uint16_t mu_f[MOST] = { 0 }, mu_d[MOST] = { 0 };
    struct both x = *a, y = *b, z = *c;
    double worst = 0.0;

    f->sgd(x.f, y.f, c->f, n, &sgd, 0.01);
    d->sgd(x.d, y.d, c->d, n, &sgd, 0.01);
    worst = tap_worse(worst, fmax(distance(&x, n), distance(&y, n)) / 16.0);
    for (int steps = 1; steps < 4; steps++) {
        const int row = steps & 1, col = steps >> 1;

        y = z = *c;
        f->factor_sums(y.f, row, z.f, col, b->f, 0.5f, n);
        d->factor_sums(y.d, row, z.d, col, b->d, 0.5, n);
        worst = tap_worse(worst, distance(&y, n) / (8.0 * n + 8.0));
        worst = tap_worse(worst, distance(&z, n) / (8.0 * n + 8.0));
        x     = *a;
        f->adafactor(x.f, mu_f, NULL, c->f, row, b->f, col, a->f, n, &with, 0.01);
        d->adafactor(x.d, mu_d, NULL, c->d, row, b->d, col, a->d, n, &with, 0.01);
        worst = tap_worse(worst, distance(&x, n) / 64.0);
        for (int i = 0; i < n; i++) /* at most its neighbour in bf16 */
            worst = tap_worse(worst, abs((int)mu_f[i] - (int)mu_d[i]) > 1 ? 1e9 : 0.0);
        memcpy(mu_f, mu_d, sizeof mu_f);
    }
    x = *a;
    z = *c;
    f->adafactor(x.f, mu_f, z.f, NULL, 0, NULL, 0, b->f, n, &with, 0.01);
    d->adafactor(x.d, mu_d, z.d, NULL, 0, NULL, 0, b->d, n, &with, 0.01);
    return fmax(worst, fmax(distance(&x, n), distance(&z, n)) / 64.0);
}

/* Everything of one length; 'n' roundings for what sums. */
static double run(const struct kernels_f32 *f, const struct kernels_f64 *d, int n)
{
    const struct adamw_step step = { 0.9, 0.99, 1e-8, 0.5, 2.0, 3.0, 0.1, 0.01 };
    struct both a, b, c, x, y, z, stat = { { 0.1f, 1.5f }, { 0.1f, 1.5 } }, part = stat;
    double worst = 0.0;

    draw(&a, 1, 1.0);
    draw(&b, 2, 1.0);
    draw(&c, 3, 0.3);
    for (int i = 0; i < MOST; i++)
        c.d[i] = c.f[i] = fabsf(c.f[i]) + 0.1f;

    x = a;
    y = b;
    f->add(x.f, y.f, n);
    d->add(x.d, y.d, n);
    worst = tap_worse(worst, distance(&x, n) / 8.0);
    f->max(x.f, c.f, n);
    d->max(x.d, c.d, n);
    worst = tap_worse(worst, distance(&x, n) / 8.0);
    f->scale(x.f, b.f, 0.25f, n);
    d->scale(x.d, b.d, 0.25, n);
    worst = tap_worse(worst, distance(&x, n));
    f->fill(x.f, 0.5f, n);
    d->fill(x.d, 0.5, n);
    worst = tap_worse(worst, distance(&x, n));

    for (enum gelu_form g = GELU_TANH; g <= GELU_EXACT; g++) {
        x = y = a;
        f->gelu(x.f, y.f, b.f, n, g);
        d->gelu(x.d, y.d, b.d, n, g);
        worst = tap_worse(worst, distance(&y, n) / 32.0);
        f->dgelu(x.f, a.f, n, g);
        d->dgelu(x.d, a.d, n, g);
        worst = tap_worse(worst, distance(&x, n) / 64.0);
    }
    for (enum norm_kind k = NORM_RMS; k <= NORM_LAYER; k++) {
        f->moments(part.f, a.f, n, k);
        d->moments(part.d, a.d, n, k);
        worst = tap_worse(worst, distance(&part, k == NORM_RMS ? 1 : 2) /
                                     (8.0 * n + 8.0) / 2.0);
    }
    f->norm(x.f, a.f, stat.f, b.f, c.f, n);
    d->norm(x.d, a.d, stat.d, b.d, c.d, n);
    worst = tap_worse(worst, distance(&x, n) / 64.0);
    f->norm_back_sums(part.f, a.f, b.f, stat.f, c.f, n);
    d->norm_back_sums(part.d, a.d, b.d, stat.d, c.d, n);
    worst = tap_worse(worst, distance(&part, 2) / (8.0 * n + 8.0) / 4.0);
    part  = (struct both){ { 0.3f, 0.7f }, { 0.3f, 0.7f } };
    for (int is_added = 0; is_added < 2; is_added++) {
        x = a;
        y = b;
        z = c;
        f->norm_back(x.f, is_added, y.f, z.f, a.f, b.f, stat.f, c.f, part.f, n);
        d->norm_back(x.d, is_added, y.d, z.d, a.d, b.d, stat.d, c.d, part.d, n);
        worst = tap_worse(worst, distance(&x, n) / 128.0);
        worst = tap_worse(worst, fmax(distance(&y, n), distance(&z, n)) / 64.0);
    }
    x = a;
    y = b;
    f->softmax(x.f, part.f, n);
    d->softmax(x.d, part.d, n);
    worst = tap_worse(worst, distance(&x, n) / 8.0);
    worst = tap_worse(worst, distance(&part, 2) / (4.0 * n + 8.0));
    x     = a;
    f->softmax_back(x.f, y.f, part.f, 0.2f, 0.1f, n);
    d->softmax_back(x.d, y.d, part.d, (double)0.2f, (double)0.1f, n);
    worst = tap_worse(worst, fmax(distance(&x, n), distance(&y, n)) / 32.0);
    worst = tap_worse(worst, fabs(f->dot(a.f, b.f, n) - d->dot(a.d, b.d, n)) / 0x1p-24 /
                                 (8.0 * n + 8.0));
    worst =
        tap_worse(worst, fabs(f->sum_squares(a.f, n) - d->sum_squares(a.d, n)) / 1e-10);
    x = a;
    y = b;
    z = c;
    f->adamw(x.f, y.f, z.f, b.f, n, &step);
    d->adamw(x.d, y.d, z.d, b.d, n, &step);
    worst = tap_worse(worst, distance(&x, n) / 64.0);
    worst = tap_worse(worst, fmax(distance(&y, n), distance(&z, n)) / 64.0);
    return fmax(worst, run_updates(f, d, &a, &b, &c, n));
}

/* Products and transposes of small integers, exact in both formats. */
#define TILES(format, real)                                                            \
    static bool tiles_are_right_##format(const struct kernels_##format *k, int rows,   \
                                         int cols, int depth, bool is_turned)          \
    {                                                                                  \
        enum { LD = 96 };                                                              \
        static _Alignas(64) real a[LD * LD], b[LD * LD], y[LD * LD], t[LD * LD];       \
        const int row = is_turned ? 1 : LD, step = is_turned ? LD : 1;                 \
        bool is_right = true;                                                          \
                                                                                       \
        for (int i = 0; i < LD * LD; i++) {                                            \
            a[i] = (real)(i * 7 % 11 - 5);                                             \
            b[i] = (real)(i * 5 % 13 - 6);                                             \
            y[i] = 1;                                                                  \
        }                                                                              \
        k->product(y, LD, a, row, step, b, LD, rows, cols, depth, true);               \
        k->transpose(t, LD, b, LD, rows, cols, 2);                                     \
        for (int r = 0; r < rows; r++) {                                               \
            for (int c = 0; c < cols; c++) {                                           \
                double sum = 1;                                                        \
                                                                                       \
                for (int d = 0; d < depth; d++)                                        \
                    sum += (double)a[r * row + d * step] * (double)b[d * LD + c];      \
                is_right &= (double)y[r * LD + c] == sum;                              \
                is_right &= t[c * LD + r] == 2 * b[r * LD + c];                        \
            }                                                                          \
        }                                                                              \
        for (int c = 0; c < LD; c++)                                                   \
            is_right &= y[rows * LD + c] == 1;                                         \
        return is_right;                                                               \
    }

TILES(f64, double)
TILES(f32, float)

static void tiles(int isa, const char *name)
{
    static const int sizes[][3] = { { 1, 1, 1 },    { 6, 16, 5 },  { 7, 33, 9 },
                                    { 13, 65, 17 }, { 24, 80, 3 }, { 65, 72, 60 } };
    bool is_right               = true;

    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int is_turned = 0; is_turned < 2; is_turned++) {
            is_right &= tiles_are_right_f64(f64[isa], sizes[i][0], sizes[i][1],
                                            sizes[i][2], is_turned);
            is_right &= tiles_are_right_f32(f32[isa], sizes[i][0], sizes[i][1],
                                            sizes[i][2], is_turned);
        }
    }
    ok(is_right, "%s: products and transposes of integers are exact", name);
}

/* Products of pairs of small integers, exact; beyond the depth is what is no number. */
static bool pairs_are_right(const struct kernels_bf16 *k, int rows, int cols, int depth,
                            bool is_turned)
{
    enum { LD = 160, NONE = 0x7fc07fc0 };
    static _Alignas(64) uint32_t a[LD * LD], b[LD * LD];
    static _Alignas(64) float y[LD * LD];
    const int row = is_turned ? 1 : LD, step = is_turned ? LD : 1;
    bool is_right = true;

    for (int i = 0; i < LD * LD; i++) {
        a[i] = b[i] = NONE;
        y[i]        = 1;
    }
    for (int d = 0; d < depth; d++) {
        for (int i = 0; i < LD; i++) {
            a[i * row + d * step] =
                dtype_to_bf16((float)((i * 7 + d * 3) % 11 - 5)) |
                (uint32_t)dtype_to_bf16((float)((i * 3 + d) % 7 - 3)) << 16;
            b[d * LD + i] = dtype_to_bf16((float)((i * 5 + d * 2) % 13 - 6)) |
                            (uint32_t)dtype_to_bf16((float)((i + d * 9) % 5 - 2)) << 16;
        }
    }
    for (int is_added = 0; is_added < 2; is_added++) {
        k->product(y, LD, a, row, step, b, LD, rows, cols, depth, is_added);
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < cols; c++) {
                double sum = 0;

                for (int d = 0; d < depth; d++) {
                    const uint32_t u = a[r * row + d * step], v = b[d * LD + c];

                    sum += dtype_from_bf16((uint16_t)u) * dtype_from_bf16((uint16_t)v) +
                           dtype_from_bf16((uint16_t)(u >> 16)) *
                               dtype_from_bf16((uint16_t)(v >> 16));
                }
                is_right &= y[r * LD + c] == (1 + is_added) * sum;
            }
        }
    }
    for (int c = 0; c < LD; c++)
        is_right &= y[rows * LD + c] == 1;
    return is_right;
}

/* Rows and depths that fill vectors and tiles, just not, and twice. */
static void pairs(const struct kernels_bf16 *k, const char *name)
{
    static const int sizes[][3] = { { 1, 1, 1 },    { 7, 33, 9 },    { 8, 16, 8 },
                                    { 16, 80, 36 }, { 17, 128, 99 }, { 32, 64, 16 },
                                    { 41, 72, 43 }, { 65, 90, 129 }, { 96, 48, 64 } };
    bool is_right               = true;

    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int is_turned = 0; is_turned < 2; is_turned++)
            is_right &=
                pairs_are_right(k, sizes[i][0], sizes[i][1], sizes[i][2], is_turned);
    ok(is_right, "%s: products of pairs of integers are exact", name);
}

static void all_pairs(void)
{
    pairs(&kernels_base_bf16, "plain");
#if defined(__x86_64__)
    if (cpu_isa() >= CPU_ISA_AVX2)
        pairs(&kernels_avx2_bf16, "avx2");
    if (cpu_isa() >= CPU_ISA_AVX512)
        pairs(&kernels_avx512_bf16, "avx512");
    if (cpu_has_bf16())
        pairs(&kernels_dots_bf16, "avx512-bf16");
    if (cpu_has_bf16() && cpu_has_tiles())
        pairs(&kernels_tiles_bf16, "amx");
#endif
}

static void bf16(const struct kernels_f32 *k, const char *name)
{
    enum { COUNT = 1 << 16 };
    static uint16_t all[COUNT], back[COUNT];
    static float wide[COUNT];
    bool is_right = true;

    for (int i = 0; i < COUNT; i++)
        all[i] = (uint16_t)i;
    k->widen(wide, all, COUNT);
    for (int i = 0; i < COUNT; i++) {
        const float is = dtype_from_bf16((uint16_t)i);

        is_right &= isnan(is) ? isnan(wide[i]) : wide[i] == is;
        wide[i] = is * (1.0f + (float)(i % 512) * 0x1p-16f);
    }
    k->narrow(back, wide, COUNT);
    for (int i = 0; i < COUNT; i++)
        is_right &= isnan(wide[i]) ? isnan(dtype_from_bf16(back[i]))
                                   : back[i] == dtype_to_bf16(wide[i]);
    ok(is_right, "%s: bf16 and back, rounded to nearest even", name);
}

int main(void)
{
    static const int lengths[] = { 1, 7, 16, 33, 64, 129, 300 };

    for (int isa = 0; isa <= (int)cpu_isa(); isa++) {
        const char *name = cpu_isa_name((enum cpu_isa)isa);
        double worst = 0.0, same = 0.0;

        exponential(f32[isa], name);
        tiles(isa, name);
        bf16(f32[isa], name);
        for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            worst = tap_worse(worst, run(f32[isa], f64[0], lengths[i]));
            same  = tap_worse(same, run(f32[0], f64[isa], lengths[i]));
        }
        ok(worst <= 1.0, "%s f32: every loop agrees with f64 (%.2f of what may be)",
           name, worst);
        ok(same <= 1.0, "%s f64: every loop agrees with plain f32 (%.2f)", name, same);
    }
    all_pairs();
    return tap_done();
}
