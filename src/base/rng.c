/* SPDX-License-Identifier: BSD-3-Clause */
/* Counter-based random numbers.
 *
 * The bits of (seed, stream, index) are SplitMix64 at position 'index' of a sequence
 * whose start is mixed from seed and stream.  Normal numbers come in pairs by the
 * method of Box and Muller.  Logarithm, sine and cosine are written out (rng_draw.h)
 * because those of C libraries differ in their last bits; additions, multiplications,
 * divisions and square roots are the same on every machine as long as the compiler does
 * not fuse them, which this file is compiled without.  The loops hold no branch and no
 * conversion of 64-bit integers, so that they vectorise.
 */
#include "config.h"

#include "src/base/rng.h"

#include "src/base/rng_draw.h"

uint64_t rng_mix(uint64_t x)
{
    return draw_mix(x + RNG_GOLDEN);
}

uint64_t rng_hash(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return draw_mix(hash);
}

uint64_t rng_bits(uint64_t seed, uint64_t stream, uint64_t index)
{
    return draw_bits_at(draw_start_of(seed, stream), index);
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
    const uint64_t start = draw_start_of(seed, stream);

    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(scale *
                       (2 * fraction(draw_bits_at(start, first + (uint64_t)i)) - 1));
}

double rng_normal(uint64_t seed, uint64_t stream, uint64_t index)
{
    double pair[2];

    draw_normal_pair(&pair[0], &pair[1], draw_start_of(seed, stream), index / 2);
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
    const uint64_t start = draw_start_of(seed, stream);
    double even[PAIRS], odd[PAIRS];

    while (n > 0) {
        const uint64_t pair = first / 2;
        const int64_t skip  = (int64_t)(first % 2);
        const int64_t most  = 2 * PAIRS - skip;
        const int64_t now   = n < most ? n : most;
        const int pairs     = (int)((skip + now + 1) / 2);

        for (int i = 0; i < pairs; i++)
            draw_normal_pair(&even[i], &odd[i], start, pair + (uint64_t)i);
        for (int64_t i = skip; i < skip + now; i++)
            x[i - skip] = (float)(i % 2 == 0 ? even[i / 2] : odd[i / 2]);
        x += now;
        n -= now;
        first += (uint64_t)now;
    }
}
