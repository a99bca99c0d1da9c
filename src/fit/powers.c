/* SPDX-License-Identifier: BSD-3-Clause */
/* Value and derivatives of the objective. */
#include "config.h"

#include "src/fit/powers.h"

#include "src/base/mem.h"

#include <math.h>
#include <string.h>

void powers_open(struct powers *m, int rows, int coefs, int exps)
{
    const size_t n = (size_t)rows, terms = n * (size_t)coefs;

    *m        = (struct powers){ .rows = rows, .coefs = coefs, .exps = exps };
    m->y      = mem_new(n, sizeof *m->y);
    m->weight = mem_new(n, sizeof *m->weight);
    m->h      = mem_new(terms * (size_t)exps, sizeof *m->h);
    m->has    = mem_new(terms, sizeof *m->has);
    for (int i = 0; i < rows; i++)
        m->weight[i] = 1;
    for (int j = 0; j < coefs + exps; j++)
        m->hi[j] = INFINITY;
}

void powers_close(struct powers *m)
{
    mem_free(m->y);
    mem_free(m->weight);
    mem_free(m->h);
    mem_free(m->has);
    *m = (struct powers){ 0 };
}

void powers_copy(struct powers *copy, const struct powers *m)
{
    const size_t n = (size_t)m->rows, terms = n * (size_t)m->coefs;
    struct powers made;

    powers_open(&made, m->rows, m->coefs, m->exps);
    memcpy(made.y, m->y, n * sizeof *m->y);
    memcpy(made.weight, m->weight, n * sizeof *m->weight);
    memcpy(made.h, m->h, terms * (size_t)m->exps * sizeof *m->h);
    memcpy(made.has, m->has, terms * sizeof *m->has);
    memcpy(made.lo, m->lo, sizeof m->lo);
    memcpy(made.hi, m->hi, sizeof m->hi);
    made.objective = m->objective;
    made.delta     = m->delta;
    *copy          = made;
}

/* ---- one row --------------------------------------------------------------------- */

/* f of a row with its derivatives.  Of a term T = c E, E = exp(h e):
 *   dT/dc = E    dT/de_k = T h_k    d2T/dc de_k = E h_k    d2T/de_k de_l = T h_k h_l
 */
struct row {
    double f;
    double first[POWERS_PARAMS];
    double by_coef[POWERS_COEFS][POWERS_EXPS]; /* d2f / dcoef dexp */
    double by_exp[POWERS_EXPS][POWERS_EXPS];   /* d2f / dexp dexp, lower triangle */
};

static double shape(const struct powers *m, const double *exp_, int i, int j)
{
    const double *h =
        m->h + ((size_t)i * (size_t)m->coefs + (size_t)j) * (size_t)m->exps;
    double sum = 0;

    for (int k = 0; k < m->exps; k++)
        sum += h[k] * exp_[k];
    return exp(sum);
}

double powers_predict(const struct powers *m, const double *theta, int i)
{
    double f = 0;

    for (int j = 0; j < m->coefs; j++) {
        if (m->has[i * m->coefs + j] && theta[j] > 0)
            f += theta[j] * shape(m, theta + m->coefs, i, j);
    }
    return f;
}

static void row_derive(struct row *r, const struct powers *m, const double *theta,
                       int i)
{
    r->f = 0;
    memset(r->first, 0, (size_t)powers_params(m) * sizeof *r->first);
    memset(r->by_coef, 0, (size_t)m->coefs * sizeof *r->by_coef);
    memset(r->by_exp, 0, (size_t)m->exps * sizeof *r->by_exp);
    for (int j = 0; j < m->coefs; j++) {
        const double *h =
            m->h + ((size_t)i * (size_t)m->coefs + (size_t)j) * (size_t)m->exps;
        double E, T;

        if (!m->has[i * m->coefs + j])
            continue;
        E = shape(m, theta + m->coefs, i, j);
        T = theta[j] * E;
        r->f += T;
        r->first[j] = E;
        for (int k = 0; k < m->exps; k++) {
            if (h[k] == 0)
                continue;
            r->first[m->coefs + k] += T * h[k];
            r->by_coef[j][k] = E * h[k];
            for (int l = 0; l <= k; l++)
                r->by_exp[k][l] += T * h[k] * h[l];
        }
    }
}

