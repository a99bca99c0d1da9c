/* SPDX-License-Identifier: BSD-3-Clause */
/* The answer of 'vitfit shape' as text and as JSON. */
#include "config.h"

#include "src/fit/answer.h"

#include "src/base/field.h"
#include "src/base/json.h"

#include <math.h>
#include <string.h>

enum { LABEL = 15 };

const char *const answer_dim[LAW_DIMS] = { "width", "depth", "MLP" };

static void rounded(double x[LAW_DIMS], const struct spec *s)
{
    x[0] = (double)s->C;
    x[1] = (double)s->L;
    x[2] = (double)s->F;
}

/* The exact size of dimension k at the ends of its exponent's interval: NaN if the
 * exponent is none of the fit's, infinite if the interval is.
 */
static void range_of(double *lo, double *hi, const struct answer *a, int k)
{
    const double part = pow(a->t / a->rule.t0, a->rule.w[k]);

    *lo = *hi = NAN;
    if (a->fit == NULL || a->o->exponents[0] != '\0')
        return;
    *lo = a->rule.x0[k] * pow(part, a->fit->growth[k].lo);
    *hi = a->rule.x0[k] * pow(part, a->fit->growth[k].hi);
    if (part < 1) {
        const double less = *hi;

        *hi = *lo;
        *lo = less;
    }
}

/* ---- text ------------------------------------------------------------------------ */

static void print_readings(FILE *out, const struct answer *a)
{
    static const char *const text[READINGS] = { "tau^(s w)  this one",
                                                "tau^w  as printed",
                                                "tau^s  unshared" };

    fprintf(out, "%-21s%8s%8s%8s%10s%10s%13s\n", "rule", "width", "depth", "MLP",
            "params/M", "GFLOP", "examples");
    fprintf(out, "%-21s%8s%8s%8s%10s%10s%13s\n", "", "", "", "", "", "an image", "");
    for (int how = 0; how < READINGS; how++) {
        const struct spec *s = &a->spec[how];
        const struct cost *c = &a->cost[how];

        if (!a->is_shape[how]) {
            fprintf(out, "%-21s%8.2g%8.2g%8.2g%10s%10s%13s\n", text[how],
                    a->exact[how][0], a->exact[how][1], a->exact[how][2], "-", "-",
                    "no shape");
            continue;
        }
        fprintf(out, "%-21s%8lld%8lld%8lld%10.4g%10.4g%13.4g\n", text[how],
                (long long)s->C, (long long)s->L, (long long)s->F,
                1e-6 * (double)c->params, 1e-9 * c->forward, a->t / c->forward);
    }
    fprintf(
        out,
        "\nThe paper prints tau^w for every dimension; its argument, and its shapes, "
        "follow\ntau^(s w): a dimension takes a share w of the growth of compute, and "
        "turns\nit into size with its own exponent s.  tau^w would make parameters "
        "grow "
        "about\nas fast as compute.\n\n");
}

/* What the intervals of the exponents leave open of the sizes. */
static void print_ranges(FILE *out, const struct answer *a)
{
    char text[128] = "";

    for (int k = 0; k < LAW_DIMS; k++) {
        const size_t used = strlen(text);
        double lo, hi;

        range_of(&lo, &hi, a, k);
        if (isfinite(lo) && isfinite(hi))
            snprintf(text + used, sizeof text - used, "%s%s %.4g .. %.4g",
                     used > 0 ? ", " : "", answer_dim[k], lo, hi);
    }
    if (text[0] != '\0')
        fprintf(out, "  at the ends of the %g %% intervals of s:\n    %s\n",
                100 * a->fit->level, text);
}

static void print_rounding(FILE *out, const struct answer *a)
{
    const struct spec *s = &a->spec[READING_SHARED];
    const double *x      = a->exact[READING_SHARED];
    const double exact   = cost_forward(x[0], x[1], x[2], s);
    const double best    = fitfile_expect(a->fit, x, a->t);
    double whole[LAW_DIMS], got;

    rounded(whole, s);
    got = fitfile_expect(a->fit, whole, a->t);
    fprintf(out, "rounding       %-6s%12s%10s%8s  multiple of\n", "", "exact",
            "rounded", "");
    for (int k = 0; k < LAW_DIMS; k++)
        fprintf(out, "  %-19s%12.2f%10.0f%+7.2f%%  %lld\n", answer_dim[k], x[k],
                whole[k], 100 * (whole[k] / x[k] - 1), (long long)a->multiple[k]);
    fprintf(out, "  FLOP an image %+.2f %%, examples %+.2f %% at the same compute\n",
            100 * (a->cost[0].forward / exact - 1),
            100 * (exact / a->cost[0].forward - 1));
    print_ranges(out, a);
    if (isfinite(best))
        fprintf(out, "  %s %.5g exact, %.5g rounded: rounding costs %+.3g %%\n",
                a->fit->y, best, got, 100 * (got / best - 1));
    fprintf(out, "\n");
}

/* Hours in which the mesh of 'c' trains on 'examples', messages and all. */
static double hours_of(const struct cost *c, double examples)
{
    return examples / (double)c->batch * c->step_s / 3600;
}

static void print_time(FILE *out, const struct cost *c, double examples, int of_node)
{
    const double seconds = examples * c->seconds, hours = hours_of(c, examples);
    const int nodes = (c->D * c->M + of_node - 1) / of_node;

    field_print(out, LABEL, "time",
                "%.4g device-seconds, %.4g node-hours, messages apart", seconds,
                seconds / 3600 / of_node);
    if (isnan(hours))
        field_print(out, LABEL, "on this mesh", "n/a: the file has no links");
    else
        field_print(out, LABEL, "on this mesh",
                    "%.4g s a step with messages: %.4g hours, %.4g node-hours",
                    c->step_s, hours, hours * nodes);
}

