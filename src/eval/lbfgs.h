/* SPDX-License-Identifier: BSD-3-Clause */
/* Minimise a smooth function of many variables from its gradients (Liu and Nocedal,
 * 1989): the last few steps stand for the matrix of second derivatives.
 */
#ifndef EVAL_LBFGS_H
#define EVAL_LBFGS_H

#include <stdbool.h>
#include <stdint.h>

/* The value at x [n]; its gradient into 'g'. */
typedef double (*lbfgs_fn)(void *ctx, double *g, const double *x, int64_t n);

struct lbfgs {
    double tolerance; /* stop when |g| is below this share of max(1, |x|) */
    int steps_most;
    /* what became of it */
    double gradient; /* |g| / max(1, |x|) */
    int steps;
    bool is_converged;
};

/* Improve 'x' until 'l' is content, or until rounding allows no further step.  The same
 * bits wherever 'f' gives the same bits.
 */
void lbfgs_run(double *x, struct lbfgs *l, int64_t n, lbfgs_fn f, void *ctx);

#endif
