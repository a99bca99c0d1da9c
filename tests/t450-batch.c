/* SPDX-License-Identifier: BSD-3-Clause */
/* Batches: parts of a batch are those of the whole, mixup and label smoothing as they
 * are defined.
 */
#include "config.h"

#include "src/data/data.h"

#include "src/base/err.h"
#include "src/base/rng.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

enum { SIZE = 6, PIXELS = 3 * SIZE * SIZE, CLASSES = 9, B = 5 };

struct batch {
    float image[B][PIXELS], target[B][CLASSES];
};

static void take(struct batch *b, const struct data *data, int64_t step)
{
    data_batch(data, b->image[0], b->target[0], B, step, (struct range){ 0, B },
               (struct range){ 0, CLASSES }, 2);
}

static struct data *open_noise(double mixup, double smoothing)
{
    struct data *data = NULL;

    if (data_open_noise(&data, SIZE, CLASSES, 4) != 0)
        die("%s", err_sentence());
    data->mixup     = mixup;
    data->smoothing = smoothing;
    return data;
}

/* Every range of images and classes is that of the whole batch, to the bit. */
static void test_parts(double mixup)
{
    struct data *data = open_noise(mixup, mixup / 2);
    struct batch whole;
    float image[B][PIXELS], target[B * CLASSES];
    int wrong = 0;

    take(&whole, data, 7);
    for (int lo = 0; lo < B; lo++) {
        for (int hi = lo; hi <= B; hi++) {
            for (int k = 0; k < CLASSES; k += 2) {
                const struct range b = { lo, hi }, c = { k, k + (CLASSES - k + 1) / 2 };

                data_batch(data, image[0], target, B, 7, b, c, 1);
                wrong += memcmp(image, whole.image[lo],
                                sizeof image[0] * (size_t)(hi - lo)) != 0;
                for (int i = lo; i < hi; i++)
                    wrong +=
                        memcmp(target + (i - lo) * range_size(c), &whole.target[i][k],
                               sizeof(float) * (size_t)range_size(c)) != 0;
                data_targets(data, target, B, 7, b, c);
                for (int i = lo; i < hi; i++)
                    wrong +=
                        memcmp(target + (i - lo) * range_size(c), &whole.target[i][k],
                               sizeof(float) * (size_t)range_size(c)) != 0;
            }
        }
    }
    ok(wrong == 0, "parts of a batch are those of the whole%s",
       mixup > 0 ? ", mixed too" : "");
    data_close(&data);
}

/* Against plain batches, in double. */
static void test_mixup(void)
{
    const double smoothing = 0.1;
    struct data *plain = open_noise(0, 0), *mixed = open_noise(0.3, smoothing);
    double worst = 0, sums = 0;
    struct batch p, m;

    for (int step = 0; step < 20; step++) {
        const double a = data_share(mixed, step);

        take(&p, plain, step);
        take(&m, mixed, step);
        for (int j = 0; j < B; j++) {
            const int before = (j + B - 1) % B;
            double sum       = 0;

            for (int i = 0; i < PIXELS; i++)
                worst = tap_worse(worst, fabs(m.image[j][i] - a * p.image[j][i] -
                                              (1 - a) * p.image[before][i]));
            for (int k = 0; k < CLASSES; k++) {
                const double t = a * p.target[j][k] + (1 - a) * p.target[before][k];

                worst = tap_worse(worst, fabs(m.target[j][k] - (1 - smoothing) * t -
                                              smoothing / CLASSES));
                sum += m.target[j][k];
            }
            sums = tap_worse(sums, fabs(sum - 1));
        }
    }
    close_to(worst, 0, 1e-6, "mixup takes the image before, the first one the last");
    close_to(sums, 0, 1e-6, "mixed and smoothed targets add up to one");
    data_close(&plain);
    data_close(&mixed);
}

/* a (1 - a) of Beta(p, p) is p / (2 (2p + 1)) on average, and at most 1/4. */
static void test_share(void)
{
    static const double p[] = { 0.05, 0.2, 1, 3 };
    enum { STEPS = 20000 };

    for (int i = 0; i < 4; i++) {
        struct data *data = open_noise(p[i], 0);
        double sum = 0, least = 1, most = 0;

        for (int s = 0; s < STEPS; s++) {
            const double a = data_share(data, s);

            sum += a * (1 - a);
            least = fmin(least, a);
            most  = fmax(most, a);
        }
        ok(least >= 0.5 && most <= 1, "p = %g: the larger share is the image's own",
           p[i]);
        close_to(sum / STEPS, p[i] / (2 * (2 * p[i] + 1)), 6 * 0.125 / sqrt(STEPS),
                 "p = %g: shares are those of a beta distribution", p[i]);
        data_close(&data);
    }
}

/* --case=data has indices of their own for thousands of ranks, and so large images that
 * the numbers of these are more than 64 bits count: sanitizers look on.
 */
static void test_far(void)
{
    const int64_t index = (int64_t)1 << 57;
    struct data *data   = open_noise(0, 0);
    float image[PIXELS], wanted[PIXELS];

    data->ops->get(data, image, NULL, (struct range){ 0, CLASSES }, index);
    rng_fill_normal(wanted, PIXELS, data->seed, RNG_IMAGE, (uint64_t)index * PIXELS);
    ok(memcmp(image, wanted, sizeof image) == 0, "noise has an image of any index");
    data_close(&data);
}

int main(void)
{
    test_far();
    test_parts(0);
    test_parts(0.4);
    test_mixup();
    test_share();
    return tap_done();
}
