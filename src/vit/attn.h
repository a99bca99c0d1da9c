/* SPDX-License-Identifier: BSD-3-Clause */
/* Self-attention of a block between its in- and its out-projection: QK-norm if the
 * model has it, then attention of this rank's heads.  Heads are whole: no messages.
 */
#ifndef VIT_ATTN_H
#define VIT_ATTN_H

#include "src/vit/model.h"

/* o [n, A_l] from the columns q, k, v of block i's KEPT_IN: all of it now, or image by
 * image, as the product that follows asks for its rows; 'rows' must live until then.
 */
struct attn_rows {
    struct vit *v;
    struct mat o;
    int64_t i;
    int64_t made; /* images */
};
void attn_forward(struct vit *v, struct mat o, int64_t i);
struct cmm_source attn_source(struct attn_rows *rows, struct vit *v, struct mat o,
                              int64_t i);

/* The first 3 A_l columns of 'd_in' from d_o; the scales' gradients are written. */
void attn_backward(struct vit *v, struct mat d_in, struct mat d_o, struct mat o,
                   int64_t i);

/* Shapes of attention in a block and in the pooling head, for rank sizes 'l'. */
struct attn attn_of_block(const struct spec *s, const struct local *l);
struct attn attn_of_map(const struct spec *s, const struct local *l);

#endif
