/* SPDX-License-Identifier: BSD-3-Clause */
/* Resized positions and kernels against values made by hand, and against what they are
 * for: a patch that is enlarged has the products that it had.
 */
#include "config.h"

#include "src/step/resize.h"

#include "src/base/rng.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

enum { MOST = 16 };

/* ---- positions ------------------------------------------------------------------- */

static void test_grid(int from, int to, const float *x, const double *wanted)
{
    float both[2 * MOST * MOST], y[2 * MOST * MOST];
    double worst = 0;

    for (int i = 0; i < from * from; i++) {
        both[2 * i]     = x[i];
        both[2 * i + 1] = -2 * x[i];
    }
    resize_grid(y, both, from, to, 2);
    for (int i = 0; i < to * to; i++) {
        worst = tap_worse(worst, fabs(y[2 * i] - wanted[i]));
        worst = tap_worse(worst, fabs(y[2 * i + 1] + 2 * wanted[i]));
    }
    close_to(worst, 0, 4e-6, "positions from %dx%d to %dx%d are those made by hand",
             from, from, to, to);
}

static void test_grids(void)
{
    const float two[]   = { 0, 6, 12, 30 };
    const float three[] = { 1, 2, 3, 4, 5, 6, 7, 8, 12 };

    test_grid(2, 2, two, (double[]){ 0, 6, 12, 30 });
    test_grid(2, 3, two, (double[]){ 0, 3, 6, 6, 12, 18, 12, 21, 30 });
    test_grid(2, 4, two,
              (double[]){ 0, 2, 4, 6, 4, 22 / 3.0, 32 / 3.0, 14, 8, 38 / 3.0, 52 / 3.0,
                          22, 12, 18, 24, 30 });
    test_grid(3, 2, three, (double[]){ 1, 3, 7, 12 });
    test_grid(3, 1, three, (double[]){ 1 });
    test_grid(1, 3, three, (double[]){ 1, 1, 1, 1, 1, 1, 1, 1, 1 });
}

/* ---- kernels --------------------------------------------------------------------- */

static void test_matrix(void)
{
    const double up[]   = { 1, 0, .75, .25, .25, .75, 0, 1 };
    const double down[] = { .5, .5, 0, 0, 0, 0, .5, .5 };
    const double odd[]  = { .75, .25, 0, 0, .25, .75 };
    double r[MOST * MOST];

    resize_matrix(r, 2, 4);
    ok(memcmp(r, up, sizeof up) == 0, "two pixels become four as TensorFlow has them");
    resize_matrix(r, 4, 2);
    ok(memcmp(r, down, sizeof down) == 0, "four become two");
    resize_matrix(r, 3, 2);
    ok(memcmp(r, odd, sizeof odd) == 0, "three become two");
}

/* Half as large, each pixel is the mean of two times two: weights are their sums. */
static void test_halved(void)
{
    const float x[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
    float y[4];

    resize_kernel(y, x, 4, 2, 1);
    ok(fabsf(y[0] - 14) < 1e-5F && fabsf(y[1] - 22) < 1e-5F &&
           fabsf(y[2] - 46) < 1e-5F && fabsf(y[3] - 54) < 1e-5F,
       "a kernel of half the size has the sums of the weights");
}

/* The patch [n, n] as R makes it [to, to]. */
static void enlarge(double *y, const double *x, int n, int to)
{
    double r[MOST * MOST];

    resize_matrix(r, n, to);
    for (int a = 0; a < to; a++) {
        for (int b = 0; b < to; b++) {
            y[a * to + b] = 0;
            for (int i = 0; i < n; i++) {
                for (int j = 0; j < n; j++)
                    y[a * to + b] += r[a * n + i] * r[b * n + j] * x[i * n + j];
            }
        }
    }
}

static void test_products(int n, int to)
{
    enum { C = 3 };
    float w[MOST * MOST * C], v[MOST * MOST * C];
    double x[MOST * MOST], large[MOST * MOST], worst = 0, most = 0;

    for (int i = 0; i < n * n; i++)
        x[i] = rng_normal(1, RNG_TEST, (uint64_t)i);
    for (int i = 0; i < n * n * C; i++)
        w[i] = (float)rng_normal(2, RNG_TEST, (uint64_t)i);
    enlarge(large, x, n, to);
    resize_kernel(v, w, n, to, C);
    for (int c = 0; c < C; c++) {
        double before = 0, after = 0;

        for (int i = 0; i < n * n; i++)
            before += x[i] * w[i * C + c];
        for (int i = 0; i < to * to; i++)
            after += large[i] * v[i * C + c];
        worst = tap_worse(worst, fabs(after - before));
        most  = fmax(most, fabs(before));
    }
    close_to(worst / most, 0, 1e-5,
             "a patch of %d enlarged to %d has the same products", n, to);
}

int main(void)
{
    test_grids();
    test_matrix();
    test_halved();
    test_products(2, 4);
    test_products(3, 4);
    test_products(4, 5);
    test_products(5, 16);
    test_products(14, 16);
    test_products(6, 6);
    test_products(1, 3);
    return tap_done();
}
