/* SPDX-License-Identifier: BSD-3-Clause */
/* The laws' formulas: the optimum of a dimension and the frontier along it against a
 * numerical minimisation, the growth of the optimum, and what one law says of a
 * dimension while the others stand still.
 */
#include "config.h"

#include "src/base/rng.h"
#include "src/fit/law.h"
#include "tests/tap.h"

#include <math.h>

static double uniform(uint64_t index, double lo, double hi)
{
    return lo + (hi - lo) * rng_uniform(2, RNG_TEST, index);
}

/* The x of the least value at compute t, by golden sections in log x. */
static double minimise(const struct law_dim *d, double t)
{
    const double golden = (sqrt(5) - 1) / 2;
    double lo = -30, hi = 40;

    while (hi - lo > 1e-9) {
        const double a = hi - golden * (hi - lo), b = lo + golden * (hi - lo);

        if (law_dim_value(d, exp(a), t) < law_dim_value(d, exp(b), t))
            hi = b;
        else
            lo = a;
    }
    return exp((lo + hi) / 2);
}

/* The value at the optimum by eq. 5, as law.h writes it. */
static double frontier(const struct law_dim *d, double t)
{
    return d->alpha * (1 + d->a / d->b) * pow(law_dim_best(d, t), -d->a) +
           d->xi * pow(t, -d->c) + d->eps;
}

static void optimum(void)
{
    double worst = 0, worst_value = 0, worst_growth = 0;

    for (uint64_t i = 0; i < 200; i++) {
        const struct law_dim d = { .a     = uniform(10 * i, 0.2, 3),
                                   .b     = uniform(10 * i + 1, 0.2, 3),
                                   .c     = uniform(10 * i + 2, 0.2, 1),
                                   .alpha = uniform(10 * i + 3, 0.5, 9),
                                   .beta  = uniform(10 * i + 4, 0.5, 9),
                                   .xi    = uniform(10 * i + 5, 0, 1),
                                   .eps   = uniform(10 * i + 6, 0, 1) };
        const double t         = exp(uniform(10 * i + 7, 0, 20));
        const double x         = minimise(&d, t);

        worst = tap_worse(worst, fabs(log(law_dim_best(&d, t) / x)));
        worst_value =
            tap_worse(worst_value, fabs(frontier(&d, t) / law_dim_value(&d, x, t) - 1));
        worst_growth = tap_worse(
            worst_growth,
            fabs(log(law_dim_best(&d, 10 * t) / law_dim_best(&d, t)) / log(10) -
                 d.c / (d.a + d.b)));
    }
    /* Near a minimum the value does not see changes of x below the root of rounding. */
    ok(worst < 1e-5, "eq. 4 is where numerical minimisation ends (%.1e)", worst);
    ok(worst_value < 1e-12, "eq. 5 is the value there (%.1e)", worst_value);
    ok(worst_growth < 1e-10, "the optimum grows as t^s (%.1e)", worst_growth);
}

static void chinchilla(void)
{
    const double theta[] = { 482.01, 2085.43, 1.8172, 0.3478, 0.3658 };
    const double C = 6e21, x[] = { 1e9, 2e10 };
    double best = 0, least = INFINITY;
    struct law l;

    law_chinchilla(&l, "params", "tokens");
    close_to(law_value(&l, theta, LAW_EVERY, x),
             1.8172 + 482.01 * pow(1e9, -0.3478) + 2085.43 * pow(2e10, -0.3658), 1e-12,
             "A N^-alpha + B D^-beta + E");
    for (double N = 1e8; N < 1e12; N *= 1.0005) {
        const double at[] = { N, C / (6 * N) };
        const double y    = law_value(&l, theta, LAW_EVERY, at);

        if (y < least) {
            least = y;
            best  = N;
        }
    }
    close_to(log(best),
             log(pow(0.3478 * 482.01 / (0.3658 * 2085.43), 1 / 0.7136) *
                 pow(C / 6, 0.3658 / 0.7136)),
             1e-2, "the best N at compute C");
    close_to(law_slope(&l, theta, 0), 0.3658 / 0.7136, 1e-12,
             "grows as C^(beta / (alpha + beta))");
    close_to(law_slope(&l, theta, 0) + law_slope(&l, theta, 1), 1, 1e-12,
             "and tokens with the rest");
}

/* Of one law of three dimensions, a dimension's constants give the same values. */
static void joint(void)
{
    static const char *const dim[] = { "width", "depth", "mlp" };
    double theta[POWERS_PARAMS], x[] = { 608, 10, 928, 1e18 }, worst = 0;
    struct law l;

    law_sovit_joint(&l, dim, 3, "compute");
    ok(l.coefs == 8 && l.exps == 7 && l.slopes == 3, "eq. 3 has 15 constants");
    for (int k = 0; k < l.coefs + l.exps; k++)
        theta[k] = uniform((uint64_t)(7000 + k), 0.2, 0.9);
    for (int k = 0; k < 3; k++) {
        struct law_dim d;

        law_dim_of(&d, &l, theta, k, x);
        for (int i = 0; i < 5; i++) {
            const double at[] = { x[0], x[1], x[2], 1e18 * exp(i) };
            double moved[]    = { at[0], at[1], at[2], at[3] };

            moved[k] *= exp(0.3 * i);
            worst = tap_worse(worst, fabs(law_dim_value(&d, moved[k], at[3]) /
                                              law_value(&l, theta, LAW_EVERY, moved) -
                                          1));
        }
        close_to(law_slope(&l, theta, k), d.c / (d.a + d.b), 1e-14, "s of %s", dim[k]);
    }
    ok(worst < 1e-13, "a dimension of it, the others standing still (%.1e)", worst);
}

int main(void)
{
    optimum();
    chinchilla();
    joint();
    return tap_done();
}
