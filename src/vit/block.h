/* SPDX-License-Identifier: BSD-3-Clause */
/* A transformer block in its two wirings, with n for norm:
 *
 *   parallel     x + Attn(n(x)) + MLP(n(x)): one product in, one product out
 *   sequential   x += Attn(n0(x)); x += MLP(n1(x)): two of each
 *
 * Each pair of products, in and out, takes these messages over the model axis:
 *
 *   forward    all-gather of the norm's moments, gather n(x), scatter y
 *   backward   gather dy, gather n(x), scatter d n(x), all-gather of moments
 *
 * With REMAT_BLOCK only a block's input is kept, and backward first computes all but
 * the last product again: for that a parallel block gathers n(x) once more; a
 * sequential one gathers n0(x) and n1(x) and scatters once.
 */
#ifndef VIT_BLOCK_H
#define VIT_BLOCK_H

#include "src/vit/model.h"

/* KEPT_X of block i + 1 from that of block i. */
void block_forward(struct vit *v, int64_t i);

/* WORK_DX, the gradient of what the block left, becomes that of what it was given. */
void block_backward(struct vit *v, int64_t i);

#endif
