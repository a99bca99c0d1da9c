/* SPDX-License-Identifier: BSD-3-Clause */
/* Sharded linear layers: the products of mesh/cmm.h with the weight, bias and gradients
 * of a slot.  A bias, where there is one, is in the slot after its weight's.
 *
 *   gather    y [n, N_l] = gather(x [n, C_l]) W; 'section' brings the biases
 *   scatter   y [n, C_l] = scatter(x [n, K_l] W) + bias + rest; rest may be none
 */
#ifndef VIT_LINEAR_H
#define VIT_LINEAR_H

#include "src/vit/model.h"

void linear_gather(struct vit *v, struct cmm *c, struct mat y, struct mat x, int group,
                   enum slot slot, const struct cmm_section *section, int sections);

/* dx, and the gradients of weight and bias: a bias belongs to the last columns of y. */
void linear_gather_backward(struct vit *v, struct cmm *c, struct mat dx, struct mat dy,
                            struct mat x, int group, enum slot slot);

void linear_scatter(struct vit *v, struct cmm *c, struct mat y, struct mat x,
                    struct mat rest, int group, enum slot slot);
void linear_scatter_backward(struct vit *v, struct cmm *c, struct mat dx,
                             const struct cmm_section *section, int sections,
                             struct mat dy, struct mat x, int group, enum slot slot);

/* Sections of a product: some of its columns. */
struct cmm_section linear_plain(int64_t lo, int64_t hi);
struct cmm_section linear_bias(int64_t lo, int64_t hi, struct mat bias);
struct cmm_section linear_gelu(const struct vit *v, int64_t lo, int64_t hi,
                               struct mat bias, struct mat act);
struct cmm_section linear_dgelu(const struct vit *v, int64_t lo, int64_t hi,
                                struct mat pre);

#endif