double powers_gradient(double *first, const struct powers *m, const double *theta,
                       int i)
{
    struct row r;

    row_derive(&r, m, theta, i);
    memcpy(first, r.first, (size_t)powers_params(m) * sizeof *first);
    return r.f;
}

/* Add 'outer' first first' + 'second' (second derivatives of f) to the lower triangle.
 */
static void add_curvature(double *hessian, const struct powers *m, const struct row *r,
                          double outer, double second)
{
    const int p = powers_params(m);

    for (int a = 0; a < p; a++) {
        const double factor = outer * r->first[a];

        if (r->first[a] == 0)
            continue;
        for (int b = 0; b <= a; b++)
            hessian[a * p + b] += factor * r->first[b];
    }
    for (int k = 0; k < m->exps; k++) {
        double *line = hessian + (m->coefs + k) * p;

        for (int j = 0; j < m->coefs; j++)
            line[j] += second * r->by_coef[j][k];
        for (int l = 0; l <= k; l++)
            line[m->coefs + l] += second * r->by_exp[k][l];
    }
}

static void mirror(double *a, int n)
{
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < i; j++)
            a[j * n + i] = a[i * n + j];
    }
}

/* ---- the objective --------------------------------------------------------------- */

static double huber(double r, double delta)
{
    return fabs(r) <= delta ? r * r / 2 : delta * (fabs(r) - delta / 2);
}

double powers_value(const struct powers *m, const double *theta)
{
    double sum = 0;

    for (int i = 0; i < m->rows; i++) {
        double f;

        if (m->weight[i] == 0)
            continue;
        f = powers_predict(m, theta, i);
        if (m->objective == OBJECTIVE_RELATIVE) {
            sum += m->weight[i] * (f / m->y[i] - 1) * (f / m->y[i] - 1);
        } else {
            if (!(f > 0))
                return INFINITY;
            sum += m->weight[i] * huber(log(f / m->y[i]), m->delta);
        }
    }
    return sum;
}

double powers_derive(const struct powers *m, const double *theta, double *gradient,
                     double *hessian)
{
    const int p = powers_params(m);
    double sum  = 0;
    struct row r;

    memset(gradient, 0, (size_t)p * sizeof *gradient);
    memset(hessian, 0, (size_t)(p * p) * sizeof *hessian);
    for (int i = 0; i < m->rows; i++) {
        const double w = m->weight[i], y = m->y[i];
        double slope, outer; /* d/df, and d2/df2, of the row's part */

        if (w == 0)
            continue;
        row_derive(&r, m, theta, i);
        if (m->objective == OBJECTIVE_RELATIVE) {
            sum += w * (r.f / y - 1) * (r.f / y - 1);
            slope = 2 * w * (r.f / y - 1) / y;
            outer = 2 * w / (y * y);
        } else {
            const double e  = log(r.f / y);
            const bool in   = fabs(e) <= m->delta;
            const double by = in ? e : copysign(m->delta, e);

            if (!(r.f > 0))
                return INFINITY;
            sum += w * huber(e, m->delta);
            slope = w * by / r.f;
            outer = w * ((in ? 1 : 0) - by) / (r.f * r.f);
        }
        for (int k = 0; k < p; k++)
            gradient[k] += slope * r.first[k];
        add_curvature(hessian, m, &r, outer, slope);
    }
    mirror(hessian, p);
    return sum;
}

bool powers_at_bound(const struct powers *m, const double *theta, int k)
{
    return m->lo[k] < m->hi[k] && (theta[k] <= m->lo[k] || theta[k] >= m->hi[k]);
}
