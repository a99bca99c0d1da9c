/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults that tests plant in a step (mesh.h says how); without one nothing happens. */
#ifndef STEP_FAULT_H
#define STEP_FAULT_H

#include "src/optim/optim.h"
#include "src/vit/vit.h"

/* After the update of step 'step': in the first step, make a replica differ by a bit,
 * or a parameter NaN, and return true, if such a fault is planted.
 */
bool fault_spoil(struct vit *v, int64_t step);

/* Make a slow rank: compute the norm, which changes nothing, again and again, until the
 * rank has computed twice as long since 'before' as it would have.
 */
void fault_dawdle(struct vit *v, struct optim *optim, double before);

#endif
