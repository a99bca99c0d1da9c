/* SPDX-License-Identifier: BSD-3-Clause */
/* The input without a model: images a second on one core, all ranks at once.
 *
 *   read      items of the set as they are stored (with --data=FILE)
 *   decode    JPEG and PNG files in memory to pixels
 *   augment   pixels to what the model sees: inception crop, flip, resize
 *   cut       pixels to what a GPU makes the same of (on one)
 *   view      that sent there, and the images made (likewise)
 *   file      all of it, as training does (with --data=FILE)
 *   fractal   pictures drawn, without a file
 *   noise     what the benchmark of steps feeds
 *
 * Without a set the files are JPEG pictures of 500 x 375, made here.  Each row is run
 * once more on the images of its first call: the error is the number that differ; that
 * of 'view' is the largest difference from 'augment', in units of 2^-23.
 */
#include "config.h"

#include "bench/case.h"
#include "bench/files.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/data/decode.h"
#include "src/data/fractal.h"
#include "src/dev/picture.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FILES = 16 }; /* a call's images */
enum { HEIGHT = 375, WIDTH = 500, QUALITY = 90, CLASSES = 100 };

/* A file and its pixels. */
struct sample {
    struct decode_room file, picture;
    size_t bytes;
    struct pixels pixels;
};

struct job {
    struct bench *bench;
    struct h5set *set; /* NULL: none was given */
    struct sample sample[FILES];
    int size;                 /* side of what the model sees */
    float *image;             /* [FILES, size, size, 3] */
    struct data *data;        /* of the row at hand */
    struct dev_picture *list; /* [FILES], pinned, as are the pictures' bytes */
    char *bytes;
    struct buf room, made; /* the same on the device, and the images */
    int64_t first;         /* index of this rank's first image */
    int64_t next;          /* of the next call's */
};

static size_t numbers(const struct job *j)
{
    return 3 * (size_t)j->size * (size_t)j->size;
}

/* ---- what is timed --------------------------------------------------------------- */

static int64_t sample_index(const struct job *j, int64_t i)
{
    return i % j->bench->files->shape(j->set)->count;
}

static void run_read(void *ctx)
{
    struct job *j = ctx;

    for (int i = 0; i < FILES; i++, j->next++) {
        const int rc = j->bench->files->read(&j->sample[i].file, &j->sample[i].bytes,
                                             j->set, sample_index(j, j->next));

        if (rc != 0)
            err_end(rc);
    }
}

static int decode(struct sample *t)
{
    int height, width;

    TRY(decode_size(&height, &width, t->file.bytes, t->bytes));
    return decode_rows(&t->pixels, &t->picture, t->file.bytes, t->bytes, 0, height);
}

static void run_decode(void *ctx)
{
    struct job *j = ctx;

    for (int i = 0; i < FILES; i++) {
        const int rc = decode(&j->sample[i]);

        if (rc != 0)
            err_end(rc);
    }
}

static void run_augment(void *ctx)
{
    struct job *j = ctx;

    for (int i = 0; i < FILES; i++, j->next++) {
        const struct pixels *p = &j->sample[i].pixels;
        const struct view view =
            augment_view(p->height, p->width, j->size, AUGMENT_CROP, 0, j->next);

        augment_apply(j->image + (size_t)i * numbers(j), *p, 0, &view);
    }
}

static void run_cut(void *ctx)
{
    struct job *j = ctx;
    int64_t at    = 0;

    for (int i = 0; i < FILES; i++, j->next++) {
        const struct pixels *p = &j->sample[i].pixels;
        const struct view view =
            augment_view(p->height, p->width, j->size, AUGMENT_CROP, 0, j->next);

        augment_cut(&j->list[i], j->bytes + at, *p, 0, &view);
        j->list[i].first = at;
        at += dev_picture_bytes(&j->list[i]);
    }
}

static void run_view(void *ctx)
{
    struct job *j          = ctx;
    struct dev_stream *s   = dev_stream(j->bench->dev, LANE_COMPUTE);
    const int64_t n        = (int64_t)numbers(j);
    const struct mat to    = mat_of(&j->made, DTYPE_F32, FILES, n);
    const struct mat there = mat_of(&j->room, DTYPE_F32, FILES, n + PICTURE_NUMBERS);

    dev_send_pictures(s, there, j->list, FILES, j->bytes);
    dev_view_pictures(s, to, there, j->list, FILES, j->size, 1);
    dev_sync(s);
}

static void run_get(void *ctx)
{
    struct job *j = ctx;

    for (int i = 0; i < FILES; i++, j->next++)
        j->data->ops->get(j->data, j->image + (size_t)i * numbers(j), NULL,
                          (struct range){ 0, 0 }, j->next);
}

/* ---- rows ------------------------------------------------------------------------ */

