/* SPDX-License-Identifier: BSD-3-Clause */
/* 'vitfit shape': from a budget to a shape that can be trained.  What is told of it is
 * answer.c.
 */
#include "config.h"

#include "src/base/err.h"
#include "src/fit/answer.h"
#include "src/fit/command.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* With sizes up to this all parameters of a model can be counted. */
static const double size_most = 1e6;

/* ---- options --------------------------------------------------------------------- */

static int three(double x[LAW_DIMS], const char *text, char separator,
                 const char *option)
{
    const int n = options_numbers(x, LAW_DIMS, text, separator, option);

    if (n >= 0 && n != LAW_DIMS)
        return ERR(ERR_USAGE, "--%s=%s: expected three numbers", option, text);
    return n < 0 ? n : 0;
}

/* The answer of 'vitfit pareto'. */
static int read_from(struct rule *r, const char *path)
{
    json_error_t error;
    json_t *root        = json_load_file(path, 0, &error);
    const json_t *x0    = json_object_get(root, "x0");
    const json_t *shape = json_object_get(x0, "shape");
    const bool is_good  = json_array_size(shape) == LAW_DIMS;

    for (int k = 0; k < LAW_DIMS && is_good; k++)
        r->x0[k] = json_number_value(json_array_get(shape, (size_t)k));
    r->t0 = json_number_value(json_object_get(x0, "t0"));
    json_decref(root);
    if (root == NULL)
        return ERR(ERR_DATA, "--from=%s: expected C/L/F@T0, or a file: line %d: %s",
                   path, error.line, error.text);
    if (is_good && r->t0 > 0 && r->x0[0] > 0 && r->x0[1] > 0 && r->x0[2] > 0)
        return 0;
    return ERR(ERR_DATA,
               "--from=%s: it has no x0: no shape inside the grid is optimal anywhere",
               path);
}

static int parse_from(struct rule *r, const char *text)
{
    char shape[sizeof((struct options *)0)->from];
    const char *at = strchr(text, '@');

    if (at == NULL && access(text, R_OK) == 0)
        return read_from(r, text);
    if (at == NULL)
        return ERR(ERR_USAGE,
                   "--from=%s: expected C/L/F@T0, for example "
                   "608/10/928@5.4e18, or a file of vitfit pareto",
                   text);
    snprintf(shape, sizeof shape, "%.*s", (int)(at - text), text);
    TRY(three(r->x0, shape, '/', "from"));
    const int n = options_numbers(&r->t0, 1, at + 1, ',', "from");

    return n < 0 ? n : 0;
}

static int parse_multiples(struct answer *a)
{
    double m[LAW_DIMS];

    TRY(three(m, a->o->multiple, '/', "multiple"));
    for (int k = 0; k < LAW_DIMS; k++) {
        if (m[k] != floor(m[k]) || m[k] > 1e6)
            return ERR(ERR_USAGE, "--multiple=%s: expected whole numbers",
                       a->o->multiple);
        a->multiple[k] = (int64_t)m[k];
    }
    /* Heads are whole: the width is a multiple of their number, too. */
    a->multiple[0] = shape_common(a->multiple[0], a->o->heads);
    if (a->multiple[0] == 0)
        return ERR(ERR_USAGE, "--multiple and --heads have no common multiple");
    return 0;
}

static int parse_budget(struct answer *a)
{
    const char *text = a->o->budget;
    char number[sizeof((struct options *)0)->budget];
    const size_t n = strlen(text);
    int rc;

    if (n == 0)
        return ERR(ERR_USAGE, "vitfit shape needs --budget=FLOP or --budget=SECONDSs");
    a->is_seconds = text[n - 1] == 's';
    snprintf(number, sizeof number, "%.*s", (int)(n - a->is_seconds), text);
    rc = options_numbers(&a->budget, 1, number, ',', "budget");
    if (rc >= 0 && a->is_seconds && a->machine == NULL)
        return ERR(ERR_USAGE, "--budget=%s in device-seconds needs --machine=FILE",
                   text);
    return rc < 0 ? rc : 0;
}

/* Growth exponents of the fit, unless --exponents says others. */
static int choose_exponents(struct answer *a)
{
    const char *given = a->o->exponents;
    double sum        = 0;

    TRY(three(a->rule.s, given[0] != '\0' ? given : "0.22/0.45/0.6", '/', "exponents"));
    TRY(three(a->rule.w, a->o->weights, ',', "w"));
    for (int k = 0; k < LAW_DIMS; k++)
        sum += a->rule.w[k];
    if (fabs(sum - 1) > 1e-6)
        return ERR(ERR_USAGE, "--w=%s: the shares add up to %g, not 1", a->o->weights,
                   sum);
    if (a->fit == NULL || given[0] != '\0')
        return 0;
    if (!fitfile_is_of_shapes(a->fit))
        return ERR(ERR_USAGE, "%s: is no fit of --law=sovit by width, depth and mlp",
                   a->fit->path);
    for (int k = 0; k < LAW_DIMS; k++) {
        const struct growth *g = &a->fit->growth[k];

        if (!g->is_identified && !(a->o->guess && g->value > 0))
            return ERR(
                ERR_DATA, "%s: s_%s is not identified: give --exponents yourself%s",
                a->fit->path, a->fit->dim[k], g->value > 0 ? ", or --guess" : "");
        a->is_guess[k] = !g->is_identified;
        a->rule.s[k]   = g->value;
    }
    return 0;
}

