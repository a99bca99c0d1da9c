/* SPDX-License-Identifier: BSD-3-Clause */
/* A shuffle as a function: a Feistel network, which is a bijection of the numbers of an
 * even count of bits whatever its round function is.  Numbers that it sends beyond n
 * are sent on until they are below; there are less than 4 n in all.
 */
#include "config.h"

#include "src/data/order.h"

#include "src/base/rng.h"

enum { TURNS = 8 };

int64_t order_shuffled(int64_t n, uint64_t seed, uint64_t stream, uint64_t round,
                       int64_t i)
{
    const uint64_t key = rng_bits(seed, stream, round);
    int half           = 1;
    uint64_t mask, x = (uint64_t)i;

    while ((uint64_t)(n - 1) >> 2 * half != 0)
        half++;
    mask = (UINT64_C(1) << half) - 1;
    do {
        uint64_t left = x >> half, right = x & mask;

        for (uint64_t turn = 0; turn < TURNS; turn++) {
            const uint64_t mixed = left ^ (rng_bits(key, turn, right) & mask);

            left  = right;
            right = mixed;
        }
        x = left << half | right;
    } while (x >= (uint64_t)n);
    return (int64_t)x;
}
