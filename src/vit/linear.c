/* SPDX-License-Identifier: BSD-3-Clause */
/* A product, its name for whoever watches, and its gradients: nothing else happens
 * here, so that block.c and head.c read as the formulas do.
 */
#include "config.h"

#include "src/vit/linear.h"

/* What a slot's products are called in reports. */
static const char *const label[SLOT_COUNT] = {
    [SLOT_IN] = "in",         [SLOT_OUT] = "out",           [SLOT_UP] = "up",
    [SLOT_DOWN] = "down",     [SLOT_MAP_KV] = "map_kv",     [SLOT_MAP_OUT] = "map_out",
    [SLOT_MAP_UP] = "map_up", [SLOT_MAP_DOWN] = "map_down", [SLOT_HEAD] = "classifier",
};

/* The bias of the weight in 'slot' or its gradient; the slot after it holds it. */
static enum slot bias_of(enum slot slot)
{
    return (enum slot)((int)slot + 1);
}

void linear_gather(struct vit *v, struct cmm *c, struct mat y, struct mat x, int group,
                   enum slot slot, const struct cmm_section *section, int sections)
{
    cmm_label(c, label[slot]);
    cmm_gather(c, y, x, vit_weight(v, group, slot), section, sections);
}

void linear_gather_backward(struct vit *v, struct cmm *c, struct mat dx, struct mat dy,
                            struct mat x, int group, enum slot slot)
{
    const struct mat db = vit_grad(v, group, bias_of(slot));

    cmm_label(c, label[slot]);
    cmm_gather_backward(c, dx, vit_grad(v, group, slot), false, dy, x,
                        vit_weight(v, group, slot));
    dev_column_sums(v->stream, db, mat_cols(dy, dy.cols - db.cols, dy.cols), false);
}

void linear_scatter(struct vit *v, struct cmm *c, struct mat y, struct mat x, int group,
                    enum slot slot)
{
    cmm_label(c, label[slot]);
    cmm_scatter(c, y, x, vit_weight(v, group, slot),
                vit_param(v, group, bias_of(slot)));
}

void linear_scatter_backward(struct vit *v, struct cmm *c, struct mat dx,
                             const struct cmm_section *section, int sections,
                             struct mat dy, struct mat x, int group, enum slot slot)
{
    cmm_label(c, label[slot]);
    cmm_scatter_backward(c, dx, section, sections, vit_grad(v, group, slot), false, dy,
                         x, vit_weight(v, group, slot));
    dev_column_sums(v->stream, vit_grad(v, group, bias_of(slot)), dy, false);
}

struct cmm_section linear_plain(int64_t cols)
{
    return (struct cmm_section){ .cols     = { 0, cols },
                                 .epilogue = { .kind = EPI_NONE } };
}

struct cmm_section linear_bias(int64_t lo, int64_t hi, struct mat bias)
{
    return (struct cmm_section){ .cols     = { lo, hi },
                                 .epilogue = { .kind = EPI_BIAS, .bias = bias } };
}

struct cmm_section linear_gelu(const struct vit *v, int64_t lo, int64_t hi,
                               struct mat bias, struct mat act)
{
    return (struct cmm_section){
        .cols     = { lo, hi },
        .epilogue = { .kind = EPI_GELU, .gelu = v->spec.gelu, .bias = bias, .act = act }
    };
}

struct cmm_section linear_dgelu(const struct vit *v, int64_t lo, int64_t hi,
                                struct mat pre)
{
    return (struct cmm_section){
        .cols     = { lo, hi },
        .epilogue = { .kind = EPI_DGELU, .gelu = v->spec.gelu, .pre = pre }
    };
}
