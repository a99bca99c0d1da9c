/* SPDX-License-Identifier: BSD-3-Clause */
/* Crop, flip and resize, against a plain computation in double and by statistics. */
#include "config.h"

#include "src/data/augment.h"

#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

enum { SIDE = 64, MOST = 3 * SIDE * SIDE };

static uint8_t rgb[MOST];

static void fill(int height, int width)
{
    for (int i = 0; i < 3 * height * width; i++)
        rgb[i] = (uint8_t)rng_bits(1, RNG_TEST, (uint64_t)i);
}

/* ---- resizing -------------------------------------------------------------------- */

/* The value at output place (y, x) of colour c: a sum over all pixels of the box, each
 * weighed by how near it is, as TensorFlow defines it.
 */
static double oracle(const struct view *v, int stride, int y, int x, int c)
{
    const struct box f = v->from;
    const double sy = (double)f.height / v->height, sx = (double)f.width / v->width;
    const double ry = v->is_smooth ? fmax(sy, 1) : 1,
                 rx = v->is_smooth ? fmax(sx, 1) : 1;
    const double cy = (v->part.y + y + 0.5) * sy, cx = (v->part.x + x + 0.5) * sx;
    double sum = 0, weights = 0;

    for (int i = 0; i < f.height; i++) {
        for (int j = 0; j < f.width; j++) {
            const double wy = fmax(0, 1 - fabs(i + 0.5 - cy) / ry);
            const double wx = fmax(0, 1 - fabs(j + 0.5 - cx) / rx);

            sum += wy * wx * rgb[3 * ((f.y + i) * stride + f.x + j) + c];
            weights += wy * wx;
        }
    }
    return sum / weights / 127.5 - 1;
}

static double error_of(struct pixels p, const struct view *v)
{
    float *image = mem_new((size_t)(3 * v->part.height * v->part.width), sizeof *image);
    double worst = 0;

    augment_apply(image, p, 0, v);
    for (int y = 0; y < v->part.height; y++) {
        for (int x = 0; x < v->part.width; x++) {
            const int at = v->is_flipped ? v->part.width - 1 - x : x;

            for (int c = 0; c < 3; c++)
                worst = tap_worse(worst, fabs(image[3 * (y * v->part.width + at) + c] -
                                              oracle(v, p.width, y, x, c)));
        }
    }
    mem_free(image);
    return worst;
}

static void test_resize(void)
{
    static const int from[][2] = { { 1, 1 },   { 2, 3 },   { 7, 5 },  { 16, 16 },
                                   { 31, 17 }, { 64, 64 }, { 1, 40 }, { 60, 2 } };
    static const int to[]      = { 1, 3, 8, 16, 29, 40 };
    double worst[2]            = { 0, 0 };

    for (size_t i = 0; i < sizeof from / sizeof from[0]; i++) {
        const int h = from[i][0], w = from[i][1];

        fill(h, w);
        for (size_t j = 0; j < sizeof to / sizeof to[0]; j++) {
            for (int k = 0; k < 8; k++) {
                /* whole pictures and inner boxes, all of the result and its middle */
                const int inset = k & 1 && h > 2 && w > 2 ? 1 : 0;
                const int trim  = k & 2 ? to[j] / 3 : 0;
                struct view v   = {
                      .from       = { inset, inset, h - 2 * inset, w - 2 * inset },
                      .height     = to[j],
                      .width      = to[j] + 1,
                      .part       = { trim, trim, to[j] - trim, to[j] + 1 - trim },
                      .is_flipped = k & 1
                };

                v.is_smooth        = (k & 4) != 0;
                worst[v.is_smooth] = tap_worse(
                    worst[v.is_smooth], error_of((struct pixels){ rgb, h, w }, &v));
            }
        }
    }
    /* weights and sums in float: a few 2^-24 of values up to 2 */
    close_to(worst[0], 0, 1e-6, "resizing is bilinear");
    close_to(worst[1], 0, 1e-6, "with antialiasing it sees every pixel");
}

static void test_same(void)
{
    float image[3 * 8 * 8];
    bool is_same = true;

    fill(8, 8);
    for (int how = AUGMENT_NONE; how <= AUGMENT_FLIP; how++) {
        for (int i = 0; i < 20; i++) {
            const struct view v = augment_view(8, 8, 8, (enum augment)how, 1, i);

            augment_apply(image, (struct pixels){ rgb, 8, 8 }, 0, &v);
            for (int k = 0; k < 64; k++) {
                const int x = v.is_flipped ? 7 - k % 8 : k % 8;

                is_same = is_same &&
                          fabsf(image[3 * k] -
                                ((float)rgb[3 * (k / 8 * 8 + x)] / 127.5F - 1)) < 1e-6F;
            }
        }
    }
    ok(is_same, "an image of the right size is taken as it is, or mirrored");
}

/* The rows of a box alone give the same bits. */
static void test_rows(void)
{
    float whole[3 * 16 * 16], part[3 * 16 * 16];
    bool is_same = true;

    fill(50, 40);
    for (int i = 0; i < 50; i++) {
        const struct view v = augment_view(50, 40, 16, AUGMENT_CROP, 2, i);

        augment_apply(whole, (struct pixels){ rgb, 50, 40 }, 0, &v);
        augment_apply(part,
                      (struct pixels){ rgb + 3 * 40 * v.from.y, v.from.height, 40 },
                      v.from.y, &v);
        is_same = is_same && memcmp(whole, part, sizeof whole) == 0;
    }
    ok(is_same, "rows outside of a crop are not looked at");
}

