/* SPDX-License-Identifier: BSD-3-Clause */
/* Newton's method on all parameters at once, within bounds.
 *
 * Exact second derivatives make it end at the minimum, not near it: a few iterations
 * and a gradient of rounding size.  Where the second derivatives are not positive, or a
 * step does not lead down, the diagonal is raised (Levenberg and Marquardt).  A
 * parameter at a bound whose slope points outwards stands still; a step that crosses a
 * bound is cut there.
 */
#include "config.h"

#include "src/fit/dense.h"
#include "src/fit/powers.h"

#include <math.h>
#include <string.h>

enum { ITERATIONS_MOST = 300, STALLS_MOST = 4 };

struct newton {
    const struct powers *m;
    int p, used;
    int set[POWERS_PARAMS]; /* the parameters that move */
    double gradient[POWERS_PARAMS], hessian[POWERS_PARAMS * POWERS_PARAMS];
    double floor; /* of the diagonal */
};

static void choose_moving(struct newton *n, const double *theta)
{
    double most = 0;

    n->used = 0;
    for (int k = 0; k < n->p; k++) {
        const bool is_low  = theta[k] <= n->m->lo[k] && n->gradient[k] >= 0;
        const bool is_high = theta[k] >= n->m->hi[k] && n->gradient[k] <= 0;

        if (!is_low && !is_high && n->m->lo[k] < n->m->hi[k])
            n->set[n->used++] = k;
        if (fabs(n->hessian[k * n->p + k]) > most)
            most = fabs(n->hessian[k * n->p + k]);
    }
    n->floor = 1e-14 * most + 1e-300;
}

/* The largest change of the objective per relative change of a moving parameter. */
static double slope(const struct newton *n, const double *theta)
{
    double most = 0;

    for (int i = 0; i < n->used; i++) {
        const int k = n->set[i];
        const double change =
            fabs(n->gradient[k]) * (k < n->m->coefs ? fabs(theta[k]) : 1);

        if (change > most)
            most = change;
    }
    return most;
}

/* The damped step to 'next', cut at the bounds; false if the matrix is not positive. */
static bool step(double *next, const struct newton *n, const double *theta,
                 double damping)
{
    double a[POWERS_PARAMS * POWERS_PARAMS], move[POWERS_PARAMS];

    for (int i = 0; i < n->used; i++) {
        const int k        = n->set[i];
        const double scale = fabs(n->hessian[k * n->p + k]);

        for (int j = 0; j < n->used; j++)
            a[i * n->used + j] = n->hessian[k * n->p + n->set[j]];
        a[i * n->used + i] += damping * (scale > n->floor ? scale : n->floor);
        move[i] = -n->gradient[k];
    }
    if (!dense_factor(a, n->used))
        return false;
    dense_solve(move, a, n->used);
    memcpy(next, theta, (size_t)n->p * sizeof *next);
    for (int i = 0; i < n->used; i++) {
        const int k = n->set[i];

        next[k] += move[i];
        if (next[k] < n->m->lo[k])
            next[k] = n->m->lo[k];
        if (next[k] > n->m->hi[k])
            next[k] = n->m->hi[k];
        if (!isfinite(next[k]))
            return false;
    }
    return true;
}

/* Go down until nothing is left to gain. */
static void descend(struct polish *p, const struct powers *m, double *theta)
{
    struct newton n = { .m = m, .p = powers_params(m) };
    double next[POWERS_PARAMS];
    double damping = 1e-3;
    int stalls     = 0;

    for (int turn = 0; turn < ITERATIONS_MOST; turn++) {
        double value;

        p->value = powers_derive(m, theta, n.gradient, n.hessian);
        p->iterations++;
        choose_moving(&n, theta);
        p->gradient = slope(&n, theta);
        if (n.used == 0 || p->gradient <= 1e-13 * p->value || p->value < 1e-28)
            return;
        do {
            value = INFINITY;
            if (step(next, &n, theta, damping))
                value = powers_value(m, next);
            if (!(value < p->value))
                damping = damping < 1e-12 ? 1e-10 : 8 * damping;
        } while (!(value < p->value) && damping < 1e14);
        if (!(value < p->value))
            return;
        stalls = p->value - value < 1e-14 * p->value ? stalls + 1 : 0;
        memcpy(theta, next, (size_t)n.p * sizeof *theta);
        p->value = value;
        if (stalls > STALLS_MOST)
            return;
        damping *= 0.04;
    }
}

void powers_polish(struct polish *p, const struct powers *m, double *theta)
{
    *p = (struct polish){ .value = INFINITY };
    for (int k = 0; k < powers_params(m); k++) {
        if (theta[k] < m->lo[k])
            theta[k] = m->lo[k];
        if (theta[k] > m->hi[k])
            theta[k] = m->hi[k];
    }
    descend(p, m, theta);
}
