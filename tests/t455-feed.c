/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,4 */
/* The feed: on every mesh, with any number of threads, made ahead or not, a batch has
 * the bits that data_batch() gives, and data rows see different images.  Pictures
 * become the same images on the device, up to rounding: views of the host and of the
 * device are off by (rows + columns seen + 7) 2^-23 each, and see two of both here;
 * shares of two add 4 2^-23.
 */
#include "config.h"

#include "src/data/feed.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/dev/picture.h"
#include "tests/ranks.h"

#include <math.h>
#include <string.h>

enum { SIZE = 8, PIXELS = 3 * SIZE * SIZE, CLASSES = 10, B = 11 };

static struct data *open_source(bool is_noise, double mixup)
{
    const struct data_options o = { .image     = SIZE,
                                    .classes   = CLASSES,
                                    .seed      = 9,
                                    .augment   = AUGMENT_CROP,
                                    .mixup     = mixup,
                                    .smoothing = mixup / 2 };
    struct data *data           = NULL;

    if ((is_noise ? data_open_noise(&data, SIZE, CLASSES, 9)
                  : data_open_fractal(&data, &o)) != 0)
        die("%s", err_sentence());
    data->mixup     = o.mixup;
    data->smoothing = o.smoothing;
    return data;
}

static const int64_t steps[] = { 0, 1, 2, 7, 8, 3, 3, 4 };
enum { STEPS = sizeof steps / sizeof steps[0] };

/* A batch of a feed that makes no other one. */
static bool take_one(float *image, float *target, const struct data *data,
                     const struct mesh *mesh, int64_t step, struct range b,
                     struct range k, int threads)
{
    struct feed *feed = NULL;

    if (feed_open(&feed, data, mesh, B, b, k, threads, FEED_IMAGES) != 0)
        return false;
    feed_last(feed);
    feed_batch(feed, image, target, step);
    feed_close(&feed);
    return true;
}

/* True if the steps that are asked for, of which some are not the next, are right. */
static bool is_right(const struct data *data, const struct mesh *mesh, int threads,
                     enum feed_form form)
{
    const struct range b = split_range(B, mesh->D, mesh->d);
    const struct range k = split_range(CLASSES, mesh->M, mesh->m);
    const size_t images  = (size_t)range_size(b) * PIXELS;
    const size_t targets = (size_t)(range_size(b) * range_size(k));
    float *image         = mem_new(2 * images + 1, sizeof *image);
    float *target        = mem_new(2 * targets + 1, sizeof *target);
    struct feed *feed    = NULL;
    bool is_ok           = feed_open(&feed, data, mesh, B, b, k, threads, form) == 0;

    for (size_t i = 0; is_ok && i < STEPS; i++) {
        feed_batch(feed, image, target, steps[i]);
        data_batch(data, image + images, target + targets, B, steps[i], b, k, 1);
        if (memcmp(image, image + images, images * sizeof *image) != 0 ||
            memcmp(target, target + targets, targets * sizeof *target) != 0)
            is_ok = false;
        is_ok = take_one(image, target, data, mesh, steps[i], b, k, threads) && is_ok;
        if (memcmp(image, image + images, images * sizeof *image) != 0 ||
            memcmp(target, target + targets, targets * sizeof *target) != 0)
            is_ok = false;
        memset(image, 0, images * sizeof *image);
        memset(target, 0, targets * sizeof *target);
        feed_once(data, mesh, B, b, k, threads, image, target, steps[i]);
        if (memcmp(image, image + images, images * sizeof *image) != 0 ||
            memcmp(target, target + targets, targets * sizeof *target) != 0)
            is_ok = false;
        is_ok = ranks_all(is_ok);
    }
    feed_close(&feed);
    mem_free(image);
    mem_free(target);
    return is_ok;
}

/* The same of pictures, made images of by 'dev'; 'most' is the largest difference, and
 * 'bytes' are those of all pictures.
 */
