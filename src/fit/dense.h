/* SPDX-License-Identifier: BSD-3-Clause */
/* Linear algebra of a few unknowns: Cholesky, and least squares without negative
 * coefficients.  Matrices are n x n, row by row, without gaps.
 */
#ifndef FIT_DENSE_H
#define FIT_DENSE_H

#include <stdbool.h>

enum { DENSE_MOST = 32 }; /* unknowns */

/* Replace the lower triangle of 'a' by its Cholesky factor; false if 'a' is not
 * positive definite.  dense_solve() then solves for 'x' in place.
 */
bool dense_factor(double *a, int n);
void dense_solve(double *x, const double *factor, int n);

/* Minimise x'Gx / 2 - r'x over x >= 0, G symmetric and not negative.  Columns that the
 * others can replace stay at zero.
 */
void dense_nnls(double *x, const double *G, const double *r, int n);

#endif
