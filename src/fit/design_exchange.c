/* SPDX-License-Identifier: BSD-3-Clause */
/* An exchange of planned points for better ones: each turn replaces the point, or adds
 * one, so that the expected errors of the growth exponents fall most, until no change
 * helps.
 */
#include "config.h"

#include "src/fit/design_impl.h"

#include "src/base/err.h"

#include <math.h>
#include <string.h>

enum { LEVELS = 12, STEP_LEVELS = 7, EXCHANGES_MOST = 400 };

/* ---- candidates ------------------------------------------------------------------ */

/* Value i of LEVELS between the least and the largest of arm k, evenly in logarithms:
 * MLPs in steps of 16, widths in the least steps of whole heads that are as large,
 * depths in blocks.
 */
static int64_t level(const struct sweep *s, int k, int i)
{
    const int64_t heads = k == 0 ? s->training.heads : 1, least = k == 1 ? 1 : 16;
    const int64_t unit = (least + heads - 1) / heads * heads;
    int64_t lo = INT64_MAX, hi = 0;

    for (int v = 0; v < s->values[k]; v++) {
        lo = s->value[k][v] < lo ? s->value[k][v] : lo;
        hi = s->value[k][v] > hi ? s->value[k][v] : hi;
    }

    const double x  = (double)lo * pow((double)hi / (double)lo, i / (LEVELS - 1.0));
    const int64_t n = llround((x - (double)lo) / (double)unit) * unit + lo;

    return n < hi ? n : hi;
}

static bool has_point(const struct design *d, const struct design_point *p)
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
        design_open(all, &tried, l, s);
    sweep_close(&tried);
    return rc;
}

/* ---- single changes -------------------------------------------------------------- */

/* The part of the aim that arm k has: its squared relative error. */
static double part(const struct information *I, const struct design_law *l, int k)
{
    const struct law_dim *d = &l->dim[k];
    const double s          = law_dim_growth(d);

    return design_variance(I, d) / (s * s);
}

struct exchange {
    struct design *d;
    const struct design *all;
    struct information I[LAW_DIMS];
    double part[LAW_DIMS];
    double cost, most;
};

/* The gain of taking out 'from' (NULL: nothing) and putting in 'to'. */
static double gain(const struct exchange *e, const struct design_point *from,
                   const struct design_point *to)
{
    struct information I = e->I[to->arm];
    double before        = e->part[to->arm], after;

    design_inform(&I, to, 1);
    if (from != NULL && from->arm == to->arm)
        design_inform(&I, from, -1);
    after = part(&I, e->d->law, to->arm);
    if (from != NULL && from->arm != to->arm) {
        I = e->I[from->arm];
        design_inform(&I, from, -1);
        before += e->part[from->arm];
        after += part(&I, e->d->law, from->arm);
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
        const struct design_point *p = &e->all->point[j];

        if (!d->law->has[p->arm] || has_point(d, p))
            continue;
        for (int i = -1; i < d->points; i++) {
            const struct design_point *out = i < 0 ? NULL : &d->point[i];
            const double cost = e->cost + p->cost - (out != NULL ? out->cost : 0);
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
    design_add(d, &e->all->point[to]);
    return true;
}

static double cost_sum(const struct design *d)
{
    double sum = 0;

    for (int i = 0; i < d->points; i++)
        sum += d->point[i].cost;
    return sum;
}

static void refresh(struct exchange *e)
{
    e->cost = cost_sum(e->d);
    for (int k = 0; k < LAW_DIMS; k++) {
        e->I[k]    = design_information(e->d, k);
        e->part[k] = e->d->law->has[k] ? part(&e->I[k], e->d->law, k) : 0;
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
        const struct design_point *p = &d->point[i];
        const bool is_told           = d->law->has[p->arm];
        struct information I         = e->I[p->arm];
        double loss;

        if (is_told && points[p->arm] <= CONSTANTS)
            continue;
        design_inform(&I, p, -1);
        loss = is_told ? part(&I, d->law, p->arm) - e->part[p->arm] : 0;
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

/* ---- the best within a cost ------------------------------------------------------ */

int design_improve(struct sweep *best, const struct sweep *s,
                   const struct design_law *l, double cost, const struct machine *m)
{
    struct design d, all = { 0 };
    struct exchange e = { .d = &d, .all = &all, .most = cost };
    int rc;

    TRY(make_candidates(&all, s, l, m));
    design_open(&d, s, l, s);
    refresh(&e);
    rc = 0;
    while (rc == 0 && e.cost > cost) {
        if (!leave_out(&e))
            rc = ERR(ERR_USAGE,
                     "%d points of each dimension are needed to tell how it grows, "
                     "which cost more than that",
                     CONSTANTS);
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
    design_close(&d);
    design_close(&all);
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
