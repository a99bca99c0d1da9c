/* SPDX-License-Identifier: BSD-3-Clause */
/* A rate that is measured several times.  The fastest measurement counts, for whatever
 * else goes on at the time only makes slower; it is believed when another one comes
 * near it.
 */
#ifndef BENCH_GAUGE_H
#define BENCH_GAUGE_H

#include <stdbool.h>

struct gauge {
    double best, next; /* the fastest two; 0: none yet */
};

static const double gauge_near = 0.9; /* of the fastest */

static inline void gauge_add(struct gauge *g, double rate)
{
    if (rate > g->best) {
        g->next = g->best;
        g->best = rate;
    } else if (rate > g->next) {
        g->next = rate;
    }
}

static inline bool gauge_is_sure(const struct gauge *g)
{
    return g->next >= gauge_near * g->best;
}

#endif
