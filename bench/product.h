/* SPDX-License-Identifier: BSD-3-Clause */
/* The three products of a layer on one rank, timed while all ranks do the same, and
 * checked by projection.
 */
#ifndef BENCH_PRODUCT_H
#define BENCH_PRODUCT_H

#include "bench/case.h"

/* y [n, cols] = x [n, depth] W [depth, cols], the gradient of x, the gradient of W. */
struct product {
    const char *name;
    int64_t n, depth, cols;
};

/* Add the rows "NAME y", "NAME dx", "NAME dw" to 'c': median seconds of the slowest
 * rank, FLOP/s of one rank, residual; about 'seconds' for each.  Returns 0 or
 * ERR_MEMORY, the same on all ranks.  Collective.
 */
int product_measure(struct case_result *c, struct bench *b, const struct product *p,
                    double seconds);

#endif