static void print_expected(FILE *out, const struct answer *a)
{
    const struct cost *c  = &a->cost[READING_SHARED];
    const struct spec *s  = &a->spec[READING_SHARED];
    const double examples = a->t / c->forward;
    double whole[LAW_DIMS], y;

    rounded(whole, s);
    field_print(out, LABEL, "shape", "--shape=%s", s->name);
    field_print(out, LABEL, "compute", "%.4g FLOP forward, %.4g FLOP of training", a->t,
                examples * c->train);
    field_print(out, LABEL, "examples", "%.4g (%.4g tokens)", examples,
                examples * (double)s->T);
    y = fitfile_expect(a->fit, whole, a->t);
    if (isfinite(y))
        field_print(out, LABEL, "predicted", "%s %.5g", a->fit->y, y);
    else
        field_print(out, LABEL, "predicted", "n/a: needs --fit of a fit with --joint");
    if (a->machine == NULL) {
        field_print(out, LABEL, "time, memory", "n/a: needs --machine");
        return;
    }

    const int of_node = a->machine->ranks_per_node > 0 ? a->machine->ranks_per_node : 1;

    field_print(out, LABEL, "machine", "%s: %d x %d ranks, mesh %dx%d",
                a->machine->name, a->machine->nodes, of_node, c->D, c->M);
    field_print(out, LABEL, "memory", "%.2f GB a rank, with %lld images a step%s",
                1e-9 * (double)c->bytes, (long long)c->batch,
                c->fits ? "" : ": DOES NOT FIT");
    print_time(out, c, examples, of_node);
}

void answer_print(FILE *out, const struct answer *a)
{
    const struct rule *r = &a->rule;

    fprintf(out, "From %g/%g/%g at t0 = %.4g FLOP to t = %.4g FLOP: tau = %.4g\n",
            r->x0[0], r->x0[1], r->x0[2], r->t0, a->t, a->t / r->t0);
    fprintf(out,
            "s = %.4g/%.4g/%.4g, w = %.4g/%.4g/%.4g, %lld heads, patch %lld, %lld "
            "pixels\n\n",
            r->s[0], r->s[1], r->s[2], r->w[0], r->w[1], r->w[2],
            (long long)a->o->heads, (long long)a->o->patch, (long long)a->o->image);
    for (int k = 0; k < LAW_DIMS; k++) {
        if (a->is_guess[k])
            fprintf(out, "s of %s is not identified: a guess\n", answer_dim[k]);
    }
    print_readings(out, a);
    print_rounding(out, a);
    print_expected(out, a);
}

void answer_print_trial(FILE *out, const struct answer *a)
{
    const struct sweep *s = &a->trial;

    fprintf(out, "\n%-19s%8s%13s%13s%12s\n", "beside others", "steps", "GFLOP image",
            "compute", "predicted");
    for (int i = 0; i < s->runs; i += (int)s->training.seeds) {
        const struct run *r  = &s->run[i];
        const double compute = sweep_images(s, r) * r->cost.forward;
        double x[LAW_DIMS], y;
        char predicted[16] = "n/a";

        rounded(x, &r->spec);
        y = fitfile_expect(a->fit, x, compute);
        if (isfinite(y))
            snprintf(predicted, sizeof predicted, "%.5g", y);
        fprintf(out, "%-19s%8lld%13.4g%13.4g%12s\n", r->spec.name,
                (long long)r->step[0], 1e-9 * r->cost.forward, compute, predicted);
    }
}

/* ---- JSON ------------------------------------------------------------------------ */

static json_t *ranges_json(const struct answer *a)
{
    json_t *all = json_array();

    for (int k = 0; k < LAW_DIMS; k++) {
        double lo, hi;

        range_of(&lo, &hi, a, k);
        json_array_append_new(all, json_pack("[oo]", json_finite(lo), json_finite(hi)));
    }
    return all;
}

json_t *answer_json(const struct answer *a)
{
    const struct cost *c  = &a->cost[READING_SHARED];
    const struct spec *s  = &a->spec[READING_SHARED];
    const double *x       = a->exact[READING_SHARED];
    const double examples = a->t / c->forward;
    double whole[LAW_DIMS];

    rounded(whole, s);
    return json_pack(
        "{ss sf sf s[fff] so s[III] sI sf sf sf so so so so so so sb}", "shape",
        s->name, "compute", a->t, "tau", a->t / a->rule.t0, "exact", x[0], x[1], x[2],
        "exact_range", ranges_json(a), "rounded", (json_int_t)s->C, (json_int_t)s->L,
        (json_int_t)s->F, "params", (json_int_t)c->params, "flops_per_image",
        c->forward, "examples", examples, "rounding_cost",
        c->forward / cost_forward(x[0], x[1], x[2], s) - 1, "predicted",
        json_finite(fitfile_expect(a->fit, whole, a->t)), "device_seconds",
        json_finite(examples * c->seconds), "step_s", json_finite(c->step_s), "hours",
        json_finite(hours_of(c, examples)), "bytes_per_rank",
        a->machine != NULL ? json_integer((json_int_t)c->bytes) : json_null(), "mesh",
        a->machine != NULL ? json_pack("{si si}", "D", c->D, "M", c->M) : json_null(),
        "fits", (int)c->fits);
}
