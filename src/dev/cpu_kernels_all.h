/* SPDX-License-Identifier: BSD-3-Clause */
/* All loops in both number formats for one set of instructions, which who includes this
 * has told the compiler: cpu_kernels_base.c, _avx2.c, _avx512.c, with the sizes that
 * cpu_tile_real.h asks for.  Before them the few functions that differ by format:
 * exponential and error function, in float written out so that they vectorise, in
 * double from the C library.
 */
#include "src/dev/cpu_unroll.h"

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define HAVE_SHUFFLEVECTOR
#endif
#endif

/* exp(x) to 2e-7 of itself: x = i log 2 + r, |r| <= log(2) / 2, and a Taylor series.
 * Beyond -87 and 87 it stays at its ends, by way of integers, because compilers make
 * branches of comparisons of numbers; NaN and infinity become NaN.
 */
static inline float exponential_f32(float x)
{
    union bits {
        float f;
        uint32_t u;
    } held              = { x }, i, power;
    const uint32_t sign = held.u & 0x80000000u, most = 0x42ae0000u; /* 87 */
    uint32_t size = held.u & 0x7fffffffu;
    float r, n, sum;

    size   = size < most ? size : most;
    held.u = size | sign;
    i.f    = held.f * 1.44269504f + MAGIC;
    n      = i.f - MAGIC;
    r      = held.f - n * 0.693359375f; /* so many bits that n times it is exact */
    r      = r + n * 2.12194440e-4f;

    sum     = 1.0f / 5040;
    sum     = sum * r + 1.0f / 720;
    sum     = sum * r + 1.0f / 120;
    sum     = sum * r + 1.0f / 24;
    sum     = sum * r + 1.0f / 6;
    sum     = sum * r + 0.5f;
    sum     = sum * r + 1.0f;
    sum     = sum * r + 1.0f;
    power.u = (i.u + 127) << 23;
    return sum * power.f + 0.0f * x;
}

/* erfc(z) for z = x / sqrt(2), x >= 0, where 'e' is exp(-z^2): a polynomial in
 * t = (z - 5/2) / (z + 5/2), fitted at Chebyshev nodes to (1 + 2 z) erfc(z) exp(z^2).
 */
static inline float erfc_of_f32(float x, float e)
{
    const float z = x * 0.707106781f;
    const float t = (z - 2.5f) / (z + 2.5f);
    float sum     = -6.391786630e-05f;

    sum = sum * t + 4.054889189e-04f;
    sum = sum * t + 4.633375212e-04f;
    sum = sum * t - 4.180246630e-03f;
    sum = sum * t + 9.467597496e-04f;
    sum = sum * t + 3.267757007e-02f;
    sum = sum * t - 1.029705384e-01f;
    sum = sum * t + 1.576442948e-01f;
    sum = sum * t - 9.902424166e-02f;
    sum = sum * t - 1.223574658e-01f;
    sum = sum * t + 1.264838180e+00f;
    return sum * e / (1.0f + 2.0f * z);
}

static inline float magnitude_f32(float x)
{
    return fabsf(x);
}

static inline float signed_as_f32(float x, float sign)
{
    return copysignf(x, sign);
}

static inline float root_f32(float x)
{
    return sqrtf(x);
}

static inline double exponential_f64(double x)
{
    return exp(x);
}

static inline double erfc_of_f64(double x, double e)
{
    (void)e;
    return erfc(x * 0.70710678118654752);
}

static inline double magnitude_f64(double x)
{
    return fabs(x);
}

static inline double signed_as_f64(double x, double sign)
{
    return copysign(x, sign);
}

static inline double root_f64(double x)
{
    return sqrt(x);
}

/* As dtype_from_bf16() and dtype_to_bf16(), but for what is not a number. */
static inline float from_bf16(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint16_t to_bf16(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

#define FORMAT f64
#include "src/dev/cpu_kernels_real.h"
#undef FORMAT
#define FORMAT f32
#include "src/dev/cpu_kernels_real.h"
#undef FORMAT
#include "src/dev/cpu_kernels_bf16.h"
