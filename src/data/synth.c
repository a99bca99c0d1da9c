/* SPDX-License-Identifier: BSD-3-Clause */
/* Fractals into a set.  The sizes of JPEG files must be known before the first is
 * written, so these are made twice.
 */
#include "config.h"

#include "src/data/synth.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/data/data.h"
#include "src/data/h5set.h"
#include "src/data/meter.h"

/* Their indices are none that a run trains on or holds out (data_fractal.c). */
#define FIRST (INT64_C(1) << 60)

struct synth {
    struct data *data;
    int quality;
    float *image, *target;
    uint8_t *rgb;
    struct decode_room room;
    struct meter meter;
};

/* Image 'i' as it is stored. */
static int make(const void **item, size_t *size, struct synth *s, int64_t i)
{
    const int side        = s->data->image;
    const int64_t numbers = 3 * (int64_t)side * side;

    s->data->ops->get(s->data, s->image, NULL, (struct range){ 0, 0 }, FIRST + i);
    augment_bytes(s->rgb, s->image, numbers);
    meter_step(&s->meter);
    *item = s->rgb;
    *size = (size_t)numbers;
    if (s->quality == 0)
        return 0;
    TRY(encode_jpeg(&s->room, size, (struct pixels){ s->rgb, side, side }, s->quality));
    *item = s->room.bytes;
    return 0;
}

static int32_t label_of(struct synth *s, int64_t i)
{
    int32_t class = 0;

    s->data->ops->get(s->data, NULL, s->target, (struct range){ 0, s->data->classes },
                      FIRST + i);
    while (s->target[class] == 0)
        class ++;
    return class;
}

static int write_set(struct synth *s, const char *path, int64_t n)
{
    struct h5set_shape shape = { .kind  = s->quality > 0 ? H5SET_ENCODED : H5SET_IMAGES,
                                 .count = n,
                                 .classes = s->data->classes,
                                 .height  = s->data->image,
                                 .width   = s->data->image };
    struct h5set *set        = NULL;
    const void *item;
    size_t size;
    int rc = 0;

    meter_open(&s->meter, "drawing", s->quality > 0 ? 2 * n : n);
    for (int64_t i = 0; s->quality > 0 && i < n; i++) {
        TRY(make(&item, &size, s, i));
        shape.bytes += (int64_t)size;
    }
    TRY(h5set_create(&set, path, &shape, ""));
    for (int64_t i = 0; rc == 0 && i < n; i++) {
        rc = make(&item, &size, s, i);
        if (rc == 0)
            rc = h5set_append(set, item, size, &(int32_t){ label_of(s, i) }, 1);
    }
    if (rc == 0)
        rc = h5set_finish(&set);
    h5set_drop(&set);
    return rc;
}

int synth_set(const char *path, int64_t n, int64_t classes, int image, int quality,
              uint64_t seed)
{
    const size_t numbers = 3 * (size_t)image * (size_t)image;
    struct synth s       = { .quality = quality };
    int rc;

    TRY(data_open_fractal(
        &s.data,
        &(struct data_options){ .image = image, .classes = classes, .seed = seed }));
    s.image  = mem_new(numbers, sizeof *s.image);
    s.rgb    = mem_new(numbers, 1);
    s.target = mem_new((size_t)classes, sizeof *s.target);
    rc       = write_set(&s, path, n);
    meter_clear(&s.meter);
    decode_free(&s.room);
    mem_free(s.target);
    mem_free(s.rgb);
    mem_free(s.image);
    data_close(&s.data);
    return rc;
}
