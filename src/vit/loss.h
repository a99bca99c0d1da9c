/* SPDX-License-Identifier: BSD-3-Clause */
/* Sigmoid and softmax cross-entropy of logits whose classes are split over the model
 * axis; the sum over classes, the mean over the B images of the global batch.
 *
 * Messages: sigmoid none, softmax two all-gathers (maxima; sums).
 */
#ifndef VIT_LOSS_H
#define VIT_LOSS_H

#include "src/vit/model.h"

/* What this rank's classes add to the loss of the micro-batch, in vit_losses(), and its
 * gradient in KEPT_D_LOGITS.
 */
void loss_forward(struct vit *v, struct mat targets);

#endif
