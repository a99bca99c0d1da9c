/* SPDX-License-Identifier: BSD-3-Clause */
/* The fit as 80 columns of text: what was fitted to what, what the data say with which
 * intervals, what they do not say, and why the minimum can be believed.
 */
#include "config.h"

#include "src/fit/study.h"

#include "src/base/field.h"

#include <math.h>
#include <string.h>

enum { LABEL = 11, NAME = 13, BOOT = 20, PROFILE = 17 };

/* ---- what was done --------------------------------------------------------------- */

static const char *law_text(const struct study *s)
{
    if (s->options->law == LAW_CHINCHILLA)
        return "A N^-alpha + B D^-beta + E";
    if (s->options->law == LAW_ADDITIVE)
        return "sum of A v^-alpha + E";
    if (s->form == FORM_JOINT)
        return "sum of alpha x^-a + (sum of beta x^b + xi) t^-c + eps, one law";
    if (s->form == FORM_SHARED)
        return "alpha x^-a + (beta x^b + xi) t^-c + eps, one c";
    return "alpha x^-a + (beta x^b + xi) t^-c + eps, each dimension by itself";
}

static void print_head(FILE *out, const struct study *s)
{
    char left[256] = "";

    field_rule(out, '=');
    field_print(out, LABEL, "law", "%s", law_text(s));
    field_print(out, LABEL, "metric", "%s of %d runs in %s%s", s->y, s->points.rows,
                s->file[0], s->files > 1 ? " and other files" : "");
    if (s->objective == OBJECTIVE_HUBER)
        field_print(out, LABEL, "minimised", "sum of Huber(log f - log %s), delta %g",
                    s->y, s->options->delta);
    else
        field_print(out, LABEL, "minimised", "sum of (f / %s - 1)^2", s->y);
    points_left_part(left, sizeof left, s->middle.rows, "at the centre");
    points_left_part(left, sizeof left, s->held.rows, "held out");
    points_left_part(left, sizeof left, s->dropped, "highest");
    points_left_part(left, sizeof left, s->off_arms, "on no arm (--joint takes them)");
    points_left_out(left, sizeof left, &s->points, s->y);
    if (left[0] != '\0')
        field_print(out, LABEL, "left out", "%s", left);
    if (s->options->law == LAW_SOVIT) {
        fprintf(out, "centre    ");
        for (int k = 0; k < s->dims; k++) {
            if (isfinite(s->centre[k]))
                fprintf(out, " %s %g", s->dim[k], s->centre[k]);
            else
                fprintf(out, " %s -", s->dim[k]);
        }
        fprintf(out, "\n");
    }
    field_rule(out, '=');
}

/* ---- estimates ------------------------------------------------------------------- */

/* With as many digits as there is room for. */
static void range_text(char *text, size_t width, double lo, double hi)
{
    char whole[64] = "-";

    if (isfinite(lo) && isinf(hi))
        snprintf(whole, sizeof whole, "%.4g ..", lo);
    for (int digits = 4; isfinite(lo) && isfinite(hi) && digits > 1; digits--) {
        snprintf(whole, sizeof whole, "%.*g .. %.*g", digits, lo, digits, hi);
        if (strlen(whole) <= width)
            break;
    }
    snprintf(text, width + 1, "%.*s", (int)width, whole);
}

static const char *verdict_text(const struct estimate *e)
{
    return e->identified == VERDICT_YES  ? "yes"
           : e->identified == VERDICT_NO ? "not identified"
                                         : "n/a";
}

static void print_estimate(FILE *out, const char *name, const struct estimate *e,
                           const struct study *s)
{
    char boot[BOOT + 1] = "-", profile[PROFILE + 1];

    if (s->options->bootstrap > 0)
        range_text(boot, BOOT, e->lo, e->hi);
    range_text(profile, PROFILE, e->profile_lo, e->profile_hi);
    fprintf(out, "%-13.13s%11.5g  %-20s  %-18s%s\n", name, e->value, boot, profile,
            verdict_text(e));
}

static void print_columns(FILE *out, const struct study *s, const char *what)
{
    char boot[32], profile[32];

    snprintf(boot, sizeof boot, "%g%% bootstrap", 100 * s->options->level);
    snprintf(profile, sizeof profile, "%g%% profile", 100 * s->options->level);
    fprintf(out, "%-13.13s%11s  %-20s  %-18s%s\n", what, "value", boot, profile,
            "identified");
    field_rule(out, '-');
}

