/* SPDX-License-Identifier: BSD-3-Clause */
/* Laws that are known: found exactly without noise, well with a little, and called not
 * identified, or refused, where the data cannot tell.
 */
#include "config.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/fit/fit.h"
#include "tests/planted.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

static const char *const dim[] = { "width", "depth", "mlp" };
static const double growth[]   = { 0.22, 0.45, 0.6 };

static bool on_arm(const struct points *p, int row, const void *what)
{
    return p->arm[row] == *(const int *)what;
}

static struct fit_options quiet(void)
{
    return (struct fit_options){ .level = 0.8, .profile = true };
}

/* The law of arm k fitted to the rows of that arm alone. */
static int fit_arm(struct fit *f, const struct points *all, int k,
                   const struct fit_options *o)
{
    struct points copy, mine;
    struct law l;
    int rc;

    points_copy(&copy, all);
    points_take(&mine, &copy, on_arm, &k);
    law_sovit_arm(&l, dim, 3, k, "compute");
    rc = fit_open(f, &l, &mine, o);
    points_close(&mine);
    points_close(&copy);
    return rc;
}

static double worst_exponent(const struct fit *f, const double *truth)
{
    double worst = 0;

    for (int k = 0; k < f->law.exps; k++)
        worst = fmax(worst, fabs(f->raw[f->law.coefs + k] - truth[k]));
    return worst;
}

/* ---- without noise --------------------------------------------------------------- */

static void arms(const struct planted *p)
{
    const struct fit_options o = quiet();
    struct points all;

    planted_points(&all, &p->sweep, &p->law, 0, 1);
    for (int k = 0; k < 3; k++) {
        const struct law_dim *d = &p->law.dim[k];
        const double truth[]    = { d->a, d->b, d->c };
        struct fit f;

        ok(fit_arm(&f, &all, k, &o) == 0 && worst_exponent(&f, truth) < 1e-5 &&
               fabs(f.slope[0].value - growth[k]) < 1e-5,
           "eq. 2, %s: a, b, c and s are found", dim[k]);
        ok(f.agreeing > f.starts / 2 && f.slope[0].identified == VERDICT_YES,
           "from %d of %d starts, and identified", f.agreeing, f.starts);
        close_to(f.raw[0] / d->alpha, 1, 1e-3, "and alpha, not centred any more");
        fit_close(&f);
    }
    points_close(&all);
}

static void shared(const struct planted *p)
{
    const struct fit_options o = quiet();
    double truth[7];
    struct points all;
    struct law l;
    struct fit f;

    for (int k = 0; k < 3; k++) {
        truth[2 * k]     = p->law.dim[k].a;
        truth[2 * k + 1] = p->law.dim[k].b;
    }
    truth[6] = 0.65;
    planted_points(&all, &p->sweep, &p->law, 0, 1);
    law_sovit_shared(&l, dim, 3, "compute");
    ok(fit_open(&f, &l, &all, &o) == 0 && worst_exponent(&f, truth) < 1e-5,
       "one c for all arms: exponents are found");
    fit_close(&f);
    points_close(&all);
}

/* Rows with the metric that 'theta' gives, 'noise' apart. */
static void plant(struct points *p, const struct law *l, const double *theta,
                  double noise)
{
    for (int i = 0; i < p->rows; i++)
        p->y[i] = law_value(l, theta, p->arm[i], p->x + (size_t)i * LAW_VARS) *
                  (1 + noise * rng_normal(3, RNG_TEST, (uint64_t)i));
}

static void make_rows(struct points *p, int rows, int vars)
{
    *p     = (struct points){ .rows = rows, .vars = vars };
    p->y   = mem_new((size_t)rows, sizeof *p->y);
    p->x   = mem_new((size_t)rows * LAW_VARS, sizeof *p->x);
    p->arm = mem_new((size_t)rows, sizeof *p->arm);
}

