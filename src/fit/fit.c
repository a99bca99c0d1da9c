/* SPDX-License-Identifier: BSD-3-Clause */
/* From points to the best parameters.  Starts come from the exhaustive search over the
 * exponents, and from places spread evenly over their range that know nothing of the
 * data; how many of them end at the same minimum is the certificate.
 */
#include "config.h"

#include "src/fit/fit.h"

#include "src/base/err.h"
#include "src/base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SEARCHED_MOST = 16, SPREAD_FEW = 16, SPREAD_MANY = 64 };

/* ---- starts ---------------------------------------------------------------------- */

static bool on_arm(const struct points *p, int row, const void *what)
{
    return p->arm[row] == *(const int *)what;
}

/* Search every arm by itself for the exponents of a law in which the arms share c.
 * Terms of the whole other than the arms' are solved for afterwards.
 */
static int search_arms(struct start *start, const struct fit *f, const struct points *p)
{
    const int dims = (f->law.exps - 1) / 2;
    const char *dim[LAW_DIMS];
    struct powers arm[LAW_DIMS];
    int n, usable = 0;

    for (int k = 0; k < dims; k++)
        dim[k] = f->law.var[k];
    for (int k = 0; k < dims; k++) {
        struct points copy, mine;
        struct law law;
        struct centre c;

        points_copy(&copy, p);
        points_take(&mine, &copy, on_arm, &k);
        law_sovit_arm(&law, dim, dims, k, f->law.var[dims]);
        usable += mine.rows > 3;
        points_model(&arm[k], &c, &mine, &law);
        arm[k].objective = f->model.objective;
        arm[k].delta     = f->model.delta;
        points_close(&mine);
        points_close(&copy);
    }
    n = usable == dims
            ? varpro_search_shared(start, SEARCHED_MOST, &f->model, arm, dims)
            : 0;
    for (int k = 0; k < dims; k++)
        powers_close(&arm[k]);
    return n;
}

static int spread(struct start *start, const struct powers *m, int count)
{
    for (int i = 0; i < count; i++) {
        start[i] = (struct start){ 0 };
        for (int k = 0; k < m->exps; k++)
            start[i].from[m->coefs + k] = varpro_spread(m, k, i);
        start[i].value = varpro_coefs(m, start[i].from);
    }
    return count;
}

static int compare_ends(const void *a, const void *b)
{
    const struct start *x = a, *y = b;

    return (x->end.value > y->end.value) - (x->end.value < y->end.value);
}

/* Polish from everywhere; the best end is the fit. */
static void search(struct fit *f, const struct points *p, const struct fit_options *o)
{
    const bool is_many = f->model.exps > VARPRO_EXPS;
    const int count    = o->spread > 0 ? o->spread : is_many ? SPREAD_MANY : SPREAD_FEW;
    double level;

    f->start = mem_new(FIT_STARTS, sizeof *f->start);
    if (!o->no_search && !is_many)
        f->starts = varpro_search(f->start, SEARCHED_MOST, &f->model);
    else if (!o->no_search && f->law.kind == LAW_SOVIT)
        f->starts = search_arms(f->start, f, p);
    f->starts += spread(f->start + f->starts, &f->model, count);
    for (int i = 0; i < f->starts; i++) {
        struct start *s = &f->start[i];

        memcpy(s->theta, s->from, sizeof s->theta);
        powers_polish(&s->end, &f->model, s->theta);
    }
    qsort(f->start, (size_t)f->starts, sizeof *f->start, compare_ends);
    memcpy(f->theta, f->start[0].theta, sizeof f->theta);
    f->end = f->start[0].end;
    level  = f->end.value * (1 + 1e-6) + 1e-20 * f->model.rows;
    while (f->agreeing < f->starts && f->start[f->agreeing].end.value <= level)
        f->agreeing++;
}

/* ---- what the intervals say ------------------------------------------------------ */

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The quantile 'q' of sorted numbers: one more of their kind lies below it with
 * probability q, for it is as likely to fall into any of the n + 1 gaps between them
 * and beyond their ends.
 */
static double quantile(const double *x, int n, double q)
{
    const double at = fmin(fmax(q * (n + 1) - 1, 0), n - 1);
    const int i     = (int)at < n - 1 ? (int)at : n - 2;

    if (n < 2)
        return n == 1 ? x[0] : NAN;
    return x[i] + (at - i) * (x[i + 1] - x[i]);
}

/* The number that is estimated, of one replica: parameter k, or slope k - params. */
static double quantity(const struct fit *f, const double *raw, int k)
{
    const int params = powers_params(&f->model);

    return k < params ? raw[k] : law_slope(&f->law, raw, k - params);
}

static void percentiles(struct estimate *e, const struct fit *f, int k, double level)
{
    double *x = mem_new((size_t)f->replicas, sizeof *x);
    int n     = 0;

    for (int r = 0; r < f->replicas; r++) {
        const double *raw = f->replica + (size_t)r * (size_t)powers_params(&f->model);

        if (isfinite(raw[0]))
            x[n++] = quantity(f, raw, k);
    }
    qsort(x, (size_t)n, sizeof *x, compare_doubles);
    if (2 * n > f->replicas) {
        e->lo = quantile(x, n, (1 - level) / 2);
        e->hi = quantile(x, n, (1 + level) / 2);
    }
    mem_free(x);
}