/* Sums of what a call leaves: files, pixels, images, and what is cut
 * out for a device.
 */
static void sum_up(uint64_t sum[FILES], const struct job *j)
{
    for (int i = 0; i < FILES; i++) {
        const struct sample *t = &j->sample[i];
        const float *image     = j->image + (size_t)i * numbers(j);
        const size_t n         = 3 * (size_t)t->pixels.height * (size_t)t->pixels.width;
        const uint8_t *file = t->file.bytes, *rgb = t->pixels.rgb;
        const struct dev_picture *cut = j->list != NULL ? &j->list[i] : NULL;
        const size_t boxed            = cut != NULL ? (size_t)dev_picture_size(cut) : 0;
        uint64_t s                    = 0;
        uint32_t bits;

        for (size_t k = 0; k < t->bytes; k++)
            s = s * 31 + file[k];
        for (size_t k = 0; rgb != NULL && k < n; k++)
            s = s * 31 + rgb[k];
        for (size_t k = 0; k < numbers(j); k++) {
            memcpy(&bits, &image[k], sizeof bits);
            s = s * 31 + bits;
        }
        for (size_t k = 0; k < boxed; k++)
            s = s * 31 + (uint8_t)j->bytes[cut->first + (int64_t)k];
        sum[i] = s;
    }
}

static struct row *time_row(struct case_result *c, struct job *j, const char *name,
                            timed_fn run, int height, int width)
{
    const double budget = 0.3;
    struct row *row     = case_add_row(c);

    snprintf(row->name, sizeof row->name, "%s", name);
    row->size     = FILES;
    row->shape[0] = height > 0 ? FILES : 0;
    row->shape[1] = height;
    row->shape[2] = width;
    row->seconds  = bench_median(budget, j->bench->mesh, run, j);
    row->rate     = FILES / row->seconds;
    j->next       = j->first;
    run(j);
    return row;
}

static int measure(struct case_result *c, struct job *j, const char *name, timed_fn run,
                   int height, int width)
{
    uint64_t once[FILES], again[FILES];
    int64_t wrong = 0;
    struct row *row;

    TRY(bench_go_on(j->bench));
    j->next = j->first;
    run(j);
    sum_up(once, j);
    row = time_row(c, j, name, run, height, width);
    sum_up(again, j);
    for (int i = 0; i < FILES; i++)
        wrong += once[i] != again[i];
    row->error     = coll_sum(j->bench->mesh, AXIS_ALL, (double)wrong);
    row->threshold = 0;
    row_judge(row);
    return 0;
}

static int open_device(struct job *j)
{
    struct dev *dev    = j->bench->dev;
    const size_t room  = FILES * sizeof(float) * (numbers(j) + PICTURE_NUMBERS);
    const size_t image = FILES * sizeof(float) * numbers(j);
    void *list = NULL, *bytes = NULL;
    int rc = dev_pin(&list, dev, FILES * sizeof *j->list);

    if (rc == 0)
        rc = dev_pin(&bytes, dev, room);
    j->list  = list;
    j->bytes = bytes;
    if (rc == 0)
        rc = dev_alloc(&j->room, dev, room);
    return rc != 0 ? rc : dev_alloc(&j->made, dev, image);
}

static void close_device(struct job *j)
{
    void *list = j->list, *bytes = j->bytes;

    dev_unpin(&list, j->bench->dev);
    dev_unpin(&bytes, j->bench->dev);
    dev_free(&j->room);
    dev_free(&j->made);
}

/* Both views see two rows and two columns: they are off by 11 2^-23 each. */
static int measure_device(struct case_result *c, struct job *j)
{
    const size_t n = FILES * numbers(j);
    double most    = 0;
    struct row *row;
    float *got;

    TRY(mesh_agree(j->bench->mesh, open_device(j)));
    TRY(measure(c, j, "cut", run_cut, j->size, j->size));
    got = mem_new(n, sizeof *got);
    row = time_row(c, j, "view", run_view, j->size, j->size);
    dev_get(dev_stream(j->bench->dev, LANE_COMPUTE), got,
            mat_of(&j->made, DTYPE_F32, FILES, (int64_t)numbers(j)));
    j->next = j->first;
    run_augment(j);
    for (size_t i = 0; i < n; i++) {
        const double off = fabs((double)got[i] - j->image[i]);

        if (!(off <= most))
            most = off <= DBL_MAX ? off : INFINITY;
    }
    row->error     = coll_largest(j->bench->mesh, AXIS_ALL, most) * 0x1p23;
    row->threshold = 22;
    row_judge(row);
    mem_free(got);
    return 0;
}

