/* SPDX-License-Identifier: BSD-3-Clause */
/* The Pareto frontier of a grid sweep: for every compute the shape whose metric is
 * least there, and the small optimum x0 that larger shapes are grown from.
 *
 * A shape's runs make its learning curve, a straight line between them in
 * logarithms; it begins at its first run and stays level after its last.  x0 is
 * strictly inside the grid in every dimension, and optimal over the widest range of
 * compute; t0 is the least compute of that range.  (Rule: arXiv 2305.13035; of
 * several such shapes it does not say which.)
 */
#ifndef FIT_PARETO_H
#define FIT_PARETO_H

#include "src/fit/points.h"

struct stretch {
    int shape;     /* number in 'x' */
    double lo, hi; /* compute; hi is infinite for the last */
    double y;      /* metric at 'lo' */
};

struct pareto {
    const struct points *points; /* borrowed */
    int dims, shapes, count;
    int *shape_of;           /* [points] */
    double *x;               /* [shapes, LAW_VARS] */
    bool *is_interior;       /* [shapes] */
    struct stretch *stretch; /* [count] by compute */
    int best; /* in 'stretch'; -1: no interior shape is optimal anywhere */
};

/* The variables of 'p' are 'dims' dimensions, then compute. */
void pareto_open(struct pareto *f, const struct points *p, int dims);
void pareto_close(struct pareto *f);

/* The metric of a shape at compute t; infinite before its first run. */
double pareto_curve(const struct pareto *f, int shape, double t);

#endif
