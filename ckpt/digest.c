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

static inline __attribute__((always_inline)) uint64_t sum_of(const float *x, int64_t n,
                                                             int64_t index)
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

/* Three products of 64 bits an element: some processors have them as vectors. */
#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx512f,avx512dq"))) static uint64_t
sum_wide(const float *x, int64_t n, int64_t index)
{
    return sum_of(x, n, index);
}

uint64_t digest_of(const float *x, int64_t n, int64_t index)
{
    return __builtin_cpu_supports("avx512dq") ? sum_wide(x, n, index)
                                              : sum_of(x, n, index);
}
#else
uint64_t digest_of(const float *x, int64_t n, int64_t index)
{
    return sum_of(x, n, index);
}
#endif
