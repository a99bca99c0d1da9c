/* SPDX-License-Identifier: BSD-3-Clause */
/* Pictures of random bytes and many sizes, seen by every kind of device, against sums
 * over all of their pixels in double.
 *
 * Tolerance, in f32: a view is a sum of n terms down and m across, each a pixel (exact)
 * times two weights (whole numbers, or rounded once).  Its relative error is at most
 * (n + m + 1) 2^-24 for products and sums, 3 2^-24 for the sum of weights, 3 2^-24 for
 * the division and the range, of numbers up to 2, from which 1 is taken.
 */
#include "config.h"

#include "tests/tap.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/dev/picture.h"

#include <math.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 40, GAP = 5 };

/* A batch on its way: pictures, their bytes, and where both go. */
struct batch {
    struct dev *dev;
    int image, count;
    struct dev_picture *list; /* [MOST], pinned, as are the bytes */
    char *bytes;
    int64_t used;
    struct buf room, images;
    struct mat there;
};

static uint64_t draws;

static int below(int n)
{
    return (int)(rng_bits(21, RNG_TEST, draws++) % (uint64_t)n);
}

static void batch_open(struct batch *b, struct dev *dev, int image)
{
    const int64_t numbers = 3 * image * image;
    void *list, *bytes;

    *b = (struct batch){ .dev = dev, .image = image };
    if (dev_pin(&list, dev, MOST * sizeof *b->list) != 0 ||
        dev_pin(&bytes, dev, (size_t)(MOST * (numbers + PICTURE_NUMBERS)) * 4) != 0 ||
        dev_alloc(&b->room, dev, (size_t)(MOST * (numbers + PICTURE_NUMBERS)) * 4) ||
        dev_alloc(&b->images, dev, (size_t)(MOST * (numbers + GAP)) * 8) != 0)
        die("%s", err_sentence());
    b->list  = list;
    b->bytes = bytes;
    b->there = mat_of(&b->room, DTYPE_F32, MOST, numbers + PICTURE_NUMBERS);
}

static void batch_close(struct batch *b)
{
    void *list = b->list, *bytes = b->bytes;

    dev_unpin(&list, b->dev);
    dev_unpin(&bytes, b->dev);
    dev_free(&b->room);
    dev_free(&b->images);
}

/* Another picture, of random bytes, or of numbers. */
static void add(struct batch *b, struct dev_picture p)
{
    int64_t n = 3 * (int64_t)p.height * p.width;

    p.first = b->used;
    b->used += dev_picture_bytes(&p);
    for (int64_t i = 0; i < n; i++) {
        if (p.is_image)
            ((float *)(void *)(b->bytes + p.first))[i] = (float)below(511) / 255 - 1;
        else
            b->bytes[p.first + i] = (char)below(256);
    }
    b->list[b->count++] = p;
}

/* One whose bytes are no more than those of its image. */
static struct dev_picture draw(int image)
{
    struct dev_picture p = { .is_smooth = below(2), .is_flipped = below(2) };
    const int most       = 4 * image * image;

    if (below(8) == 0)
        return (
            struct dev_picture){ .height = image, .width = image, .is_image = true };
    do {
        const int long_side = below(3) == 0 ? most : 3 * image;

        p.height = 1 + below(below(2) ? long_side : 3 * image);
        p.width  = 1 + below(below(2) ? long_side : 3 * image);
    } while (p.height * p.width > most);
    p.to_height = image + below(image + 1);
    p.to_width  = image + below(image + 1);
    p.y         = below(p.to_height - image + 1);
    p.x         = below(p.to_width - image + 1);
    return p;
}

/* ---- the oracle ------------------------------------------------------------------ */

static double weight(int i, int j, int from, int to, bool is_smooth)
{
    const double scale = (double)from / to, r = is_smooth ? fmax(scale, 1) : 1;

    return fmax(0, 1 - fabs(j + 0.5 - (i + 0.5) * scale) / r);
}

