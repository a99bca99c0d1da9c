/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "tests/forms.h"

#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/planted.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

const char *const form_name[FORMS] = { "one c", "joint", "chinchilla", "additive" };

static const char *const dim[] = { "width", "depth", "mlp" };
static const double growth[]   = { 0.22, 0.45, 0.6 };
static const double middle[]   = { 1000, 14, 1800 };
static const double middle_t = 2e19, c = 0.65;
enum { GRID = 27, OTHERS = 60 };

static double *row(struct points *p, int i)
{
    return p->x + (size_t)i * LAW_VARS;
}

static void make_rows(struct points *p, int rows, int vars)
{
    *p     = (struct points){ .rows = rows, .vars = vars };
    p->y   = mem_new((size_t)rows, sizeof *p->y);
    p->x   = mem_new((size_t)rows * LAW_VARS, sizeof *p->x);
    p->arm = mem_new((size_t)rows, sizeof *p->arm);
    for (int i = 0; i < rows; i++)
        p->arm[i] = ARM_NONE;
}

static void open_shared(struct form *f)
{
    struct planted p;

    planted_open(&p);
    planted_points(&f->points, &p.sweep, &p.law, 0, 0);
    law_sovit_shared(&f->law, dim, LAW_DIMS, "compute");
    for (int k = 0; k < LAW_DIMS; k++) {
        const struct law_dim *d = &p.law.dim[k];
        double *coef            = f->theta + 4 * k;
        double *exponent        = f->theta + f->law.coefs;

        coef[0]             = d->alpha;
        coef[1]             = d->beta;
        coef[2]             = d->xi;
        coef[3]             = d->eps;
        exponent[2 * k]     = d->a;
        exponent[2 * k + 1] = d->b;
        exponent[6]         = d->c;
    }
    planted_close(&p);
}

/* The star's rows, then the grid's at 600 million images, every other one at fewer. */
static void make_joint_rows(struct points *all)
{
    static const double grid[LAW_DIMS][3] = { { 416, 608, 768 },
                                              { 6, 8, 12 },
                                              { 768, 1088, 1360 } };
    struct points star;
    struct planted p;

    planted_open(&p);
    planted_points(&star, &p.sweep, &p.law, 0, 0);
    make_rows(all, star.rows + GRID, LAW_DIMS + 1);
    memcpy(all->x, star.x, (size_t)star.rows * LAW_VARS * sizeof *all->x);
    memcpy(all->arm, star.arm, (size_t)star.rows * sizeof *all->arm);
    for (int i = 0; i < GRID; i++) {
        double *x = row(all, star.rows + i);

        x[0] = grid[0][i % 3];
        x[1] = grid[1][i / 3 % 3];
        x[2] = grid[2][i / 9];
        x[3] = 2 * 256 * x[1] * (4 * x[0] * x[0] + 2 * x[0] * x[2]) * 6e8 *
               (i % 2 == 0 ? 1 : 0.4);
    }
    points_close(&star);
    planted_close(&p);
}

static void open_joint(struct form *f)
{
    make_joint_rows(&f->points);
    law_sovit_joint(&f->law, dim, LAW_DIMS, "compute");
    double *exponent = f->theta + f->law.coefs;

    for (int k = 0; k < LAW_DIMS; k++) {
        const double a = c / growth[k] / 2;

        f->theta[2 * k]     = 0.05 * pow(middle[k], a);
        f->theta[2 * k + 1] = 0.05 * pow(middle[k], -a) * pow(middle_t, c);
        exponent[2 * k] = exponent[2 * k + 1] = a;
    }
    f->theta[6] = 0.05 * pow(middle_t, c);
    f->theta[7] = 0.1;
    exponent[6] = c;
}

static void open_chinchilla(struct form *f)
{
    static const double theta[] = { 482.01, 2085.43, 1.8172, 0.3478, 0.3658 };

    law_chinchilla(&f->law, "params", "tokens");
    make_rows(&f->points, OTHERS, 2);
    for (int i = 0; i < OTHERS; i++) {
        const uint64_t at = 3 * (uint64_t)i;

        row(&f->points, i)[0] = 1e8 * exp(5 * rng_uniform(4, RNG_TEST, at));
        row(&f->points, i)[1] = 1e9 * exp(5 * rng_uniform(4, RNG_TEST, at + 1));
    }
    memcpy(f->theta, theta, sizeof theta);
}

static void open_additive(struct form *f)
{
    static const char *const var[] = { "width", "depth", "compute" };
    static const double theta[]    = { 30, 0.4, 5e5, 0.2, 0.8, 0.35, 0.4 };

    law_additive(&f->law, var, 3);
    make_rows(&f->points, OTHERS, 3);
    for (int i = 0; i < OTHERS; i++) {
        double *x = row(&f->points, i);

        x[0] = 300 * pow(1.25, i % 8);
        x[1] = 2 * pow(1.5, i % 5);
        x[2] = 1e14 * pow(1.5, i % 11);
    }
    memcpy(f->theta, theta, sizeof theta);
}

void form_open(struct form *f, enum form_kind kind)
{
    static void (*const open[FORMS])(
        struct form * f) = { open_shared, open_joint, open_chinchilla, open_additive };

    *f = (struct form){ 0 };
    open[kind](f);
    form_measure(f, 0, 0);
}

void form_close(struct form *f)
{
    points_close(&f->points);
}

void form_measure(struct form *f, double noise, int seed)
{
    const uint64_t stream = rng_hash("forms");
    struct points *p      = &f->points;

    for (int i = 0; i < p->rows; i++)
        p->y[i] = law_value(&f->law, f->theta, p->arm[i], row(p, i)) *
                  (1 + noise * rng_normal((uint64_t)seed, stream, (uint64_t)i));
}

double form_worst(const struct form *f, const double *raw)
{
    double worst = 0;

    for (int k = f->law.coefs; k < f->law.coefs + f->law.exps; k++)
        worst = tap_worse(worst, fabs(raw[k] - f->theta[k]));
    return worst;
}
