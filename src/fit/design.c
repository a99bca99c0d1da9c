/* SPDX-License-Identifier: BSD-3-Clause */
/* Fisher information of planned points, and an exchange of points for better ones.
 *
 * A point's gradient g of log f, in centred parameters, adds g g' / sd^2 to the
 * information of its arm.  The growth exponent's variance is d' I^-1 d with
 * d = ds / dparameters.  The exchange replaces the point whose replacement helps most,
 * until none does, and adds points while the cost allows.
 *
 * A point costs what it would as a run by itself there, though it may be a fork of a
 * longer one: forks share what chance did to their run, and would be worth less than
 * runs if they were as cheap as they are.
 */
#include "config.h"

#include "src/fit/design.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/fit/dense.h"

#include <math.h>
#include <string.h>

enum { P = 7 }; /* constants of an arm: alpha, beta, xi, eps, a, b, c */
enum { LEVELS = 12, STEP_LEVELS = 7, EXCHANGES_MOST = 400 };

struct point {
    int64_t x[LAW_DIMS], step;
    int arm;
    double cost; /* forward FLOP of the run by itself */
    double g[P];
};

struct design {
    const struct design_law *law;
    int points, room;
    struct point *point;
};

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
static void make_gradient(struct point *p, const struct law_dim *d, double t,
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

/* The variance of s in units of the noise's, from the gradients of an arm's points;
 * infinite if they do not tell.
 */
static double variance(const double I[P * P], const struct law_dim *d)
{
    const double sum = d->a + d->b, s = d->c / sum;
    double factor[P * P], v[P] = { 0, 0, 0, 0, -s / sum, -s / sum, 1 / sum }, kept[P];
    double scale[P], result    = 0;

    for (int i = 0; i < P; i++) {
        if (!(I[i * P + i] > 0))
            return INFINITY;
        scale[i] = 1 / sqrt(I[i * P + i]);
    }
    for (int i = 0; i < P; i++) {
        for (int j = 0; j < P; j++)
            factor[i * P + j] = I[i * P + j] * scale[i] * scale[j];
        v[i] *= scale[i];
    }
    memcpy(kept, v, sizeof kept);
    if (!dense_factor(factor, P))
        return INFINITY;
    dense_solve(v, factor, P);
    for (int i = 0; i < P; i++)
        result += kept[i] * v[i];
    return result;
}

static void add_information(double I[P * P], const struct point *p, double sign)
{
    for (int i = 0; i < P; i++) {
        for (int j = 0; j < P; j++)
            I[i * P + j] += sign * p->g[i] * p->g[j];
    }
}

static void information(double I[P * P], const struct design *d, int arm)
{
    memset(I, 0, P * P * sizeof *I);
    for (int i = 0; i < d->points; i++) {
        if (d->point[i].arm == arm)
            add_information(I, &d->point[i], 1);
    }
}

/* ---- points ---------------------------------------------------------------------- */

static void add_point(struct design *d, const struct point *p)
{
    if (d->points == d->room) {
        d->room = 2 * d->room + 64;
        d->point =
            mem_grow(d->point, (size_t)d->points, (size_t)d->room, sizeof *d->point);
    }
    d->point[d->points++] = *p;
}

/* The points of 's', their gradients relative to the middle of 'around'. */
static void open_design(struct design *d, const struct sweep *s,
                        const struct design_law *l, const struct sweep *around)
{
    struct middle middle[LAW_DIMS];

    *d = (struct design){ .law = l };
    for (int k = 0; k < LAW_DIMS; k++)
        find_middle(&middle[k], around, k);
    for (int i = 0; i < s->runs; i++) {
        const struct run *r = &s->run[i];

        for (int k = 0; k < r->steps; k++) {
            struct point p = { .step = r->step[k],
                               .arm  = r->arm,
                               .cost = compute_of(s, r, r->step[k]) };

            memcpy(p.x, r->x, sizeof p.x);
            if (l->has[r->arm])
                make_gradient(&p, &l->dim[r->arm], p.cost, &middle[r->arm]);
            add_point(d, &p);
        }
    }
}

static double cost_sum(const struct design *d)
{
    double sum = 0;

    for (int i = 0; i < d->points; i++)
        sum += d->point[i].cost;
    return sum;
}

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
                   const struct design_law *l, double sd)
{
    struct design d;

    open_design(&d, s, l, s);
    for (int k = 0; k < LAW_DIMS; k++) {
        double I[P * P], v;

        e[k] = (struct expected){ NAN, NAN, 0 };
        for (int i = 0; i < d.points; i++)
            e[k].points += d.point[i].arm == k;
        if (!l->has[k])
            continue;
        e[k].s = l->dim[k].c / (l->dim[k].a + l->dim[k].b);
        information(I, &d, k);
        v = variance(I, &l->dim[k]);
        if (isfinite(v) && e[k].points >= P)
            e[k].error = sd * sqrt(v);
    }
    mem_free(d.point);
}

