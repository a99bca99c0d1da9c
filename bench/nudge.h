/* SPDX-License-Identifier: BSD-3-Clause */
/* How far rounding alone can move a gradient, found by trying.
 *
 * A sum whose terms nearly cancel is as wrong as its terms are: by many eps of itself.
 * Which gradients of a model are such sums, and how badly, depends on its parameters.
 * So where an error looks large, the parameters are nudged by what rounding them would
 * do, and what this moves the gradient by is what its error is measured by.
 */
#ifndef BENCH_NUDGE_H
#define BENCH_NUDGE_H

#include "bench/reader.h"
#include "src/vit/vit.h"

/* A gradient nearly cancels if a nudge moves it by more than so many eps of itself. */
#define NUDGE_EPS 2.0

/* Multiply every parameter by its own random number between 1 - eps and 1 + eps, the
 * same on all ranks that hold it; 'seed' says which.  Local.
 */
void nudge_parameters(struct vit *vit, struct reader *reader, double eps,
                      uint64_t seed);

#endif