static int measure_source(struct case_result *c, struct job *j, int rc)
{
    TRY(mesh_agree(j->bench->mesh, rc));
    rc = measure(c, j, j->data->ops->name, run_get, j->size, j->size);
    if (rc == 0)
        rc = mesh_agree(j->bench->mesh, data_failure(j->data));
    data_close(&j->data);
    return rc;
}

/* ---- the case -------------------------------------------------------------------- */

/* Pictures of our own, encoded: the middle of fractals. */
static int make_files(struct job *j)
{
    uint8_t *rgb = mem_new(3 * (size_t)WIDTH * WIDTH, 1);
    struct fractal f;
    int rc = 0;

    for (int i = 0; rc == 0 && i < FILES; i++) {
        const struct pixels p = { rgb + 3 * WIDTH * (WIDTH - HEIGHT) / 2, HEIGHT,
                                  WIDTH };

        fractal_make(&f, i);
        fractal_draw(rgb, WIDTH, &f, (uint64_t)(j->first + i));
        rc = encode_jpeg(&j->sample[i].file, &j->sample[i].bytes, p, QUALITY);
    }
    mem_free(rgb);
    return rc;
}

/* Open the set, if there is one, and read the first items; pixels need no decoding. */
static int open_samples(struct job *j)
{
    const struct options *o         = j->bench->options;
    const struct bench_files *files = j->bench->files;
    const struct h5set_shape *s;

    if (o->data[0] == '\0')
        return make_files(j);
    if (files == NULL)
        return ERR(ERR_ENV, "--data=%s: this build has no HDF5", o->data);
    TRY(files->open_set(&j->set, o->data, j->bench->mesh->rank, j->bench->mesh->size));
    s = files->shape(j->set);
    if (s->kind == H5SET_FEATURES)
        return ERR(ERR_DATA, "%s holds features, not images", o->data);
    j->next = j->first;
    run_read(j);
    for (int i = 0; s->kind == H5SET_IMAGES && i < FILES; i++)
        j->sample[i].pixels =
            (struct pixels){ j->sample[i].file.bytes, s->height, s->width };
    for (int i = 0; s->kind == H5SET_ENCODED && i < FILES; i++)
        TRY(decode(&j->sample[i]));
    return 0;
}

static int measure_all(struct case_result *c, struct job *j)
{
    const struct options *o     = j->bench->options;
    const bool is_file          = j->set != NULL;
    const struct data_options d = { .image   = j->size,
                                    .classes = is_file ? 0 : CLASSES,
                                    .seed    = (uint64_t)o->seed,
                                    .augment = AUGMENT_CROP,
                                    .rank    = j->bench->mesh->rank,
                                    .ranks   = j->bench->mesh->size };
    bool is_encoded             = true;
    int height, width;

    if (is_file)
        is_encoded = j->bench->files->shape(j->set)->kind == H5SET_ENCODED;
    if (is_file)
        TRY(measure(c, j, "read", run_read, 0, 0));
    if (is_encoded)
        run_decode(j);
    height = j->sample[0].pixels.height;
    width  = j->sample[0].pixels.width;
    if (is_encoded)
        TRY(measure(c, j, "decode", run_decode, height, width));
    TRY(measure(c, j, "augment", run_augment, j->size, j->size));
    if (!dev_is_host(j->bench->dev) && !dev_is_hollow(j->bench->dev))
        TRY(measure_device(c, j));
    if (is_file)
        return measure_source(c, j, j->bench->files->open_data(&j->data, o->data, &d));
    TRY(measure_source(c, j, data_open_fractal(&j->data, &d)));
    return measure_source(c, j, data_open_noise(&j->data, d.image, d.classes, d.seed));
}

int case_data(struct bench *b, struct case_result *c, const struct spec *spec,
              int64_t batch)
{
    struct job j = { .bench = b, .size = (int)b->options->image };
    bool lacks; /* what this build does, this rank's images may not show */
    int rc;

    (void)spec;
    (void)batch;
    guard_phase("input");
    j.first = (int64_t)b->mesh->rank << 32;
    j.image = mem_new(FILES * numbers(&j), sizeof *j.image);
    rc      = open_samples(&j);
    lacks   = rc == ERR_ENV;
    rc      = mesh_agree(b->mesh, lacks ? 0 : rc);
    if (rc == 0 && coll_largest(b->mesh, AXIS_ALL, lacks) > 0) {
        case_skip(c, "%s",
                  lacks ? err_sentence() : "this build lacks what some images need");
        err_forget();
    } else if (rc == 0) {
        rc = measure_all(c, &j);
        if (rc == 0)
            result_judge(c);
    }
    for (int i = 0; i < FILES; i++) {
        decode_free(&j.sample[i].file);
        decode_free(&j.sample[i].picture);
    }
    if (j.set != NULL)
        b->files->close_set(&j.set);
    close_device(&j);
    mem_free(j.image);
    return rc;
}
