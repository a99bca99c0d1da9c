/* SPDX-License-Identifier: BSD-3-Clause */
/* What a probe says: lines, a table, a record. */
#include "config.h"

#include "src/eval/probe.h"

#include "src/base/err.h"
#include "src/base/field.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/base/version.h"
#include "src/plan/record.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL = 14 };

/* ---- text ------------------------------------------------------------------------ */

static void say_model(const struct probe *p)
{
    const struct spec *s = &p->plan.spec;

    field_print(stdout, LABEL, "  model",
                "%s, width %lld, depth %lld, MLP %lld, %lld heads, %s pooling, "
                "%d pixels, patch %d",
                s->name, (long long)s->C, (long long)s->L, (long long)s->F,
                (long long)s->H, pool_name(s->pool), s->image, s->patch);
    if (p->file != NULL)
        printf("  trained     %s: step %lld, %lld images\n", p->path,
               (long long)p->file->meta.step, (long long)p->file->meta.examples);
    if (p->adopted.text[0] != '\0')
        printf("              %s\n", p->adopted.text);
    if (p->file == NULL)
        printf("  trained     not at all, seed %lld\n", (long long)p->options->seed);
    printf("  runs on     mesh %dx%d, %s on %s, %d %s a rank\n", p->mesh->D, p->mesh->M,
           dtype_name(dev_dtype(p->dev)), dev_name(p->dev), dev_threads(p->dev),
           dev_threads(p->dev) == 1 ? "thread" : "threads");
}

void probe_banner(const struct probe *p)
{
    if (p->mesh->rank != 0)
        return;
    printf("vitprobe %s\n", version_text());
    if (p->plan.has_model)
        say_model(p);
    else
        printf("  features    of %s, on %d %s\n", p->options->features, p->mesh->size,
               p->mesh->size == 1 ? "rank" : "ranks");
    fflush(stdout);
}

static void say_features(const struct probe *p)
{
    const struct features *f = &p->features;

    if (p->feature_images > 0)
        printf("  features    %s of %lld images, %.1f images/s\n", p->options->feature,
               (long long)p->feature_images,
               (double)p->feature_images / p->feature_seconds);
    if (p->options->features_out[0] != '\0')
        printf("  written     %s: %lld x %lld features\n", p->options->features_out,
               (long long)f->count, (long long)f->width);
    if (p->options->logits_out[0] != '\0')
        printf("  written     %s: %lld x %lld logits\n", p->options->logits_out,
               (long long)f->count, (long long)p->plan.spec.K);
}

static void say_images(const struct probe *p)
{
    printf("  images      %lld to learn from, %lld to test on, %lld classes, %lld "
           "features\n",
           (long long)p->learn.rows, (long long)p->test.rows,
           (long long)p->features.classes, (long long)p->features.width);
}

/* Columns before those of the seeds, and of a line. */
enum { SEEDS_FROM = 41, LINE = 80 };

/* A line is full before column 's', of which it has 'most': go on below. */
static void next_column(int s, int most)
{
    if (s > 0 && s % most == 0)
        printf("\n%*s", SEEDS_FROM, "");
}

/* Errors in percent: a row of the shots and an l2, a column of each seed. */
static void say_few(const struct probe *p)
{
    const struct fewshot *f        = &p->plan.few;
    const struct fewshot_result *r = &p->few;
    int width                      = 6, most;

    for (int s = 0; s < f->seeds; s++)
        while (width < snprintf(NULL, 0, "%lld", (long long)f->seed[s]))
            width++;
    most = (LINE - SEEDS_FROM) / (width + 1);
    printf("  ridge       %s, %.3f s\n\n", r->about, r->seconds);
    printf("  shots   images          l2  error%% seed");
    for (int s = 0; s < f->seeds; s++) {
        next_column(s, most);
        printf(" %*lld", width, (long long)f->seed[s]);
    }
    printf("\n");
    for (int i = 0; i < f->shot_count; i++) {
        for (int j = 0; j < f->l2s; j++) {
            double sum = 0;

            for (int s = 0; s < f->seeds; s++)
                sum += r->error[i][s][j];
            printf("  %5lld %8lld %11g  %6.2f     ", (long long)f->shots[i],
                   (long long)r->rows[i], f->l2[j], 100 * sum / f->seeds);
            for (int s = 0; s < f->seeds; s++) {
                next_column(s, most);
                printf(" %*.2f", width, 100 * r->error[i][s][j]);
            }
            printf("\n");
        }
    }
}

/* How the penalty was chosen. */
static void say_choice(const struct probe *p)
{
    const struct logistic_result *r = &p->logistic;

    printf("\n          l2  error%%  steps\n");
    for (int i = 0; i < p->plan.logistic.l2s; i++)
        printf("  %10g  %6.2f  %5d%s\n", p->plan.logistic.l2[i], 100 * r->error[i],
               r->steps[i], i == r->chosen ? "  chosen" : "");
    printf("\n  lbfgs       l2 %g, %d steps on all images%s\n",
           p->plan.logistic.l2[r->chosen], r->last_steps,
           r->is_converged ? "" : ", not converged");
}

static void say_linear(const struct probe *p)
{
    const struct descend *d = &p->plan.descend;

    if (p->options->method == METHOD_LBFGS)
        say_choice(p);
    else
        printf("  sgd         %lld steps of %lld images, lr %g, decay %g\n",
               (long long)descend_steps(d, p->learn.rows), (long long)d->batch, d->lr,
               d->decay);
    printf("  classifier  loss %.6g, top-1 %.2f %%, error %.2f %%; %.3f s\n",
           p->linear.loss, 100 * p->linear.right, 100 * (1 - p->linear.right),
           p->linear_seconds);
}

