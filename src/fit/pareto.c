/* SPDX-License-Identifier: BSD-3-Clause */
/* Curves, their lower envelope, and the choice of x0. */
#include "config.h"

#include "src/fit/pareto.h"

#include "src/base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 1000 }; /* of compute, evenly in logarithms, beside every run's */

static const double *row(const struct pareto *f, int i)
{
    return f->points->x + (size_t)i * LAW_VARS;
}

/* ---- shapes ---------------------------------------------------------------------- */

static void find_shapes(struct pareto *f)
{
    for (int i = 0; i < f->points->rows; i++) {
        const size_t bytes = (size_t)f->dims * sizeof(double);
        int s              = 0;

        while (s < f->shapes &&
               memcmp(f->x + (size_t)s * LAW_VARS, row(f, i), bytes) != 0)
            s++;
        if (s == f->shapes)
            memcpy(f->x + (size_t)f->shapes++ * LAW_VARS, row(f, i), bytes);
        f->shape_of[i] = s;
    }
}

/* Strictly between the least and the largest value of every dimension. */
static void find_interior(struct pareto *f)
{
    for (int s = 0; s < f->shapes; s++)
        f->is_interior[s] = true;
    for (int k = 0; k < f->dims; k++) {
        double lo = INFINITY, hi = -INFINITY;

        for (int s = 0; s < f->shapes; s++) {
            lo = fmin(lo, f->x[(size_t)s * LAW_VARS + (size_t)k]);
            hi = fmax(hi, f->x[(size_t)s * LAW_VARS + (size_t)k]);
        }
        for (int s = 0; s < f->shapes; s++) {
            const double x = f->x[(size_t)s * LAW_VARS + (size_t)k];

            f->is_interior[s] &= lo < x && x < hi;
        }
    }
}

double pareto_curve(const struct pareto *f, int shape, double t)
{
    const struct points *p = f->points;
    int before = -1, after = -1; /* the runs around t */

    for (int i = 0; i < p->rows; i++) {
        const double at = row(f, i)[f->dims];

        if (f->shape_of[i] != shape)
            continue;
        if (at <= t && (before < 0 || at > row(f, before)[f->dims]))
            before = i;
        if (at > t && (after < 0 || at < row(f, after)[f->dims]))
            after = i;
    }
    if (before < 0)
        return INFINITY;
    if (after < 0)
        return p->y[before];

    const double t0 = row(f, before)[f->dims], t1 = row(f, after)[f->dims];
    const double part = log(t / t0) / log(t1 / t0);

    return p->y[before] * pow(p->y[after] / p->y[before], part);
}

/* ---- the envelope ---------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Where the envelope is looked at, in order; the caller frees it. */
static double *make_samples(int *count, const struct pareto *f)
{
    const int rows = f->points->rows;
    double *t      = mem_new((size_t)(rows + SAMPLES), sizeof *t);
    double lo = INFINITY, hi = 0;

    for (int i = 0; i < rows; i++) {
        t[i] = row(f, i)[f->dims];
        lo   = fmin(lo, t[i]);
        hi   = fmax(hi, t[i]);
    }
    for (int i = 0; i < SAMPLES; i++)
        t[rows + i] = lo * pow(hi / lo, i / (SAMPLES - 1.0));
    *count = rows + SAMPLES;
    qsort(t, (size_t)*count, sizeof *t, compare_doubles);
    return t;
}

/* Where the curve of 'to' comes below that of 'from', between lo and hi. */
static double crossing(const struct pareto *f, int from, int to, double lo, double hi)
{
    enum { HALVINGS = 50 };

    for (int i = 0; i < HALVINGS; i++) {
        const double t = sqrt(lo) * sqrt(hi);

        if (pareto_curve(f, to, t) < pareto_curve(f, from, t))
            hi = t;
        else
            lo = t;
    }
    return hi;
}

static void find_envelope(struct pareto *f)
{
    int samples, owner = -1;
    double *t = make_samples(&samples, f);

    f->stretch = mem_new((size_t)samples + 1, sizeof *f->stretch);
    for (int i = 0; i < samples; i++) {
        int best     = -1;
        double least = INFINITY;

        for (int s = 0; s < f->shapes; s++) {
            const double y = pareto_curve(f, s, t[i]);

            if (y < least || (y == least && s == owner)) {
                least = y;
                best  = s;
            }
        }
        if (best != owner) {
            const double lo = i > 0 ? crossing(f, owner, best, t[i - 1], t[i]) : t[i];

            if (f->count > 0)
                f->stretch[f->count - 1].hi = lo;
            f->stretch[f->count++] = (struct stretch){
                .shape = best, .lo = lo, .hi = INFINITY, .y = pareto_curve(f, best, lo)
            };
            owner = best;
        }
    }
    mem_free(t);
}

/* A range that the data do not end counts only where no other is left. */
static double width_of(const struct stretch *s)
{
    return isinf(s->hi) ? 1e-9 : log(s->hi / s->lo);
}

void pareto_open(struct pareto *f, const struct points *p, int dims)
{
    *f             = (struct pareto){ .points = p, .dims = dims, .best = -1 };
    f->shape_of    = mem_new((size_t)p->rows, sizeof *f->shape_of);
    f->x           = mem_new((size_t)p->rows * LAW_VARS, sizeof *f->x);
    f->is_interior = mem_new((size_t)p->rows, sizeof *f->is_interior);
    find_shapes(f);
    find_interior(f);
    find_envelope(f);
    for (int i = 0; i < f->count; i++) {
        if (f->is_interior[f->stretch[i].shape] &&
            (f->best < 0 || width_of(&f->stretch[i]) > width_of(&f->stretch[f->best])))
            f->best = i;
    }
}

void pareto_close(struct pareto *f)
{
    mem_free(f->shape_of);
    mem_free(f->x);
    mem_free(f->is_interior);
    mem_free(f->stretch);
    *f = (struct pareto){ 0 };
}
