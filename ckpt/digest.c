/* SPDX-License-Identifier: BSD-3-Clause */
/* The mix is SplitMix64's: a bijection, so that any change of one element changes the
 * sum.
 */
#include "config.h"

#include "ckpt/digest.h"

#include <string.h>

static inline uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t digest_of(const float *x, int64_t n, int64_t index)
{
    const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t sum          = 0;

    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;

        memcpy(&bits, &x[i], sizeof bits);
        sum += mix((uint64_t)(index + i + 1) * golden + bits);
    }
    return sum;
}
