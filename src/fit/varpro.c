/* SPDX-License-Identifier: BSD-3-Clause */
/* The exhaustive search over exponents.  Powers of the variables are made once for each
 * exponent on the grid; a point of the grid then costs products and a small solve.
 */
#include "config.h"

#include "src/fit/varpro.h"

#include "src/base/mem.h"
#include "src/fit/dense.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The range in which exponents are looked for; the polish may go beyond, to the bounds.
 */
static const double grid_lo = 0.04, grid_hi = 4.5;

enum { REWEIGHTS = 5, POINTS_MOST = 56, VALLEYS_MOST = 4096 };
static const int grid_points[VARPRO_EXPS + 1] = { 1, 56, 48, 20 };

/* ---- coefficients ---------------------------------------------------------------- */

/* Least squares of (phi coef - y) / y with the weights of 'm' times 'more'. */
static void solve(double *coef, const struct powers *m, const double *phi,
                  const double *more)
{
    const int n                           = m->coefs;
    double G[POWERS_COEFS * POWERS_COEFS] = { 0 }, r[POWERS_COEFS] = { 0 };

    for (int i = 0; i < m->rows; i++) {
        const double *row = phi + (size_t)i * (size_t)n;
        const double w    = m->weight[i] * more[i] / (m->y[i] * m->y[i]);

        for (int j = 0; j < n; j++) {
            const double x = w * row[j];

            if (x == 0)
                continue;
            r[j] += x * m->y[i];
            for (int k = 0; k <= j; k++)
                G[j * n + k] += x * row[k];
        }
    }
    for (int j = 0; j < n; j++) {
        for (int k = 0; k < j; k++)
            G[k * n + j] = G[j * n + k];
    }
    dense_nnls(coef, G, r, n);
}

/* The value with f = phi coef; for log-Huber leaves the rows' next
 * weights in 'more'.
 */
static double judge(double *more, const struct powers *m, const double *phi,
                    const double *coef)
{
    double sum = 0;

    for (int i = 0; i < m->rows; i++) {
        const double *row = phi + (size_t)i * (size_t)m->coefs;
        double f          = 0;

        for (int j = 0; j < m->coefs; j++)
            f += row[j] * coef[j];
        if (m->objective == OBJECTIVE_RELATIVE) {
            sum += m->weight[i] * (f / m->y[i] - 1) * (f / m->y[i] - 1);
            continue;
        }
        if (!(f > 0))
            return INFINITY;

        const double r = fabs(log(f / m->y[i]));

        more[i] = r <= m->delta ? 1 : m->delta / r;
        sum +=
            m->weight[i] * (r <= m->delta ? r * r / 2 : m->delta * (r - m->delta / 2));
    }
    return sum;
}

static double project(double *coef, const struct powers *m, const double *phi,
                      double *more)
{
    const int turns = m->objective == OBJECTIVE_HUBER ? REWEIGHTS : 1;
    double value    = INFINITY;

    for (int i = 0; i < m->rows; i++)
        more[i] = 1;
    for (int turn = 0; turn < turns; turn++) {
        solve(coef, m, phi, more);
        value = judge(more, m, phi, coef);
    }
    return value;
}

double varpro_coefs(const struct powers *m, double *theta)
{
    const size_t terms = (size_t)m->rows * (size_t)m->coefs;
    double *phi        = mem_new(terms, sizeof *phi);
    double *more       = mem_new((size_t)m->rows, sizeof *more);
    double value;

    for (size_t at = 0; at < terms; at++) {
        const double *h = m->h + at * (size_t)m->exps;
        double sum      = 0;

        for (int k = 0; k < m->exps; k++)
            sum += h[k] * theta[m->coefs + k];
        phi[at] = m->has[at] ? exp(sum) : 0;
    }
    value = project(theta, m, phi, more);
    mem_free(more);
    mem_free(phi);
    return value;
}

/* ---- the grid -------------------------------------------------------------------- */

