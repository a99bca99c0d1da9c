/* SPDX-License-Identifier: BSD-3-Clause */
/* A shuffle as a function: a Feistel network, which is a bijection of the numbers of an
 * even count of bits whatever its round function is.  Numbers that it sends beyond n
 * are sent on until they are below; there are less than 4 n in all.
 */
#include "config.h"

#include "src/data/order.h"

#include "src/base/mem.h"
#include "src/base/rng.h"

#include <stdlib.h>

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

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

void order_part_open(struct order_part *p, int64_t n, double share, bool is_held_out)
{
    const int64_t held = (int64_t)(share * (double)n + 0.5);

    *p = (struct order_part){ .count       = is_held_out ? held : n - held,
                              .most        = held,
                              .is_held_out = is_held_out };
    if (p->count == 0 || p->count == n)
        return;
    p->held = mem_new((size_t)held, sizeof *p->held);
    for (int64_t i = 0; i < held; i++)
        p->held[i] = order_shuffled(n, 0, RNG_HOLDOUT, 0, i);
    qsort(p->held, (size_t)held, sizeof *p->held, compare);
}

int64_t order_part_item(const struct order_part *p, int64_t i)
{
    int64_t lo = 0, hi = p->most; /* of those held out, 'lo' to 'hi' stand before it */

    if (p->held == NULL)
        return i;
    if (p->is_held_out)
        return p->held[i];
    while (lo < hi) {
        const int64_t middle = lo + (hi - lo) / 2;

        if (p->held[middle] - middle <= i)
            lo = middle + 1;
        else
            hi = middle;
    }
    return i + lo;
}

void order_part_close(struct order_part *p)
{
    mem_free(p->held);
    *p = (struct order_part){ 0 };
}
