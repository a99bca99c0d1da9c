/* SPDX-License-Identifier: BSD-3-Clause */
/* What ridge regression wants to know of more images than features: sums over images,
 * made where their rows lie.  D (D / 2 + K) numbers travel; the rows, N D, stay.
 */
#ifndef EVAL_GRAM_H
#define EVAL_GRAM_H

#include "src/eval/ridge.h"
#include "src/eval/tiles.h"

/* gram [D, D] = X^T X, of which only what lies on and below the diagonal is filled in.
 * About N D^2 multiplications over all ranks, with 'threads' on each.  Returns 0 or
 * ERR_MEMORY, the same on all ranks.  Collective over the grid's mesh.
 */
int gram_square(struct tiles *gram, const struct ridge_rows *rows, int threads);

/* t [D, K] = X^T Y: targets are 1 and -1, so that it takes additions
 * alone.  Likewise.
 */
int gram_targets(struct tiles *t, const struct ridge_rows *rows);

#endif