/* ---- the shape ------------------------------------------------------------------- */

static int make_spec(struct spec *s, const struct options *o, const double *x,
                     const int64_t *multiple)
{
    return cost_spec(s, shape_round(x[0], multiple[0]), shape_round(x[1], multiple[1]),
                     shape_round(x[2], multiple[2]), o->heads, (int)o->patch,
                     (int)o->image, o->classes);
}

/* Device-seconds of training the shape that the rule gives at compute t; for ever if it
 * is none.
 */
static int seconds_at(double *seconds, const struct answer *a, double t)
{
    double x[LAW_DIMS];
    struct spec s;
    struct cost c;

    shape_grow(x, &a->rule, t, READING_SHARED);
    *seconds = INFINITY;
    for (int k = 0; k < LAW_DIMS; k++) {
        if (!(x[k] <= size_most))
            return 0;
    }
    TRY(make_spec(&s, a->o, x, a->multiple));
    cost_of(&c, &s, a->machine, 1);
    *seconds = c.seconds * t / c.forward;
    return 0;
}

/* The compute that the budget buys: itself, or where device-seconds meet it. */
static int find_compute(struct answer *a)
{
    double lo = log(a->rule.t0) - 50, hi = log(a->rule.t0) + 100, seconds;

    if (!a->is_seconds) {
        a->t = a->budget;
        return 0;
    }
    for (int i = 0; i < 60; i++) {
        TRY(seconds_at(&seconds, a, exp((lo + hi) / 2)));
        if (seconds < a->budget)
            lo = (lo + hi) / 2;
        else
            hi = (lo + hi) / 2;
    }
    a->t = exp(lo);
    TRY(seconds_at(&seconds, a, a->t));
    if (seconds > a->budget / 2 && seconds < a->budget * 2)
        return 0; /* as near as rounded shapes come */
    return ERR(ERR_USAGE, "--budget=%s: no model takes %s on this machine",
               a->o->budget, seconds < a->budget ? "that long" : "so little");
}

/* Is it a shape at all?  Other readings than ours leave that range first. */
static int check_sizes(const struct answer *a, int how)
{
    const double *x = a->exact[how];

    for (int k = 0; k < LAW_DIMS; k++) {
        if (!(x[k] <= size_most))
            return ERR(ERR_USAGE, "--budget=%s: no model is that large: %s %.3g",
                       a->o->budget, answer_dim[k], x[k]);
        if (x[k] < (double)a->multiple[k] / 2)
            return ERR(
                ERR_USAGE,
                "--budget=%s is below that of the smallest shape: %s %.3g, least "
                "%lld (--multiple, --heads)",
                a->o->budget, answer_dim[k], x[k], (long long)a->multiple[k]);
    }
    return 0;
}

static int grow_all(struct answer *a)
{
    for (int how = 0; how < READINGS; how++) {
        shape_grow(a->exact[how], &a->rule, a->t, (enum reading)how);
        a->is_shape[how] = check_sizes(a, how) == 0;
        if (!a->is_shape[how] && how == READING_SHARED)
            return ERR_USAGE;
        if (!a->is_shape[how]) {
            err_forget();
            continue;
        }
        TRY(make_spec(&a->spec[how], a->o, a->exact[how], a->multiple));
        cost_of(&a->cost[how], &a->spec[how], a->machine, INT32_MAX); /* all ranks */
    }
    return 0;
}

/* ---- beside others --------------------------------------------------------------- */

static int plan_trial(struct answer *a)
{
    const struct spec *best = &a->spec[READING_SHARED];
    const int64_t x[]       = { best->C, best->L, best->F };

    if (a->o->out[0] == '\0')
        return 0;
    a->trial.training = command_training(a->o);
    TRY(trial_plan(&a->trial, x, a->t, a->multiple, a->o));
    return command_look(&a->trial, a->o);
}

/* ---- all together ---------------------------------------------------------------- */

static int find_answer(FILE *out, struct answer *a)
{
    const struct options *o = a->o;

    if (o->fit[0] != '\0')
        TRY(fitfile_read(a->fit, o->fit));
    else
        a->fit = NULL;
    if (o->machine[0] != '\0')
        TRY(machine_find(a->machine, o->machine));
    else
        a->machine = NULL;
    TRY(parse_from(&a->rule, o->from));
    TRY(parse_multiples(a));
    TRY(parse_budget(a));
    TRY(choose_exponents(a));
    TRY(find_compute(a));
    TRY(grow_all(a));
    TRY(plan_trial(a));
    answer_print(out, a);
    if (o->out[0] != '\0')
        answer_print_trial(out, a);
    TRY(command_write(out, &a->trial, o));
    return command_save(answer_json(a), o->json);
}

int command_shape(FILE *out, const struct options *o, char *const *word, int words)
{
    struct fitfile fit;
    struct machine machine;
    struct answer a = { .o = o, .fit = &fit, .machine = &machine };
    int rc;

    if (words > 0)
        return ERR(ERR_USAGE, "vitfit shape takes options only, not '%s'", word[0]);
    rc = find_answer(out, &a);
    sweep_close(&a.trial);
    return rc;
}
