/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs whose law is known: a star sweep on the paper's grids, every term of eq. 2 a
 * comparable share of the metric, with relative noise of a chosen size.
 */
#ifndef TESTS_PLANTED_H
#define TESTS_PLANTED_H

#include "src/fit/design.h"
#include "src/fit/points.h"

struct planted {
    struct sweep sweep; /* its runs, and the law behind them */
    struct design_law law;
};

/* The paper's star: 18 shapes, three numbers of steps each. */
void planted_open(struct planted *p);
void planted_close(struct planted *p);

/* The points of a sweep with noise; data set 'seed'.  Close with points_close(). */
void planted_points(struct points *points, const struct sweep *s,
                    const struct design_law *law, double noise, int seed);

/* The same, where the part 'shared' of the noise's variance is that of their shape. */
void planted_shared_points(struct points *points, const struct sweep *s,
                           const struct design_law *law, double noise, double shared,
                           int seed);

/* Points as CSV: width,depth,mlp,compute,err_10shot. */
void planted_write(const char *path, const struct points *p);

#endif
