/* SPDX-License-Identifier: BSD-3-Clause */
/* What the GPU can do at best, measured: products of a fixed list of shapes, and sums
 * of long arrays.
 */
#include "config.h"

#include "src/dev/cuda.h"

#include <stdio.h>

/* Shapes (rows, columns, depth) that large products of models have. */
static const int64_t shapes[][3] = { { 8192, 8192, 8192 },
                                     { 16384, 8192, 4096 },
                                     { 16384, 4096, 8192 },
                                     { 4096, 16384, 8192 } };
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* Seconds of one call of 'work', repeated for about 'seconds'. */
static double time_of(struct dev_stream *s, cuda_work_fn work, void *ctx,
                      double seconds)
{
    work(s, ctx);
    for (int calls = 1;; calls *= 2) {
        const double each = cuda_time(s, work, ctx, calls);

        if (calls * each > seconds / 2)
            return each;
    }
}

struct product {
    struct dev_weight weight;
    struct mat x, y;
};

static void multiply(struct dev_stream *s, void *ctx)
{
    const struct product *p = ctx;

    cuda_gemm(s, p->y, p->x, &p->weight, (struct range){ 0, p->weight.w.rows },
              (struct range){ 0, p->weight.w.cols }, false, NULL);
}

/* FLOP/s of one shape, halved until there is memory for it. */
static double rate_of(struct dev *dev, const int64_t shape[3], double seconds)
{
    struct dev_stream *s = dev_stream(dev, LANE_COMPUTE);
    int64_t n = shape[0], m = shape[1], k = shape[2];
    struct product p = { .weight = { .dev = dev } };
    struct buf b;
    double rate;

    while (dev_alloc(&b, dev,
                     (size_t)(n * k + k * m + n * m) * dtype_size(dev->dtype)) != 0) {
        err_forget();
        n /= 2;
        m /= 2;
        k /= 2;
        if (k < 64)
            return 0.0;
    }
    p.x        = mat_at(&b, dev->dtype, 0, n, k);
    p.weight.w = mat_at(&b, dev->dtype, n * k, k, m);
    p.y        = mat_at(&b, dev->dtype, n * k + k * m, n, m);
    cuda_noise(s, p.x);
    cuda_noise(s, p.weight.w);
    rate = 2.0 * (double)n * (double)m * (double)k / time_of(s, multiply, &p, seconds);
    dev_free(&b);
    return rate;
}

double cuda_peak(struct dev *dev, double seconds)
{
    double best = 0.0;

    for (int i = 0; i < SHAPES; i++) {
        const double rate = rate_of(dev, shapes[i], seconds / SHAPES);

        if (rate > best)
            best = rate;
    }
    return best;
}

static void add(struct dev_stream *s, void *ctx)
{
    const struct mat *two = ctx;

    cuda_add(s, two[0], two[1]);
}

/* A sum of two arrays of a gigabyte: two are read and one is written. */
double cuda_bandwidth(struct dev *dev, double seconds)
{
    struct dev_stream *s = dev_stream(dev, LANE_COMPUTE);
    int64_t size         = (int64_t)1 << 28;
    struct mat two[2];
    struct buf b;
    double rate;

    while (dev_alloc(&b, dev, 2 * (size_t)size * sizeof(float)) != 0) {
        err_forget();
        size /= 2;
        if (size < 1 << 20)
            return 0.0;
    }
    two[0] = mat_at(&b, DTYPE_F32, 0, 1, size);
    two[1] = mat_at(&b, DTYPE_F32, size, 1, size);
    cuda_fill(s, two[0], 0.0);
    cuda_fill(s, two[1], 0.0);
    rate = 3.0 * (double)size * sizeof(float) / time_of(s, add, two, seconds);
    dev_free(&b);
    return rate;
}
