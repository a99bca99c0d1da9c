/* SPDX-License-Identifier: BSD-3-Clause */
/* The closed form of ridge regression, by elimination: an oracle. */
#ifndef TESTS_CLOSED_H
#define TESTS_CLOSED_H

#include <stdint.h>

/* w [K, D] = ((X^T X + l2)^-1 X^T Y)^T for x [N, D]; Y is 1 for the label, else -1. */
void closed_ridge(double *w, const double *x, const int32_t *label, int64_t N,
                  int64_t D, int64_t K, double l2);

#endif
