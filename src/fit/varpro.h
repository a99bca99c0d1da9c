/* SPDX-License-Identifier: BSD-3-Clause */
/* Variable projection: for given exponents the best coefficients are a least-squares
 * problem without negative coefficients, solved exactly; what is left is a search over
 * the exponents alone, few enough to try all of them on a grid.  The grid's valleys are
 * where the polish starts.  For log-Huber the rows are reweighted a few times.
 */
#ifndef FIT_VARPRO_H
#define FIT_VARPRO_H

#include "src/fit/powers.h"

enum { VARPRO_EXPS = 3 }; /* exponents that a grid can have */

/* A place to start from, and where the polish from there ended. */
struct start {
    double from[POWERS_PARAMS], theta[POWERS_PARAMS];
    double value; /* before the polish */
    struct polish end;
    bool is_searched; /* by the grid; else spread at fixed places */
};

/* The best coefficients for the exponents in 'theta', into 'theta'; the value. */
double varpro_coefs(const struct powers *m, double *theta);

/* The valleys of the grid over all exponents of 'm' (at most VARPRO_EXPS), best first,
 * at most 'most'; returns how many.
 */
int varpro_search(struct start *start, int most, const struct powers *m);

/* The same for 'arms' models of three exponents a, b, c that share c.  'whole' holds
 * them all: coefficients arm by arm, exponents a_0, b_0, a_1, b_1, .., c.
 */
int varpro_search_shared(struct start *start, int most, const struct powers *whole,
                         const struct powers *arm, int arms);

/* Exponent k of place i of 'n' places that cover the bounds
 * evenly, the same every time.
 */
double varpro_spread(const struct powers *m, int k, int i);

#endif
