/* SPDX-License-Identifier: BSD-3-Clause */
/* AdamW on every backend against another computation of it: in double, with the
 * moments as sums over all gradients so far instead of running averages.
 */
#include "config.h"

#include "src/dev/dev_update.h"

#include "src/base/err.h"
#include "src/base/rng.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

enum { SIZE = 257, STEPS = 5 };

static double gradient(int step, int i)
{
    return rng_normal((uint64_t)step, RNG_TEST, (uint64_t)i);
}

/* After 't' steps: moments are sums of (1 - b) b^(t - k) g_k, and the bias corrections
 * divide by the sums of these factors.
 */
static double expected(int i, double p, const struct adamw *a, double decay)
{
    for (int t = 1; t <= STEPS; t++) {
        double mu = 0.0, nu = 0.0, of_mu = 0.0, of_nu = 0.0;

        for (int k = 1; k <= t; k++) {
            const double g  = a->clip * (double)(float)gradient(k, i);
            const double w1 = (1.0 - a->beta1) * pow(a->beta1, t - k);
            const double w2 = (1.0 - a->beta2) * pow(a->beta2, t - k);

            mu += w1 * g;
            nu += w2 * g * g;
            of_mu += w1;
            of_nu += w2;
        }
        p -= a->schedule * a->lr *
             (mu / of_mu / (sqrt(nu / of_nu) + a->eps) + decay * p);
    }
    return p;
}

static void one_device(const char *name, enum dtype dtype, double tolerance)
{
    const double decay = 0.2;
    struct adamw a     = { .lr       = 0.01,
                           .beta1    = 0.9,
                           .beta2    = 0.99,
                           .eps      = 1e-3,
                           .schedule = 0.7,
                           .clip     = 0.3 };
    struct dev_stream *s;
    struct dev_segment g;
    char host[SIZE * sizeof(double)];
    struct dev *dev;
    struct buf b;
    double worst = 0.0;

    if (strcmp(name, "cuda") == 0 && dev_open(&dev, name, dtype, 1) != 0) {
        tap_skip("cuda", err_sentence());
        err_forget();
        return;
    }
    if ((strcmp(name, "cuda") != 0 && dev_open(&dev, name, dtype, 2) != 0) ||
        dev_alloc(&b, dev, 4 * SIZE * sizeof(double)) != 0)
        die("%s", err_sentence());
    s = dev_stream(dev, LANE_COMPUTE);
    g = (struct dev_segment){ .param = mat_at(&b, dtype, 0, 1, SIZE),
                              .grad  = mat_at(&b, dtype, SIZE, 1, SIZE),
                              .mu    = mat_at(&b, dtype, 2 * SIZE, 1, SIZE),
                              .nu    = mat_at(&b, dtype, 3 * SIZE, 1, SIZE),
                              .decay = decay };
    for (int i = 0; i < SIZE; i++)
        dtype_store(dtype, host, i, gradient(0, i));
    dev_put(s, g.param, host);
    dev_fill(s, g.mu, 0.0);
    dev_fill(s, g.nu, 0.0);
    for (a.t = 1; a.t <= STEPS; a.t++) {
        for (int i = 0; i < SIZE; i++)
            dtype_store(dtype, host, i, (float)gradient((int)a.t, i));
        dev_put(s, g.grad, host);
        dev_adamw(s, &g, 1, &a);
    }
    dev_get(s, host, g.param);
    for (int i = 0; i < SIZE; i++) {
        const double start =
            dtype == DTYPE_F64 ? gradient(0, i) : (float)gradient(0, i);
        const double got = dtype_load(dtype, host, i);

        worst = tap_worse(worst, fabs(got - expected(i, start, &a, decay)));
    }
    ok(worst <= tolerance, "%s %s: %d steps end within %.1g (%.1g)", name,
       dtype_name(dtype), STEPS, tolerance, worst);
    dev_free(&b);
    dev_close(&dev);
}

int main(void)
{
    /* parameters up to 4, a few roundings a step */
    one_device("cpu:ref", DTYPE_F64, 1e-14);
    one_device("cpu:ref", DTYPE_F32, 4.0 * STEPS * 0x1p-24);
#ifdef HAVE_BLIS
    one_device("cpu:blis", DTYPE_F64, 1e-14);
    one_device("cpu:blis", DTYPE_F32, 4.0 * STEPS * 0x1p-24);
#endif
#ifdef HAVE_CUDA
    one_device("cuda", DTYPE_F32, 4.0 * STEPS * 0x1p-24);
#endif
    return tap_done();
}
