/* SPDX-License-Identifier: BSD-3-Clause */
/* The named shapes, the completion of what a user asked for, and a rank's share of it.
 *
 * Everything here is small and exact: what a rank holds of every size follows from
 * split.h alone, so that counting, layouts and messages never disagree.
 */
#include "config.h"

#include "src/plan/spec.h"

#include "src/base/err.h"
#include "src/plan/count.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Bounds that keep every count of parameters below 2^63. */
enum { SIZE_MOST = 1000000, LAYERS_MOST = 10000, IMAGE_MOST = 10000 };
#define NUMBERS_MOST 0x1p53 /* of numbers_of_step() */

/* ---- named shapes ---------------------------------------------------------------- */

#define BIG_VISION "big_vision, models/vit.py"
#define ZHAI       "arXiv 2106.04560, table 2"
#define VIT_22B    "arXiv 2302.05442, table 1"
#define SOVIT      "arXiv 2305.13035"

static const struct shape shapes[] = {
    { "mu", 32, 1, 128, 2, 16, WIRING_SEQUENTIAL, false, BIG_VISION },
    { "Ti", 192, 12, 768, 3, 16, WIRING_SEQUENTIAL, false, ZHAI },
    { "S", 384, 12, 1536, 6, 16, WIRING_SEQUENTIAL, false, ZHAI },
    { "M", 512, 12, 2048, 8, 16, WIRING_SEQUENTIAL, false, BIG_VISION },
    { "B", 768, 12, 3072, 12, 16, WIRING_SEQUENTIAL, false, ZHAI },
    { "L", 1024, 24, 4096, 16, 16, WIRING_SEQUENTIAL, false, ZHAI },
    { "So150m", 880, 18, 2320, 16, 14, WIRING_SEQUENTIAL, false, SOVIT },
    { "So400m", 1152, 27, 4304, 16, 14, WIRING_SEQUENTIAL, false, SOVIT },
    { "H", 1280, 32, 5120, 16, 14, WIRING_SEQUENTIAL, false, BIG_VISION },
    { "g", 1408, 40, 6144, 16, 14, WIRING_SEQUENTIAL, false, ZHAI },
    { "g-opt", 1536, 40, 6144, 16, 14, WIRING_SEQUENTIAL, false, BIG_VISION },
    { "G", 1664, 48, 8192, 16, 14, WIRING_SEQUENTIAL, false, VIT_22B },
    { "G-opt", 1536, 48, 8192, 16, 14, WIRING_SEQUENTIAL, false, BIG_VISION },
    { "e", 1792, 56, 15360, 16, 14, WIRING_SEQUENTIAL, false, VIT_22B },
    { "22B", 6144, 48, 24576, 48, 14, WIRING_PARALLEL, true, VIT_22B },
};

enum { SHAPES = sizeof shapes / sizeof shapes[0] };

const struct shape *spec_shapes(int *count)
{
    *count = SHAPES;
    return shapes;
}

/* Case matters where it tells two shapes apart (g and G), and only there. */
const struct shape *spec_shape(const char *name)
{
    const struct shape *found = NULL;
    int matches               = 0;

    for (int i = 0; i < SHAPES; i++) {
        if (strcmp(name, shapes[i].name) == 0)
            return &shapes[i];
        if (strcasecmp(name, shapes[i].name) == 0) {
            found = &shapes[i];
            matches++;
        }
    }
    return matches == 1 ? found : NULL;
}

void spec_list(FILE *out)
{
    fprintf(out, "%-8s%7s%7s%7s%7s%7s%10s  %s\n", "shape", "width", "depth", "mlp",
            "heads", "patch", "params/M", "source");
    for (int i = 0; i < SHAPES; i++) {
        const struct shape *p       = &shapes[i];
        const struct spec_options o = { .shape = p->name, .wiring = -1, .qk_norm = -1 };
        struct spec s;

        if (spec_make(&s, &o) != 0)
            die("the named shape %s is wrong: %s", p->name, err_sentence());
        fprintf(out, "%-8s%7lld%7lld%7lld%7lld%7d%10.1f  %s\n", p->name,
                (long long)p->C, (long long)p->L, (long long)p->F, (long long)p->H,
                p->patch, (double)count_params(&s) / 1e6, p->source);
    }
    fprintf(out,
            "Any other: C/L/F/H, for example 608/10/928/16.  Parameters are with the\n"
            "attention pooling head and 1000 classes at 224 pixels.  22B has parallel\n"
            "blocks and QK-norm, the others are sequential without.\n");
}

