/* SPDX-License-Identifier: BSD-3-Clause */
/* The embedding: patches (stride = size, what does not fit is left out) times the
 * kernel, plus a table [N, C_l] that is the same for every image:
 *
 *   row 0         the class token, where there is one
 *   other rows    position embedding of the patch + the kernel's bias
 *
 * Every rank multiplies whole patches with its own columns: no messages.
 */
#ifndef VIT_PATCH_H
#define VIT_PATCH_H

#include "src/vit/model.h"

/* KEPT_X of block 0 from images [B_l, 3 image^2]. */
void patch_forward(struct vit *v, struct mat images);

/* The gradients of the embedding from WORK_DX; images need none. */
void patch_backward(struct vit *v);

#endif
