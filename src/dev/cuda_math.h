/* SPDX-License-Identifier: BSD-3-Clause */
/* What kernels do to one element, as functions of the GPU and of the host: tests/emu
 * compiles the kernels as C++ with it, so that what can be wrong without a GPU is found
 * without one.
 */
#ifndef DEV_CUDA_MATH_H
#define DEV_CUDA_MATH_H

#include <math.h>
#include <stdint.h>

#ifdef __CUDACC__
#define MATH_FN static __host__ __device__ __forceinline__
#else
#define MATH_FN static inline
#endif

#define MATH_EPS 1e-6F /* of norms */

/* ---- GELU ------------------------------------------------------------------------ */

MATH_FN float math_gelu(float x, int is_exact)
{
    if (is_exact)
        return 0.5F * x * (1.0F + erff(x * 0.70710678F));
    return 0.5F * x * (1.0F + tanhf(0.79788456F * (x + 0.044715F * x * x * x)));
}

MATH_FN float math_gelu_slope(float x, int is_exact)
{
    float t;

    if (is_exact)
        return 0.5F * (1.0F + erff(x * 0.70710678F)) +
               x * 0.39894228F * expf(-0.5F * x * x);
    t = tanhf(0.79788456F * (x + 0.044715F * x * x * x));
    return 0.5F * (1.0F + t) +
           0.5F * x * (1.0F - t * t) * 0.79788456F * (1.0F + 0.134145F * x * x);
}

/* ---- Losses ---------------------------------------------------------------------- */

/* log(1 + exp(z)) - y z, without overflow on either side. */
MATH_FN float math_sigmoid_loss(float z, float y)
{
    return fmaxf(z, 0.0F) + log1pf(expf(-fabsf(z))) - y * z;
}

MATH_FN float math_sigmoid_slope(float z, float y)
{
    const float less = expf(-fabsf(z));

    return (z >= 0.0F ? 1.0F : less) / (1.0F + less) - y;
}

/* ---- Norms ----------------------------------------------------------------------- */

/* The moments (mean, M2) of two sets of 'n' and 'm' numbers make those of both. */
MATH_FN void math_merge(float *mean, float *m2, float n, float mean_b, float m2_b,
                        float m)
{
    const float gap   = mean_b - *mean;
    const float share = m / (n + m);

    *mean += gap * share;
    *m2 += m2_b + gap * gap * share * n;
}

MATH_FN float math_rstd(float sum, float n)
{
    return 1.0F / sqrtf((n > 0.0F ? sum / n : 0.0F) + MATH_EPS);
}

/* ---- Images ---------------------------------------------------------------------- */

/* Where in an image value 'c' of patch 't' lies; an image has 'side' patches a row.  Up
 * to the end of a patch's row, 3 'patch' values, the next ones lie behind it.  In 32
 * bits, whose divisions are a third of those of 64.
 */
MATH_FN int math_patch(int t, int c, int image, int patch, int side)
{
    const int down = t / side * patch + c / (3 * patch);

    return (down * image + t % side * patch) * 3 + c % (3 * patch);
}

/* ---- Updates --------------------------------------------------------------------- */

/* What all elements of a step share, worked out in double: 1 - 0.999 in f32 is wrong by
 * one part in 20000.
 */
struct math_adamw_step {
    float beta1, rest1, beta2, rest2; /* rest: 1 - beta */
    float eps, clip;
    float debias1, debias2; /* 1 / (1 - beta^t) */
    float rate;             /* schedule x learning rate */
};

MATH_FN float math_adamw(float p, float grad, float *mu, float *nu, float decay,
                         const struct math_adamw_step *a)
{
    const float g = a->clip * grad;

    *mu = a->beta1 * *mu + a->rest1 * g;
    *nu = a->beta2 * *nu + a->rest2 * g * g;
    return p - a->rate *
                   (*mu * a->debias1 / (sqrtf(*nu * a->debias2) + a->eps) + decay * p);
}

struct math_sgd_step {
    float momentum, clip, rate;
};

MATH_FN float math_sgd(float p, float grad, float *mu, float decay,
                       const struct math_sgd_step *a)
{
    *mu = a->momentum * *mu + a->clip * grad;
    return p - a->rate * (*mu + decay * p);
}

struct math_adafactor_step {
    float beta1, rest1, beta2, rest2, eps, clip, rate;
};

/* Adafactor's direction without factors; with them it is clip grad row col. */
MATH_FN float math_adafactor_plain(float grad, float *nu,
                                   const struct math_adafactor_step *a)
{
    const float g = a->clip * grad;

    *nu = a->beta2 * *nu + a->rest2 * (g * g + a->eps);
    return g / sqrtf(*nu);
}

MATH_FN float math_adafactor(float p, float direction, float *mu, float decay,
                             const struct math_adafactor_step *a)
{
    *mu = a->beta1 * *mu + a->rest1 * direction;
    return p - a->rate * (*mu + decay * p);
}

/* Where element (r, c) of a segment has its averages: struct dev_factors. */
MATH_FN void math_factor_place(int64_t *row, int64_t *col, int axes, int fold,
                               const int64_t *extent, const int64_t *row_step,
                               const int64_t *col_step, int64_t r, int64_t c)
{
    *row = *col = 0;
    for (int k = axes - 1; k >= 0; k--) {
        int64_t *rest   = k < fold ? &r : &c;
        const int64_t i = *rest % extent[k];

        *rest /= extent[k];
        *row += i * row_step[k];
        *col += i * col_step[k];
    }
}

#endif
