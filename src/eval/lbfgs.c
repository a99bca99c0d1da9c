/* SPDX-License-Identifier: BSD-3-Clause */
/* Two-loop recursion, and a line search by bisection for the weak Wolfe conditions
 * (Lewis and Overton, 2013): enough descent, and a slope that has become flatter, which
 * keeps the curvature of every kept step positive.
 */
#include "config.h"

#include "src/eval/lbfgs.h"

#include "src/base/mem.h"

#include <math.h>
#include <string.h>

enum { PAIRS = 8, TRIES = 40 };

struct state {
    int64_t n;
    lbfgs_fn f;
    void *ctx;
    double *x, *g, *d;           /* the point, its gradient, the direction */
    double *next, *g_next;       /* where the line search looks */
    double *s[PAIRS], *y[PAIRS]; /* steps, and what they did to the gradient */
    double rho[PAIRS];           /* 1 / (s y) */
    int pairs;                   /* so far; pair k is at k modulo PAIRS */
    double value;
};

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void add(double *y, double factor, const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += factor * x[i];
}

/* d = - H g, H made of the pairs. */
static void direct(struct state *s)
{
    const int first = s->pairs > PAIRS ? s->pairs - PAIRS : 0;
    double alpha[PAIRS], scale;

    for (int64_t i = 0; i < s->n; i++)
        s->d[i] = -s->g[i];
    for (int k = s->pairs - 1; k >= first; k--) {
        const int j = k % PAIRS;

        alpha[j] = s->rho[j] * dot(s->s[j], s->d, s->n);
        add(s->d, -alpha[j], s->y[j], s->n);
    }
    if (s->pairs > 0) {
        const int j = (s->pairs - 1) % PAIRS;

        scale = 1 / (s->rho[j] * dot(s->y[j], s->y[j], s->n));
    } else {
        scale = 1 / fmax(1, sqrt(dot(s->g, s->g, s->n)));
    }
    for (int64_t i = 0; i < s->n; i++)
        s->d[i] *= scale;
    for (int k = first; k < s->pairs; k++) {
        const int j = k % PAIRS;

        add(s->d, alpha[j] - s->rho[j] * dot(s->y[j], s->d, s->n), s->s[j], s->n);
    }
}

/* A point along d: true if one was found; then 'next', 'g_next' and 'value' are its. */
static bool search(struct state *s)
{
    const double descent = 1e-4, flatter = 0.9;
    const double slope = dot(s->g, s->d, s->n);
    double lo = 0, hi = INFINITY, t = 1;

    for (int i = 0; i < TRIES && slope < 0; i++) {
        double value;

        memcpy(s->next, s->x, (size_t)s->n * sizeof *s->x);
        add(s->next, t, s->d, s->n);
        value = s->f(s->ctx, s->g_next, s->next, s->n);
        if (!(value <= s->value + descent * t * slope)) {
            hi = t;
        } else if (dot(s->g_next, s->d, s->n) < flatter * slope) {
            lo = t;
        } else {
            s->value = value;
            return true;
        }
        t = isfinite(hi) ? (lo + hi) / 2 : 2 * lo;
    }
    return false;
}

static void remember(struct state *s)
{
    const int j = s->pairs % PAIRS;

    for (int64_t i = 0; i < s->n; i++) {
        s->s[j][i] = s->next[i] - s->x[i];
        s->y[j][i] = s->g_next[i] - s->g[i];
    }
    s->rho[j] = 1 / dot(s->s[j], s->y[j], s->n);
    if (isfinite(s->rho[j]) && s->rho[j] > 0)
        s->pairs++;
    memcpy(s->x, s->next, (size_t)s->n * sizeof *s->x);
    memcpy(s->g, s->g_next, (size_t)s->n * sizeof *s->g);
}

void lbfgs_run(double *x, struct lbfgs *l, int64_t n, lbfgs_fn f, void *ctx)
{
    double *room   = mem_new((size_t)(4 + 2 * PAIRS) * (size_t)n, sizeof *room);
    struct state s = { .n = n, .f = f, .ctx = ctx, .x = x };

    s.g      = room;
    s.d      = room + n;
    s.next   = room + 2 * n;
    s.g_next = room + 3 * n;
    for (int j = 0; j < PAIRS; j++) {
        s.s[j] = room + (4 + 2 * j) * n;
        s.y[j] = room + (5 + 2 * j) * n;
    }
    s.value         = f(ctx, s.g, x, n);
    l->steps        = 0;
    l->is_converged = false;
    for (;;) {
        l->gradient     = sqrt(dot(s.g, s.g, n)) / fmax(1, sqrt(dot(x, x, n)));
        l->is_converged = l->gradient <= l->tolerance;
        if (l->is_converged || l->steps >= l->steps_most)
            break;
        direct(&s);
        if (!search(&s))
            break;
        remember(&s);
        l->steps++;
    }
    mem_free(room);
}