void probe_report(const struct probe *p)
{
    const enum probe_method method = (enum probe_method)p->options->method;

    if (p->mesh->rank != 0)
        return;
    say_features(p);
    if (method != METHOD_HEAD && method != METHOD_NONE)
        say_images(p);
    if (method == METHOD_RIDGE)
        say_few(p);
    if (method == METHOD_SGD || method == METHOD_LBFGS)
        say_linear(p);
    if (method == METHOD_HEAD)
        printf("  classifier  %lld images: loss %.6g, top-1 %.2f %%, calibration error "
               "%.3f\n",
               (long long)p->head.examples, p->head.loss, 100 * p->head.top1,
               p->head.ece);
}

/* ---- the record ------------------------------------------------------------------ */

/* --id; what the checkpoint says; else a number of its options and step. */
static void make_id(char *id, const struct probe *p)
{
    const json_t *options = p->file != NULL ? p->file->meta.options : NULL;
    const char *trained   = json_string_value(json_object_get(options, "id"));
    char *all             = NULL;
    uint64_t number;

    if (p->options->id[0] != '\0')
        trained = p->options->id;
    if (trained != NULL && trained[0] != '\0') {
        snprintf(id, RECORD_TEXT, "%s", trained);
        return;
    }
    if (options != NULL)
        all = json_dumps(options, JSON_SORT_KEYS | JSON_COMPACT);
    number = rng_hash(all != NULL ? all : p->options->features) +
             rng_mix(p->file != NULL ? (uint64_t)p->file->meta.step : 0);
    snprintf(id, RECORD_TEXT, "%016llx", (unsigned long long)number);
    free(all);
}

/* The record of the run, if the file has one: the last of an id counts, so that it must
 * stay whole.
 */
static int find_record(struct record *r, bool *is_found, const char *path,
                       const char *id)
{
    struct record *all = NULL;
    const int count    = record_read(&all, path);

    *is_found = false;
    for (int i = 0; i < count; i++) {
        if (strcmp(all[i].id, id) == 0) {
            *r        = all[i];
            *is_found = true;
        }
    }
    mem_free(all);
    return count < 0 ? count : 0;
}

static void describe(struct record *r, const struct probe *p)
{
    const json_t *options = p->file != NULL ? p->file->meta.options : NULL;
    const char *data      = json_string_value(json_object_get(options, "data"));
    const char *seed      = json_string_value(json_object_get(options, "seed"));

    if (p->plan.has_model)
        record_set_spec(r, &p->plan.spec, p->file != NULL ? p->file->meta.examples : 0);
    snprintf(r->machine, sizeof r->machine, "%s", log_host());
    snprintf(r->mesh, sizeof r->mesh, "%dx%d", p->mesh->D, p->mesh->M);
    if (p->dev != NULL)
        snprintf(r->dtype, sizeof r->dtype, "%s", dtype_name(dev_dtype(p->dev)));
    if (data != NULL)
        snprintf(r->data, sizeof r->data, "%.*s", RECORD_TEXT - 1, data);
    r->seed = seed != NULL ? strtoll(seed, NULL, 10) : p->options->seed;
}

static void set_errors(struct record *r, const struct probe *p)
{
    const struct fewshot *f = &p->plan.few;

    for (int i = 0; i < f->shot_count; i++) {
        double *error = record_error(r, f->shots[i]);

        if (error != NULL)
            *error = fewshot_mean(&p->few, f, f->shots[i]);
    }
}

static void set_result(struct record *r, const struct probe *p)
{
    switch ((enum probe_method)p->options->method) {
    case METHOD_HEAD:
        r->loss = p->head.loss;
        r->top1 = p->head.top1;
        r->ece  = p->head.ece;
        break;
    case METHOD_SGD:
    case METHOD_LBFGS:
        r->top1 = p->linear.right;
        break;
    default:
        set_errors(r, p);
    }
}

/* The errors of one length of training are not those of another. */
static int check_same(const struct record *r, const struct probe *p)
{
    const int64_t examples = p->file != NULL ? p->file->meta.examples : r->examples;

    if (r->examples < 0 || r->examples == examples)
        return 0;
    return ERR(ERR_DATA,
               "the record %s of %s is of a model that has seen %lld images, this one "
               "has %lld: give another --id",
               r->id, p->options->records, (long long)r->examples, (long long)examples);
}

/* The record but for what was found out. */
static int begin_record(struct record *r, const struct probe *p)
{
    char id[RECORD_TEXT];
    bool is_found;

    make_id(id, p);
    record_init(r);
    TRY(find_record(r, &is_found, p->options->records, id));
    if (is_found)
        TRY(check_same(r, p));
    else
        describe(r, p);
    strcpy(r->id, id);
    strcpy(r->program, "vitprobe");
    snprintf(r->version, sizeof r->version, "%s", version_text());
    return 0;
}

/* Others may have written to the file since the start: it is read again. */
static int append(const struct probe *p)
{
    struct record r;

    TRY(begin_record(&r, p));
    set_result(&r, p);
    return record_append(p->options->records, &r);
}

static bool is_recorded_here(const struct probe *p)
{
    return p->mesh->rank == 0 && p->options->records[0] != '\0' &&
           p->options->method != METHOD_NONE;
}

int probe_check_record(const struct probe *p)
{
    struct record r;

    return mesh_agree(p->mesh, is_recorded_here(p) ? begin_record(&r, p) : 0);
}

int probe_record(const struct probe *p)
{
    return mesh_agree(p->mesh, is_recorded_here(p) ? append(p) : 0);
}