static bool pictures_are_right(double *most, int64_t *bytes, const struct data *data,
                               const struct mesh *mesh, struct dev *dev, int threads)
{
    const struct range b = split_range(B, mesh->D, mesh->d);
    const struct range k = split_range(CLASSES, mesh->M, mesh->m);
    const int64_t n      = range_size(b);
    const size_t images = (size_t)n * PIXELS, targets = (size_t)(n * range_size(k));
    const size_t rooms       = (size_t)(1 + n) * (PIXELS + PICTURE_NUMBERS);
    struct dev_stream *s     = dev_stream(dev, LANE_COMPUTE);
    float *image             = mem_new(2 * images, sizeof *image);
    float *target            = mem_new(2 * targets + 1, sizeof *target);
    char *room               = mem_new(rooms, sizeof(float));
    struct dev_picture *list = mem_new((size_t)n + 1, sizeof *list);
    struct feed *feed        = NULL;
    struct buf there = { 0 }, made = { 0 };
    bool is_ok = feed_open(&feed, data, mesh, B, b, k, threads, FEED_PICTURES) == 0 &&
                 dev_alloc(&there, dev, rooms * sizeof(float)) == 0 &&
                 dev_alloc(&made, dev, images * sizeof(float)) == 0;

    for (size_t i = 0; is_ok && i < STEPS; i++) {
        const double share  = feed_pictures(feed, list, room, target, steps[i]);
        const int no_first  = share == 1;
        const struct mat to = mat_of(&made, DTYPE_F32, n, PIXELS);
        const struct mat place =
            mat_of(&there, DTYPE_F32, 1 + n, PIXELS + PICTURE_NUMBERS);

        dev_send_pictures(s, place, list + no_first, n + 1 - no_first, room);
        dev_view_pictures(s, to, place, list + no_first, n + 1 - no_first, SIZE, share);
        dev_get(s, image, to);
        data_batch(data, image + images, target + targets, B, steps[i], b, k, 1);
        is_ok = memcmp(target, target + targets, targets * sizeof *target) == 0;
        for (size_t j = 0; j < images; j++)
            *most = tap_worse(*most, fabs((double)image[j] - image[images + j]));
        *bytes = list[n].first + dev_picture_bytes(&list[n]);
        is_ok  = ranks_all(is_ok);
    }
    feed_close(&feed);
    dev_free(&there);
    dev_free(&made);
    mem_free(list);
    mem_free(room);
    mem_free(image);
    mem_free(target);
    return is_ok;
}

static void test_pictures(const struct data *data, const struct mesh *mesh, int threads)
{
    const int64_t floats = 4 * PIXELS * split_size(B, mesh->D, mesh->d);
    struct dev *dev      = NULL;
    double most          = 0;
    int64_t bytes        = 0;

    if (dev_open(&dev, "cpu:ref", DTYPE_F32, 1) != 0)
        die("%s", err_sentence());
    ok(pictures_are_right(&most, &bytes, data, mesh, dev, threads),
       "%dx%d, pictures%s, %d threads: the same targets", mesh->D, mesh->M,
       data->mixup > 0 ? " mixed" : "", threads);
    close_to(most, 0, (4 * 11 + 4) * 0x1p-23, "and the same images");
    ok(3 * bytes < floats, "of less than a third of the bytes");
    dev_close(&dev);
}

static void test_mesh(int D, int M)
{
    struct mesh *mesh = NULL;

    if (mesh_open(&mesh, MPI_COMM_WORLD, D, M) != 0)
        die("%s", err_sentence());
    for (int kind = 0; kind < 4; kind++) {
        struct data *data = open_source(kind & 1, kind & 2 ? 0.4 : 0);

        for (int threads = 1; threads <= 3; threads += 2) {
            ok(is_right(data, mesh, threads, FEED_IMAGES), "%dx%d, %s%s, %d threads", D,
               M, data->ops->name, kind & 2 ? " mixed" : "", threads);
            ok(is_right(data, mesh, threads, FEED_IMAGES_AHEAD),
               "%dx%d, %s%s, %d threads ahead", D, M, data->ops->name,
               kind & 2 ? " mixed" : "", threads);
            if (data->ops->picture != NULL)
                test_pictures(data, mesh, threads);
        }
        data_close(&data);
    }
    mesh_close(&mesh);
}

/* A feed that is closed while its threads are at work, or before any batch. */
static void test_close(int size)
{
    struct data *data = open_source(false, 0.3);
    struct mesh *mesh = NULL;
    struct feed *feed = NULL;
    float image[B * PIXELS], target[B * CLASSES];
    bool is_ok = true;

    if (mesh_open(&mesh, MPI_COMM_WORLD, size, 1) != 0)
        die("%s", err_sentence());
    for (int i = 0; i < 20; i++) {
        is_ok = feed_open(&feed, data, mesh, B, (struct range){ 0, B },
                          (struct range){ 0, CLASSES }, 2,
                          i % 3 == 0 ? FEED_PICTURES : FEED_IMAGES) == 0 &&
                is_ok;
        if (i % 2 == 1 && i % 3 > 0)
            feed_batch(feed, image, target, i);
        feed_close(&feed);
        is_ok = is_ok && feed == NULL;
    }
    ok(is_ok, "a feed is closed at any time");
    feed_close(&feed);
    mesh_close(&mesh);
    data_close(&data);
}

int main(int argc, char **argv)
{
    const int size = ranks_open(&argc, &argv, "t455-feed");

    for (int M = 1; M <= size; M++) {
        if (size % M == 0)
            test_mesh(size / M, M);
    }
    test_close(size);
    return ranks_done();
}
