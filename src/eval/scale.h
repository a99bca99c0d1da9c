/* SPDX-License-Identifier: BSD-3-Clause */
/* How features are seen by a linear model: brought to mean 0 and deviation 1 by the
 * statistics of the images that it learns from, with a constant one behind them.
 */
#ifndef EVAL_SCALE_H
#define EVAL_SCALE_H

#include "src/eval/feature.h"

struct scale {
    int64_t width;           /* of the features */
    double *mean, *one_over; /* [width]; one_over: 1 / (deviation + 1e-5) */
    double constant;
};

/* By the part's statistics, in f64; deviations are those of the part itself (divided by
 * its size).  'part' NULL: features as they are.  The same bits on all ranks.
 * Collective over the mesh.
 */
void scale_open(struct scale *s, int64_t width, const struct part *part,
                double constant);
void scale_close(struct scale *s);

/* z [width + 1] from x [width]. */
void scale_apply(double *z, const struct scale *s, const float *x);

#endif
