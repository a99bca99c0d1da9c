/* SPDX-License-Identifier: BSD-3-Clause */
/* The compute-optimal shape for a budget, grown from a small optimum x0 at compute t0.
 *
 * The rule of arXiv 2305.13035: compute grows by tau = t / t0, in one increment of
 * tau^w_k for every dimension k, sum of w = 1; a dimension follows its own increment
 * with its growth exponent s_k.  Three readings of it:
 *
 *   tau^(s_k w_k)  what the text's argument says, and what the published shapes follow
 *   tau^w_k        what is printed; every dimension alike, and parameters in proportion
 *                  to compute
 *   tau^s_k        each dimension at its optimum as if it had all of the compute
 */
#ifndef FIT_SHAPE_H
#define FIT_SHAPE_H

#include "src/fit/law.h"

#include <stdint.h>

enum reading { READING_SHARED, READING_PRINTED, READING_WHOLE, READINGS };

struct rule {
    double x0[LAW_DIMS], t0;
    double s[LAW_DIMS], w[LAW_DIMS];
};

/* The exact shape at compute 't'. */
void shape_grow(double x[LAW_DIMS], const struct rule *r, double t, enum reading how);

/* 'x' to the nearest multiple of 'multiple', at least one of them. */
int64_t shape_round(double x, int64_t multiple);

/* The least multiple of both; 0 if it is too large. */
int64_t shape_common(int64_t a, int64_t b);

#endif
