/* SPDX-License-Identifier: BSD-3-Clause */
/* The embedding: one product for all rows of all images.  The class token's row, which
 * is no patch, is zero among the patches, so the kernel adds nothing to it and gets no
 * gradient from it.
 */
#include "config.h"

#include "src/vit/patch.h"

/* The rows of a [N, C_l] table that belong to patches. */
static struct mat patch_rows(const struct vit *v, struct mat table)
{
    return mat_rows(table, v->spec.N - v->spec.T, v->spec.N);
}

/* Patches as rows, which lie further apart than they are long. */
static struct mat patches(struct vit *v)
{
    return mat_cols(vit_act(v, KEPT_ROWS, 0), 0, v->spec.P);
}

void patch_forward(struct vit *v, struct mat images)
{
    const struct spec *s   = &v->spec;
    const struct mat rows  = patches(v);
    const struct mat x     = vit_act(v, KEPT_X, 0);
    const struct mat table = vit_work(v, WORK_TABLE);
    const struct mat each  = patch_rows(v, table);

    if (s->pool == POOL_CLS)
        dev_copy(v->stream, mat_rows(table, 0, 1), vit_param(v, GROUP_EMBED, SLOT_CLS));
    dev_copy(v->stream, each, vit_param(v, GROUP_EMBED, SLOT_POS));
    dev_add_table(v->stream, each, vit_param(v, GROUP_EMBED, SLOT_PATCH_BIAS));

    dev_patches(v->stream, rows, images, s->image, s->patch, s->N);
    dev_gemm(v->stream, x, rows, vit_weight(v, GROUP_EMBED, SLOT_PATCH),
             (struct range){ 0, s->P }, (struct range){ 0, v->local.C_l }, false, NULL);
    dev_add_table(v->stream, x, table);
}

/* The gradient in 'slot' becomes 'from', or more by it. */
static void keep(struct vit *v, enum slot slot, struct mat from, bool is_added)
{
    const struct mat grad = vit_grad(v, GROUP_EMBED, slot);

    if (is_added)
        dev_add(v->stream, grad, from);
    else
        dev_copy(v->stream, grad, from);
}

void patch_backward(struct vit *v)
{
    const struct mat dx      = vit_work(v, WORK_DX);
    const struct mat d_table = vit_work(v, WORK_D_TABLE);
    const struct mat each    = patch_rows(v, d_table);

    const bool is_added = vit_adds(v, GROUP_EMBED);

    dev_sum_tables(v->stream, d_table, dx, false);
    if (v->spec.pool == POOL_CLS)
        keep(v, SLOT_CLS, mat_rows(d_table, 0, 1), is_added);
    keep(v, SLOT_POS, each, is_added);
    dev_column_sums(v->stream, vit_grad(v, GROUP_EMBED, SLOT_PATCH_BIAS), each,
                    is_added);
    dev_gemm_dw(v->stream, vit_grad(v, GROUP_EMBED, SLOT_PATCH), patches(v), dx,
                is_added);
}
