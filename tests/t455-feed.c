/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,4 */
/* The feed: on every mesh, with any number of threads, made ahead or not, a batch has
 * the bits that data_batch() gives, and data rows see different images.
 */
#include "config.h"

#include "src/data/feed.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "tests/ranks.h"

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

/* True if the steps that are asked for, of which some are not the next, are right. */
static bool is_right(const struct data *data, const struct mesh *mesh, int threads,
                     bool has_idle_cores)
{
    static const int64_t steps[] = { 0, 1, 2, 7, 8, 3, 3, 4 };
    const struct range b         = split_range(B, mesh->D, mesh->d);
    const struct range k         = split_range(CLASSES, mesh->M, mesh->m);
    const size_t images          = (size_t)range_size(b) * PIXELS;
    const size_t targets         = (size_t)(range_size(b) * range_size(k));
    float *image                 = mem_new(2 * images + 1, sizeof *image);
    float *target                = mem_new(2 * targets + 1, sizeof *target);
    struct feed *feed            = NULL;
    bool is_ok = feed_open(&feed, data, mesh, B, b, k, threads, has_idle_cores) == 0;

    for (size_t i = 0; is_ok && i < sizeof steps / sizeof steps[0]; i++) {
        feed_batch(feed, image, target, steps[i]);
        data_batch(data, image + images, target + targets, B, steps[i], b, k, 1);
        if (memcmp(image, image + images, images * sizeof *image) != 0 ||
            memcmp(target, target + targets, targets * sizeof *target) != 0)
            is_ok = false;
        feed_once(image, target, data, mesh, B, steps[i], b, k, threads);
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

static void test_mesh(int D, int M)
{
    struct mesh *mesh = NULL;

    if (mesh_open(&mesh, MPI_COMM_WORLD, D, M) != 0)
        die("%s", err_sentence());
    for (int kind = 0; kind < 4; kind++) {
        struct data *data = open_source(kind & 1, kind & 2 ? 0.4 : 0);

        for (int threads = 1; threads <= 3; threads += 2) {
            ok(is_right(data, mesh, threads, false), "%dx%d, %s%s, %d threads", D, M,
               data->ops->name, kind & 2 ? " mixed" : "", threads);
            ok(is_right(data, mesh, threads, true), "%dx%d, %s%s, %d threads ahead", D,
               M, data->ops->name, kind & 2 ? " mixed" : "", threads);
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
                          (struct range){ 0, CLASSES }, 2, false) == 0 &&
                is_ok;
        if (i % 2 == 1)
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
