/* SPDX-License-Identifier: BSD-3-Clause */
/* Is a product right?  Found out by random projection, in double precision, on the live
 * matrices: with random signs r for the rows of Y = X W,
 *
 *   d = r'Y - (r'X) W
 *
 * is zero up to rounding, and costs three passes over memory instead of a product.  An
 * error e in one element of column j makes |d_j| = |e|.  Clean sums err by about
 * eps |X|_F |W_j|, so
 *
 *   residual = largest over j of
 *       |d_j| / (eps_acc |X|_F |W_j| + eps_out sqrt(|Y_j|^2 + |P_j|^2))
 *
 * is about 1, and above PROJECT_THRESHOLD something is wrong.  eps_acc is 2^-23 (f64:
 * 2^-46); eps_out is 2^-8 where the result is rounded to bf16, else 0.  Results in bf16
 * are taken in groups of 16 rows, or 16 / M, so that the rounding of the others does
 * not hide an error.
 *
 * P are the sums over a part of the depth, which M > 1 ranks round on the way to Y.
 * They may be long where Y is short: rows of a gradient are nearly parallel, and where
 * one column of W is across them, so is the column for all rows, and its parts cancel.
 * Other columns do not, so |P_j| is taken as sqrt(M - 1) |Y|_F |W_j| / |W|_F, over all
 * columns of all ranks, for a rank may have one or two.
 *
 * The operands are sharded.  r'X is formed by the ranks that own the slices of X, never
 * from copies that have travelled; only vectors are exchanged.
 */
#ifndef BENCH_PROJECT_H
#define BENCH_PROJECT_H

#include "bench/reader.h"
#include "mesh/cmm.h"

#define PROJECT_THRESHOLD 16.0

struct projection {
    double residual; /* infinite where something is not finite */
    double sees; /* an error of this many times its column's root mean square, in any
                        one element, is above the threshold */
};

/* Project one finished product, as the watch of mesh/cmm.h shows it; 'seed' makes the
 * signs.  The result is this rank's: of its columns.  Collective over 'group', the
 * ranks of the model axis; 'seed' must agree.
 */
struct projection project(struct reader *r, MPI_Comm group, const struct cmm_seen *seen,
                          uint64_t seed);

/* The worse of two. */
struct projection project_worse(struct projection a, struct projection b);

/* "gather_y", .. as reports and planted faults have it. */
extern const char *const project_kind[CMM_KINDS];

#endif
