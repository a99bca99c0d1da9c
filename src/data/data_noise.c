/* SPDX-License-Identifier: BSD-3-Clause */
/* Noise: nothing to learn, nothing to read, the same work for the model as any image.
 * (Zeros would not do: processors multiply them faster, and gradients vanish.)
 */
#include "config.h"

#include "src/data/data.h"

#include "src/base/mem.h"
#include "src/base/rng.h"

static void noise_get(const struct data *data, float *image, float *target,
                      struct range k, int64_t index)
{
    const int64_t pixels = 3 * (int64_t)data->image * data->image;
    const uint64_t label = rng_bits(data->seed, RNG_LABEL, (uint64_t)index);
    const int64_t class  = (int64_t)(label % (uint64_t)data->classes);

    if (image != NULL)
        rng_fill_normal(image, pixels, data->seed, RNG_IMAGE,
                        (uint64_t)index * (uint64_t)pixels);
    for (int64_t i = k.lo; target != NULL && i < k.hi; i++)
        target[i - k.lo] = i == class ? 1 : 0;
}

static void noise_close(struct data *data)
{
    mem_free(data);
}

static const struct data_ops noise = {
    .name      = "noise",
    .get       = noise_get,
    .close     = noise_close,
    .is_normal = true,
};

int data_open_noise(struct data **data, int image, int64_t classes, uint64_t seed)
{
    struct data *made = mem_new(1, sizeof *made);

    *made = (struct data){
        .ops = &noise, .image = image, .classes = classes, .seed = seed
    };
    *data = made;
    return 0;
}

/* ---- nothing --------------------------------------------------------------------- */

static void nothing_get(const struct data *data, float *image, float *target,
                        struct range k, int64_t index)
{
    (void)data;
    (void)image;
    (void)target;
    (void)k;
    (void)index;
}

static const struct data_ops nothing = {
    .name  = "nothing",
    .get   = nothing_get,
    .close = noise_close,
};

int data_open_nothing(struct data **data, int image, int64_t classes)
{
    struct data *made = mem_new(1, sizeof *made);

    *made = (struct data){ .ops = &nothing, .image = image, .classes = classes };
    *data = made;
    return 0;
}
