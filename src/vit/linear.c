/* SPDX-License-Identifier: BSD-3-Clause */
/* Each function looks up a slot's weight, bias and gradients, names the product for
 * whoever watches, and calls mesh/cmm.h: so that block.c and head.c read as the
 * formulas do.
 */
#include "config.h"

#include "src/vit/linear.h"

/* What a slot's products are called in reports, and as which product
 * of a block they are done.
 */
static const struct {
    const char *label;
    enum cmm_product as;
} product[SLOT_COUNT] = {
    [SLOT_IN] = { "in", CMM_IN },           [SLOT_OUT] = { "out", CMM_OUT },
    [SLOT_UP] = { "up", CMM_UP },           [SLOT_DOWN] = { "down", CMM_DOWN },
    [SLOT_MAP_KV] = { "map_kv", CMM_IN },   [SLOT_MAP_OUT] = { "map_out", CMM_OUT },
    [SLOT_MAP_UP] = { "map_up", CMM_UP },   [SLOT_MAP_DOWN] = { "map_down", CMM_DOWN },
    [SLOT_HEAD] = { "classifier", CMM_IN },
};

static void begin(struct cmm *c, enum slot slot)
{
    cmm_label(c, product[slot].label);
    cmm_select(c, product[slot].as);
}

void linear_gather(struct vit *v, struct cmm *c, struct mat y, struct mat x, int group,
                   enum slot slot, const struct cmm_section *section, int sections)
{
    begin(c, slot);
    cmm_gather(c, y, x, vit_weight(v, group, slot), section, sections);
}

void linear_gather_backward(struct vit *v, struct cmm *c, struct mat dx, struct mat dy,
                            struct mat x, int group, enum slot slot)
{
    begin(c, slot);
    cmm_gather_backward(c, dx, vit_grad(v, group, slot),
                        vit_grad(v, group, vit_bias_slot(slot)), vit_adds(v, group), dy,
                        x, vit_weight(v, group, slot));
}

void linear_scatter(struct vit *v, struct cmm *c, struct mat y, struct mat x,
                    struct mat rest, int group, enum slot slot)
{
    begin(c, slot);
    cmm_scatter(c, y, x, vit_weight(v, group, slot),
                vit_param(v, group, vit_bias_slot(slot)), rest);
}

void linear_scatter_backward(struct vit *v, struct cmm *c, struct mat dx,
                             const struct cmm_section *section, int sections,
                             struct mat dy, struct mat x, int group, enum slot slot)
{
    begin(c, slot);
    cmm_scatter_backward(c, dx, section, sections, vit_grad(v, group, slot),
                         vit_grad(v, group, vit_bias_slot(slot)), vit_adds(v, group),
                         dy, x, vit_weight(v, group, slot));
}

struct cmm_section linear_plain(int64_t lo, int64_t hi)
{
    return (struct cmm_section){ .cols = { lo, hi }, .epilogue = { .kind = EPI_NONE } };
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
