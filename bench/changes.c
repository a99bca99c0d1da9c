/* SPDX-License-Identifier: BSD-3-Clause */
/* Two runs side by side.  Stages are wall time, waiting and all; the seconds that each
 * kind of message is waited for are parts of them.
 */
#include "config.h"

#include "bench/changes.h"

#include "src/base/err.h"
#include "src/base/field.h"
#include "src/base/json_file.h"
#include "src/step/step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL = 18 };

/* ---- the earlier run ------------------------------------------------------------- */

int changes_open(json_t **old, const char *path)
{
    json_t *root;

    TRY(json_file_load(&root, path));
    if (!json_is_array(json_object_get(root, "cases")) ||
        json_integer_value(json_object_get(root, "schema_version")) != 1) {
        json_decref(root);
        return ERR(ERR_DATA, "--compare: %s is not the JSON of a run of vitbench",
                   path);
    }
    *old = root;
    return 0;
}

static double number(const json_t *o, const char *name)
{
    const json_t *value = json_object_get(o, name);

    return json_is_number(value) ? json_number_value(value) : NAN;
}

static bool is_same(const json_t *was, const struct case_result *c)
{
    const char *name    = json_string_value(json_object_get(was, "case"));
    const json_t *shape = json_object_get(was, "shape");

    return name != NULL && strcmp(name, c->name) == 0 &&
           json_is_object(json_object_get(was, "steps")) &&
           number(shape, "width") == (double)c->spec.C &&
           number(shape, "mlp") == (double)c->spec.F &&
           number(shape, "heads") == (double)c->spec.H &&
           number(was, "layers_run") == (double)c->spec.L;
}

/* What else of the model a step's time depends on, in the words of the JSON. */
static json_t *rest_of(const struct spec *s)
{
    return json_pack("{ss sb ss si si sI}", "wiring", wiring_name(s->wiring), "qk_norm",
                     s->qk_norm, "pool", pool_name(s->pool), "image", s->image, "patch",
                     s->patch, "classes", (json_int_t)s->K);
}

/* How much of that, and the batch, is as it was. */
static int likeness(const json_t *was, const struct case_result *c)
{
    json_t *rest = rest_of(&c->spec), *value;
    int same     = number(was, "batch") == (double)c->batch;
    const char *name;

    json_object_foreach(rest, name, value)
    {
        same += json_equal(json_object_get(json_object_get(was, "shape"), name), value);
    }
    json_decref(rest);
    return same;
}

/* A run may have such a case more than once, of several batches: the likest one. */
static const json_t *find_case(const json_t *old, const struct case_result *c)
{
    const json_t *was, *best = NULL;
    size_t i;

    json_array_foreach(json_object_get(old, "cases"), i, was)
    {
        if (is_same(was, c) && (best == NULL || likeness(was, c) > likeness(best, c)))
            best = was;
    }
    return best;
}

/* ---- the table ------------------------------------------------------------------- */

/* A line, and the one that has grown or shrunk most, in the direction of the whole. */
struct largest {
    const char *name;
    double change;
};

static void line(FILE *out, const char *indent, const char *name, double was, double is,
                 double step, double direction, struct largest *most)
{
    const double change = is - was;

    if (isnan(change))
        return;
    fprintf(out, "  %s%-*s%12.4g%12.4g%+12.4g", indent, (int)(20 - strlen(indent)),
            name, was, is, change);
    if (fabs(step) > 0)
        fprintf(out, "%+9.1f %%", 100 * change / step);
    fputc('\n', out);
    if (change * direction > most->change * direction)
        *most = (struct largest){ name, change };
}

/* None are not waited for; those of a run that was stopped before may have been. */
static double seconds_of_none(double messages)
{
    return messages > 0 ? NAN : 0;
}

static double seconds_of_kind(const struct comm *t)
{
    return t->kind == HIDDEN_NONE ? seconds_of_none((double)t->messages) : t->exposed_s;
}

static double exposed_then(const json_t *was, int kind)
{
    const json_t *t = json_object_get(json_object_get(was, "comm"), traffic_name[kind]);
    const double s  = number(t, "exposed_s");

    return isnan(s) ? seconds_of_none(number(t, "messages")) : s;
}

static void say_value(FILE *out, const char *name, const json_t *then,
                      const json_t *now)
{
    char *a, *b;

    if (then == NULL || now == NULL || json_equal(then, now))
        return;
    a = json_dumps(then, JSON_ENCODE_ANY);
    b = json_dumps(now, JSON_ENCODE_ANY);
    fprintf(out, "  %s was %s, is %s\n", name, a, b);
    free(a);
    free(b);
}

/* What failed, or was stopped, may have computed something else. */
static void say_failure(FILE *out, const json_t *was)
{
    const char *status = json_string_value(json_object_get(was, "status"));
    const char *reason = json_string_value(json_object_get(was, "reason"));

    if (status != NULL && strcmp(status, "fail") == 0)
        field_print(out, LABEL, "  it FAILED then", "%s",
                    reason != NULL ? reason : "no reason is known");
}

/* Of the model, which two runs may have given by other options. */
static void say_model(FILE *out, const json_t *was, const struct spec *s)
{
    json_t *rest = rest_of(s), *now;
    const char *name;

    json_object_foreach(rest, name, now)
    {
        say_value(out, name, json_object_get(json_object_get(was, "shape"), name), now);
    }
    json_decref(rest);
}