/* Eq. 3 on the star's shapes and a grid's, in one. */
static void joint(const struct planted *p)
{
    static const double grid[3][3] = { { 416, 608, 768 },
                                       { 6, 8, 12 },
                                       { 768, 1088, 1360 } };
    const struct fit_options o     = quiet();
    struct points star, all;
    double theta[POWERS_PARAMS] = { 0 }, truth[7];
    struct law l;
    struct fit f;

    planted_points(&star, &p->sweep, &p->law, 0, 1);
    make_rows(&all, star.rows + 27, 4);
    memcpy(all.x, star.x, (size_t)star.rows * LAW_VARS * sizeof *all.x);
    for (int i = 0; i < 27; i++) {
        double *x = all.x + (size_t)(star.rows + i) * LAW_VARS;

        x[0] = grid[0][i % 3];
        x[1] = grid[1][i / 3 % 3];
        x[2] = grid[2][i / 9];
        x[3] = 2 * 256 * x[1] * (4 * x[0] * x[0] + 2 * x[0] * x[2]) * 6e8 *
               (i % 2 == 0 ? 1 : 0.4);
        all.arm[star.rows + i] = ARM_NONE;
    }
    law_sovit_joint(&l, dim, 3, "compute");
    for (int k = 0; k < 3; k++) {
        const double a = 0.65 / growth[k] / 2, middle[] = { 1000, 14, 1800 };

        theta[2 * k]               = 0.05 * pow(middle[k], a);
        theta[2 * k + 1]           = 0.05 * pow(middle[k], -a) * pow(2e19, 0.65);
        theta[l.coefs + 2 * k]     = a;
        theta[l.coefs + 2 * k + 1] = a;
    }
    theta[6]           = 0.05 * pow(2e19, 0.65);
    theta[7]           = 0.1;
    theta[l.coefs + 6] = 0.65;
    memcpy(truth, theta + l.coefs, sizeof truth);
    plant(&all, &l, theta, 0);
    ok(fit_open(&f, &l, &all, &o) == 0 && worst_exponent(&f, truth) < 0.005,
       "eq. 3, all arms and a grid: exponents are found");
    tap_note("from %d of %d starts", f.agreeing, f.starts);
    fit_close(&f);
    points_close(&all);
    points_close(&star);
}

static void others(void)
{
    static const char *const var[] = { "width", "depth", "compute" };
    const double chinchilla[]      = { 482.01, 2085.43, 1.8172, 0.3478, 0.3658 };
    const double additive[]        = { 30, 0.4, 5e5, 0.2, 0.8, 0.35, 0.4 };
    struct fit_options o           = quiet();
    struct points p;
    struct law l;
    struct fit f;

    make_rows(&p, 60, 3);
    for (int i = 0; i < 60; i++) {
        p.x[i * LAW_VARS] = 1e8 * exp(5 * rng_uniform(4, RNG_TEST, 3 * (uint64_t)i));
        p.x[i * LAW_VARS + 1] =
            1e9 * exp(5 * rng_uniform(4, RNG_TEST, 3 * (uint64_t)i + 1));
    }
    p.vars = 2;
    law_chinchilla(&l, "params", "tokens");
    plant(&p, &l, chinchilla, 0);
    for (int objective = 0; objective < 2; objective++) {
        o.objective = objective == 0 ? OBJECTIVE_RELATIVE : OBJECTIVE_HUBER;
        o.delta     = 1e-3;
        ok(fit_open(&f, &l, &p, &o) == 0 && worst_exponent(&f, chinchilla + 3) < 1e-4,
           "chinchilla: exponents are found, objective %d", objective);
        fit_close(&f);
    }
    o.objective = OBJECTIVE_RELATIVE;
    p.vars      = 3;
    for (int i = 0; i < 60; i++) {
        p.x[i * LAW_VARS]     = 300 + 20 * (i % 8);
        p.x[i * LAW_VARS + 1] = 4 + i % 5;
        p.x[i * LAW_VARS + 2] = 1e14 * (1 + i % 11);
    }
    law_additive(&l, var, 3);
    plant(&p, &l, additive, 0);
    ok(fit_open(&f, &l, &p, &o) == 0 && worst_exponent(&f, additive + 4) < 0.005,
       "additive: exponents are found");
    fit_close(&f);
    points_close(&p);
}

