/* SPDX-License-Identifier: BSD-3-Clause */
/* Making the runs, and finding those that are done. */
#include "config.h"

#include "src/fit/sweep.h"

#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/plan/table.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- runs ------------------------------------------------------------------------ */

static void drop(struct sweep *s, const int64_t x[LAW_DIMS], const char *why)
{
    const size_t n = (size_t)s->drops++;
    struct dropped *d;

    s->dropped = mem_grow(s->dropped, n, n + 1, sizeof *s->dropped);
    d          = &s->dropped[n];
    memcpy(d->x, x, sizeof d->x);
    snprintf(d->why, sizeof d->why, "%s", why);
}

static struct run *find_run(const struct sweep *s, const int64_t x[LAW_DIMS],
                            int64_t seed)
{
    for (int i = 0; i < s->runs; i++) {
        if (memcmp(s->run[i].x, x, sizeof s->run[i].x) == 0 && s->run[i].seed == seed)
            return &s->run[i];
    }
    return NULL;
}

/* A new run of the shape 'x', or NULL if it cannot be: it is then among the dropped. */
static struct run *add_run(struct sweep *s, const int64_t x[LAW_DIMS], int64_t seed,
                           int arm, const struct machine *m)
{
    const struct training *t = &s->training;
    const size_t n           = (size_t)s->runs;
    struct run run           = { .arm = arm, .seed = seed };

    for (int i = 0; i < s->drops; i++) {
        if (memcmp(s->dropped[i].x, x, sizeof s->dropped[i].x) == 0)
            return NULL;
    }
    memcpy(run.x, x, sizeof run.x);
    if (cost_spec(&run.spec, x[0], x[1], x[2], t->heads, (int)t->patch, (int)t->image,
                  t->classes) != 0) {
        drop(s, x, err_sentence());
        err_forget();
        return NULL;
    }
    cost_of(&run.cost, &run.spec, m, t->batch);
    if (!run.cost.fits) {
        drop(s, x, "does not fit into the machine's memory");
        return NULL;
    }
    s->run    = mem_grow(s->run, n, n + 1, sizeof *s->run);
    s->run[n] = run;
    s->runs++;
    return &s->run[n];
}

/* Put 'step' among the numbers of steps of 'r', which rise. */
static int add_step(struct run *r, int64_t step)
{
    int at;

    for (at = r->steps; at > 0 && r->step[at - 1] >= step; at--)
        ;
    if (at < r->steps && r->step[at] == step)
        return 0;
    if (r->steps == SWEEP_STEPS)
        return ERR(ERR_USAGE, "more than %d numbers of steps for one shape",
                   SWEEP_STEPS);
    memmove(r->step + at + 1, r->step + at, (size_t)(r->steps - at) * sizeof *r->step);
    r->step[at] = step;
    r->steps++;
    return 0;
}

int sweep_add(struct sweep *s, const int64_t x[LAW_DIMS], int64_t step, int arm,
              const struct machine *m)
{
    const struct training *t = &s->training;

    for (int64_t seed = t->seed; seed < t->seed + t->seeds; seed++) {
        struct run *r = find_run(s, x, seed);

        if (r == NULL)
            r = add_run(s, x, seed, arm, m);
        if (r == NULL)
            return 0;
        if (step <= t->warmup + t->cooldown)
            return ERR(ERR_USAGE,
                       "%lld steps leave nothing between the warm-up of %lld and the "
                       "cool-down of %lld: see --warmup-steps and --cooldown-steps",
                       (long long)step, (long long)t->warmup, (long long)t->cooldown);
        TRY(add_step(r, step));
    }
    return 0;
}

static int add_steps(struct sweep *s, const int64_t x[LAW_DIMS], int arm,
                     const struct machine *m)
{
    for (int i = 0; i < s->step_values; i++)
        TRY(sweep_add(s, x, s->step[i], arm, m));
    return 0;
}

static int make_star(struct sweep *s, const struct machine *m)
{
    for (int k = 0; k < LAW_DIMS; k++) {
        for (int i = 0; i < s->values[k]; i++) {
            int64_t x[LAW_DIMS];

            memcpy(x, s->centre, sizeof x);
            x[k] = s->value[k][i];
            if (x[k] != s->centre[k])
                TRY(add_steps(s, x, k, m));
        }
    }
    return 0;
}

static int make_grid(struct sweep *s, const struct machine *m)
{
    for (int i = 0; i < s->values[0]; i++) {
        for (int j = 0; j < s->values[1]; j++) {
            for (int k = 0; k < s->values[2]; k++) {
                const int64_t x[] = { s->value[0][i], s->value[1][j], s->value[2][k] };

                TRY(add_steps(s, x, -1, m));
            }
        }
    }
    return 0;
}

