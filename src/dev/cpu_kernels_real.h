/* SPDX-License-Identifier: BSD-3-Clause */
/* The loops of cpu_kernels.h for one set of instructions and one number format: who
 * includes this defines FORMAT, and KERNELS, the name of the table without the format.
 *
 * The loops are left to the compiler: each is free of branches and calls, and says that
 * its turns may be done in any order.  Cost: a few FLOPs for each element moved, so all
 * run at the speed of memory or cache.
 */
#include "src/dev/cpu_real.h"

#define SIMD           _Pragma("omp simd")
#define SIMD_IF_F32    JOIN(WITH_CALLS, FORMAT) /* the functions of f64 are calls */
#define WITH_CALLS_f32 SIMD
#define WITH_CALLS_f64
#define SIMD_SUM(x)    SIMD_REDUCE(omp simd reduction(+ : x))
#define SIMD_REDUCE(x) _Pragma(#x)

#include "src/dev/cpu_tile_real.h"
#include "src/dev/cpu_transpose_real.h"

static void OF(fill)(REAL *restrict y, REAL value, int64_t n)
{
    SIMD for (int64_t i = 0; i < n; i++) y[i] = value;
}

static void OF(add)(REAL *restrict y, const REAL *restrict x, int64_t n)
{
    SIMD for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

static void OF(max)(REAL *restrict y, const REAL *restrict x, int64_t n)
{
    SIMD for (int64_t i = 0; i < n; i++) y[i] =
        ((x[i] > y[i]) | (x[i] != x[i])) ? x[i] : y[i]; /* NaN stays */
}

static void OF(scale)(REAL *restrict y, const REAL *restrict x, REAL factor, int64_t n)
{
    SIMD for (int64_t i = 0; i < n; i++) y[i] = factor * x[i];
}

static double OF(sum_squares)(const REAL *x, int64_t n)
{
    double sum = 0.0;

    SIMD_SUM(sum)
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

static REAL OF(dot)(const REAL *x, const REAL *y, int64_t n)
{
    REAL sum = 0;

    SIMD_SUM(sum)
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

/* ---- gelu ------------------------------------------------------------------------ */

/* 'phi' is gelu(x) / x, and 'slope' its derivative times x.  The tanh form by
 * (1 + tanh(u)) / 2 = 1 / (1 + exp(-2 u)), which keeps its digits where it is small.
 */
static inline void OF(gelu_tanh)(REAL *phi, REAL *slope, REAL x)
{
    const REAL a = (REAL)(2 * GELU_A), b = (REAL)(2 * GELU_A * GELU_B);
    const REAL p = 1 / (1 + OF(exponential)(-x * (a + b * x * x)));

    *phi   = p;
    *slope = p * (1 - p) * x * (a + 3 * b * x * x);
}

static inline void OF(gelu_exact)(REAL *phi, REAL *slope, REAL x)
{
    const REAL e    = OF(exponential)((REAL)-0.5 * x * x);
    const REAL half = (REAL)0.5 * OF(erfc_of)(OF(magnitude)(x), e);

    /* 1 - half or half, exact in the small one */
    *phi   = (REAL)0.5 + OF(signed_as)((REAL)0.5, x) - OF(signed_as)(half, x);
    *slope = x * (REAL)0.39894228040143268 * e;
}

static void OF(gelu_row)(REAL *restrict y, REAL *restrict act,
                         const REAL *restrict bias, int64_t n, enum gelu_form form)
{
    if (bias != NULL)
        OF(add)(y, bias, n);
    if (form == GELU_TANH) {
        SIMD for (int64_t i = 0; i < n; i++)
        {
            REAL phi, slope;

            OF(gelu_tanh)(&phi, &slope, y[i]);
            act[i] = y[i] * phi;
        }
    } else {
        SIMD_IF_F32
        for (int64_t i = 0; i < n; i++) {
            REAL phi, slope;

            OF(gelu_exact)(&phi, &slope, y[i]);
            act[i] = y[i] * phi;
        }
    }
}

static void OF(dgelu_row)(REAL *restrict y, const REAL *restrict pre, int64_t n,
                          enum gelu_form form)
{
    if (form == GELU_TANH) {
        SIMD for (int64_t i = 0; i < n; i++)
        {
            REAL phi, slope;

            OF(gelu_tanh)(&phi, &slope, pre[i]);
            y[i] *= phi + slope;
        }
    } else {
        SIMD_IF_F32
        for (int64_t i = 0; i < n; i++) {
            REAL phi, slope;

            OF(gelu_exact)(&phi, &slope, pre[i]);
            y[i] *= phi + slope;
        }
    }
}

/* ---- Norms ----------------------------------------------------------------------- */

static void OF(moments)(REAL *part, const REAL *x, int64_t n, enum norm_kind k)
{
    REAL sum = 0, mean, m2 = 0;

    if (k == NORM_RMS) {
        part[0] = OF(dot)(x, x, n);
        return;
    }
    SIMD_SUM(sum)
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    mean = n > 0 ? sum / (REAL)n : 0;
    SIMD_SUM(m2)
    for (int64_t i = 0; i < n; i++)
        m2 += (x[i] - mean) * (x[i] - mean);
    part[0] = mean;
    part[1] = m2;
}

static void OF(norm)(REAL *restrict y, const REAL *restrict x, const REAL *stat,
                     const REAL *restrict scale, const REAL *restrict bias, int64_t n)
{
    const REAL mean = stat[0], rstd = stat[1];

    if (bias == NULL) {
        SIMD for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * rstd * scale[i];
    } else {
        SIMD for (int64_t i = 0; i < n; i++) y[i] =
            (x[i] - mean) * rstd * scale[i] + bias[i];
    }
}

static void OF(norm_back_sums)(REAL *part, const REAL *dy, const REAL *x,
                               const REAL *stat, const REAL *scale, int64_t n)
{
    const REAL mean = stat[0], rstd = stat[1];
    REAL of_g = 0, of_gx = 0;

    SIMD_REDUCE(omp simd reduction(+ : of_g, of_gx))
    for (int64_t i = 0; i < n; i++) {
        const REAL g = dy[i] * scale[i];

        of_g += g;
        of_gx += g * (x[i] - mean);
    }
    part[0] = of_g;
    part[1] = of_gx * rstd;
}

static void OF(norm_back)(REAL *restrict dx, bool is_added, REAL *restrict dscale,
                          REAL *restrict dbias, const REAL *restrict dy,
                          const REAL *restrict x, const REAL *stat,
                          const REAL *restrict scale, const REAL *part, int64_t n)
{
    const REAL mean = stat[0], rstd = stat[1], of_g = part[0], of_gx = part[1];

    if (is_added) {
        SIMD for (int64_t i = 0; i < n; i++)
        {
            const REAL xhat = (x[i] - mean) * rstd;

            dx[i] += rstd * (dy[i] * scale[i] - of_g - xhat * of_gx);
            dscale[i] += dy[i] * xhat;
            dbias[i] += dy[i];
        }
    } else {
        SIMD for (int64_t i = 0; i < n; i++)
        {
            const REAL xhat = (x[i] - mean) * rstd;

            dx[i] = rstd * (dy[i] * scale[i] - of_g - xhat * of_gx);
            dscale[i] += dy[i] * xhat;
            dbias[i] += dy[i];
        }
    }
}

/* ---- Attention ------------------------------------------------------------------- */

/* By lanes, because compilers that respect NaN do not reorder a maximum. */
static REAL OF(largest)(const REAL *x, int64_t n)
{
    enum { LANES = 64 };
    const int64_t whole = n / LANES * LANES;
    REAL most[LANES];

    for (int l = 0; l < LANES; l++)
        most[l] = (REAL)-INFINITY;
    for (int64_t i = 0; i < whole; i += LANES) {
        SIMD for (int l = 0; l < LANES; l++) most[l] =
            x[i + l] > most[l] ? x[i + l] : most[l];
    }
    for (int64_t i = whole; i < n; i++)
        most[0] = x[i] > most[0] ? x[i] : most[0];
    for (int l = 1; l < LANES; l++)
        most[0] = most[l] > most[0] ? most[l] : most[0];
    return most[0];
}

static void OF(softmax)(REAL *x, REAL *part, int64_t n)
{
    const REAL most = OF(largest)(x, n);
    REAL sum        = 0;

    SIMD_SUM(sum)
    for (int64_t i = 0; i < n; i++) {
        x[i] = OF(exponential)(x[i] - most);
        sum += x[i];
    }
    part[0] = most;
    part[1] = sum;
}

static void OF(softmax_back)(REAL *restrict p, REAL *restrict d, const REAL *part,
                             REAL delta, REAL factor, int64_t n)
{
    const REAL most = part[0], share = 1 / part[1];

    SIMD for (int64_t i = 0; i < n; i++)
    {
        p[i] = OF(exponential)(p[i] - most) * share;
        d[i] = factor * p[i] * (d[i] - delta);
    }
}

/* ---- bf16 ------------------------------------------------------------------------ */

union OF(word) {
    float f;
    uint32_t u;
};

static void OF(widen)(REAL *restrict y, const uint16_t *restrict x, int64_t n)
{
    SIMD for (int64_t i = 0; i < n; i++)
    {
        const union OF(word) w = { .u = (uint32_t)x[i] << 16 };

        y[i] = (REAL)w.f;
    }
}

static void OF(narrow)(uint16_t *restrict y, const REAL *restrict x, int64_t n)
{
    SIMD for (int64_t i = 0; i < n; i++)
    {
        const union OF(word) w = { .f = (float)x[i] };
        const uint32_t top     = w.u >> 16;
        const bool is_nan      = (w.u & 0x7fffffffu) > 0x7f800000u;

        y[i] = (uint16_t)(is_nan ? top | 0x40 : (w.u + 0x7fff + (top & 1)) >> 16);
    }
}

/* ---- Optimizer ------------------------------------------------------------------- */

static void OF(adamw)(REAL *restrict param, REAL *restrict mu, REAL *restrict nu,
                      const REAL *restrict grad, int64_t n, const struct adamw_step *a)
{
    const REAL beta1 = (REAL)a->beta1, rest1 = (REAL)(1 - a->beta1);
    const REAL beta2 = (REAL)a->beta2, rest2 = (REAL)(1 - a->beta2);
    const REAL clip = (REAL)a->clip, eps = (REAL)a->eps;
    const REAL debias1 = (REAL)a->debias1, debias2 = (REAL)a->debias2;
    const REAL rate = (REAL)a->rate, decay = (REAL)a->decay;

    SIMD for (int64_t i = 0; i < n; i++)
    {
        const REAL g = clip * grad[i];
        const REAL m = beta1 * mu[i] + rest1 * g;
        const REAL v = beta2 * nu[i] + rest2 * g * g;

        mu[i] = m;
        nu[i] = v;
        param[i] -=
            rate * (m * debias1 / (OF(root)(v * debias2) + eps) + decay * param[i]);
    }
}

#include "src/dev/cpu_kernels_update.h"

const struct OF(kernels) OF(KERNELS) = {
    .fill           = OF(fill),
    .add            = OF(add),
    .max            = OF(max),
    .scale          = OF(scale),
    .sum_squares    = OF(sum_squares),
    .gelu           = OF(gelu_row),
    .dgelu          = OF(dgelu_row),
    .moments        = OF(moments),
    .norm           = OF(norm),
    .norm_back_sums = OF(norm_back_sums),
    .norm_back      = OF(norm_back),
    .softmax        = OF(softmax),
    .softmax_back   = OF(softmax_back),
    .dot            = OF(dot),
    .product        = OF(product),
    .transpose      = OF(transpose),
    .widen          = OF(widen),
    .narrow         = OF(narrow),
    .adamw          = OF(adamw),
    .sgd            = OF(sgd),
    .factor_sums    = OF(factor_sums),
    .adafactor      = OF(adafactor),
};

#undef SIMD
#undef SIMD_IF_F32
#undef WITH_CALLS_f32
#undef WITH_CALLS_f64
#undef SIMD_SUM
#undef SIMD_REDUCE
#undef WIDTH
#undef VEC
#undef FACTORS
#undef TILE_BYTES
