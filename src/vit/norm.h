/* SPDX-License-Identifier: BSD-3-Clause */
/* RMS or layer norm of rows whose columns are split over the model axis.
 *
 * The moments of a row are sums over the axis: every rank finds those of its columns,
 * all gather them, and each merges them in rank order, so that the statistics have the
 * same bits everywhere.  R is 1 (RMS) or 2 (layer).
 *
 * Messages: one all-gather of rows * R numbers forward, one backward.
 * 'slot' holds the scale, the one after it the bias of a layer norm.
 */
#ifndef VIT_NORM_H
#define VIT_NORM_H

#include "src/vit/model.h"

/* y = norm(x); 'stat' [rows, 2] is kept for backward. */
void norm_forward(struct vit *v, struct mat y, struct mat stat, struct mat x, int group,
                  enum slot slot);

/* The same y from the statistics of the forward: no messages. */
void norm_again(struct vit *v, struct mat y, struct mat stat, struct mat x, int group,
                enum slot slot);

/* dx = or += the gradient of x; those of scale and bias are written. */
void norm_backward(struct vit *v, struct mat dx, bool is_dx_added, struct mat dy,
                   struct mat x, struct mat stat, int group, enum slot slot);

#endif