/* ---- better points --------------------------------------------------------------- */

/* A value between the least and the largest of the arm, evenly in logarithms: widths of
 * whole heads, widths and MLPs in steps of 16, depths in blocks.
 */
static int64_t level(const struct sweep *s, int k, int i)
{
    int64_t lo = INT64_MAX, hi = 0, unit = k == 1 ? 1 : 16;

    for (int v = 0; v < s->values[k]; v++) {
        lo = s->value[k][v] < lo ? s->value[k][v] : lo;
        hi = s->value[k][v] > hi ? s->value[k][v] : hi;
    }
    if (k == 0 && s->training.heads > unit)
        unit = s->training.heads;

    const double x  = (double)lo * pow((double)hi / (double)lo, i / (LEVELS - 1.0));
    const int64_t n = llround((x - (double)lo) / (double)unit) * unit + lo;

    return n < hi ? n : hi;
}

static bool has_point(const struct design *d, const struct point *p)
{
    for (int i = 0; i < d->points; i++) {
        if (memcmp(d->point[i].x, p->x, sizeof p->x) == 0 &&
            d->point[i].step == p->step)
            return true;
    }
    return false;
}

/* Everything that a run may be: values and steps between those of the sweep. */
static int make_candidates(struct design *all, const struct sweep *s,
                           const struct design_law *l, const struct machine *m)
{
    const double lo = (double)s->step[0], hi = (double)s->step[s->step_values - 1];
    struct sweep tried = { .training = s->training, .is_star = true };
    int rc             = 0;

    for (int k = 0; k < LAW_DIMS && rc == 0; k++) {
        for (int i = 0; s->values[k] > 0 && i < LEVELS && rc == 0; i++) {
            int64_t x[LAW_DIMS];

            memcpy(x, s->centre, sizeof x);
            x[k] = level(s, k, i);
            for (int j = 0; j < STEP_LEVELS && rc == 0 && x[k] != s->centre[k]; j++) {
                const double step = lo * pow(hi / lo, j / (STEP_LEVELS - 1.0));

                rc = sweep_add(&tried, x, llround(step), k, m);
            }
        }
    }
    if (rc == 0)
        open_design(all, &tried, l, s);
    sweep_close(&tried);
    return rc;
}

/* The part of the aim that arm k has: its squared relative error. */
static double part(const double I[P * P], const struct design_law *l, int k)
{
    const struct law_dim *d = &l->dim[k];
    const double s          = d->c / (d->a + d->b);

    return variance(I, d) / (s * s);
}

struct exchange {
    struct design *d;
    const struct design *all;
    double I[LAW_DIMS][P * P], part[LAW_DIMS];
    double cost, most;
};

/* The gain of taking out 'from' (NULL: nothing) and putting in 'to'. */
static double gain(const struct exchange *e, const struct point *from,
                   const struct point *to)
{
    double before = e->part[to->arm], after = 0, I[P * P];

    memcpy(I, e->I[to->arm], sizeof I);
    add_information(I, to, 1);
    if (from != NULL && from->arm == to->arm)
        add_information(I, from, -1);
    after = part(I, e->d->law, to->arm);
    if (from != NULL && from->arm != to->arm) {
        memcpy(I, e->I[from->arm], sizeof I);
        add_information(I, from, -1);
        before += e->part[from->arm];
        after += part(I, e->d->law, from->arm);
    }
    return isfinite(after) ? (isfinite(before) ? before - after : 1e30) : -1;
}