struct grid {
    const struct powers *m;
    int points;            /* of every exponent */
    int size[VARPRO_EXPS]; /* points, or 1 for an exponent that is not there */
    double *power;         /* [exps, points, rows, coefs] */
    double *value;         /* [size_0, size_1, size_2] */
    double *phi, *more;
};

static double grid_exp(const struct grid *g, int i)
{
    return grid_lo * pow(grid_hi / grid_lo, i / (g->points - 1.0));
}

static size_t grid_place(const struct grid *g, const int at[VARPRO_EXPS])
{
    return ((size_t)at[0] * (size_t)g->size[1] + (size_t)at[1]) * (size_t)g->size[2] +
           (size_t)at[2];
}

static double grid_solve(const struct grid *g, double *coef, const int at[VARPRO_EXPS])
{
    const struct powers *m = g->m;
    const size_t terms     = (size_t)m->rows * (size_t)m->coefs;

    for (size_t i = 0; i < terms; i++)
        g->phi[i] = m->has[i];
    for (int k = 0; k < m->exps; k++) {
        const double *power =
            g->power + ((size_t)k * (size_t)g->points + (size_t)at[k]) * terms;

        for (size_t i = 0; i < terms; i++)
            g->phi[i] *= power[i];
    }
    return project(coef, m, g->phi, g->more);
}

static void grid_open(struct grid *g, const struct powers *m)
{
    const size_t terms = (size_t)m->rows * (size_t)m->coefs;
    size_t all         = 1;
    double coef[POWERS_COEFS];
    int at[VARPRO_EXPS];

    *g = (struct grid){ .m = m, .points = grid_points[m->exps] };
    for (int k = 0; k < VARPRO_EXPS; k++) {
        g->size[k] = k < m->exps ? g->points : 1;
        all *= (size_t)g->size[k];
    }
    g->power = mem_new((size_t)m->exps * (size_t)g->points * terms, sizeof *g->power);
    g->value = mem_new(all, sizeof *g->value);
    g->phi   = mem_new(terms, sizeof *g->phi);
    g->more  = mem_new((size_t)m->rows, sizeof *g->more);
    for (int k = 0; k < m->exps; k++) {
        for (int p = 0; p < g->points; p++) {
            double *power =
                g->power + ((size_t)k * (size_t)g->points + (size_t)p) * terms;

            for (size_t i = 0; i < terms; i++)
                power[i] = exp(grid_exp(g, p) * m->h[i * (size_t)m->exps + (size_t)k]);
        }
    }
    for (at[0] = 0; at[0] < g->size[0]; at[0]++) {
        for (at[1] = 0; at[1] < g->size[1]; at[1]++) {
            for (at[2] = 0; at[2] < g->size[2]; at[2]++)
                g->value[grid_place(g, at)] = grid_solve(g, coef, at);
        }
    }
}

static void grid_close(struct grid *g)
{
    mem_free(g->power);
    mem_free(g->value);
    mem_free(g->phi);
    mem_free(g->more);
}

/* True if no neighbour in the first 'dims' directions is lower. */
static bool is_valley(const struct grid *g, const int at[VARPRO_EXPS], int dims)
{
    const double here     = g->value[grid_place(g, at)];
    int step[VARPRO_EXPS] = { 0 };

    for (int i = 0; i < 27; i++) {
        int near[VARPRO_EXPS];
        bool is_inside = true;

        step[0] = i % 3 - 1;
        step[1] = i / 3 % 3 - 1;
        step[2] = i / 9 - 1;
        for (int k = 0; k < VARPRO_EXPS; k++) {
            near[k] = at[k] + (k < dims ? step[k] : 0);
            is_inside &= near[k] >= 0 && near[k] < g->size[k];
        }
        if (is_inside && g->value[grid_place(g, near)] < here)
            return false;
    }
    return true;
}

struct valley {
    double value;
    int at[VARPRO_EXPS];
};

static int compare_valleys(const void *a, const void *b)
{
    const struct valley *x = a, *y = b;

    return (x->value > y->value) - (x->value < y->value);
}

