/* SPDX-License-Identifier: BSD-3-Clause */
/* The arithmetic of rng.c, for the host's compiler and for that of GPUs: there the
 * numbers have the same bits, as long as neither fuses what is written apart.
 */
#ifndef BASE_RNG_DRAW_H
#define BASE_RNG_DRAW_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define RNG_FN static __host__ __device__ __forceinline__
#else
#define RNG_FN static inline
#endif

#define RNG_GOLDEN UINT64_C(0x9e3779b97f4a7c15)

RNG_FN uint64_t draw_mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

RNG_FN uint64_t draw_start_of(uint64_t seed, uint64_t stream)
{
    return draw_mix(draw_mix(seed + RNG_GOLDEN) + stream + RNG_GOLDEN);
}

RNG_FN uint64_t draw_bits_at(uint64_t start, uint64_t index)
{
    return draw_mix(start + (index + 1) * RNG_GOLDEN);
}

RNG_FN double draw_as_double(uint64_t bits)
{
    double x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

RNG_FN uint64_t draw_as_bits(double x)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* The lower 52 of 'bits' as a number in [1, 2). */
RNG_FN double draw_one_to_two(uint64_t bits)
{
    return draw_as_double((bits & UINT64_C(0x000fffffffffffff)) |
                          UINT64_C(0x3ff0000000000000));
}

/* -log(u) for 0 < u <= 1: u = 2^e m with m within a factor sqrt(2) of 1, and
 * log m = 2 artanh(s), s = (m - 1) / (m + 1), |s| < 0.172: ten terms of the series.
 */
RNG_FN double draw_minus_log(double u)
{
    const uint64_t bits = draw_as_bits(u);
    double m            = draw_one_to_two(bits);
    double e, s, z, sum;

    /* The biased exponent as a double: it sits in the last bits of 2^52. */
    e = draw_as_double(bits >> 52 | UINT64_C(0x4330000000000000)) - (0x1p52 + 1023.0);
    e = m > 1.4142135623730951 ? e + 1.0 : e;
    m = m > 1.4142135623730951 ? 0.5 * m : m;
    s = (m - 1.0) / (m + 1.0);
    z = s * s;

    sum = 1.0 / 21;
    sum = sum * z + 1.0 / 19;
    sum = sum * z + 1.0 / 17;
    sum = sum * z + 1.0 / 15;
    sum = sum * z + 1.0 / 13;
    sum = sum * z + 1.0 / 11;
    sum = sum * z + 1.0 / 9;
    sum = sum * z + 1.0 / 7;
    sum = sum * z + 1.0 / 5;
    sum = sum * z + 1.0 / 3;
    return -(e * 0.69314718055994531 + (2.0 * s + 2.0 * s * z * sum));
}

/* Taylor series, for |a| <= pi / 4. */
RNG_FN double draw_sine(double a)
{
    const double z = a * a;
    double sum     = 1.0 / 355687428096000;

    sum = sum * z - 1.0 / 1307674368000;
    sum = sum * z + 1.0 / 6227020800;
    sum = sum * z - 1.0 / 39916800;
    sum = sum * z + 1.0 / 362880;
    sum = sum * z - 1.0 / 5040;
    sum = sum * z + 1.0 / 120;
    sum = sum * z - 1.0 / 6;
    return a + a * z * sum;
}

RNG_FN double draw_cosine(double a)
{
    const double z = a * a;
    double sum     = 1.0 / 20922789888000;

    sum = sum * z - 1.0 / 87178291200;
    sum = sum * z + 1.0 / 479001600;
    sum = sum * z - 1.0 / 3628800;
    sum = sum * z + 1.0 / 40320;
    sum = sum * z - 1.0 / 720;
    sum = sum * z + 1.0 / 24;
    sum = sum * z - 1.0 / 2;
    return 1.0 + z * sum;
}

/* The normal numbers of indices 2 'pair' and 2 'pair' + 1.  The angle is one of the
 * quarter around 0; two more bits reflect it at the diagonal and at the origin.
 */
RNG_FN void draw_normal_pair(double *even, double *odd, uint64_t start, uint64_t pair)
{
    const uint64_t a       = draw_bits_at(start, 2 * pair);
    const uint64_t b       = draw_bits_at(start, 2 * pair + 1);
    const double radius    = sqrt(2.0 * draw_minus_log(2.0 - draw_one_to_two(a >> 12)));
    const double angle     = (draw_one_to_two(b) - 1.5) * 1.5707963267948966;
    const double c         = radius * draw_cosine(angle);
    const double s         = radius * draw_sine(angle);
    const uint64_t sign    = b & UINT64_C(0x8000000000000000);
    const uint64_t is_kept = (b >> 62 & 1) - 1; /* all ones, or zero */
    const uint64_t differ  = draw_as_bits(c) ^ draw_as_bits(s);

    *even = draw_as_double((draw_as_bits(s) ^ (differ & is_kept)) ^ sign);
    *odd  = draw_as_double((draw_as_bits(c) ^ (differ & is_kept)) ^ sign);
}

#endif
