/* SPDX-License-Identifier: BSD-3-Clause */
/* The Pareto frontier of a planted grid against looking at every shape, and x0. */
#include "config.h"

#include "src/fit/pareto.h"
#include "src/fit/shape.h"
#include "src/fit/trial.h"

#include "src/base/mem.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

static const double width[] = { 416, 512, 608, 768 };
static const double depth[] = { 6, 8, 10, 12 };
static const double mlp[]   = { 768, 928, 1088, 1360 };

/* An error that is least near the shape (560 s, 9 s, 1000 s), s = (t / 6e18)^0.3. */
static double metric(const double *x, double t)
{
    const double s = pow(t / 6e18, 0.3);

    return 0.1 + 0.3 * pow(t / 6e18, -0.3) + 0.2 * pow(log(x[0] / (560 * s)), 2) +
           0.2 * pow(log(x[1] / (9 * s)), 2) + 0.2 * pow(log(x[2] / (1000 * s)), 2);
}

static void make(struct points *p, int times, double shift)
{
    *p     = (struct points){ .vars = 4 };
    p->y   = mem_new((size_t)(64 * times), sizeof *p->y);
    p->x   = mem_new((size_t)(64 * times) * LAW_VARS, sizeof *p->x);
    p->arm = mem_new((size_t)(64 * times), sizeof *p->arm);
    for (int i = 0; i < 64 * times; i++) {
        double *x = p->x + (size_t)i * LAW_VARS;

        x[0]    = width[i % 4];
        x[1]    = depth[i / 4 % 4];
        x[2]    = mlp[i / 16 % 4];
        x[3]    = 512 * x[1] * (4 * x[0] * x[0] + 2 * x[0] * x[2]) * 1e8 * (1 + i / 64);
        p->y[i] = metric(x, x[3] * shift);
        p->rows++;
    }
}

/* True if a stretch begins exactly where its curve comes below the one before. */
static bool is_crossing(const struct pareto *f, int i)
{
    const double t    = f->stretch[i].lo;
    const int before  = f->stretch[i - 1].shape;
    const int shape   = f->stretch[i].shape;
    const double less = t * (1 - 1e-12);

    return pareto_curve(f, shape, t) < pareto_curve(f, before, t) &&
           pareto_curve(f, shape, less) >= pareto_curve(f, before, less);
}

static void frontier(void)
{
    bool is_least = true, is_joined = true;
    struct points p;
    struct pareto f;

    make(&p, 6, 1);
    pareto_open(&f, &p, 3);
    ok(f.shapes == 64, "64 shapes");
    for (int i = 0; i < f.count; i++) {
        const struct stretch *s = &f.stretch[i];
        const double hi         = isinf(s->hi) ? s->lo : s->hi;
        const double t          = sqrt(s->lo * hi);

        if (i > 0)
            is_joined &= f.stretch[i - 1].hi == s->lo && is_crossing(&f, i);
        for (int other = 0; other < f.shapes; other++)
            is_least &=
                pareto_curve(&f, s->shape, t) <= pareto_curve(&f, other, t) + 1e-9;
    }
    ok(f.count > 5 && is_joined, "its stretches are joined where curves cross");
    ok(is_least, "and each has the least metric of all shapes");
    ok(f.best >= 0 && f.is_interior[f.stretch[f.best].shape],
       "x0 is strictly inside the grid");
    if (f.best >= 0) {
        const double *x = f.x + (size_t)f.stretch[f.best].shape * LAW_VARS;

        tap_note("x0 %g/%g/%g from %.3g", x[0], x[1], x[2], f.stretch[f.best].lo);
        ok(x[0] > 416 && x[0] < 768 && x[1] > 6 && x[1] < 12 && x[2] > 768 &&
               x[2] < 1360,
           "in every dimension");
        for (int i = 0; i < f.count; i++) {
            const struct stretch *s = &f.stretch[i], *b = &f.stretch[f.best];

            if (f.is_interior[s->shape] && s->hi / s->lo > b->hi / b->lo &&
                !isinf(s->hi))
                f.best = -1;
        }
        ok(f.best >= 0, "no other one inside has a wider range");
    }
    pareto_close(&f);
    points_close(&p);

    make(&p, 2, 1e-3); /* the optimum is smaller than all of the grid */
    pareto_open(&f, &p, 3);
    ok(f.best < 0, "an optimum beyond the grid's edge gives no x0");
    pareto_close(&f);
    points_close(&p);
}

