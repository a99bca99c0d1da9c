/* SPDX-License-Identifier: BSD-3-Clause */
/* Ridge regression whose rows lie on many ranks, solved for many l2 from one
 * eigendecomposition of the smaller Gram matrix.  X is [N, D], Y [N, K]:
 *
 *   N >= D   X^T X = V s V^T   W = V (s + l2)^-1 V^T X^T Y
 *   N <  D   X X^T = U s U^T   W = X^T U (s + l2)^-1 U^T Y
 *
 * About N D n + 9 n^3 + 2 D n K multiplications with n = min(N, D), in f64.
 */
#ifndef EVAL_RIDGE_H
#define EVAL_RIDGE_H

#include "mesh/mesh.h"

/* X and Y: a row is an image, whose target is 1 in the column of its label, else -1.
 * All but 'x' is the same on all ranks.
 */
struct ridge_rows {
    int64_t N, D, K;
    const int32_t *owner; /* [N] the rank that has the row */
    const int32_t *label; /* [N] */
    const double *x;      /* [own, D] this rank's rows, in their order */
};

/* ScaLAPACK on a grid of all ranks; LAPACK on the first one, which collects the rows.
 * Auto: ScaLAPACK, if it is there and there are several ranks.
 */
enum ridge_solver { RIDGE_AUTO, RIDGE_SCALAPACK, RIDGE_LAPACK };

struct ridge;

/* Decompose.  'rows' is not needed afterwards; 'threads' are for LAPACK, and for the
 * products of a rank's own rows.  Returns 0, ERR_ENV (this build has no ScaLAPACK),
 * ERR_SHAPE (too large for numbers of 32 bits), ERR_MEMORY, or ERR_CHECK where no
 * eigenvalues were found; the same on all ranks.
 * Collective over 'mesh'.
 */
int ridge_open(struct ridge **r, const struct ridge_rows *rows, struct mesh *mesh,
               enum ridge_solver solver, int threads);
void ridge_close(struct ridge **r);

/* w [K, D] = W^T on every rank, the same bits.  Collective. */
void ridge_solve(double *w, struct ridge *r, double l2);

/* "ScaLAPACK on a 2x1 grid"; the eigenvalues, min(N, D) of them, on every rank. */
const char *ridge_about(const struct ridge *r);
const double *ridge_values(const struct ridge *r);

#endif
