/* SPDX-License-Identifier: BSD-3-Clause */
/* Fractals as a source: class and picture of an index are drawn from (seed,
 * index).  The systems are the same for all seeds, so that runs of different
 * seeds learn the same thing.
 */
#include "config.h"

#include "src/data/data.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/data/fractal.h"

/* Far from any index of a run. */
#define FIRST_HELD_OUT (INT64_C(1) << 61)

struct fractals {
    struct data base;
    enum augment augment;
    int64_t first;          /* of the indices */
    struct fractal *system; /* [classes] */
};

/* Image 'at', or its picture. */
static void draw(const struct fractals *f, void *image, struct dev_picture *picture,
                 int64_t class, int64_t at)
{
    const struct data *data = &f->base;
    const int size          = data->image;
    const struct view view = augment_view(size, size, size, f->augment, data->seed, at);
    uint8_t *rgb           = mem_new(3 * (size_t)size * (size_t)size, 1);
    const struct pixels p  = { rgb, size, size };

    fractal_draw(rgb, size, &f->system[class],
                 rng_bits(data->seed, RNG_FRACTAL, (uint64_t)at));
    if (picture != NULL)
        augment_cut(picture, image, p, 0, &view);
    else
        augment_apply(image, p, 0, &view);
    mem_free(rgb);
}

static int64_t class_of(const struct fractals *f, int64_t at)
{
    const uint64_t label = rng_bits(f->base.seed, RNG_LABEL, (uint64_t)at);

    return (int64_t)(label % (uint64_t)f->base.classes);
}

static void fractals_get(const struct data *data, float *image, float *target,
                         struct range k, int64_t index)
{
    const struct fractals *f = (const struct fractals *)data;
    const int64_t at         = f->first + index;
    const int64_t class      = class_of(f, at);

    for (int64_t i = k.lo; target != NULL && i < k.hi; i++)
        target[i - k.lo] = i == class ? 1 : 0;
    if (image != NULL)
        draw(f, image, NULL, class, at);
}

static void fractals_picture(const struct data *data, struct dev_picture *picture,
                             void *room, int64_t index)
{
    const struct fractals *f = (const struct fractals *)data;

    draw(f, room, picture, class_of(f, f->first + index), f->first + index);
}

static void fractals_close(struct data *data)
{
    mem_free(((struct fractals *)data)->system);
    mem_free(data);
}

static const struct data_ops fractals = {
    .name      = "fractal",
    .get       = fractals_get,
    .picture   = fractals_picture,
    .close     = fractals_close,
    .is_shared = true,
};

int data_open_fractal(struct data **data, const struct data_options *o)
{
    struct fractals *f;

    if (o->classes < 1 || o->image < 1)
        return ERR(ERR_USAGE, "fractals of %lld classes and %d pixels",
                   (long long)o->classes, o->image);
    f          = mem_new(1, sizeof *f);
    f->base    = (struct data){ .ops       = &fractals,
                                .image     = o->image,
                                .classes   = o->classes,
                                .seed      = o->seed,
                                .mixup     = o->mixup,
                                .smoothing = o->smoothing };
    f->augment = o->augment;
    f->first   = o->is_held_out ? FIRST_HELD_OUT : 0;
    f->system  = mem_new((size_t)o->classes, sizeof *f->system);
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic)
#endif
    for (int64_t i = 0; i < o->classes; i++)
        fractal_make(&f->system[i], i);
    *data = &f->base;
    return 0;
}