/* Make the best single change; false if none helps. */
static bool improve(struct exchange *e)
{
    struct design *d = e->d;
    int from = -1, to = -1;
    double best = 0, sum = 0;

    for (int k = 0; k < LAW_DIMS; k++)
        sum += isfinite(e->part[k]) ? e->part[k] : 0;
    for (int j = 0; j < e->all->points; j++) {
        const struct point *p = &e->all->point[j];

        if (!d->law->has[p->arm] || has_point(d, p))
            continue;
        for (int i = -1; i < d->points; i++) {
            const struct point *out = i < 0 ? NULL : &d->point[i];
            const double cost       = e->cost + p->cost - (out != NULL ? out->cost : 0);
            double g;

            if (cost > e->most)
                continue;
            g = gain(e, out, p);
            if (g > best) {
                best = g;
                from = i;
                to   = j;
            }
        }
    }
    if (to < 0 || best < 1e-5 * sum)
        return false;
    if (from >= 0)
        d->point[from] = d->point[--d->points];
    add_point(d, &e->all->point[to]);
    return true;
}

static void refresh(struct exchange *e)
{
    e->cost = cost_sum(e->d);
    for (int k = 0; k < LAW_DIMS; k++) {
        information(e->I[k], e->d, k);
        e->part[k] = e->d->law->has[k] ? part(e->I[k], e->d->law, k) : 0;
    }
}

/* Leave out the point that tells least for what it costs; false if all are needed. */
static bool leave_out(struct exchange *e)
{
    struct design *d     = e->d;
    int points[LAW_DIMS] = { 0 }, out = -1;
    double least = INFINITY;

    for (int i = 0; i < d->points; i++)
        points[d->point[i].arm]++;
    for (int i = 0; i < d->points; i++) {
        const struct point *p = &d->point[i];
        const bool is_told    = d->law->has[p->arm];
        double I[P * P], loss;

        if (is_told && points[p->arm] <= P)
            continue;
        memcpy(I, e->I[p->arm], sizeof I);
        add_information(I, p, -1);
        loss = is_told ? part(I, d->law, p->arm) - e->part[p->arm] : 0;
        if (loss / p->cost < least) {
            least = loss / p->cost;
            out   = i;
        }
    }
    if (out < 0)
        return false;
    d->point[out] = d->point[--d->points];
    return true;
}

int design_improve(struct sweep *best, const struct sweep *s,
                   const struct design_law *l, double cost, const struct machine *m)
{
    struct design d, all = { 0 };
    struct exchange e = { .d = &d, .all = &all, .most = cost };
    int rc;

    TRY(make_candidates(&all, s, l, m));
    open_design(&d, s, l, s);
    refresh(&e);
    rc = 0;
    while (rc == 0 && e.cost > cost) {
        if (!leave_out(&e))
            rc = ERR(ERR_USAGE,
                     "%d points of each dimension are needed to tell how it grows, "
                     "which cost more than that",
                     P);
        refresh(&e);
    }
    for (int turn = 0; rc == 0 && turn < EXCHANGES_MOST && improve(&e); turn++)
        refresh(&e);
    *best         = *s;
    best->run     = NULL;
    best->dropped = NULL;
    best->runs = best->drops = 0;
    for (int i = 0; i < d.points && rc == 0; i++)
        rc = sweep_add(best, d.point[i].x, d.point[i].step, d.point[i].arm, m);
    mem_free(d.point);
    mem_free(all.point);
    if (rc != 0)
        sweep_close(best);
    return rc;
}

/* The sum that points may cost by themselves is scaled until what they cost as forks
 * comes to the budget, or does not grow any more.
 */
int design_within(struct sweep *best, const struct sweep *s, const struct design_law *l,
                  double budget, const struct machine *m)
{
    enum { TURNS = 8 };
    const double near = 0.98, back = 0.97;
    double cost = budget * design_cost(s) / sweep_flops(s), last = 0, kept = 0;

    for (int turn = 0; turn < TURNS && kept < near * budget; turn++) {
        struct sweep tried;
        double flops;
        int rc = design_improve(&tried, s, l, cost, m);

        if (rc != 0 && kept == 0)
            return rc;
        if (rc != 0)
            break;
        flops = sweep_flops(&tried);
        cost *= budget / flops * (flops > budget ? back : 1);
        if (flops > budget || flops <= kept) {
            sweep_close(&tried);
        } else {
            if (kept > 0)
                sweep_close(best);
            *best = tried;
            kept  = flops;
        }
        if (flops == last)
            break;
        last = flops;
    }
    return kept > 0 ? 0
                    : ERR(ERR_USAGE, "no plan of about %.3g FLOP was found", budget);
}