/* How optima grow with compute: what a sweep is made for. */
static void print_slopes(FILE *out, const struct study *s)
{
    const int slopes = s->options->law == LAW_SOVIT        ? s->dims
                       : s->options->law == LAW_CHINCHILLA ? 2
                                                           : 0;

    if (slopes == 0)
        return;
    print_columns(out, s, "optimum ~ t^s");
    for (int k = 0; k < slopes; k++) {
        int slope;
        const struct fit *f = study_fit_of(s, k, &slope);
        char name[64];

        snprintf(name, sizeof name, "s_%.11s", s->dim[k]);
        if (f != NULL)
            print_estimate(out, name, &f->slope[slope], s);
        else
            field_print(out, NAME, name, "          -  not identified: %s", s->why[k]);
    }
    fprintf(out, "\n");
}

static void print_constants(FILE *out, const struct study *s)
{
    print_columns(out, s, "constants");
    for (int i = 0; i < s->fits; i++) {
        const struct fit *f = &s->fit[i];

        if (f->model.rows == 0)
            continue;
        for (int e = 0; e < f->law.exps; e++)
            print_estimate(out, f->law.exp_name[e], &f->param[f->law.coefs + e], s);
        for (int j = 0; j < f->law.coefs; j++)
            print_estimate(out, f->law.term[j].name, &f->param[j], s);
    }
    fprintf(out, "\n");
}

/* ---- why to believe it ----------------------------------------------------------- */

static void print_reasons(FILE *out, const struct study *s)
{
    const char *said = NULL;

    for (int i = 0; i < s->fits; i++) {
        const struct fit *f = &s->fit[i];

        for (int k = 0; k < powers_params(&f->model) + f->law.slopes; k++) {
            const int params = powers_params(&f->model);
            const struct estimate *e =
                k < params ? &f->param[k] : &f->slope[k - params];
            const bool is_term = k < f->law.coefs;
            const char *name   = is_term      ? f->law.term[k].name
                                 : k < params ? f->law.exp_name[k - f->law.coefs]
                                              : f->law.slope[k - params].name;

            if (e->identified != VERDICT_NO || is_term)
                continue;
            if (said == NULL)
                fprintf(out, "not identified, because\n");
            said = e->why;
            fprintf(out, "  %s%-*s%s\n", k < params ? "" : "s_", k < params ? 16 : 14,
                    name, e->why);
        }
    }
    if (said != NULL)
        fprintf(out, "\n");
}

static void print_errors(FILE *out, const char *what, const struct errors *e)
{
    if (e->n > 0)
        field_print(out, LABEL, what,
                    "%d runs predicted: error %.3g %% (rms), mean %+.3g %%, worst "
                    "%+.3g %%",
                    e->n, 100 * e->rms, 100 * e->mean, 100 * e->worst);
}

static void print_certificate(FILE *out, const struct study *s)
{
    for (int i = 0; i < s->fits; i++) {
        const struct fit *f = &s->fit[i];
        const char *name    = s->form == FORM_ARMS ? s->dim[i] : "minimum";

        if (f->model.rows == 0)
            continue;
        fprintf(out, "%-10s %.7g, slope %.0e, from %d of %d starts; noise %.3g %%\n",
                name, f->end.value, f->end.gradient, f->agreeing, f->starts,
                100 * f->noise);
    }
    print_errors(out, "held out", &s->held_errors);
    print_errors(out, "centre", &s->middle_errors);
    fprintf(out, "time       %.2f s", s->seconds);
    if (s->options->bootstrap > 0)
        fprintf(out, ", %lld data sets of %s", (long long)s->options->bootstrap,
                s->fit[0].has_weighed_rows ? "rows weighed anew"
                                           : "residuals drawn anew");
    fprintf(out, "\n");
}

/* Some of the exponents at 'theta', and whether there are more. */
static void print_exps(FILE *out, const struct fit *f, const double *theta)
{
    enum { MOST = 3 };

    for (int k = 0; k < f->law.exps && k < MOST; k++)
        fprintf(out, " %.2g", theta[f->law.coefs + k]);
    fprintf(out, "%s", f->law.exps > MOST ? " .." : "");
}

static void print_starts(FILE *out, const struct fit *f)
{
    fprintf(out, "\n%-9s%13s%13s  %s\n", "start", "value there", "end", "exponents");
    field_rule(out, '-');
    for (int i = 0; i < f->starts; i++) {
        const struct start *s = &f->start[i];

        fprintf(out, "%-9s%13.7g%13.7g ", s->is_searched ? "searched" : "spread",
                s->value, s->end.value);
        print_exps(out, f, s->from);
        fprintf(out, " ->");
        print_exps(out, f, s->theta);
        fprintf(out, "\n");
    }
}

void study_print(FILE *out, const struct study *s)
{
    print_head(out, s);
    print_slopes(out, s);
    print_constants(out, s);
    print_reasons(out, s);
    print_certificate(out, s);
    for (int i = 0; i < s->fits && s->options->list_starts; i++)
        print_starts(out, &s->fit[i]);
}
