/* SPDX-License-Identifier: BSD-3-Clause */
/* The other linear probe of ViT-22B: multinomial logistic regression by L-BFGS on
 * features of mean 0 and deviation 1, whose penalty is chosen on images that are kept
 * from it.
 *
 *   mean over images of -log softmax + l2 / 2 |kernel|^2     (the bias is free)
 */
#ifndef EVAL_LOGISTIC_H
#define EVAL_LOGISTIC_H

#include "src/eval/linear.h"

enum { LOGISTIC_MOST = 16 };

struct logistic {
    double l2[LOGISTIC_MOST];
    int l2s;
    double share; /* of the images that the penalty is chosen on */
};

struct logistic_result {
    double error[LOGISTIC_MOST]; /* on these images */
    int steps[LOGISTIC_MOST];
    int chosen;
    int last_steps;    /* on all images, with the chosen penalty */
    bool is_converged; /* these */
};

/* Choose among the penalties and fit w [K, D] to all rows of l->part.  Returns 0 or
 * ERR_USAGE (no images to choose on), the same on all ranks.  Collective over the mesh.
 */
int logistic_run(double *w, struct logistic_result *r, const struct linear *l,
                 const struct logistic *o);

#endif
