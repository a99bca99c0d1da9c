/* SPDX-License-Identifier: BSD-3-Clause */
/* From the last block's rows to logits: encoder_norm, pooling, classifier.
 *
 *   gap   the mean of an image's rows
 *   cls   the class token's row
 *   map   attention of one learned probe to the rows, then x + MLP(norm(x)); no
 *         QK-norm, biases everywhere, nothing added around the attention
 *
 * After pooling there are B_l rows: their products are small and always in plain form.
 * Messages of map: forward gather (n rows), scatter, moments, gather, scatter; backward
 * gather, gather, scatter, moments, gather, then gather and scatter of n rows.
 * Classifier: forward a gather; backward a gather and a scatter.
 */
#ifndef VIT_HEAD_H
#define VIT_HEAD_H

#include "src/vit/model.h"

/* KEPT_LOGITS from KEPT_X of block L, and back: WORK_DX from KEPT_D_LOGITS. */
void head_forward(struct vit *v);
void head_backward(struct vit *v);

#endif
