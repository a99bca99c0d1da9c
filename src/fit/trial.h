/* SPDX-License-Identifier: BSD-3-Clause */
/* A predicted shape put to the test: trained beside others at equal compute, each with
 * as many steps as its size allows, and what came of it.
 */
#ifndef FIT_TRIAL_H
#define FIT_TRIAL_H

#include "src/fit/fitfile.h"
#include "src/fit/options.h"
#include "src/fit/points.h"
#include "src/fit/sweep.h"

/* Put the shape 'x' at compute 't' into 's', and those that --beside multiplies it to,
 * their sizes multiples of 'multiple'.  Returns 0 or ERR_USAGE: also where one of them
 * is no shape, or like another.  sweep_close() undoes it, in either case.
 */
int trial_plan(struct sweep *s, const int64_t x[LAW_DIMS], double t,
               const int64_t multiple[LAW_DIMS], const struct options *o);

/* The runs of one shape. */
struct trial_shape {
    double x[LAW_DIMS], compute;
    int runs;
    double mean, error; /* standard error of the mean; NaN of one run */
    double expected;    /* by the law; NaN without one */
};

enum { TRIAL_SHAPES = 32 };

struct trial {
    const struct points *points; /* borrowed */
    bool is_equal;               /* the compute of the runs, but for whole steps */
    int shapes;
    struct trial_shape shape[TRIAL_SHAPES];
    int shape_of[TRIAL_SHAPES * 32]; /* [points] */
};

/* Sort 'p', whose variables are three dimensions and compute, by shape: 'first' first,
 * where it is not NULL.  'f' may be NULL.  Warns where compute is not equal.  Returns 0
 * or ERR_DATA.
 */
int trial_open(struct trial *t, const struct points *p, const double *first,
               const struct fitfile *f);

#endif
