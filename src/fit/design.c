/* SPDX-License-Identifier: BSD-3-Clause */
/* The Fisher information of planned points, and what it tells of the growth exponents.
 *
 * A point's gradient g of log f by the constants of its arm's law adds g g' / sd^2 to
 * the information I of the arm.  The growth exponent s has the variance d' I^-1 d,
 * where d is the gradient of s by the constants.  An error e of the point's log f
 * moves it by e d' I^-1 g: errors that the points of a shape share add up before their
 * squares do.
 *
 * A point costs what it would as a run by itself there, though it may be a fork of a
 * longer one: forks share what chance did to their run, and would be worth less than
 * runs if they were as cheap as they are.
 */
#include "config.h"

#include "src/fit/design_impl.h"

#include "src/base/mem.h"
#include "src/fit/dense.h"

#include <math.h>
#include <string.h>

/* ---- information ----------------------------------------------------------------- */

/* The middle of an arm's points, in logarithms; how many points it has. */
struct middle {
    double x, t;
    int points;
};

static double compute_of(const struct sweep *s, const struct run *r, int64_t step)
{
    return r->cost.forward * (double)step * (double)s->training.batch;
}

static void find_middle(struct middle *m, const struct sweep *s, int arm)
{
    *m = (struct middle){ 0 };
    for (int i = 0; i < s->runs; i++) {
        const struct run *r = &s->run[i];

        for (int j = 0; r->arm == arm && j < r->steps; j++) {
            m->points++;
            m->x += (log((double)r->x[arm]) - m->x) / m->points;
            m->t += (log(compute_of(s, r, r->step[j])) - m->t) / m->points;
        }
    }
}

/* The gradient of log f by alpha, beta, xi, eps (relative) and a, b, c.  Powers are
 * taken relative to the middle, which changes no exponent's variance and keeps the
 * matrix well conditioned.
 */
static void make_gradient(struct design_point *p, const struct law_dim *d, double t,
                          const struct middle *m)
{
    const double x     = (double)p->x[p->arm];
    const double log_x = log(x) - m->x, log_t = log(t) - m->t;
    const double A = d->alpha * pow(x, -d->a);
    const double B = d->beta * pow(x, d->b) * pow(t, -d->c);
    const double X = d->xi * pow(t, -d->c);
    const double f = A + B + X + d->eps;

    p->g[0] = A / f;
    p->g[1] = B / f;
    p->g[2] = X / f;
    p->g[3] = d->eps / f;
    p->g[4] = -A * log_x / f;
    p->g[5] = B * log_x / f;
    p->g[6] = -(B + X) * log_t / f;
}

struct information design_information(const struct design *d, int arm)
{
    struct information I = { 0 };

    for (int i = 0; i < d->points; i++) {
        if (d->point[i].arm == arm)
            design_inform(&I, &d->point[i], 1);
    }
    return I;
}

void design_inform(struct information *I, const struct design_point *p, double sign)
{
    for (int i = 0; i < CONSTANTS; i++) {
        for (int j = 0; j < CONSTANTS; j++)
            I->at[i][j] += sign * p->g[i] * p->g[j];
    }
}

/* The gradient d of the growth exponent, and v = I^-1 d; false if there is none. */
static bool find_pull(double v[CONSTANTS], double slope[CONSTANTS],
                      const struct information *I, const struct law_dim *d)
{
    const double sum = d->a + d->b, s = law_dim_growth(d);
    const double of_s[CONSTANTS] = { 0, 0, 0, 0, -s / sum, -s / sum, 1 / sum };
    double factor[CONSTANTS * CONSTANTS], scale[CONSTANTS];

    memcpy(slope, of_s, sizeof of_s);
    for (int i = 0; i < CONSTANTS; i++) {
        if (!(I->at[i][i] > 0))
            return false;
        scale[i] = 1 / sqrt(I->at[i][i]);
    }
    for (int i = 0; i < CONSTANTS; i++) {
        for (int j = 0; j < CONSTANTS; j++)
            factor[i * CONSTANTS + j] = I->at[i][j] * scale[i] * scale[j];
        v[i] = slope[i] * scale[i];
    }
    if (!dense_factor(factor, CONSTANTS))
        return false;
    dense_solve(v, factor, CONSTANTS);
    for (int i = 0; i < CONSTANTS; i++)
        v[i] *= scale[i];
    return true;
}