static double seen(const struct batch *b, int i, int y, int x, int c, int *terms)
{
    const struct dev_picture *p = &b->list[i];
    const char *from            = b->bytes + p->first;
    const int across            = p->x + (p->is_flipped ? b->image - 1 - x : x);
    double sum = 0, weights = 0;
    int rows = 0, cols = 0;

    *terms = 0;
    if (p->is_image)
        return ((const float *)(const void *)from)[(y * b->image + x) * 3 + c];
    for (int u = 0; u < p->height; u++) {
        const double down = weight(p->y + y, u, p->height, p->to_height, p->is_smooth);

        rows += down > 0;
        cols = 0;
        for (int v = 0; v < p->width && down > 0; v++) {
            const double w =
                down * weight(across, v, p->width, p->to_width, p->is_smooth);

            cols += w > 0;
            sum += w * (uint8_t)from[(u * p->width + v) * 3 + c];
            weights += w;
        }
    }
    *terms = rows + cols + 7;
    return sum / weights / 127.5 - 1;
}

/* ---- on a device ----------------------------------------------------------------- */

/* The largest error of the batch in units of its tolerance, on outputs that were NaN;
 * infinite if one is not a number, or if something beside the outputs is one.
 */
static double error_of(struct batch *b, double share)
{
    struct dev_stream *s  = dev_stream(b->dev, LANE_COMPUTE);
    const enum dtype acc  = dev_acc(b->dev);
    const int mixed       = share < 1;
    const int n           = b->count - mixed;
    const int64_t numbers = 3 * b->image * b->image, ld = numbers + GAP;
    const struct mat all = mat_of(&b->images, acc, n, ld);
    const double unit    = acc == DTYPE_F64 ? 0x1p-52 : 0x1p-23;
    void *host           = mem_new((size_t)(n * ld), dtype_size(acc));
    double worst         = 0;

    dev_fill(s, all, NAN);
    dev_fill(s, b->there, NAN);
    dev_send_pictures(s, b->there, b->list, b->count, b->bytes);
    dev_view_pictures(s, mat_cols(all, 0, numbers), b->there, b->list, b->count,
                      b->image, share);
    dev_get(s, host, all);
    for (int64_t i = 0; i < n * ld; i++) {
        const int r = (int)(i / ld), v = (int)(i % ld), y = v / 3 / b->image,
                  x      = v / 3 % b->image;
        const double got = dtype_load(acc, host, i);
        int terms = 0, others = 0;
        double want;

        if (v >= numbers) {
            worst = isnan(got) ? worst : INFINITY;
            continue;
        }
        want = seen(b, r + mixed, y, x, v % 3, &terms);
        if (mixed)
            want = share * want + (1 - share) * seen(b, r, y, x, v % 3, &others);
        terms += others + 4 * mixed;
        if (!(fabs(got - want) <= terms * unit) && isfinite(worst)) {
            tap_note("picture %d of %d: %.9g, not %.9g at (%d, %d, %d); %d terms", r,
                     b->count, got, want, y, x, v % 3, terms);
            worst = INFINITY;
        }
        if (terms > 0)
            worst = tap_worse(worst, fabs(got - want) / (terms * unit));
    }
    mem_free(host);
    return worst;
}

