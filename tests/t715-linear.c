/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,3 */
/* Linear classifiers on rows that lie anywhere: gradients against finite differences,
 * gradient descent against a few steps by plain loops, L-BFGS on functions whose minima
 * are known, and logistic regression, which must find the class of nearly every image
 * of clouds that are far apart, with a gradient of zero.
 */
#include "config.h"

#include "src/eval/descend.h"
#include "src/eval/lbfgs.h"
#include "src/eval/logistic.h"

#include "src/data/order.h"
#include "src/optim/sched.h"
#include "tests/clouds.h"
#include "tests/ranks.h"

#include <math.h>

enum { COUNT = 300, WIDTH = 6, K = 4, D = WIDTH + 1 };

static struct mesh *mesh;

/* ---- L-BFGS ---------------------------------------------------------------------- */

static double bowl(void *ctx, double *g, const double *x, int64_t n)
{
    double sum = 0;

    (void)ctx;
    for (int64_t i = 0; i < n; i++) {
        const double steep = pow(10, (double)(i % 5)), d = x[i] - (double)i;

        g[i] = steep * d;
        sum += steep * d * d / 2;
    }
    return sum;
}

static double valley(void *ctx, double *g, const double *x, int64_t n)
{
    const double a = 1 - x[0], b = x[1] - x[0] * x[0];

    (void)ctx;
    (void)n;
    g[0] = -2 * a - 400 * x[0] * b;
    g[1] = 200 * b;
    return a * a + 100 * b * b;
}

static void test_minima(void)
{
    struct lbfgs l = { .tolerance = 1e-10, .steps_most = 500 };
    double x[20] = { 0 }, worst = 0, start[2] = { -1.2, 1 };

    lbfgs_run(x, &l, 20, bowl, NULL);
    for (int i = 0; i < 20; i++)
        worst = tap_worse(worst, fabs(x[i] - i));
    ok(l.is_converged && worst < 1e-8, "a bowl of 5 decades: %d steps", l.steps);
    lbfgs_run(start, &l, 2, valley, NULL);
    ok(l.is_converged && fabs(start[0] - 1) < 1e-8 && fabs(start[1] - 1) < 1e-8 &&
           l.steps < 60,
       "Rosenbrock's valley: %d steps", l.steps);
}

/* ---- gradients ------------------------------------------------------------------- */

static void random_weights(double *w, double size)
{
    for (int i = 0; i < K * D; i++)
        w[i] = size * rng_normal(9, RNG_TEST, (uint64_t)i);
}

static void test_gradient(struct linear l, const char *what)
{
    const double h = 1e-5;
    double w[K * D], g[K * D], scratch[K * D], worst = 0;

    random_weights(w, 0.5);
    linear_look(g, &l, w);
    for (int i = 0; i < K * D; i++) {
        const double at = w[i];
        double up, down;

        w[i]  = at + h;
        up    = linear_look(scratch, &l, w).loss;
        w[i]  = at - h;
        down  = linear_look(NULL, &l, w).loss;
        w[i]  = at;
        worst = tap_worse(worst, fabs((up - down) / (2 * h) - g[i]));
    }
    close_to(worst, 0, 1e-8, "%s: the gradient is that of finite differences", what);
}

/* Of equal scores the first counts, as in a run's own metric. */
static void test_equal(struct linear l)
{
    const struct part *p = l.part;
    double w[K * D]      = { 0 };
    int64_t first        = 0;

    for (int64_t i = 0; i < p->rows; i++)
        first += part_label(p, i) == 0;
    close_to(linear_look(NULL, &l, w).right, (double)first / (double)p->rows, 1e-15,
             "of equal scores the first class counts");
}

/* ---- gradient descent ------------------------------------------------------------ */

static void plain_descent(double *w, const struct clouds *c, const struct descend *d)
{
    const int64_t steps      = descend_steps(d, COUNT);
    const struct sched sched = { .kind   = SCHED_COSINE,
                                 .steps  = steps,
                                 .warmup = steps / 10 };
    double mu[K][D]          = { 0 };

    for (int i = 0; i < K * D; i++)
        w[i] = i % D == D - 1 ? -6.9 : 0;
    for (int64_t s = 0; s < steps; s++) {
        double g[K][D] = { 0 };

        for (int64_t j = 0; j < d->batch; j++) {
            const int64_t at  = s * d->batch + j;
            const int64_t row = order_shuffled(COUNT, d->seed, RNG_ORDER,
                                               (uint64_t)(at / COUNT), at % COUNT);

            for (int k = 0; k < K; k++) {
                double score = w[k * D + WIDTH], p;

                for (int i = 0; i < WIDTH; i++)
                    score += w[k * D + i] * c->all[row * WIDTH + i];
                p = (1 / (1 + exp(-score)) - (c->f.label[row] == k)) / (double)d->batch;
                for (int i = 0; i < WIDTH; i++)
                    g[k][i] += p * c->all[row * WIDTH + i];
                g[k][WIDTH] += p;
            }
        }
        for (int i = 0; i < K * D; i++) {
            double *m = &mu[i / D][i % D];

            *m = 0.9 * *m + g[i / D][i % D];
            w[i] -= d->lr * sched_at(&sched, s) *
                    (*m + (i % D == D - 1 ? 0 : d->decay * w[i]));
        }
    }
}