static double dot(const double x[CONSTANTS], const double y[CONSTANTS])
{
    double sum = 0;

    for (int i = 0; i < CONSTANTS; i++)
        sum += x[i] * y[i];
    return sum;
}

double design_variance(const struct information *I, const struct law_dim *d)
{
    double v[CONSTANTS], slope[CONSTANTS];

    return find_pull(v, slope, I, d) ? dot(slope, v) : INFINITY;
}

/* The same if all noise is shared by the points of a shape. */
static double shared_variance(const struct design *d, int arm)
{
    const struct information I = design_information(d, arm);
    double v[CONSTANTS], slope[CONSTANTS], sum = 0;

    if (!find_pull(v, slope, &I, &d->law->dim[arm]))
        return INFINITY;
    for (int i = 0; i < d->points; i++) {
        const struct design_point *p = &d->point[i];

        for (int j = 0; p->arm == arm && j < d->points; j++) {
            const struct design_point *q = &d->point[j];

            if (q->arm == arm && q->x[arm] == p->x[arm])
                sum += dot(v, p->g) * dot(v, q->g);
        }
    }
    return sum;
}

/* ---- points ---------------------------------------------------------------------- */

void design_add(struct design *d, const struct design_point *p)
{
    if (d->points == d->room) {
        d->room = 2 * d->room + 64;
        d->point =
            mem_grow(d->point, (size_t)d->points, (size_t)d->room, sizeof *d->point);
    }
    d->point[d->points++] = *p;
}

void design_open(struct design *d, const struct sweep *s, const struct design_law *l,
                 const struct sweep *around)
{
    struct middle middle[LAW_DIMS];

    *d = (struct design){ .law = l };
    for (int k = 0; k < LAW_DIMS; k++)
        find_middle(&middle[k], around, k);
    for (int i = 0; i < s->runs; i++) {
        const struct run *r = &s->run[i];

        for (int k = 0; k < r->steps; k++) {
            struct design_point p = { .step = r->step[k],
                                      .arm  = r->arm,
                                      .cost = compute_of(s, r, r->step[k]) };

            memcpy(p.x, r->x, sizeof p.x);
            if (l->has[r->arm])
                make_gradient(&p, &l->dim[r->arm], p.cost, &middle[r->arm]);
            design_add(d, &p);
        }
    }
}

void design_close(struct design *d)
{
    mem_free(d->point);
    *d = (struct design){ 0 };
}

/* ---- what a sweep tells ---------------------------------------------------------- */

double design_cost(const struct sweep *s)
{
    double sum = 0;

    for (int i = 0; i < s->runs; i++) {
        for (int k = 0; k < s->run[i].steps; k++)
            sum += compute_of(s, &s->run[i], s->run[i].step[k]);
    }
    return sum;
}

void design_guess(struct design_law *l, const struct sweep *s)
{
    static const double growth[LAW_DIMS] = { 0.22, 0.45, 0.6 };
    const double c                       = 0.65;

    *l = (struct design_law){ 0 };
    for (int k = 0; k < LAW_DIMS; k++) {
        const double a = c / growth[k] / 2;
        struct middle m;

        find_middle(&m, s, k);
        l->has[k] = m.points > 0;
        l->dim[k] = (struct law_dim){ .a     = a,
                                      .b     = a,
                                      .c     = c,
                                      .alpha = 0.1 * exp(a * m.x),
                                      .beta  = 0.1 * exp(-a * m.x + c * m.t),
                                      .xi    = 0.1 * exp(c * m.t),
                                      .eps   = 0.1 };
    }
}

void design_expect(struct expected e[LAW_DIMS], const struct sweep *s,
                   const struct design_law *l, double sd, double shared)
{
    struct design d;

    design_open(&d, s, l, s);
    for (int k = 0; k < LAW_DIMS; k++) {
        struct information I;
        double v;

        e[k] = (struct expected){ NAN, NAN, 0 };
        for (int i = 0; i < d.points; i++)
            e[k].points += d.point[i].arm == k;
        if (!l->has[k])
            continue;
        e[k].s = law_dim_growth(&l->dim[k]);
        I      = design_information(&d, k);
        v      = (1 - shared) * design_variance(&I, &l->dim[k]) +
            shared * shared_variance(&d, k);
        if (isfinite(v) && e[k].points >= CONSTANTS)
            e[k].error = sd * sqrt(v);
    }
    design_close(&d);
}
