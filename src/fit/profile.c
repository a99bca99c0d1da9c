/* SPDX-License-Identifier: BSD-3-Clause */
/* Profile intervals: hold one quantity at a value, fit all else, and ask how much worse
 * the fit is.  Worse by t^2 residual variances is where the interval ends; by more
 * where runs of a shape share noise, as much as the quantity is known worse for it
 * (noise.h).
 */
#include "config.h"

#include "src/fit/fit.h"

#include <math.h>
#include <string.h>

enum { STEPS_MOST = 40, BISECTIONS = 26, FREEDOM_MOST = 4096 };
static const double widest = 40; /* times, or one over it: further out nobody looks */

/* The probability that |t| of Student's distribution stays below 't': finite sums in
 * the angle whose tangent is t / sqrt(freedom) (Abramowitz and Stegun, 26.7.3 and
 * 26.7.4); with many degrees of freedom the normal one.
 */
static double probability(double t, int freedom)
{
    const double angle = atan(t / sqrt(freedom)), cosine = cos(angle);
    const bool is_odd = freedom % 2 == 1;
    double term = is_odd ? cosine : 1, sum = 0;

    if (freedom > FREEDOM_MOST)
        return erf(t / sqrt(2));
    for (int k = is_odd ? 3 : 2; k <= freedom; k += 2) {
        sum += term;
        term *= cosine * cosine * (k - 1) / k;
    }
    return is_odd ? (angle + sin(angle) * sum) * 2 / acos(-1) : sin(angle) * sum;
}

double fit_student(double level, int freedom)
{
    double lo = 0, hi = 1e6, t = 0;

    for (int i = 0; i < 100; i++) {
        t = (lo + hi) / 2;
        if (probability(t, freedom) < level)
            lo = t;
        else
            hi = t;
    }
    return t;
}

/* What is held: exponent 'exp', or a slope of the law. */
struct held {
    const struct fit *f;
    struct powers model; /* a copy, changed for every value */
    const struct slope *slope;
    int param;
    double theta[POWERS_PARAMS]; /* the last fit, where the next one starts */
};

static double *h_of(const struct powers *m, size_t at)
{
    return m->h + at * (size_t)m->exps;
}

/* Tie the slope to 's': its exponents obey a linear relation, so one of them goes away.
 *   num / (d0 + d1) = s:         num = s d0 + s d1
 *   the same with num = d1:      d1  = s / (1 - s) d0
 */
static void tie(struct held *held, double s)
{
    const struct slope *p   = held->slope;
    const size_t terms      = (size_t)held->model.rows * (size_t)held->model.coefs;
    const struct powers *of = &held->f->model;
    const bool is_share     = p->num == p->den[0] || p->num == p->den[1];
    const int other         = p->num == p->den[0] ? p->den[1] : p->den[0];
    const int num           = of->coefs + p->num;

    for (size_t i = 0; i < terms; i++) {
        const double *from = h_of(of, i);
        double *h          = h_of(&held->model, i);

        memcpy(h, from, (size_t)of->exps * sizeof *h);
        h[p->num] = 0;
        if (is_share) {
            h[other] += s / (1 - s) * from[p->num];
        } else {
            h[p->den[0]] += s * from[p->num];
            h[p->den[1]] += s * from[p->num];
        }
    }
    held->model.lo[num] = held->model.hi[num] = 0;
    held->theta[num]                          = 0;
}

static double value_at(struct held *held, double x)
{
    struct polish end;

    if (held->slope != NULL) {
        tie(held, x);
    } else {
        held->theta[held->param]    = x;
        held->model.lo[held->param] = held->model.hi[held->param] = x;
    }
    powers_polish(&end, &held->model, held->theta);
    return end.value;
}

/* The end of the interval on one side: factors above or below 1 are tried. */
static double find_end(struct held *held, double x, double limit, double direction)
{
    const double most =
        held->slope != NULL && (held->slope->num == held->slope->den[0] ||
                                held->slope->num == held->slope->den[1])
            ? log(0.999 / x)
            : log(widest);
    double in = 0, out = 1e-3;

    memcpy(held->theta, held->f->theta, sizeof held->theta);
    for (int i = 0; i < STEPS_MOST; i++) {
        if (direction > 0 && out > most)
            out = most;
        if (value_at(held, x * exp(direction * out)) > limit)
            break;
        if (out >= (direction > 0 ? most : log(widest)))
            return direction > 0 ? INFINITY : 0;
        in = out;
        out *= 2;
    }
    memcpy(held->theta, held->f->theta, sizeof held->theta);
    for (int i = 0; i < BISECTIONS && out - in > 1e-5 * out; i++) {
        const double middle = (in + out) / 2;

        if (value_at(held, x * exp(direction * middle)) > limit)
            out = middle;
        else
            in = middle;
    }
    return x * exp(direction * (in + out) / 2);
}

/* The objective where the interval of what 'by' are the derivatives of ends. */
static double limit_of(const struct fit *f, const double *by, double level)
{
    const double t = fit_student(level, f->parts.freedom);
    const int free = f->model.rows - powers_params(&f->model);

    return f->end.value * (1 + t * t * noise_excess(&f->parts, by) / free) +
           1e-22 * f->model.rows;
}

/* The derivatives of a slope, or of a parameter where 'slope' is NULL. */
static void derive(double *by, const struct fit *f, const struct slope *slope,
                   int param)
{
    const double *e = f->theta + f->law.coefs;

    memset(by, 0, POWERS_PARAMS * sizeof *by);
    if (slope == NULL) {
        by[param] = 1;
        return;
    }

    const double sum = e[slope->den[0]] + e[slope->den[1]];

    by[f->law.coefs + slope->num] += 1 / sum;
    for (int i = 0; i < 2; i++)
        by[f->law.coefs + slope->den[i]] -= e[slope->num] / sum / sum;
}

static void profile(struct estimate *e, const struct fit *f, const struct slope *slope,
                    int param, double level)
{
    double by[POWERS_PARAMS], limit;
    const double x   = slope != NULL
                           ? law_slope(&f->law, f->raw, (int)(slope - f->law.slope))
                           : f->theta[param];
    struct held held = { .f = f, .slope = slope, .param = param };

    if (!(x > 0))
        return;
    derive(by, f, slope, param);
    limit = limit_of(f, by, level);
    powers_copy(&held.model, &f->model);
    e->profile_lo = find_end(&held, x, limit, -1);
    powers_close(&held.model);
    powers_copy(&held.model, &f->model);
    e->profile_hi = find_end(&held, x, limit, 1);
    powers_close(&held.model);
}

void fit_profile(struct fit *f, const struct fit_options *o)
{
    const int params = powers_params(&f->model);

    for (int k = 0; k < params; k++)
        f->param[k].profile_lo = f->param[k].profile_hi = NAN;
    for (int i = 0; i < f->law.slopes; i++)
        f->slope[i].profile_lo = f->slope[i].profile_hi = NAN;
    if (!o->profile || o->objective != OBJECTIVE_RELATIVE)
        return;
    /* Coefficients apart from a constant change with where the variables are centred:
     * they have no profile.
     */
    for (int k = 0; k < params; k++) {
        if (k >= f->law.coefs || f->law.term[k].factors == 0)
            profile(&f->param[k], f, NULL, k, o->level);
    }
    for (int i = 0; i < f->law.slopes; i++)
        profile(&f->slope[i], f, &f->law.slope[i], -1, o->level);
}