/* Of what the case itself does not tell. */
static void say_options(FILE *out, const json_t *was, const json_t *options)
{
    static const char *const name[] = { "gelu",          "loss",      "mesh",
                                        "threads",       "optimizer", "remat",
                                        "micro-batches", "tune",      "ring-wire",
                                        "grad-wire",     "tf32",      "deterministic",
                                        "graph" };

    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++)
        say_value(out, name[i], json_object_get(json_object_get(was, name[i]), "value"),
                  json_object_get(json_object_get(options, name[i]), "value"));
}

/* Of machine and libraries; null is none. */
static void say_text(FILE *out, const char *name, const json_t *then, const json_t *now)
{
    const char *a = json_string_value(then), *b = json_string_value(now);

    if (then != NULL && now != NULL && !json_equal(then, now))
        field_print(out, 2, "", "%s was %s, is %s", name, a != NULL ? a : "none",
                    b != NULL ? b : "none");
}

static void say_system(FILE *out, const json_t *was, const json_t *is)
{
    static const char *const part[] = { "cpu", "gpu", "mpi" };
    const json_t *before            = json_object_get(was, "libraries");
    const char *name;
    json_t *now;

    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++)
        say_text(out, part[i], json_object_get(was, part[i]),
                 json_object_get(is, part[i]));
    json_object_foreach(json_object_get(is, "libraries"), name, now)
    {
        say_text(out, name, json_object_get(before, name), now);
    }
}

static void say_differences(FILE *out, const json_t *was, const struct case_result *c)
{
    const struct {
        const char *name, *is;
    } setting[] = { { "dtype", dtype_name(c->dtype) },
                    { "device", c->device },
                    { "overlap", c->overlap },
                    { "progress", c->progress },
                    { "param_shard", c->param_shard } };

    for (size_t i = 0; i < sizeof setting / sizeof setting[0]; i++) {
        const char *then = json_string_value(json_object_get(was, setting[i].name));

        if (then != NULL && strcmp(then, setting[i].is) != 0)
            fprintf(out, "  %s was %s, is %s\n", setting[i].name, then, setting[i].is);
    }
    if (number(was, "batch") != (double)c->batch)
        fprintf(out, "  batch was %.0f, is %lld\n", number(was, "batch"),
                (long long)c->batch);
}

/* 'knows_waits': neither run was stopped before it had measured that. */
static void conclude(FILE *out, double change, double noise,
                     const struct largest *stage, const struct largest *kind,
                     bool knows_waits)
{
    if (isnan(noise)) {
        fprintf(out, "  one step tells no spread: there is no telling what changed\n");
        return;
    }
    if (fabs(change) <= noise) {
        fprintf(out, "  no change beyond the spread of %.3g s\n", noise);
        return;
    }
    fprintf(out, "  %s by %.4g s: ", change > 0 ? "slower" : "faster", fabs(change));
    if (stage->name == NULL) {
        fprintf(out, "no stage tells where\n");
        return;
    }
    fprintf(out, "%+.4g s in %s", stage->change, stage->name);
    if (kind->name != NULL && fabs(kind->change) > 0.25 * fabs(change))
        fprintf(out, "; %+.4g s of waiting for %s", kind->change, kind->name);
    else if (!knows_waits)
        fprintf(out, "; waiting is not known");
    else
        fprintf(out, ", computing rather than waiting");
    fputc('\n', out);
}

void changes_print(FILE *out, const struct case_result *c, const json_t *options,
                   const json_t *system, const json_t *old)
{
    const json_t *was, *stages, *steps;
    struct largest stage = { NULL, 0 }, kind = { NULL, 0 }, none = { NULL, 0 };
    double before, change, n, noise = NAN;
    bool knows_waits = true;

    if (c->steps.n == 0)
        return;
    was = find_case(old, c);
    if (was == NULL) {
        fprintf(out, "  the earlier run has no such case\n");
        return;
    }
    steps  = json_object_get(was, "steps");
    stages = json_object_get(was, "stages");
    before = number(steps, "median");
    change = c->steps.median - before;
    n      = fmin(number(steps, "n"), c->steps.n);
    if (n > 1)
        noise = 2 * (number(steps, "cv") * before + c->steps.cv * c->steps.median) /
                sqrt(n);

    fprintf(out, "  %-20s%12s%12s%12s%11s\n", "compared, s a step", "was", "is",
            "change", "of step");
    say_failure(out, was);
    say_model(out, was, &c->spec);
    say_options(out, json_object_get(old, "options"), options);
    say_differences(out, was, c);
    say_system(out, json_object_get(old, "system"), system);
    line(out, "", "step", before, c->steps.median, before, change, &none);
    for (int i = 0; i < STAGES; i++)
        line(out, "", stage_name[i], number(stages, stage_name[i]), c->stage_s[i],
             before, change, &stage);
    fprintf(out, "  of these, waiting for\n");
    for (int k = 0; k < TRAFFIC_KINDS; k++) {
        const double then = exposed_then(was, k), now = seconds_of_kind(&c->comm[k]);

        knows_waits &= !isnan(then) && !isnan(now);
        line(out, "  ", traffic_name[k], then, now, before, change, &kind);
    }
    if (number(was, "batch") != (double)c->batch)
        fprintf(out, "  seconds of different batches are not comparable\n");
    else
        conclude(out, change, noise, &stage, &kind, knows_waits);
}
