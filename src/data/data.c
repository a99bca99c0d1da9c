/* SPDX-License-Identifier: BSD-3-Clause */
/* A batch from any source.  Images are independent of each other: threads take them in
 * turn.  Mixup and label smoothing follow, as the papers' code has them.
 */
#include "config.h"

#include "src/data/data.h"

#include "src/base/mem.h"
#include "src/base/rng.h"

#include <math.h>

void data_close(struct data **data)
{
    if (*data == NULL)
        return;
    (*data)->ops->close(*data);
    *data = NULL;
}

int data_failure(const struct data *data)
{
    return data->ops->failure != NULL ? data->ops->failure(data) : 0;
}

/* ---- mixup ----------------------------------------------------------------------- */

/* Random numbers of one step's share. */
struct draws {
    uint64_t key, next;
};

/* Gamma-distributed of shape 'p' (Marsaglia and Tsang, 2000):
 * below 1 by way of p + 1.
 */
static double draw_gamma(struct draws *d, double p)
{
    const double shape = p < 1 ? p + 1 : p;
    const double third = shape - 1.0 / 3, c = 1 / sqrt(9 * third);
    double x, u, v;

    do {
        x = rng_normal(d->key, 0, d->next);
        u = rng_uniform(d->key, 1, d->next++);
        v = 1 + c * x;
        v = v * v * v;
    } while (v <= 0 || log(1 - u) > 0.5 * x * x + third * (1 - v + log(v)));
    v *= third;
    return p < 1 ? v * pow(1 - rng_uniform(d->key, 2, d->next++), 1 / p) : v;
}

double data_share(const struct data *data, int64_t step)
{
    struct draws d = { rng_bits(data->seed, RNG_MIXUP, (uint64_t)step), 0 };
    double a, b;

    if (data->mixup <= 0)
        return 1;
    a = draw_gamma(&d, data->mixup);
    b = draw_gamma(&d, data->mixup);
    if (a + b <= 0)
        return 1; /* both underflow where p is tiny: then one of them has all */
    return fmax(a, b) / (a + b);
}

void data_mix(float *x, int64_t n, int64_t size, const float *before, double a)
{
    const float own = (float)a, other = (float)(1 - a);

    for (int64_t j = n - 1; j >= 0; j--) {
        const float *y = j > 0 ? x + (j - 1) * size : before;

        for (int64_t i = 0; i < size; i++)
            x[j * size + i] = own * x[j * size + i] + other * y[i];
    }
}

int64_t data_before(int64_t B, int64_t step, struct range b)
{
    return step * B + (b.lo > 0 ? b.lo : B) - 1;
}

/* ---- batches --------------------------------------------------------------------- */

static void smooth(const struct data *data, float *targets, int64_t n)
{
    const float kept = (float)(1 - data->smoothing);
    const float each = (float)(data->smoothing / (double)data->classes);

    for (int64_t i = 0; data->smoothing > 0 && i < n; i++)
        targets[i] = kept * targets[i] + each;
}

/* Mix targets with that of the image before them, then smooth. */
static void finish_targets(const struct data *data, float *targets, int64_t B,
                           int64_t step, struct range b, struct range k)
{
    const int64_t K = range_size(k);

    if (data->mixup > 0) {
        float *before = mem_new((size_t)K, sizeof *before);

        data->ops->get(data, NULL, before, k, data_before(B, step, b));
        data_mix(targets, range_size(b), K, before, data_share(data, step));
        mem_free(before);
    }
    smooth(data, targets, range_size(b) * K);
}

void data_targets(const struct data *data, float *targets, int64_t B, int64_t step,
                  struct range b, struct range k)
{
    for (int64_t i = b.lo; i < b.hi; i++)
        data->ops->get(data, NULL, targets + (i - b.lo) * range_size(k), k,
                       step * B + i);
    finish_targets(data, targets, B, step, b, k);
}

static void mix_images(const struct data *data, float *images, int64_t B, int64_t step,
                       struct range b)
{
    const int64_t pixels = 3 * (int64_t)data->image * data->image;
    float *before;

    if (data->mixup <= 0)
        return;
    before = mem_new((size_t)pixels, sizeof *before);
    data->ops->get(data, before, NULL, (struct range){ 0, 0 }, data_before(B, step, b));
    data_mix(images, range_size(b), pixels, before, data_share(data, step));
    mem_free(before);
}

/* Images, and their targets if 'targets' is not NULL, as they are without mixup. */
static void get_all(const struct data *data, float *images, float *targets, int64_t B,
                    int64_t step, struct range b, struct range k, int threads)
{
    const int64_t pixels = 3 * (int64_t)data->image * data->image;

    (void)threads; /* the only one without OpenMP */
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(threads)
#endif
    for (int64_t i = 0; i < range_size(b); i++)
        data->ops->get(data, images + i * pixels,
                       targets != NULL ? targets + i * range_size(k) : NULL, k,
                       step * B + b.lo + i);
}

void data_images(const struct data *data, float *images, int64_t B, int64_t step,
                 struct range b, int threads)
{
    get_all(data, images, NULL, B, step, b, (struct range){ 0, 0 }, threads);
    mix_images(data, images, B, step, b);
}

void data_batch(const struct data *data, float *images, float *targets, int64_t B,
                int64_t step, struct range b, struct range k, int threads)
{
    get_all(data, images, targets, B, step, b, k, threads);
    mix_images(data, images, B, step, b);
    finish_targets(data, targets, B, step, b, k);
}