int sweep_make(struct sweep *s, const struct machine *m)
{
    return s->is_star ? make_star(s, m) : make_grid(s, m);
}

void sweep_close(struct sweep *s)
{
    mem_free(s->run);
    mem_free(s->dropped);
    *s = (struct sweep){ 0 };
}

double sweep_images(const struct sweep *s, const struct run *r)
{
    const int64_t steps = r->step[r->steps - 1] + (r->steps - 1) * s->training.cooldown;

    return (double)steps * (double)s->training.batch;
}

double sweep_flops(const struct sweep *s)
{
    double sum = 0;

    for (int i = 0; i < s->runs; i++)
        sum += s->run[i].cost.forward * sweep_images(s, &s->run[i]);
    return sum;
}

/* ---- what is done ---------------------------------------------------------------- */

/* Everything that changes what a run computes. */
static void make_id(struct run *r, const struct training *t)
{
    char text[1024];

    snprintf(text, sizeof text,
             "%lld/%lld/%lld/%lld patch %lld image %lld classes %lld batch %lld steps "
             "%lld warmup %lld cooldown %lld seed %lld %s",
             (long long)r->x[0], (long long)r->x[1], (long long)r->x[2],
             (long long)t->heads, (long long)t->patch, (long long)t->image,
             (long long)t->classes, (long long)t->batch,
             (long long)r->step[r->steps - 1], (long long)t->warmup,
             (long long)t->cooldown, (long long)r->seed, t->more);
    snprintf(r->id, sizeof r->id, "%016llx", (unsigned long long)rng_hash(text));
}

void sweep_record_id(char id[2 * SWEEP_ID], const struct sweep *s, const struct run *r,
                     int i)
{
    if (i == r->steps - 1)
        snprintf(id, 2 * SWEEP_ID, "%s", r->id);
    else
        snprintf(id, 2 * SWEEP_ID, "%s.%lld", r->id,
                 (long long)(r->step[i] - s->training.cooldown));
}

static bool has_record(const struct table *t, const char *id, const char *y)
{
    for (int i = 0; i < t->rows; i++) {
        const struct cell *name   = table_cell(t, i, table_column(t, "id"));
        const struct cell *status = table_cell(t, i, table_column(t, "status"));
        const struct cell *metric = table_cell(t, i, table_column(t, y));

        if (name->text != NULL && strcmp(name->text, id) == 0 && status->text != NULL &&
            strcmp(status->text, "done") == 0)
            return y[0] == '\0' || metric->kind == CELL_NUMBER;
    }
    return false;
}

static void look(struct sweep *s, struct run *r, const struct table *t, const char *y)
{
    make_id(r, &s->training);
    r->done = 0;
    for (int k = 0; k < r->steps && t != NULL; k++) {
        char id[2 * SWEEP_ID];

        sweep_record_id(id, s, r, k);
        r->done += has_record(t, id, y);
    }
}

static bool is_planned(const struct sweep *s, const char *id)
{
    for (int i = 0; i < s->runs; i++) {
        const struct run *r = &s->run[i];
        const size_t length = strlen(r->id);

        for (int k = 0; k < r->steps && strncmp(id, r->id, length) == 0; k++) {
            char own[2 * SWEEP_ID];

            sweep_record_id(own, s, r, k);
            if (strcmp(id, own) == 0)
                return true;
        }
    }
    return false;
}

/* Who has changed a sweep has the runs of both: a law would be of both, too. */
static void warn_of_others(const struct sweep *s, const struct table *t)
{
    int others = 0;

    for (int i = 0; i < t->rows; i++) {
        const struct cell *id     = table_cell(t, i, table_column(t, "id"));
        const struct cell *status = table_cell(t, i, table_column(t, "status"));

        others += (status->text == NULL || strcmp(status->text, "done") == 0) &&
                  (id->text == NULL || !is_planned(s, id->text));
    }
    if (others > 0)
        WARN("%s: %d %s of no run of this plan, and would be fitted with its runs",
             t->path, others, others == 1 ? "record is" : "records are");
}

int sweep_look(struct sweep *s, const char *path, const char *y)
{
    struct table *t = NULL;

    if (access(path, F_OK) == 0) {
        TRY(table_read(&t, path));
        table_keep_last(t, "id");
    }
    for (int i = 0; i < s->runs; i++)
        look(s, &s->run[i], t, y);
    if (t != NULL)
        warn_of_others(s, t);
    table_close(&t);
    return 0;
}
