/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults that tests plant in a step (mesh.h says how); without one nothing happens. */
#ifndef STEP_FAULT_H
#define STEP_FAULT_H

#include "src/optim/optim.h"
#include "src/vit/vit.h"

/* After the update of step 'step', in the first one: a replica off, or a number that is
 * none.
 */
void fault_spoil(struct vit *v, int64_t step);

/* The norm, which changes nothing, again and again, until this rank has computed twice
 * as long since 'before' as it should.
 */
void fault_dawdle(struct vit *v, struct optim *optim, double before);

#endif