/* ---- names of the choices -------------------------------------------------------- */

const char *wiring_name(enum wiring w)
{
    return w == WIRING_PARALLEL ? "parallel" : "sequential";
}

const char *pool_name(enum pool p)
{
    static const char *const name[] = {
        [POOL_MAP] = "map",
        [POOL_GAP] = "gap",
        [POOL_CLS] = "cls",
    };

    return name[p];
}

const char *loss_name(enum loss_kind l)
{
    return l == LOSS_SIGMOID ? "sigmoid" : "softmax";
}

const char *gelu_name(enum gelu_form g)
{
    return g == GELU_TANH ? "tanh" : "exact";
}

/* ---- a spec from options --------------------------------------------------------- */

/* Read "C/L/F/H" into 'size'; false if 'text' is anything but four whole numbers. */
static bool parse_sizes(int64_t size[4], const char *text)
{
    for (int i = 0; i < 4; i++) {
        char *end;

        if (strspn(text, "+-0123456789") == 0)
            return false;
        errno   = 0;
        size[i] = strtoll(text, &end, 10);
        if (end == text || errno != 0 || *end != (i < 3 ? '/' : '\0'))
            return false;
        text = end + 1;
    }
    return true;
}

static int check_size(int64_t value, int64_t most, const char *what)
{
    if (value < 1)
        return ERR(ERR_SHAPE, "%s is %lld, it must be at least 1", what,
                   (long long)value);
    if (value > most)
        return ERR(ERR_SHAPE, "%s is %lld, at most %lld is allowed", what,
                   (long long)value, (long long)most);
    return 0;
}

/* Fill 'shape' from the name or the four numbers 'text'. */
static int find_shape(struct shape *shape, const char *text)
{
    const struct shape *named = text != NULL ? spec_shape(text) : NULL;
    int64_t size[4];

    if (named != NULL) {
        *shape = *named;
        return 0;
    }
    if (text == NULL || !parse_sizes(size, text))
        return ERR(ERR_USAGE,
                   "--shape=%s is neither C/L/F/H (width/depth/mlp/heads) nor a named "
                   "shape (--list-shapes)",
                   text != NULL ? text : "");
    TRY(check_size(size[0], SIZE_MOST, "the width"));
    TRY(check_size(size[1], LAYERS_MOST, "the depth"));
    TRY(check_size(size[2], SIZE_MOST, "the MLP width"));
    TRY(check_size(size[3], SIZE_MOST, "the number of heads"));
    *shape = (struct shape){ .C      = size[0],
                             .L      = size[1],
                             .F      = size[2],
                             .H      = size[3],
                             .patch  = 14,
                             .wiring = WIRING_SEQUENTIAL };
    return 0;
}

static void set_name(struct spec *s, const struct shape *shape)
{
    if (shape->name != NULL)
        snprintf(s->name, sizeof s->name, "%s", shape->name);
    else
        snprintf(s->name, sizeof s->name, "%lld/%lld/%lld/%lld", (long long)shape->C,
                 (long long)shape->L, (long long)shape->F, (long long)shape->H);
}

int spec_set_image(struct spec *s, int image, int patch)
{
    TRY(check_size(image, IMAGE_MOST, "the image size"));
    TRY(check_size(patch, IMAGE_MOST, "the patch size"));
    if (patch > image)
        return ERR(ERR_SHAPE, "an image of %d pixels is smaller than a patch of %d",
                   image, patch);

    /* Pixels beyond the last whole patch are not seen, as in the papers (VALID). */
    const int64_t side = image / patch;

    s->image = image;
    s->patch = patch;
    s->T     = side * side;
    s->N     = s->T + (s->pool == POOL_CLS);
    s->P     = 3 * (int64_t)patch * patch;
    return 0;
}

