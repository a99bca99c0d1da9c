/* SPDX-License-Identifier: BSD-3-Clause */
/* The order in which images are seen: shuffles without a table, so that any rank knows
 * any place of any epoch at once.
 */
#ifndef DATA_ORDER_H
#define DATA_ORDER_H

#include <stdint.h>

enum order { ORDER_SHUFFLE, ORDER_FILE };

/* What stands at place 'i' of a shuffle of 0 .. n - 1, 0 <= i < n <= 2^60.  Each (seed,
 * stream, round) is another shuffle; the places of one give every number once.
 */
int64_t order_shuffled(int64_t n, uint64_t seed, uint64_t stream, uint64_t round,
                       int64_t i);

#endif