/* ---- with noise, and worse ------------------------------------------------------- */

static void little_noise(const struct planted *p)
{
    static const double within[] = { 0.01, 0.03, 0.08 };
    const struct fit_options o   = quiet();
    double worst[3]              = { 0 };

    for (int set = 0; set < 5; set++) {
        struct points all;

        planted_points(&all, &p->sweep, &p->law, 0.001, set);
        for (int k = 0; k < 3; k++) {
            struct fit f;

            if (fit_arm(&f, &all, k, &o) == 0)
                worst[k] = fmax(worst[k], fabs(f.slope[0].value - growth[k]));
            fit_close(&f);
        }
        points_close(&all);
    }
    for (int k = 0; k < 3; k++)
        ok(worst[k] < within[k], "0.1 %% noise: s_%s within %g (%.4f)", dim[k],
           within[k], worst[k]);
}

static void much_noise(const struct planted *p)
{
    struct fit_options o = quiet();
    struct points all;
    int known = 0;

    o.bootstrap = 100;
    planted_points(&all, &p->sweep, &p->law, 0.1, 1);
    for (int k = 0; k < 3; k++) {
        struct fit f;

        if (fit_arm(&f, &all, k, &o) == 0)
            known += f.slope[0].identified == VERDICT_YES;
        fit_close(&f);
    }
    ok(known == 0, "10 %% noise: nothing is identified");
    points_close(&all);
}

static void collinear(const struct planted *p)
{
    struct fit_options o = quiet();
    struct points all;
    struct fit f;

    o.bootstrap = 50;
    planted_points(&all, &p->sweep, &p->law, 0.003, 1);
    for (int i = 0; i < all.rows; i++) /* compute follows from the width alone */
        all.x[i * LAW_VARS + 3] = 1e15 * all.x[i * LAW_VARS];
    ok(fit_arm(&f, &all, 0, &o) == 0 && f.slope[0].identified == VERDICT_NO,
       "compute that follows from the width: not identified, %s",
       f.slope[0].why != NULL ? f.slope[0].why : "");
    fit_close(&f);
    for (int i = 0; i < all.rows; i++)
        all.x[i * LAW_VARS + 3] = 1e19;
    ok(fit_arm(&f, &all, 0, &o) == ERR_DATA &&
           strstr(err_sentence(), "compute takes 1 values") != NULL,
       "one compute for all: refused");
    fit_close(&f);
    all.rows = 7;
    ok(fit_arm(&f, &all, 0, &o) == ERR_DATA &&
           strstr(err_sentence(), "7 rows are too few") != NULL,
       "seven rows for seven constants: refused");
    fit_close(&f);
    err_forget();
    points_close(&all);
}

/* Threads do not change a bit of the intervals. */
static void threads(const struct planted *p)
{
    struct fit_options o = quiet();
    struct points all;
    double lo[3];

    o.bootstrap = 40;
    planted_points(&all, &p->sweep, &p->law, 0.003, 1);
    for (int i = 0; i < 3; i++) {
        struct fit f;

        o.threads = 2 * i + 1;
        fit_arm(&f, &all, 1, &o);
        lo[i] = f.slope[0].lo;
        fit_close(&f);
    }
    ok(lo[0] == lo[1] && lo[1] == lo[2], "one, three and five threads: the same bits");
    points_close(&all);
}

int main(void)
{
    struct planted p;

    planted_open(&p);
    arms(&p);
    shared(&p);
    joint(&p);
    others();
    little_noise(&p);
    much_noise(&p);
    collinear(&p);
    threads(&p);
    planted_close(&p);
    return tap_done();
}
