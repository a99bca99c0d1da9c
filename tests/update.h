/* SPDX-License-Identifier: BSD-3-Clause */
/* Optimizers once more, to compare with: whole tensors, double precision, averages
 * found by looking at every element that shares them.
 */
#ifndef TESTS_UPDATE_H
#define TESTS_UPDATE_H

#include "src/plan/param.h"
#include "src/plan/traffic.h"

/* A whole tensor in its logical order; all arrays are [size].  Adafactor's averages are
 * held once for every element that they belong to: over the largest axis in 'nu', over
 * the second in 'col'.
 */
struct updated {
    const struct param *param;
    int64_t size;
    double *value, *grad, *mu, *nu, *col;
};

struct update {
    enum optimizer method;
    double step; /* schedule x learning rate */
    double decay, head_decay;
    double clip; /* factor of gradients */
    int64_t t;   /* 1, 2, .. */
    double beta1, beta2, eps;
};

void update_tensor(struct updated *u, const struct update *with);

/* The arrays, zero but for the initial values for 'seed'; and back. */
void update_open(struct updated *u, const struct param *p, uint64_t seed);
void update_close(struct updated *u);

#endif
