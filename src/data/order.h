/* SPDX-License-Identifier: BSD-3-Clause */
/* The order in which images are seen: shuffles without a table, so that any rank knows
 * any place of any epoch at once.
 */
#ifndef DATA_ORDER_H
#define DATA_ORDER_H

#include <stdbool.h>
#include <stdint.h>

enum order { ORDER_SHUFFLE, ORDER_FILE };

/* What stands at place 'i' of a shuffle of 0 .. n - 1, 0 <= i < n <= 2^60.  Each (seed,
 * stream, round) is another shuffle; the places of one give every number once.
 */
int64_t order_shuffled(int64_t n, uint64_t seed, uint64_t stream, uint64_t round,
                       int64_t i);

/* The items of a set of 'n' of which 'share' (0 .. 1) are held out, in their order: the
 * held-out ones or the others.  The first ones of a shuffle that is the same in every
 * run are, so that both parts have all classes.  '*items' is for mem_free(), or NULL
 * where all items are meant.  Returns how many.
 */
int64_t order_part(int64_t **items, int64_t n, double share, bool is_held_out);

#endif