static void curves(void)
{
    double y[] = { 0.8, 0.2 }, x[2 * LAW_VARS] = { 0 };
    int arm[2]      = { 0 };
    struct points p = { .rows = 2, .vars = 2, .y = y, .x = x, .arm = arm };
    struct pareto f;

    x[0] = x[LAW_VARS] = 608;
    x[1]               = 1e18;
    x[LAW_VARS + 1]    = 1e20;
    pareto_open(&f, &p, 1);
    close_to(pareto_curve(&f, 0, 1e19), 0.4, 1e-12,
             "between two runs a curve is straight in logarithms");
    ok(isinf(pareto_curve(&f, 0, 9e17)) && pareto_curve(&f, 0, 1e21) == 0.2,
       "before the first there is nothing, after the last it is level");
    pareto_close(&f);
}

/* Three seeds of a shape, with runs of another one between them. */
static void seeds(void)
{
    double y[] = { 1, 7, 2, 9, 6 }, x[5 * LAW_VARS] = { 0 };
    int arm[5]      = { 0 };
    struct points p = { .rows = 5, .vars = 2, .y = y, .x = x, .arm = arm };

    for (int i = 0; i < p.rows; i++) {
        x[i * LAW_VARS]     = 32;
        x[i * LAW_VARS + 1] = i % 2 == 0 ? 2 : 4;
    }
    points_average(&p);
    ok(p.rows == 2 && x[1] == 2 && x[LAW_VARS + 1] == 4,
       "seeds of a shape are one row");
    close_to(y[0], 3, 1e-12, "with the mean of three");
    close_to(y[1], 8, 1e-12, "and of two");
}

/* Of the sizes of a grid, which are equally frequent. */
static void centre(void)
{
    double least[LAW_DIMS], same[LAW_DIMS];
    struct points p;

    make(&p, 1, 1);
    points_centre(least, &p, LAW_DIMS);
    for (int i = 0; i < p.rows / 2; i++) {
        for (int k = 0; k < LAW_DIMS; k++) {
            double *a = &p.x[i * LAW_VARS + k], *b = &p.x[(63 - i) * LAW_VARS + k];
            const double x = *a;

            *a = *b;
            *b = x;
        }
    }
    points_centre(same, &p, LAW_DIMS);
    ok(memcmp(least, same, sizeof same) == 0 && same[0] == 768 && same[1] == 12 &&
           same[2] == 1360,
       "of a grid the centre is that of the largest sizes, in any order of runs");
    points_close(&p);
}

static void compute(void)
{
    double y[] = { 0.3, 0.2 }, x[2 * LAW_VARS] = { 32, 2, 64, 1e11 };
    int arm[2]      = { 0 };
    struct points p = { .rows = 2, .vars = 4, .y = y, .x = x, .arm = arm };
    struct trial t;

    memcpy(x + LAW_VARS, (double[]){ 64, 2, 64, 1.05e11 }, 4 * sizeof *x);
    ok(trial_open(&t, &p, NULL, NULL) == 0 && t.is_equal,
       "whole steps leave the compute of a trial equal");
    x[LAW_VARS + 3] = 4e11;
    ok(trial_open(&t, &p, NULL, NULL) == 0 && !t.is_equal,
       "four times the compute is told");
}

/* The rule from x0, and rounding. */
static void rule(void)
{
    const struct rule r = {
        { 608, 10, 928 }, 5.4e18, { 0.22, 0.45, 0.6 }, { 1 / 3.0, 1 / 3.0, 1 / 3.0 }
    };
    double x[LAW_DIMS], alike[LAW_DIMS], whole[LAW_DIMS];

    shape_grow(x, &r, 5.4e18, READING_SHARED);
    ok(x[0] == 608 && x[1] == 10 && x[2] == 928, "no growth of compute: x0");
    shape_grow(x, &r, 5.4e21, READING_SHARED);
    close_to(x[0], 608 * pow(1000, 0.22 / 3), 1e-9, "width by tau^(s w)");
    close_to(x[2], 928 * pow(1000, 0.6 / 3), 1e-9, "MLP, too");
    shape_grow(alike, &r, 5.4e21, READING_PRINTED);
    close_to(alike[1], 100, 1e-9, "the printed reading: every dimension by tau^w");
    shape_grow(whole, &r, 5.4e21, READING_WHOLE);
    close_to(whole[1], 10 * pow(1000, 0.45), 1e-9, "unshared: by tau^s");
    ok(shape_round(1151, 16) == 1152 && shape_round(3, 16) == 16 &&
           shape_round(26.6, 1) == 27,
       "rounding goes to the nearest multiple, at least one");
    ok(shape_common(16, 12) == 48 && shape_common(INT64_MAX, INT64_MAX - 1) == 0,
       "common multiples");
}

int main(void)
{
    frontier();
    curves();
    seeds();
    centre();
    compute();
    rule();
    return tap_done();
}
