/* SPDX-License-Identifier: BSD-3-Clause */
/* How Adafactor keeps the second moments of a tensor: not one a number, but two
 * averages, over its largest axis ("row") and over its second largest ("col").
 *
 *   [C, H, E] with C > E > H:  row [H, E] is the mean over C,
 *                              col [C, H] the mean over E
 *
 * The axes are those of the tensor as the reference names it, however it is cut or
 * joined in memory; of two axes of one size the later one counts as the larger.  A
 * tensor with fewer than two axes of at least 32 is not factored.
 */
#ifndef PLAN_FACTOR_H
#define PLAN_FACTOR_H

#include "src/plan/param.h"

enum { FACTOR_ROW, FACTOR_COL };

struct factor {
    bool is_factored;
    int over[2];     /* the axis that row is the mean over, and that of col */
    int64_t size[2]; /* numbers in each, of this model rank's part */
    int64_t step[2][PARAM_DIMS]; /* from one index of an axis to the next; 0: 'over' */
    int64_t outer, along, inner; /* row as a box; 'along' is the axis of col's mean */
    bool is_joint[2]; /* the mean runs along the axis that the model ranks share */
};

/* The factors of the part of model rank 'm' of M. */
void factor_make(struct factor *f, const struct param *p, int M, int m);

/* How many numbers all tensors' factors are on a model rank.  They lie in one buffer,
 * in this order: the averages that a rank finds by itself; those that run along the cut
 * axis ("joint"), summed over the model axis; the means of row that are, too; and the
 * other means.  Over the data axis the averages are summed where parameters are cut
 * over it.
 */
struct factor_sizes {
    int64_t own, joint, joint_means, means;
};
void factor_sizes(struct factor_sizes *n, const struct params *p, int M, int m);

#endif
