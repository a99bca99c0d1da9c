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

/* One part of a set of which a share is held out: those items or the others.  The first
 * ones of a shuffle that is the same in every run are held out, so that both parts have
 * all classes.
 */
struct order_part {
    int64_t count;
    int64_t *held; /* [most] those held out, in their order; NULL: all or none are */
    int64_t most;
    bool is_held_out;
};

/* The part of 'n' items of which 'share' (0 .. 1) are held out. */
void order_part_open(struct order_part *p, int64_t n, double share, bool is_held_out);

/* Which item stands at place 'i' (< count) of the part: they are in their order. */
int64_t order_part_item(const struct order_part *p, int64_t i);

void order_part_close(struct order_part *p);

#endif
