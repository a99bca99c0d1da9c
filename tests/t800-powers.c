/* SPDX-License-Identifier: BSD-3-Clause */
/* The minimiser's parts: derivatives against differences, non-negative least squares
 * against trying every subset, the best coefficients, quantiles.
 */
#include "config.h"

#include "src/base/rng.h"
#include "src/fit/dense.h"
#include "src/fit/fit.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

enum { ROWS = 20, COEFS = 4, EXPS = 3, PARAMS = COEFS + EXPS };

static double uniform(uint64_t index)
{
    return rng_uniform(1, RNG_TEST, index);
}

/* Terms with some of the exponents, one of them in some of the rows only. */
static void make(struct powers *m, double theta[PARAMS], enum objective objective)
{
    powers_open(m, ROWS, COEFS, EXPS);
    m->objective = objective;
    m->delta     = 0.05;
    for (int i = 0; i < ROWS; i++) {
        for (int j = 0; j < COEFS; j++) {
            const int at = i * COEFS + j;

            m->has[at] = j != 1 || i % 3 != 0;
            for (int k = 0; k < EXPS && j < 3; k++)
                m->h[at * EXPS + k] =
                    k == j || j == 2 ? uniform((uint64_t)(at * EXPS + k)) - 0.5 : 0;
        }
        m->weight[i] = i % 4;
    }
    for (int k = 0; k < PARAMS; k++)
        theta[k] = 0.3 + uniform(5000 + (uint64_t)k);
    for (int i = 0; i < ROWS; i++)
        m->y[i] = powers_predict(m, theta, i) *
                  (1 + 0.2 * (uniform(6000 + (uint64_t)i) - 0.5));
}

static void derivatives(enum objective objective, const char *name)
{
    double theta[PARAMS], g[PARAMS], h[PARAMS * PARAMS], far[PARAMS], g1[PARAMS],
        g2[PARAMS], none[PARAMS * PARAMS], worst = 0, worst2 = 0;
    struct powers m;

    make(&m, theta, objective);
    theta[0] *= 1.1;
    ok(fabs(powers_derive(&m, theta, g, h) - powers_value(&m, theta)) < 1e-14,
       "%s: the same value with and without derivatives", name);
    for (int k = 0; k < PARAMS; k++) {
        const double step = 1e-6;
        double up;

        memcpy(far, theta, sizeof far);
        far[k] += step;
        up = powers_derive(&m, far, g1, none);
        far[k] -= 2 * step;
        worst = tap_worse(
            worst, fabs((up - powers_derive(&m, far, g2, none)) / (2 * step) - g[k]));
        for (int l = 0; l < PARAMS; l++)
            worst2 = tap_worse(worst2,
                               fabs((g1[l] - g2[l]) / (2 * step) - h[k * PARAMS + l]));
    }
    ok(worst < 1e-7, "%s: gradient as by differences (%.1e)", name, worst);
    ok(worst2 < 1e-6, "%s: second derivatives as by differences (%.1e)", name, worst2);
    powers_close(&m);
}

/* The least value of x'Gx/2 - r'x over x >= 0 by trying every set of columns. */
static double brute(const double *G, const double *r, int n)
{
    double best = 0;

    for (int set = 1; set < 1 << n; set++) {
        double a[64], x[8], value = 0;
        int used[8], m = 0;
        bool is_positive = true;

        for (int j = 0; j < n; j++) {
            if (set >> j & 1)
                used[m++] = j;
        }
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < m; j++)
                a[i * m + j] = G[used[i] * n + used[j]];
            x[i] = r[used[i]];
        }
        if (!dense_factor(a, m))
            continue;
        dense_solve(x, a, m);
        for (int i = 0; i < m; i++) {
            is_positive &= x[i] > 0;
            value -= r[used[i]] * x[i] / 2;
        }
        if (is_positive && value < best)
            best = value;
    }
    return best;
}

