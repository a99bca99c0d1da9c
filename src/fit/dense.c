/* SPDX-License-Identifier: BSD-3-Clause */
/* Cholesky, and the active set method of Lawson and Hanson on normal equations. */
#include "config.h"

#include "src/fit/dense.h"

#include <math.h>
#include <string.h>

bool dense_factor(double *a, int n)
{
    for (int j = 0; j < n; j++) {
        const double whole = a[j * n + j];
        double left        = whole;

        for (int k = 0; k < j; k++)
            left -= a[j * n + k] * a[j * n + k];
        if (!(left > 1e-15 * whole) || !isfinite(left))
            return false;

        const double root = sqrt(left);

        a[j * n + j] = root;
        for (int i = j + 1; i < n; i++) {
            double sum = a[i * n + j];

            for (int k = 0; k < j; k++)
                sum -= a[i * n + k] * a[j * n + k];
            a[i * n + j] = sum / root;
        }
    }
    return true;
}

void dense_solve(double *x, const double *factor, int n)
{
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < i; k++)
            x[i] -= factor[i * n + k] * x[k];
        x[i] /= factor[i * n + i];
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int k = i + 1; k < n; k++)
            x[i] -= factor[k * n + i] * x[k];
        x[i] /= factor[i * n + i];
    }
}

/* ---- no negative coefficients ---------------------------------------------------- */

struct nnls {
    const double *G, *r;
    double *x;
    int n, used;
    int set[DENSE_MOST]; /* the columns in use */
    bool is_barred[DENSE_MOST];
};

/* The unconstrained solution with the columns in use; false if they are dependent. */
static bool solve_set(double *z, const struct nnls *s)
{
    double a[DENSE_MOST * DENSE_MOST];

    for (int i = 0; i < s->used; i++) {
        for (int j = 0; j < s->used; j++)
            a[i * s->used + j] = s->G[s->set[i] * s->n + s->set[j]];
        z[i] = s->r[s->set[i]];
    }
    if (!dense_factor(a, s->used))
        return false;
    dense_solve(z, a, s->used);
    return true;
}

/* The column that would reduce the sum most, or -1. */
static int steepest(const struct nnls *s)
{
    double most = 0;
    int best    = -1;

    for (int j = 0; j < s->n; j++) {
        double slope = s->r[j];

        for (int k = 0; k < s->n; k++)
            slope -= s->G[j * s->n + k] * s->x[k];
        /* Relative to what the column's part could be, so that units do not matter. */
        if (s->G[j * s->n + j] > 0)
            slope /= sqrt(s->G[j * s->n + j]);
        if (s->x[j] == 0 && !s->is_barred[j] && slope > most + 1e-13) {
            most = slope;
            best = j;
        }
    }
    return best;
}

/* Move from x towards z until a coefficient reaches zero, and take it out. */
static void retreat(struct nnls *s, const double *z)
{
    double step = 1;
    int kept    = 0;

    for (int i = 0; i < s->used; i++) {
        const double x = s->x[s->set[i]];

        if (z[i] <= 0 && x / (x - z[i]) < step)
            step = x / (x - z[i]);
    }
    for (int i = 0; i < s->used; i++) {
        double *x = &s->x[s->set[i]];

        *x += step * (z[i] - *x);
        if (*x > 0 && (z[i] > 0 || *x > 1e-14 * fabs(z[i])))
            s->set[kept++] = s->set[i];
        else
            *x = 0;
    }
    s->used = kept;
}

static bool is_positive(const double *z, int n)
{
    for (int i = 0; i < n; i++) {
        if (z[i] <= 0)
            return false;
    }
    return true;
}

void dense_nnls(double *x, const double *G, const double *r, int n)
{
    struct nnls s = { .G = G, .r = r, .x = x, .n = n };
    double z[DENSE_MOST];
    int j;

    memset(x, 0, (size_t)n * sizeof *x);
    for (int turn = 0; turn < 3 * n && (j = steepest(&s)) >= 0; turn++) {
        s.set[s.used++] = j;
        if (!solve_set(z, &s) || z[s.used - 1] <= 0) {
            s.used--;
            s.is_barred[j] = true;
            continue;
        }
        while (s.used > 0 && !is_positive(z, s.used)) {
            retreat(&s, z);
            if (!solve_set(z, &s))
                return;
        }
        for (int i = 0; i < s.used; i++)
            x[s.set[i]] = z[i];
    }
}
