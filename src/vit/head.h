/* SPDX-License-Identifier: BSD-3-Clause */
/* From the last block's rows to logits: encoder_norm, pooling, classifier.
 *
 *   gap   the mean of an image's rows
 *   cls   the class token's row
 *   map   attention of one learned probe (the only query) to the rows, then
 *         x + MLP(norm(x)); no QK-norm, biases everywhere, no residual around the
 *         attention
 *
 * After pooling there are only B_l rows, so those products are small and always take
 * the plain form.  Messages over the model axis, in order:
 *
 *   map, forward          gather (n rows), scatter, moments, gather, scatter
 *   map, backward         gather, gather, scatter, moments, gather; then a gather and
 *                         a scatter of n rows
 *   classifier            forward a gather; backward a gather and a scatter
 */
#ifndef VIT_HEAD_H
#define VIT_HEAD_H

#include "src/vit/model.h"

/* KEPT_LOGITS from KEPT_X of block L, and back: WORK_DX from KEPT_D_LOGITS. */
void head_forward(struct vit *v);
void head_backward(struct vit *v);

#endif
