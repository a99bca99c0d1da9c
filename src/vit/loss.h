/* SPDX-License-Identifier: BSD-3-Clause */
/* Sigmoid and softmax cross-entropy of logits whose classes are split over the model
 * axis; the sum over classes, the mean over the B images of the global batch.
 *
 * Messages: sigmoid none, softmax two all-gathers (maxima; sums); then this row's
 * partial sums of the loss, in one library call, and added in rank order.
 */
#ifndef VIT_LOSS_H
#define VIT_LOSS_H

#include "src/vit/model.h"

/* The loss of this row's images, the same bits on all ranks of a model group;
 * KEPT_D_LOGITS is written.
 */
double loss_forward(struct vit *v, struct mat targets);

#endif
