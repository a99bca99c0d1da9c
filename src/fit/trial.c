/* SPDX-License-Identifier: BSD-3-Clause */
/* Planning a trial, and sorting its runs. */
#include "config.h"

#include "src/fit/trial.h"

#include "src/base/err.h"
#include "src/base/log.h"
#include "src/fit/shape.h"

#include <math.h>
#include <string.h>

/* ---- the plan -------------------------------------------------------------------- */

/* One shape, with the steps that make its compute 't'. */
static int add_shape(struct sweep *s, const int64_t x[LAW_DIMS], double t)
{
    const struct training *r = &s->training;
    const int before         = s->runs;
    struct spec spec;
    struct cost cost;

    TRY(cost_spec(&spec, x[0], x[1], x[2], r->heads, (int)r->patch, (int)r->image,
                  r->classes));
    cost_of(&cost, &spec, NULL, r->batch);
    TRY(sweep_add(s, x, llround(t / cost.forward / (double)r->batch), -1, NULL));
    if (s->runs == before)
        return ERR(ERR_USAGE,
                   "--beside: %lld/%lld/%lld is there twice; its factors are too close "
                   "to 1 for --multiple",
                   (long long)x[0], (long long)x[1], (long long)x[2]);
    return 0;
}

int trial_plan(struct sweep *s, const int64_t x[LAW_DIMS], double t,
               const int64_t multiple[LAW_DIMS], const struct options *o)
{
    char word[SWEEP_VALUES][OPTIONS_WORD];
    const int others = options_words(word, SWEEP_VALUES, o->beside, "beside");

    if (others < 0)
        return others;
    TRY(add_shape(s, x, t));
    for (int i = 0; i < others; i++) {
        int64_t other[LAW_DIMS];
        double factor[LAW_DIMS];
        const int n = options_numbers(factor, LAW_DIMS, word[i], '/', "beside");

        if (n >= 0 && n != LAW_DIMS)
            return ERR(ERR_USAGE, "--beside=%s: expected three factors, C/L/F",
                       word[i]);
        if (n < 0)
            return n;
        for (int k = 0; k < LAW_DIMS; k++)
            other[k] = factor[k] == 1
                           ? x[k]
                           : shape_round((double)x[k] * factor[k], multiple[k]);
        TRY(add_shape(s, other, t));
    }
    return 0;
}

/* ---- what came of it ------------------------------------------------------------- */

static const double *row(const struct points *p, int i)
{
    return p->x + (size_t)i * LAW_VARS;
}

/* The place of the shape 'x', which joins the others if it is new; -1: no room. */
static int place_of(struct trial *t, const double *x)
{
    int s = 0;

    while (s < t->shapes && memcmp(t->shape[s].x, x, sizeof t->shape[s].x) != 0)
        s++;
    if (s == TRIAL_SHAPES)
        return -1;
    if (s == t->shapes) {
        t->shape[s] = (struct trial_shape){ .error = NAN, .expected = NAN };
        memcpy(t->shape[s].x, x, sizeof t->shape[s].x);
        t->shapes++;
    }
    return s;
}

static void average(struct trial *t, int s, const struct fitfile *f)
{
    const struct points *p  = t->points;
    struct trial_shape *one = &t->shape[s];
    double squares          = 0;

    for (int i = 0; i < p->rows; i++) {
        if (t->shape_of[i] != s)
            continue;
        one->runs++;
        one->mean += (p->y[i] - one->mean) / one->runs;
        one->compute += (row(p, i)[LAW_DIMS] - one->compute) / one->runs;
        one->expected = fitfile_expect(f, row(p, i), row(p, i)[LAW_DIMS]);
    }
    for (int i = 0; i < p->rows; i++) {
        if (t->shape_of[i] == s)
            squares += (p->y[i] - one->mean) * (p->y[i] - one->mean);
    }
    if (one->runs > 1)
        one->error = sqrt(squares / (one->runs - 1) / one->runs);
}

/* Whether the runs have the same compute; numbers of steps are whole. */
static bool has_equal_compute(const struct points *p)
{
    static const double most = 1.1;
    double lo = INFINITY, hi = 0;

    for (int i = 0; i < p->rows; i++) {
        lo = fmin(lo, row(p, i)[LAW_DIMS]);
        hi = fmax(hi, row(p, i)[LAW_DIMS]);
    }
    if (hi > most * lo)
        WARN("the runs of this trial have %.3g to %.3g FLOP: what differs is not the "
             "shape alone",
             lo, hi);
    return hi <= most * lo;
}

int trial_open(struct trial *t, const struct points *p, const double *first,
               const struct fitfile *f)
{
    const int most = (int)(sizeof t->shape_of / sizeof t->shape_of[0]);

    *t = (struct trial){ .points = p };
    if (p->rows > most)
        return ERR(ERR_DATA, "%d runs are too many for a trial: at most %d", p->rows,
                   most);
    if (first != NULL)
        place_of(t, first);
    for (int i = 0; i < p->rows; i++) {
        t->shape_of[i] = place_of(t, row(p, i));
        if (t->shape_of[i] < 0)
            return ERR(ERR_DATA, "more than %d shapes in a trial", TRIAL_SHAPES);
    }
    for (int s = 0; s < t->shapes; s++)
        average(t, s, f);
    if (t->shape[0].runs == 0)
        return ERR(ERR_DATA, "no run of the shape %g/%g/%g", first[0], first[1],
                   first[2]);
    t->is_equal = has_equal_compute(p);
    return 0;
}