static void test_descent(const struct clouds *c, const struct part *part)
{
    const struct descend d = {
        .lr = 0.05, .epochs = 3, .decay = 0.1, .batch = 32, .seed = 4
    };
    double w[K * D], plain[K * D], worst = 0;
    struct scale none;
    struct linear l = { .part = part, .scale = &none, .K = K, .loss = LOSS_SIGMOID };

    scale_open(&none, WIDTH, NULL, 1);
    descend_run(w, &l, &d);
    plain_descent(plain, c, &d);
    for (int i = 0; i < K * D; i++)
        worst = tap_worse(worst, fabs(w[i] - plain[i]));
    close_to(worst, 0, 1e-11, "%lld steps of gradient descent are those of plain loops",
             (long long)descend_steps(&d, COUNT));
    scale_close(&none);
    ok(descend_steps(&(struct descend){ .epochs = 1.3, .batch = 10 }, 20) == 3 &&
           descend_steps(&(struct descend){ .epochs = 0.1, .batch = 10 }, 20) == 1,
       "epochs are the nearest number of steps, one at least");
}

/* ---- logistic regression --------------------------------------------------------- */

static void test_logistic(const struct part *learn, const struct part *test)
{
    const struct logistic o = { .l2 = { 100, 1e-2, 1e-4 }, .l2s = 3, .share = 0.2 };
    double w[K * D] = { 0 }, g[K * D], worst = 0;
    struct logistic_result r;
    struct scale scale;
    struct linear l = { .part = learn, .scale = &scale, .K = K, .loss = LOSS_SOFTMAX };

    scale_open(&scale, WIDTH, learn, 1);
    ok(logistic_run(w, &r, &l, &o) == 0 && r.is_converged,
       "logistic regression: %d steps", r.last_steps);
    ok(r.chosen > 0 && r.error[0] >= r.error[r.chosen],
       "a penalty that is too large is not chosen");
    linear_look(g, &l, w);
    for (int i = 0; i < K * D; i++)
        worst =
            tap_worse(worst, fabs(g[i] + (i % D == D - 1 ? 0 : o.l2[r.chosen] * w[i])));
    close_to(worst, 0, 1e-4, "its gradient, with the penalty's, is zero");
    l.part = test;
    ok(linear_look(NULL, &l, w).right > 0.9,
       "and it knows other images of the classes");
    scale_close(&scale);
}

/* Images that planes part: their weights grow until a small penalty holds
 * them, on a floor so flat that a gradient may be small far from the minimum,
 * by up to |g|^2 / 2 l2 above.
 */
static void test_parted(void)
{
    const struct logistic o = { .l2 = { 1e-6 }, .l2s = 1, .share = 0.2 };
    double w[K * D] = { 0 }, g[K * D], squares = 0, value;
    struct logistic_result r;
    struct clouds clouds;
    struct scale scale;
    struct part learn;
    struct linear l = { .part = &learn, .scale = &scale, .K = K, .loss = LOSS_SOFTMAX };

    clouds_open(&clouds, mesh, COUNT, WIDTH, K, 3, 21);
    part_all(&learn, &clouds.f);
    scale_open(&scale, WIDTH, &learn, 1);
    ok(logistic_run(w, &r, &l, &o) == 0 && r.is_converged && r.error[0] < 0.05,
       "images that planes part: %d steps", r.last_steps);
    value = linear_look(g, &l, w).loss;
    for (int i = 0; i < K * D; i++) {
        if (i % D != D - 1) {
            value += o.l2[0] / 2 * w[i] * w[i];
            g[i] += o.l2[0] * w[i];
        }
        squares += g[i] * g[i];
    }
    ok(squares < 0.02 * o.l2[0] * value,
       "a small penalty is within a hundredth of its minimum (%.1e of it)",
       squares / (2 * o.l2[0]) / value);
    scale_close(&scale);
    part_free(&learn);
    clouds_close(&clouds);
}

int main(int argc, char **argv)
{
    const int ranks = ranks_open(&argc, &argv, "t715-linear");
    struct clouds learn_clouds, test_clouds;
    struct part learn, test;
    struct scale scale;
    struct linear l;

    if (mesh_open(&mesh, MPI_COMM_WORLD, ranks, 1) != 0)
        return 99;
    clouds_open(&learn_clouds, mesh, COUNT, WIDTH, K, 2, 1);
    clouds_open(&test_clouds, mesh, COUNT, WIDTH, K, 2, 11);
    part_all(&learn, &learn_clouds.f);
    part_all(&test, &test_clouds.f);
    scale_open(&scale, WIDTH, &learn, 100);
    l = (struct linear){
        .part = &learn, .scale = &scale, .K = K, .loss = LOSS_SIGMOID
    };

    test_minima();
    scale.constant = 1;
    test_gradient(l, "sigmoid");
    l.loss = LOSS_SOFTMAX;
    test_gradient(l, "softmax");
    test_equal(l);
    test_descent(&learn_clouds, &learn);
    test_logistic(&learn, &test);
    test_parted();

    scale_close(&scale);
    part_free(&learn);
    part_free(&test);
    clouds_close(&learn_clouds);
    clouds_close(&test_clouds);
    mesh_close(&mesh);
    return ranks_done();
}
