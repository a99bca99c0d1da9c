/* SPDX-License-Identifier: BSD-3-Clause */
/* Two runs side by side.  Stages are wall time, waiting and all; the seconds that each
 * kind of message is waited for are parts of them.
 */
#include "config.h"

#include "bench/changes.h"

#include "src/base/err.h"
#include "src/base/json_file.h"
#include "src/step/step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

static const json_t *find_case(const json_t *old, const struct case_result *c)
{
    const json_t *was;
    size_t i;

    json_array_foreach(json_object_get(old, "cases"), i, was)
    {
        if (is_same(was, c))
            return was;
    }
    return NULL;
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

    if (isnan(was) && isnan(is))
        return;
    fprintf(out, "  %s%-*s%12.4g%12.4g%+12.4g", indent, (int)(20 - strlen(indent)),
            name, was, is, change);
    if (fabs(step) > 0)
        fprintf(out, "%+9.1f %%", 100 * change / step);
    fputc('\n', out);
    if (change * direction > most->change * direction)
        *most = (struct largest){ name, change };
}

static double seconds_of_kind(const struct comm *t)
{
    return t->kind == HIDDEN_NONE ? 0 : t->exposed_s;
}

/* Missing in an old file: as if it had not been waited for. */
static double exposed_then(const json_t *was, int kind)
{
    const double s = number(
        json_object_get(json_object_get(was, "comm"), traffic_name[kind]), "exposed_s");

    return isnan(s) ? 0 : s;
}

static void say_option(FILE *out, const char *name, const json_t *was,
                       const json_t *options)
{
    const json_t *then = json_object_get(json_object_get(was, name), "value");
    const json_t *now  = json_object_get(json_object_get(options, name), "value");
    char *a, *b;

    if (then == NULL || now == NULL || json_equal(then, now))
        return;
    a = json_dumps(then, JSON_ENCODE_ANY);
    b = json_dumps(now, JSON_ENCODE_ANY);
    fprintf(out, "  %s was %s, is %s\n", name, a, b);
    free(a);
    free(b);
}

/* Of what the case itself does not tell. */
static void say_options(FILE *out, const json_t *was, const json_t *options)
{
    static const char *const name[] = {
        "wiring",    "qk-norm", "gelu",          "pool", "image",
        "patch",     "classes", "loss",          "mesh", "threads",
        "optimizer", "remat",   "micro-batches", "tune", "ring-wire",
        "grad-wire", "tf32",    "deterministic", "graph"
    };

    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++)
        say_option(out, name[i], was, options);
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
        fprintf(out, "  batch was %.0f, is %lld: seconds are not comparable\n",
                number(was, "batch"), (long long)c->batch);
}

static void conclude(FILE *out, double change, double noise,
                     const struct largest *stage, const struct largest *kind)
{
    if (fabs(change) <= noise) {
        fprintf(out, "  no change beyond the spread of %.3g s\n", noise);
        return;
    }
    if (stage->name == NULL) {
        fprintf(out, "  the earlier run has no times of stages\n");
        return;
    }
    fprintf(out, "  %s by %.4g s: %+.4g s in %s", change > 0 ? "slower" : "faster",
            fabs(change), stage->change, stage->name);
    if (kind->name != NULL && fabs(kind->change) > 0.25 * fabs(change))
        fprintf(out, "; %+.4g s of waiting for %s", kind->change, kind->name);
    else
        fprintf(out, ", computing rather than waiting");
    fputc('\n', out);
}

void changes_print(FILE *out, const struct case_result *c, const json_t *options,
                   const json_t *old)
{
    const json_t *was, *stages, *steps;
    struct largest stage = { NULL, 0 }, kind = { NULL, 0 }, none = { NULL, 0 };
    double before, change, noise;

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
    noise  = 2 * (number(steps, "cv") * before + c->steps.cv * c->steps.median) /
            sqrt(fmin(number(steps, "n"), c->steps.n));

    fprintf(out, "  %-20s%12s%12s%12s%11s\n", "compared, s a step", "was", "is",
            "change", "of step");
    say_options(out, json_object_get(old, "options"), options);
    say_differences(out, was, c);
    line(out, "", "step", before, c->steps.median, before, change, &none);
    for (int i = 0; i < STAGES; i++)
        line(out, "", stage_name[i], number(stages, stage_name[i]), c->stage_s[i],
             before, change, &stage);
    fprintf(out, "  of these, waiting for\n");
    for (int k = 0; k < TRAFFIC_KINDS; k++)
        line(out, "  ", traffic_name[k], exposed_then(was, k),
             seconds_of_kind(&c->comm[k]), before, change, &kind);
    conclude(out, change, noise, &stage, &kind);
}