static void one_device(const char *name, enum dtype dtype)
{
    static const int images[]             = { 1, 2, 5, 8, 19, 33 };
    static const struct dev_picture odd[] = {
        { .height = 1, .width = 1, .to_height = 5, .to_width = 5 },
        { .height = 1, .width = 1, .to_height = 5, .to_width = 9, .is_flipped = true },
        { .height = 1, .width = 100, .to_height = 5, .to_width = 5, .is_smooth = true },
        { .height = 100, .width = 1, .to_height = 6, .to_width = 6, .x = 1 },
        { .height = 10, .width = 10, .to_height = 5, .to_width = 5, .is_smooth = true },
        { .height = 5, .width = 5, .to_height = 5, .to_width = 5, .is_flipped = true },
        { .height = 5, .width = 5, .is_image = true },
        { .height     = 2,
          .width      = 3,
          .to_height  = 1000000,
          .to_width   = 999999,
          .y          = 999995,
          .x          = 999994,
          .is_smooth  = true,
          .is_flipped = true },
    };
    const int rounds = tap_is_long() ? 40 : 3;
    double worst = 0, mixed = 0;
    struct dev *dev;
    struct batch b;

    if (dev_open(&dev, name, dtype, 1) != 0)
        die("%s", err_sentence());
    batch_open(&b, dev, 5);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        add(&b, odd[i]);
    worst = error_of(&b, 1);
    mixed = error_of(&b, 0.6);
    batch_close(&b);
    for (int i = 0; i < 6 * rounds; i++) {
        batch_open(&b, dev, images[i % 6]);
        for (int k = 0; k < (images[i % 6] > 10 ? 4 : 17); k++)
            add(&b, draw(images[i % 6]));
        worst = tap_worse(worst, error_of(&b, 1));
        mixed = tap_worse(mixed, error_of(&b, 0.5 + 0.49 * below(100) / 100));
        batch_close(&b);
    }
    batch_open(&b, dev, 4);
    add(&b, draw(4));
    worst   = tap_worse(worst, error_of(&b, 1));
    b.count = 0;
    b.used  = 0;
    worst   = tap_worse(worst, error_of(&b, 1)); /* nothing */
    batch_close(&b);
    close_to(worst, 0, 1, "%s in %s: views of pictures", name, dtype_name(dtype));
    close_to(mixed, 0, 1, "%s in %s: and shares of two", name, dtype_name(dtype));
    dev_close(&dev);
}

#ifndef CUDA_ON_HOST
/* ---- what cannot be -------------------------------------------------------------- */

/* True if the program dies of picture 'p' in a batch of an image of 4 pixels a side. */
static bool dies_of(struct dev_picture p)
{
    int status = 0;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        struct dev *dev;
        struct batch b;

        fclose(stderr);
        if (dev_open(&dev, "cpu:ref", DTYPE_F32, 1) != 0)
            _exit(0);
        batch_open(&b, dev, 4);
        add(&b, (struct dev_picture){ .height = 4, .width = 4, .is_image = true });
        b.list[b.count++] = p;
        error_of(&b, 1);
        _exit(0);
    }
    waitpid(child, &status, 0);
    return status != 0;
}

static void test_wrong(void)
{
    const struct dev_picture right = {
        .first = 192, .height = 3, .width = 3, .to_height = 4, .to_width = 4
    };
    const int32_t huge = PICTURE_SIDE + 1;
    struct dev_picture p[10];
    int wrong = 0;

    for (int i = 0; i < 10; i++)
        p[i] = right;
    p[0].first    = 190;
    p[1].first    = 0;
    p[1].height   = 1 << 18;
    p[2].height   = 0;
    p[3].width    = -3;
    p[4].y        = 1;
    p[5].x        = -1;
    p[6].to_width = p[6].to_height = huge;
    p[7].is_image                  = true;
    p[8].first                     = 1 << 30;
    p[9].to_height                 = 3;
    ok(!dies_of(right), "a picture after another one");
    for (int i = 0; i < 10; i++)
        wrong += !dies_of(p[i]);
    ok(wrong == 0, "pictures that are not where or what they seem end the program");
}

#endif

int main(void)
{
#ifndef CUDA_ON_HOST
    test_wrong();
    one_device("cpu:ref", DTYPE_F64);
    one_device("cpu:ref", DTYPE_F32);
#ifdef HAVE_BLIS
    one_device("cpu:blis", DTYPE_F32);
#endif
#endif
    err_forget();
    for (int i = 0; i < 2; i++) {
        const enum dtype dtype = i == 0 ? DTYPE_F32 : DTYPE_BF16;
        struct dev *dev        = NULL;

        if (dev_open(&dev, "cuda", dtype, 1) == 0) {
            dev_close(&dev);
            one_device("cuda", dtype);
        } else {
            tap_skip("cuda", "there is no GPU, or no CUDA in this build");
        }
        err_forget();
    }
    return tap_done();
}
