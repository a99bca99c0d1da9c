/* SPDX-License-Identifier: BSD-3-Clause */
/* The tensors of a model and of its optimizer as the list that a checkpoint saves:
 * names and shapes of big_vision, blocks stacked.
 *
 *   params/NAME      parameters (f32 masters where there are any)
 *   opt/mu/NAME ..   the optimizer's state of them
 */
#ifndef STEP_STATE_H
#define STEP_STATE_H

#include "ckpt/ckpt.h"
#include "src/optim/optim.h"
#include "src/vit/vit.h"

/* List the pieces of this rank; 'optim' NULL: the parameters alone.  The views are
 * valid as long as both live.  state_free() undoes it.
 */
void state_list(struct ckpt_list *list, struct vit *vit, const struct optim *optim);
void state_free(struct ckpt_list *list);

/* Load the parameters, and the optimizer's state if 'optim' is not NULL, from 'path'
 * onto this mesh, and tell the model (vit_changed).  Returns what ckpt_load() does.
 * Collective over the mesh.
 */
int state_load(struct vit *vit, const struct optim *optim, const char *path);

#endif