/* The valleys among the points whose last place is 'c' (-1: of the whole grid), best
 * first; the caller frees them.
 */
static int find_valleys(struct valley **valleys, const struct grid *g, int c)
{
    struct valley *v = mem_new(VALLEYS_MOST, sizeof *v);
    int n            = 0, at[VARPRO_EXPS];

    for (at[0] = 0; at[0] < g->size[0]; at[0]++) {
        for (at[1] = 0; at[1] < g->size[1]; at[1]++) {
            for (at[2] = 0; at[2] < g->size[2]; at[2]++) {
                if ((c >= 0 && at[2] != c) || n == VALLEYS_MOST ||
                    !is_valley(g, at, c >= 0 ? 2 : VARPRO_EXPS))
                    continue;
                v[n].value = g->value[grid_place(g, at)];
                memcpy(v[n++].at, at, sizeof at);
            }
        }
    }
    qsort(v, (size_t)n, sizeof *v, compare_valleys);
    *valleys = v;
    return n;
}

int varpro_search(struct start *start, int most, const struct powers *m)
{
    struct valley *v;
    struct grid g;
    int n;

    grid_open(&g, m);
    n = find_valleys(&v, &g, -1);
    if (n > most)
        n = most;
    for (int i = 0; i < n; i++) {
        start[i] = (struct start){ .is_searched = true };
        for (int k = 0; k < m->exps; k++)
            start[i].from[m->coefs + k] = grid_exp(&g, v[i].at[k]);
        start[i].value = grid_solve(&g, start[i].from, v[i].at);
    }
    mem_free(v);
    grid_close(&g);
    return n;
}

/* ---- a shared exponent ----------------------------------------------------------- */

/* Write the arms' best exponents, all with c, as start of the whole. */
static void join(struct start *start, const struct powers *whole, const struct grid *g,
                 int arms, int c, int rank)
{
    *start = (struct start){ .is_searched = true };
    for (int k = 0; k < arms; k++) {
        struct valley *v;
        const int n   = find_valleys(&v, &g[k], c);
        const int one = rank < n ? rank : n - 1;

        start->from[whole->coefs + 2 * k]     = grid_exp(&g[k], v[one].at[0]);
        start->from[whole->coefs + 2 * k + 1] = grid_exp(&g[k], v[one].at[1]);
        mem_free(v);
    }
    start->from[whole->coefs + 2 * arms] = grid_exp(&g[0], c);
    start->value                         = varpro_coefs(whole, start->from);
}

static int compare_starts(const void *a, const void *b)
{
    const struct start *x = a, *y = b;

    return (x->value > y->value) - (x->value < y->value);
}

int varpro_search_shared(struct start *start, int most, const struct powers *whole,
                         const struct powers *arm, int arms)
{
    struct grid *g    = mem_new((size_t)arms, sizeof *g);
    struct start *all = mem_new(2 * POINTS_MOST, sizeof *all);
    int n             = 0;

    for (int k = 0; k < arms; k++)
        grid_open(&g[k], &arm[k]);
    for (int c = 0; c < g[0].size[2]; c++) {
        for (int rank = 0; rank < 2; rank++)
            join(&all[n++], whole, g, arms, c, rank);
    }
    for (int k = 0; k < arms; k++)
        grid_close(&g[k]);
    qsort(all, (size_t)n, sizeof *all, compare_starts);
    if (n > most)
        n = most;
    memcpy(start, all, (size_t)n * sizeof *start);
    mem_free(all);
    mem_free(g);
    return n;
}

double varpro_spread(const struct powers *m, int k, int i)
{
    /* Multiples of an irrational number cover an interval evenly; another one for every
     * exponent: the powers of the root of x^(d+1) = x + 1.
     */
    double root = 1.5, place;

    for (int turn = 0; turn < 40; turn++)
        root = pow(1 + root, 1.0 / (m->exps + 1));
    place = fmod(0.5 + (i + 1) * pow(1 / root, k + 1), 1.0);
    return grid_lo * pow(grid_hi / grid_lo, place);
}