static void least_squares(void)
{
    enum { N = 6, M = 8, TIMES = 300 };
    double worst = 0, least = 0;

    for (int time = 0; time < TIMES; time++) {
        double A[M * N], G[N * N] = { 0 }, r[N] = { 0 }, x[N], value = 0;

        for (int i = 0; i < M * N; i++)
            A[i] = uniform((uint64_t)(10000 + time * 100 + i)) - (time % 2) * 0.5;
        if (time % 5 == 0) { /* two columns alike */
            for (int i = 0; i < M; i++)
                A[i * N + 1] = 2 * A[i * N];
        }
        for (int i = 0; i < M; i++) {
            const double b = uniform((uint64_t)(90000 + time * 100 + i)) - 0.3;

            for (int j = 0; j < N; j++) {
                r[j] += A[i * N + j] * b;
                for (int k = 0; k < N; k++)
                    G[j * N + k] += A[i * N + j] * A[i * N + k];
            }
        }
        dense_nnls(x, G, r, N);
        for (int j = 0; j < N; j++) {
            least = fmin(least, x[j]);
            value -= r[j] * x[j];
            for (int k = 0; k < N; k++)
                value += x[j] * G[j * N + k] * x[k] / 2;
        }
        worst = tap_worse(worst, value - brute(G, r, N));
    }
    ok(least >= 0, "no coefficient is negative");
    ok(worst < 1e-9, "non-negative least squares as by trying every subset (%.1e)",
       worst);
}

/* Coefficients cannot be improved, and the polish finds them all from elsewhere. */
static void coefficients(void)
{
    double theta[PARAMS], from[PARAMS], g[PARAMS], h[PARAMS * PARAMS], worst = 0;
    struct polish end;
    struct powers m;

    make(&m, theta, OBJECTIVE_RELATIVE);
    varpro_coefs(&m, theta);
    powers_derive(&m, theta, g, h);
    for (int j = 0; j < COEFS; j++)
        worst = tap_worse(worst, theta[j] > 0 ? fabs(g[j]) : -g[j]);
    ok(worst < 1e-9, "projected coefficients are a minimum (%.1e)", worst);

    m.y[5] *= 3; /* a row that is far off */
    memcpy(from, theta, sizeof from);
    varpro_coefs(&m, from);
    m.objective = OBJECTIVE_HUBER;
    worst       = powers_value(&m, from);
    close_to(varpro_coefs(&m, from) / powers_value(&m, from), 1, 1e-12,
             "projected coefficients have the value that is said");
    ok(powers_value(&m, from) < 0.995 * worst,
       "for log-Huber rows are reweighted: %.4f instead of %.4f",
       powers_value(&m, from), worst);
    m.objective = OBJECTIVE_RELATIVE;

    for (int i = 0; i < ROWS; i++)
        m.y[i] = powers_predict(&m, theta, i);
    for (int k = 0; k < PARAMS; k++)
        from[k] = theta[k] * (k % 2 == 0 ? 1.4 : 0.7) + 0.01;
    powers_polish(&end, &m, from);
    ok(end.value < 1e-24 && end.iterations < 60,
       "the polish ends at the minimum (%.1e, %d iterations)", end.value,
       end.iterations);
    m.lo[COEFS] = theta[COEFS] + 0.2;
    powers_polish(&end, &m, from);
    ok(from[COEFS] == m.lo[COEFS] && powers_at_bound(&m, from, COEFS) &&
           end.gradient < 1e-9,
       "at a bound it stays within");
    powers_close(&m);
}

static void quantiles(void)
{
    close_to(fit_student(0.8, 1 << 30), 1.281552, 1e-5, "the normal quantile");
    close_to(fit_student(0.8, 11), 1.363430, 1e-4, "Student's t of 11");
    close_to(fit_student(0.95, 5), 2.570582, 1e-6, "Student's t of 5");
    close_to(fit_student(0.95, 2), 4.302653, 1e-6, "of 2");
    close_to(fit_student(0.999, 1), 636.619249, 1e-5, "of 1");
}

int main(void)
{
    derivatives(OBJECTIVE_RELATIVE, "relative");
    derivatives(OBJECTIVE_HUBER, "huber");
    least_squares();
    coefficients();
    quantiles();
    return tap_done();
}
