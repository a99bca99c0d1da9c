/* SPDX-License-Identifier: BSD-3-Clause */
/* Fractals: the same again, all classes alike often, held-out ones apart; figures fill
 * their frames, and those of a class are more like each other than like others.
 */
#include "config.h"

#include "src/data/data.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/data/fractal.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

enum { SIZE = 32, PIXELS = 3 * SIZE * SIZE, CLASSES = 60 };

static struct data *open_source(int64_t classes, uint64_t seed, bool is_held_out)
{
    struct data *data = NULL;

    if (data_open_fractal(&data,
                          &(struct data_options){ .image       = SIZE,
                                                  .classes     = classes,
                                                  .seed        = seed,
                                                  .is_held_out = is_held_out }) != 0)
        die("%s", err_sentence());
    return data;
}

static int class_of(const struct data *data, int64_t index)
{
    float target[CLASSES];
    int class = -1;

    data->ops->get(data, NULL, target, (struct range){ 0, data->classes }, index);
    for (int k = 0; k < data->classes; k++)
        class = target[k] == 1 ? k : class;
    return class;
}

static bool is_same(const struct data *a, int64_t i, const struct data *b, int64_t j)
{
    float x[PIXELS], y[PIXELS], none;

    a->ops->get(a, x, &none, (struct range){ 0, 0 }, i);
    b->ops->get(b, y, NULL, (struct range){ 0, 0 }, j);
    return memcmp(x, y, sizeof x) == 0;
}

static void test_source(void)
{
    struct data *data  = open_source(CLASSES, 1, false),
                *again = open_source(CLASSES, 1, false);
    struct data *other = open_source(CLASSES, 2, false);
    struct data *held  = open_source(CLASSES, 1, true);
    int count[CLASSES] = { 0 }, same = 0, seeds = 0, indices = 0, apart = 0;
    double chi = 0;

    for (int i = 0; i < 50; i++) {
        same += is_same(data, 1000 - i, again, 1000 - i) &&
                class_of(data, 1000 - i) == class_of(again, 1000 - i);
        seeds += !is_same(data, i, other, i);
        indices += !is_same(data, i, data, i + 1);
        for (int j = 0; j < 50; j++)
            apart += !is_same(data, i, held, j);
    }
    ok(same == 50, "an index has the same image and class, in any order");
    ok(seeds == 50 && indices == 50, "another seed or index has another image");
    ok(apart == 2500, "held-out images are no others");
    for (int i = 0; i < 100 * CLASSES; i++) {
        const int k = class_of(data, i);

        if (k >= 0)
            count[k]++;
    }
    for (int k = 0; k < CLASSES; k++)
        chi += pow(count[k] - 100, 2) / 100;
    close_to(chi, CLASSES - 1, 6 * sqrt(2.0 * (CLASSES - 1)),
             "classes come equally often");
    ok(data->count == 0, "there is no end");
    data_close(&data);
    data_close(&again);
    data_close(&other);
    data_close(&held);
    ok(data_open_fractal(&data, &(struct data_options){ .image = 8 }) == ERR_USAGE,
       "no classes are refused");
    err_forget();
}

/* Sums over 4 x 4 squares, from the edges' side: what is seen from afar. */
static void blur(double low[64], const uint8_t *rgb)
{
    double sum = 0;

    memset(low, 0, 64 * sizeof *low);
    for (int i = 0; i < SIZE * SIZE; i++)
        low[i / SIZE / 4 * 8 + i % SIZE / 4] +=
            rgb[3 * i] + rgb[3 * i + 1] + rgb[3 * i + 2];
    for (int i = 0; i < 64; i++)
        sum += low[i] * low[i];
    for (int i = 0; i < 64; i++)
        low[i] /= sqrt(sum) + 1e-9;
}

/* How often the nearest of all classes' means is that of the own class. */
static void test_classes(void)
{
    enum { OF_MEAN = 8, TRIED = 4 };
    double(*mean)[64] = mem_new(CLASSES, sizeof *mean);
    double least = 1, covered = 0, low[64];
    uint8_t rgb[PIXELS];
    int right = 0;

    for (int k = 0; k < CLASSES; k++) {
        struct fractal f;

        fractal_make(&f, k);
        for (int i = 0; i < OF_MEAN; i++) {
            int lit = 0;

            fractal_draw(rgb, SIZE, &f, (uint64_t)(1000 * k + i));
            blur(low, rgb);
            for (int j = 0; j < 64; j++)
                mean[k][j] += low[j] / OF_MEAN;
            for (int j = 0; j < SIZE * SIZE; j++)
                lit += rgb[3 * j] + rgb[3 * j + 1] + rgb[3 * j + 2] > 0;
            least = fmin(least, (double)lit / (SIZE * SIZE));
            covered += (double)lit / (SIZE * SIZE) / (CLASSES * OF_MEAN);
        }
    }
    for (int k = 0; k < CLASSES; k++) {
        struct fractal f;

        fractal_make(&f, k);
        for (int i = 0; i < TRIED; i++) {
            double nearest = 1e9;
            int found      = -1;

            fractal_draw(rgb, SIZE, &f, (uint64_t)(1000 * k + 500 + i));
            blur(low, rgb);
            for (int c = 0; c < CLASSES; c++) {
                double off = 0;

                for (int j = 0; j < 64; j++)
                    off += pow(low[j] - mean[c][j], 2);
                if (off < nearest) {
                    nearest = off;
                    found   = c;
                }
            }
            right += found == k;
        }
    }
    ok(least > 0.1 && covered > 0.25 && covered < 0.8,
       "figures cover their frames, %.0f %% on average, %.0f %% at least",
       100 * covered, 100 * least);
    ok(right > CLASSES * TRIED / 2,
       "the nearest of %d classes' means is the own one for %d of %d", CLASSES, right,
       CLASSES * TRIED);
    mem_free(mean);
}

int main(void)
{
    test_source();
    test_classes();
    return tap_done();
}
