/* SPDX-License-Identifier: BSD-3-Clause */
/* Counter-based random numbers.
 *
 * The bits of (seed, stream, index) are SplitMix64 at position 'index' of a sequence
 * whose start is mixed from seed and stream.  Normal numbers come in pairs by the
 * method of Box and Muller.  Logarithm, sine and cosine are written out here because
 * those of C libraries differ in their last bits; additions, multiplications,
 * divisions and square roots are the same on every machine as long as the compiler
 * does not fuse them, which is forbidden below.  The loops hold no branch and no
 * conversion of 64-bit integers, so that they vectorise.
 */
#include "config.h"

#include "src/base/rng.h"

#include <math.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#define GOLDEN UINT64_C(0x9e3779b97f4a7c15)

static inline uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static inline uint64_t start_of(uint64_t seed, uint64_t stream)
{
    return mix(mix(seed + GOLDEN) + stream + GOLDEN);
}

static inline uint64_t bits_at(uint64_t start, uint64_t index)
{
    return mix(start + (index + 1) * GOLDEN);
}

static inline double as_double(uint64_t bits)
{
    double x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint64_t as_bits(double x)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* The lower 52 of 'bits' as a number in [1, 2). */
static inline double one_to_two(uint64_t bits)
{
    return as_double((bits & UINT64_C(0x000fffffffffffff)) |
                     UINT64_C(0x3ff0000000000000));
}

/* -log(u) for 0 < u <= 1: u = 2^e m with m within a factor sqrt(2) of 1, and
 * log m = 2 artanh(s), s = (m - 1) / (m + 1), |s| < 0.172: ten terms of the series.
 */
static inline double minus_log(double u)
{
    const uint64_t bits = as_bits(u);
    double m            = one_to_two(bits);
    double e, s, z, sum;

    /* The biased exponent as a double: it sits in the last bits of 2^52. */
    e = as_double(bits >> 52 | UINT64_C(0x4330000000000000)) - (0x1p52 + 1023.0);
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
static inline double sine(double a)
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

static inline double cosine(double a)
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
static inline void normal_pair(double *even, double *odd, uint64_t start, uint64_t pair)
{
    const uint64_t a       = bits_at(start, 2 * pair);
    const uint64_t b       = bits_at(start, 2 * pair + 1);
    const double radius    = sqrt(2.0 * minus_log(2.0 - one_to_two(a >> 12)));
    const double angle     = (one_to_two(b) - 1.5) * 1.5707963267948966;
    const double c         = radius * cosine(angle);
    const double s         = radius * sine(angle);
    const uint64_t sign    = b & UINT64_C(0x8000000000000000);
    const uint64_t is_kept = (b >> 62 & 1) - 1; /* all ones, or zero */
    const uint64_t differ  = as_bits(c) ^ as_bits(s);

    *even = as_double((as_bits(s) ^ (differ & is_kept)) ^ sign);
    *odd  = as_double((as_bits(c) ^ (differ & is_kept)) ^ sign);
}

uint64_t rng_mix(uint64_t x)
{
    return mix(x + GOLDEN);
}

uint64_t rng_hash(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return mix(hash);
}

uint64_t rng_bits(uint64_t seed, uint64_t stream, uint64_t index)
{
    return bits_at(start_of(seed, stream), index);
}

/* The upper 53 of 'bits' as a number in [0, 1). */
static inline double fraction(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

double rng_uniform(uint64_t seed, uint64_t stream, uint64_t index)
{
    return fraction(rng_bits(seed, stream, index));
}

void rng_fill_uniform(float *x, int64_t n, double scale, uint64_t seed, uint64_t stream,
                      uint64_t first)
{
    const uint64_t start = start_of(seed, stream);

    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(scale * (2 * fraction(bits_at(start, first + (uint64_t)i)) - 1));
}

double rng_normal(uint64_t seed, uint64_t stream, uint64_t index)
{
    double pair[2];

    normal_pair(&pair[0], &pair[1], start_of(seed, stream), index / 2);
    return pair[index % 2];
}

double rng_sign(uint64_t seed, uint64_t stream, uint64_t index)
{
    return rng_bits(seed, stream, index) >> 63 != 0 ? -1.0 : 1.0;
}

void rng_fill_normal(float *x, int64_t n, uint64_t seed, uint64_t stream,
                     uint64_t first)
{
    enum { PAIRS = 128 };
    const uint64_t start = start_of(seed, stream);
    double even[PAIRS], odd[PAIRS];

    while (n > 0) {
        const uint64_t pair = first / 2;
        const int64_t skip  = (int64_t)(first % 2);
        const int64_t most  = 2 * PAIRS - skip;
        const int64_t now   = n < most ? n : most;
        const int pairs     = (int)((skip + now + 1) / 2);

        for (int i = 0; i < pairs; i++)
            normal_pair(&even[i], &odd[i], start, pair + (uint64_t)i);
        for (int64_t i = skip; i < skip + now; i++)
            x[i - skip] = (float)(i % 2 == 0 ? even[i / 2] : odd[i / 2]);
        x += now;
        n -= now;
        first += (uint64_t)now;
    }
}
