/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a run went wrong: the first tensor with a number that is not finite. */
#ifndef STEP_FINITE_H
#define STEP_FINITE_H

#include "src/vit/vit.h"

/* The first of all parameters, then of all gradients as the last backward left them:
 * "the gradient of Transformer/..", or "none of parameters and gradients".  The same on
 * all ranks.  Collective over the mesh.
 */
void finite_find(char *text, size_t size, struct vit *vit);

#endif