static bool is_wide(double lo, double hi)
{
    return isfinite(lo) && !(lo > 0 && hi <= 2 * lo);
}

static void give_verdict(struct estimate *e, bool at_bound)
{
    if (at_bound) {
        e->identified = VERDICT_NO;
        e->why        = "a bound is active";
    } else if (is_wide(e->lo, e->hi) || is_wide(e->profile_lo, e->profile_hi)) {
        e->identified = VERDICT_NO;
        e->why        = "the interval spans more than a factor of 2";
    } else if (isfinite(e->lo) || isfinite(e->profile_lo)) {
        e->identified = VERDICT_YES;
    }
}

/* True if exponent k is at a bound, or stands only in terms that are zero. */
static bool exp_at_bound(const struct fit *f, int k)
{
    bool is_used = false;

    for (int j = 0; j < f->law.coefs; j++) {
        for (int i = 0; i < f->law.term[j].factors; i++)
            is_used |= f->law.term[j].factor[i].exp == k && f->theta[j] > 0;
    }
    return !is_used || powers_at_bound(&f->model, f->theta, f->law.coefs + k);
}

static bool slope_at_bound(const struct fit *f, const struct slope *s)
{
    return f->theta[s->coef[0]] <= 0 || f->theta[s->coef[1]] <= 0 ||
           exp_at_bound(f, s->num) || exp_at_bound(f, s->den[0]) ||
           exp_at_bound(f, s->den[1]);
}

/* Make estimates of the replicas and profiles, and judge them. */
static void judge(struct fit *f, const struct fit_options *o)
{
    const int params = powers_params(&f->model);

    for (int k = 0; k < params + f->law.slopes; k++) {
        struct estimate *e  = k < params ? &f->param[k] : &f->slope[k - params];
        const bool at_bound = k < f->law.coefs ? f->theta[k] <= 0
                              : k < params
                                  ? exp_at_bound(f, k - f->law.coefs)
                                  : slope_at_bound(f, &f->law.slope[k - params]);

        e->value = quantity(f, f->raw, k);
        e->lo = e->hi = NAN;
        if (f->replicas > 0)
            percentiles(e, f, k, o->level);
        if (!isfinite(e->lo)) {
            e->lo = e->profile_lo;
            e->hi = e->profile_hi;
        }
        give_verdict(e, at_bound);
    }
}

/* ---- the fit --------------------------------------------------------------------- */

static int check_points(const struct law *l, const struct points *p)
{
    const int params = l->coefs + l->exps;

    if (p->rows <= params)
        return ERR(ERR_DATA,
                   "%d rows are too few for the %d constants of the law: at least %d "
                   "are needed",
                   p->rows, params, params + 1);
    for (int j = 0; j < l->coefs; j++) {
        const struct term *t = &l->term[j];

        for (int i = 0; i < t->factors; i++) {
            const int values = points_values(p, t->arm, t->factor[i].var);

            if (values < 3)
                return ERR(ERR_DATA,
                           "%s takes %d values; its exponent needs at least 3",
                           l->var[t->factor[i].var], values);
        }
    }
    return 0;
}

static double noise_of(const struct fit *f)
{
    const int free = f->model.rows - powers_params(&f->model);
    double sum     = 0;

    for (int i = 0; i < f->model.rows; i++) {
        const double e = powers_predict(&f->model, f->theta, i) / f->model.y[i] - 1;

        sum += e * e;
    }
    return sqrt(sum / free);
}

int fit_open(struct fit *f, const struct law *l, const struct points *p,
             const struct fit_options *o)
{
    *f = (struct fit){ .law = *l };
    TRY(check_points(l, p));
    points_model(&f->model, &f->centre, p, l);
    f->shape           = mem_new((size_t)p->rows, sizeof *f->shape);
    f->shapes          = points_shapes(f->shape, p, l->along);
    f->model.objective = o->objective;
    f->model.delta     = o->delta;
    search(f, p, o);
    points_raw(f->raw, f->theta, &f->centre, l);
    f->noise = noise_of(f);
    noise_open(&f->parts, &f->model, f->theta, f->shape, f->shapes);
    fit_bootstrap(f, o);
    fit_profile(f, o);
    judge(f, o);
    return 0;
}

void fit_close(struct fit *f)
{
    powers_close(&f->model);
    noise_close(&f->parts);
    mem_free(f->shape);
    mem_free(f->start);
    mem_free(f->replica);
    *f = (struct fit){ 0 };
}

void fit_errors(struct errors *e, const struct fit *f, const struct points *p)
{
    *e = (struct errors){ .n = p->rows };
    for (int i = 0; i < p->rows; i++) {
        const double *x    = p->x + (size_t)i * LAW_VARS;
        const double error = law_value(&f->law, f->raw, p->arm[i], x) / p->y[i] - 1;

        e->rms += error * error / p->rows;
        e->mean += error / p->rows;
        if (fabs(error) > fabs(e->worst))
            e->worst = error;
    }
    e->rms = sqrt(e->rms);
}