/* ---- views ----------------------------------------------------------------------- */

static void test_evaluation(void)
{
    const struct view v = augment_view(427, 640, 224, AUGMENT_NONE, 0, 0);
    const struct view s = augment_view(427, 640, 32, AUGMENT_NONE, 0, 0);
    const struct view m = augment_middle(427, 640, 224);

    ok(v.height == 256 && v.width == 256 && v.part.y == 16 && v.part.height == 224 &&
           v.from.width == 640 && v.is_smooth && !v.is_flipped,
       "without augmentation 224 are the middle of 256");
    ok(s.height == 37 && s.part.y == 2 && s.part.height == 32, "and 32 of 36.6");
    ok(m.height == 224 && m.width == 336 && m.part.x == 56 && m.part.y == 0 &&
           m.part.width == 224,
       "a stored square is the middle of the picture, sides in proportion");
}

static void test_crops(int height, int width)
{
    enum { CROPS = 20000 };
    double area_sum = 0, least = 1, most = 0, x_sum = 0, y_sum = 0, both = 0;
    int inside = 0, shaped = 0, edges = 0, flips = 0, again = 0;

    for (int i = 0; i < CROPS; i++) {
        const struct view v  = augment_view(height, width, 32, AUGMENT_CROP, 3, i);
        const struct view v2 = augment_view(height, width, 32, AUGMENT_CROP, 3, i);
        const struct box b   = v.from;
        const double area    = (double)b.height * b.width / ((double)height * width);
        const double aspect  = (double)b.width / b.height;
        const int down = height - b.height, across = width - b.width;
        const double y = down > 0 ? b.y / (double)down - 0.5 : 0;
        const double x = across > 0 ? b.x / (double)across - 0.5 : 0;

        inside += b.y >= 0 && b.x >= 0 && b.height > 0 && b.width > 0 &&
                  b.y + b.height <= height && b.x + b.width <= width;
        /* the width is rounded: by half a pixel */
        shaped += fabs(aspect - fmin(fmax(aspect, 0.75), 4.0 / 3)) <= 0.5 / b.height;
        edges += b.y + b.height == height || b.x + b.width == width;
        flips += v.is_flipped;
        again += memcmp(&b, &v2.from, sizeof b) == 0 && v.is_flipped == v2.is_flipped;
        area_sum += area;
        least = fmin(least, area);
        most  = fmax(most, area);
        y_sum += y;
        x_sum += x;
        both += x * y;
    }
    ok(inside == CROPS, "%dx%d: crops lie in the picture", width, height);
    ok(shaped == CROPS, "%dx%d: their sides are 3:4 to 4:3", width, height);
    ok(least >= 0.05 && least < 0.07 && most > 0.7 && most <= 1,
       "%dx%d: they have 5 %% to all of the area (%.3f to %.3f)", width, height, least,
       most);
    /* uniform in height: the mean of h^2 between sqrt(0.05) and 1 is 0.42 at most */
    ok(area_sum / CROPS > 0.25 && area_sum / CROPS < 0.45,
       "%dx%d: on average a third (%.3f)", width, height, area_sum / CROPS);
    ok(edges > CROPS / 100, "%dx%d: the last row and column are reached", width,
       height);
    /* six deviations of the mean of uniform numbers: 6 / sqrt(12 n) */
    ok(fabs(x_sum / CROPS) < 0.0123 && fabs(y_sum / CROPS) < 0.0123,
       "%dx%d: they lie anywhere", width, height);
    /* of products of two: 6 / 12 / sqrt(n) */
    ok(fabs(both / CROPS) < 0.0036, "%dx%d: down whatever across", width, height);
    close_to(flips / (double)CROPS, 0.5, 3 / sqrt(CROPS), "%dx%d: half are mirrored",
             width, height);
    ok(again == CROPS, "%dx%d: each is the same again", width, height);
}

static void test_odd_pictures(void)
{
    static const int sides[][2] = { { 1, 1 }, { 1, 1000 }, { 1000, 1 },
                                    { 2, 2 }, { 3, 200 },  { 5, 4 } };
    bool is_ok                  = true;

    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
        for (int k = 0; k < 500; k++) {
            const int h = sides[i][0], w = sides[i][1];
            const struct box b = augment_view(h, w, 8, AUGMENT_CROP, 1, k).from;

            is_ok = is_ok && b.height >= 1 && b.width >= 1 && b.y >= 0 && b.x >= 0 &&
                    b.y + b.height <= h && b.x + b.width <= w;
        }
    }
    ok(is_ok, "pictures of a pixel, a line or a column have crops");
}

static void test_bytes(void)
{
    const float image[] = { -1, 1, 0, -1.5F, 2, 1 / 127.5F - 1 };
    uint8_t bytes[6];

    augment_bytes(bytes, image, 6);
    ok(bytes[0] == 0 && bytes[1] == 255 && bytes[2] == 128 && bytes[3] == 0 &&
           bytes[4] == 255 && bytes[5] == 1,
       "numbers become bytes again, within bounds");
}

int main(void)
{
    test_resize();
    test_same();
    test_rows();
    test_evaluation();
    test_crops(427, 640);
    test_crops(200, 200);
    test_odd_pictures();
    test_bytes();
    return tap_done();
}
