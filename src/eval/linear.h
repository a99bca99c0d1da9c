/* SPDX-License-Identifier: BSD-3-Clause */
/* A linear classifier of features, on rows that lie on many ranks: its loss, its hits
 * and its gradient.
 */
#ifndef EVAL_LINEAR_H
#define EVAL_LINEAR_H

#include "src/eval/scale.h"

/* On which rows, and how.  w is [K, D] with D = width + 1: a row a class, the constant
 * feature's weight last.
 */
struct linear {
    const struct part *part;
    const struct scale *scale;
    int64_t K;
    enum loss_kind loss;
    const int64_t *row; /* of the part: 'rows' numbers; NULL: all */
    int64_t rows;
};

/* Means over the rows: 'right' of those whose largest score is that of their label (of
 * equal ones the first counts).
 */
struct verdicts {
    double right, loss;
};

/* Look at the rows; 'g' [K, D], if not NULL, becomes the gradient of the mean loss.
 * The same bits on all ranks.  2 K D multiplications a row, 4 K D with the gradient.
 * Collective over the mesh.
 */
struct verdicts linear_look(double *g, const struct linear *l, const double *w);

#endif