int spec_make(struct spec *s, const struct spec_options *o)
{
    struct spec made = { 0 };
    struct shape shape;

    TRY(find_shape(&shape, o->shape));
    set_name(&made, &shape);

    made.C      = shape.C;
    made.H      = shape.H;
    made.F      = shape.F;
    made.L_full = shape.L;
    made.L      = o->layers > 0 ? o->layers : shape.L;
    made.K      = o->classes > 0 ? o->classes : 1000;
    made.image  = o->image > 0 ? o->image : 224;
    made.patch  = o->patch > 0 ? o->patch : shape.patch;

    made.wiring  = o->wiring >= 0 ? (enum wiring)o->wiring : shape.wiring;
    made.norm    = made.wiring == WIRING_PARALLEL ? NORM_RMS : NORM_LAYER;
    made.qk_norm = o->qk_norm >= 0 ? o->qk_norm != 0 : shape.qk_norm;
    made.gelu    = o->gelu > 0 ? (enum gelu_form)o->gelu : GELU_TANH;
    made.pool    = o->pool > 0 ? (enum pool)o->pool : POOL_MAP;
    made.loss    = o->loss > 0 ? (enum loss_kind)o->loss : LOSS_SIGMOID;

    if (made.C % made.H != 0)
        return ERR(ERR_SHAPE, "the width %lld cannot be divided into %lld heads",
                   (long long)made.C, (long long)made.H);
    if (made.L > made.L_full)
        return ERR(ERR_SHAPE, "--layers=%lld, but %s has %lld blocks",
                   (long long)made.L, made.name, (long long)made.L_full);
    TRY(check_size(made.K, SIZE_MOST, "the number of classes"));
    made.E = made.C / made.H;
    TRY(spec_set_image(&made, made.image, made.patch));
    *s = made;
    return 0;
}

/* ---- shares ---------------------------------------------------------------------- */

void spec_local(struct local *l, const struct spec *s, int64_t B, int D, int M, int d,
                int m)
{
    l->b    = split_range(B, D, d);
    l->c    = split_range(s->C, M, m);
    l->h    = split_range(s->H, M, m);
    l->f    = split_range(s->F, M, m);
    l->k    = split_range(s->K, M, m);
    l->B_l  = range_size(l->b);
    l->C_l  = range_size(l->c);
    l->H_l  = range_size(l->h);
    l->F_l  = range_size(l->f);
    l->K_l  = range_size(l->k);
    l->A_l  = l->H_l * s->E;
    l->rows = l->B_l * s->N;
}

void spec_micro(struct local *l, const struct spec *s, int micros, int k)
{
    const struct range part = split_range(l->B_l, micros, k);

    l->b    = (struct range){ l->b.lo + part.lo, l->b.lo + part.hi };
    l->B_l  = range_size(l->b);
    l->rows = l->B_l * s->N;
}

int spec_check_micros(int64_t B, int D, int micros)
{
    if (micros > 1 && B / D < micros)
        return ERR(ERR_SHAPE,
                   "a batch of %lld images on %d data ranks cannot be cut into %d "
                   "micro-batches",
                   (long long)B, D, micros);
    return 0;
}

/* The order of what a rank with 'B_l' images holds and sends in a step, in numbers: its
 * activations, and its parameters once for every image, which are more than for every
 * micro-batch.  Bytes, some hundred times as many, are counted in 64 bits.
 */
static double numbers_of_step(const struct spec *s, int64_t B_l)
{
    const double a_column =
        (double)s->L * (double)(s->N + s->C) + (double)(s->P + s->K);

    return (double)B_l * (double)(s->C + s->F) * a_column;
}

int spec_check_mesh(const struct spec *s, int64_t B, int D, int M)
{
    if (D < 1 || M < 1)
        return ERR(ERR_SHAPE, "a mesh of %dx%d has no ranks", D, M);
    if (B < D)
        return ERR(ERR_SHAPE, "a batch of %lld images is too small for %d data ranks",
                   (long long)B, D);
    if (M > s->H)
        return ERR(ERR_SHAPE, "%d model ranks are too many for the %lld heads of %s", M,
                   (long long)s->H, s->name);
    if (M > s->F)
        return ERR(ERR_SHAPE,
                   "%d model ranks are too many for the MLP width %lld of %s", M,
                   (long long)s->F, s->name);
    if (numbers_of_step(s, split_most(B, D)) > NUMBERS_MOST)
        return ERR(
            ERR_SHAPE, "%s is too large to be counted with %lld image%s on a data rank",
            s->name, (long long)split_most(B, D), split_most(B, D) == 1 ? "" : "s");
    return 0;
}
