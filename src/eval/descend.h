/* SPDX-License-Identifier: BSD-3-Clause */
/* The linear probe of SoViT: stochastic gradient descent with momentum 0.9 on
 * the sigmoid loss, cosine schedule with a linear warm-up in the first tenth,
 * kernel from 0 and bias from -6.9.  The features are those of whole images:
 * without crops, flips and mixup.
 */
#ifndef EVAL_DESCEND_H
#define EVAL_DESCEND_H

#include "src/eval/linear.h"

struct descend {
    double lr, epochs, decay; /* a step takes schedule x lr x decay of the kernel off */
    int64_t batch;
    uint64_t seed; /* of the order of the images */
};

/* Steps for 'n' images. */
int64_t descend_steps(const struct descend *d, int64_t n);

/* Train w [K, D] on the rows of 'l' (all of its part).  The same bits on all ranks.
 * Collective over the mesh.
 */
void descend_run(double *w, const struct linear *l, const struct descend *d);

#endif
