/* SPDX-License-Identifier: BSD-3-Clause */
/* Nothing is checked here but what is needed to go on: that every array is there, with
 * its shape, is seen when the file is compared with the map of the model.
 */
#include "config.h"

#include "src/exchange/guess.h"

#include "src/base/err.h"

#include <math.h>
#include <stdio.h>

/* What every model has, in the two programs' names; and what may be in front of it:
 * optimizers, the images' half of a model of images and texts, a wrapper.
 */
static const struct {
    const char *prefix;
    bool is_timm;
} places[] = { { "params/", false },
               { "params/img/", false },
               { "opt/target/", false },
               { "img/", false },
               { "", false },
               { "", true },
               { "visual.trunk.", true } };

/* "PREFIX NAME" of the file, or NULL. */
static const struct array *look(const struct foreign *f, const struct style *style,
                                const char *name)
{
    char full[2 * ARRAY_NAME];

    snprintf(full, sizeof full, "%s%s", style->prefix, name);
    return foreign_find(f, full);
}

/* The same by the style's own name for it. */
static const struct array *look_as(const struct foreign *f, const struct style *style,
                                   const char *big_vision, const char *timm)
{
    return look(f, style, style->is_timm ? timm : big_vision);
}

/* A tensor of the first block. */
static bool has_in_block(const struct foreign *f, const struct style *style,
                         const char *name)
{
    char full[ARRAY_NAME];

    snprintf(full, sizeof full, "Transformer/encoderblock%s/%s",
             style->is_scan ? "" : "_0", name);
    return look(f, style, full) != NULL;
}

static int find_style(struct style *style, const struct foreign *f)
{
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        *style = (struct style){ .is_timm = places[i].is_timm };
        snprintf(style->prefix, sizeof style->prefix, "%s", places[i].prefix);
        if (look_as(f, style, "embedding/kernel", "patch_embed.proj.weight") == NULL)
            continue;
        style->is_scan =
            look(f, style, "Transformer/encoderblock/LayerNorm_0/scale") != NULL;
        style->is_old =
            look(f, style, "Transformer/posembed_input/pos_embedding") != NULL;
        style->has_head = look_as(f, style, "head/bias", "head.bias") != NULL ||
                          look_as(f, style, "head/kernel", "head.weight") != NULL;
        return 0;
    }
    return ERR(ERR_DATA,
               "%s is no Vision Transformer of big_vision or timm: it has neither "
               "'params/embedding/kernel' nor 'patch_embed.proj.weight'",
               f->path);
}

/* ---- sizes ----------------------------------------------------------------------- */

/* Side of a patch: [p, p, 3, C], or [C, 3, p, p]. */
static int64_t find_patch(const struct foreign *f, const struct style *style)
{
    const struct array *a =
        look_as(f, style, "embedding/kernel", "patch_embed.proj.weight");

    return a->dims == 4 ? a->size[style->is_timm ? 3 : 0] : 0;
}

/* Patches along a side: of n positions n or n - 1 make a square; 0: neither. */
static int64_t find_side(bool *has_cls_place, const struct foreign *f,
                         const struct style *style)
{
    const struct array *a = look_as(
        f, style,
        style->is_old ? "Transformer/posembed_input/pos_embedding" : "pos_embedding",
        "pos_embed");
    const int64_t n = a != NULL && a->dims == 3 ? a->size[1] : 0;

    for (int extra = 0; extra < 2; extra++) {
        const int64_t side = llrint(sqrt((double)(n - extra)));

        *has_cls_place = extra == 1;
        if (side > 0 && side * side == n - extra)
            return side;
    }
    *has_cls_place = false;
    return 0;
}

static int64_t find_classes(const struct foreign *f, const struct style *style)
{
    const struct array *a = look_as(f, style, "head/bias", "head.bias");

    return a != NULL && a->dims == 1 ? a->size[0] : 0;
}

static enum pool find_pool(const struct foreign *f, const struct style *style)
{
    if (look_as(f, style, "MAPHead_0/probe", "attn_pool.latent") != NULL)
        return POOL_MAP;
    if (look_as(f, style, "cls", "cls_token") != NULL)
        return POOL_CLS;
    return POOL_GAP;
}

static enum wiring find_wiring(const struct foreign *f, const struct style *style)
{
    const bool is_parallel = !style->is_timm && !style->is_old &&
                             !has_in_block(f, style, "LayerNorm_1/scale");

    return is_parallel ? WIRING_PARALLEL : WIRING_SEQUENTIAL;
}

static bool find_qk_norm(const struct foreign *f, const struct style *style)
{
    return style->is_timm
               ? look(f, style, "blocks.0.attn.q_norm.weight") != NULL
               : has_in_block(f, style,
                              "MultiHeadDotProductAttention_0/query_ln/scale");
}

/* ---- all of it ------------------------------------------------------------------- */

/* Sizes that no int can hold are no sizes of a model. */
static int to_int(int64_t size)
{
    return size > 0 && size <= 1000000 ? (int)size : 0;
}

int guess_model(struct style *style, struct spec *s, const struct foreign *f,
                const struct exchange_options *o)
{
    struct spec_options made = { .shape = o->shape, .layers = o->layers };
    int64_t side;

    TRY(find_style(style, f));
    side         = find_side(&style->has_cls_place, f, style);
    made.patch   = to_int(o->patch > 0 ? o->patch : find_patch(f, style));
    made.image   = to_int(o->image > 0 ? o->image : side * made.patch);
    made.classes = o->classes > 0 ? o->classes : find_classes(f, style);
    made.pool    = o->pool > 0 ? o->pool - 1 : (int)find_pool(f, style);
    made.wiring  = o->wiring > 0 ? o->wiring - 1 : (int)find_wiring(f, style);
    made.qk_norm = o->qk_norm > 0 ? o->qk_norm == 1 : find_qk_norm(f, style);
    made.gelu    = o->gelu > 0 ? o->gelu - 1 : style->is_timm ? GELU_EXACT : GELU_TANH;
    if (made.pool != POOL_CLS)
        style->has_cls_place = false;
    if (made.patch == 0 || made.image == 0)
        return ERR(
            ERR_DATA,
            "%s: the patches or the positions are no squares: --patch and --image",
            f->path);
    if (!style->has_head && o->classes == 0)
        return ERR(
            ERR_DATA,
            "%s has no classifier ('%s%s' is missing): --classes=K makes a new one",
            f->path, style->prefix, style->is_timm ? "head.weight" : "head/kernel");
    return spec_make(s, &made);
}
