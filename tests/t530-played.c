/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,4 */
/* What src/plan/forecast.h plays is what a step does: FLOPs, bytes and calls of every
 * operation that the device counted in a real step, on the first rank.
 */
#include "config.h"

#include "src/plan/forecast.h"

#include "src/base/err.h"
#include "tests/model.h"
#include "tests/ranks.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

static const struct machine any = {
    .name           = "any",
    .peak           = { 1e9, 1e9, 1e9 },
    .mem_bw         = 1e9,
    .nodes          = 1,
    .ranks_per_node = 1,
    .links          = 1,
    .link           = { { "core", 1e-6, 1e-9, 0, 1 } },
};

/* One where nothing but calls takes time: a second each. */
static const struct machine calls_only = {
    .name           = "calls",
    .peak           = { 1e300, 1e300, 1e300 },
    .mem_bw         = 1e300,
    .op_s           = 1,
    .nodes          = 1,
    .ranks_per_node = 1,
    .links          = 1,
    .link           = { { "core", 0, 0, 0, 1 } },
};

/* The same with GPUs. */
static struct machine of_gpus(const struct machine *m)
{
    struct machine gpus = *m;

    gpus.gpus           = 4;
    gpus.ranks_per_node = 4;
    return gpus;
}

static const struct forecast_op *played(const struct forecast *f, const char *name)
{
    for (int i = 0; i < f->ops; i++) {
        if (strcmp(f->op[i].name, name) == 0)
            return &f->op[i];
    }
    return NULL;
}

/* A GPU draws images that are noise; the model of one has them put. */
static bool is_put(const struct forecast *f, const char *name)
{
    return strcmp(name, "put") == 0 && played(f, "normals") != NULL;
}

/* Copies and sums depend on where parameters are cut, and on the micro-batch, and the
 * largest logits on how many images are attended to at a time; fills are those of rooms
 * that tests poison, what is read is a few numbers.
 */
static bool is_near(const struct dev_cost *c, const struct forecast_op *o)
{
    static const char *const cut[] = { "copy", "add", "adamw", "sum_squares", "max" };
    double few                     = 0;

    if (strcmp(c->name, "fill") == 0 || strcmp(c->name, "get") == 0)
        return true;
    for (int i = 0; i < 5; i++)
        few += strcmp(c->name, cut[i]) == 0 ? 0.05 * c->bytes + 8192 : 0;
    return o != NULL && o->flops == c->flops && fabs(o->bytes - c->bytes) <= few;
}

static void compare(const struct forecast *f, const struct dev_cost *cost, int count,
                    const char *what)
{
    int wrong = 0, missing = 0;

    for (int i = 0; i < count; i++) {
        const struct dev_cost *c    = &cost[i];
        const struct forecast_op *o = played(f, c->name);

        if (c->flops + c->bytes == 0 || is_put(f, c->name) || is_near(c, o))
            continue;
        wrong++;
        tap_note("%s: %s: %.0f FLOP, %.0f bytes; played %.0f, %.0f", what, c->name,
                 c->flops, c->bytes, o != NULL ? o->flops : -1,
                 o != NULL ? o->bytes : -1);
    }
    for (int i = 0; i < f->ops; i++) {
        int k = 0;

        while (k < count && strcmp(cost[k].name, f->op[i].name) != 0)
            k++;
        if (k == count && f->op[i].seconds > 0 &&
            strcmp(f->op[i].name, "epilogue") != 0 &&
            strcmp(f->op[i].name, "normals") != 0) {
            missing++;
            tap_note("%s: %s is played and never done", what, f->op[i].name);
        }
    }
    ok(wrong == 0 && missing == 0, "%s: every operation has its FLOPs and bytes", what);
}

/* Tests fill rooms that they poison, and threads attend to some images at a time. */
static bool is_called_otherwise(const char *name)
{
    static const char *const other[] = { "fill", "attn", "head_norm", "max" };
    int i                            = 0;

    while (i < 4 && strcmp(name, other[i]) != 0)
        i++;
    return i < 4;
}

static void compare_calls(const struct forecast *f, const struct dev_cost *cost,
                          int count, const char *what)
{
    int wrong = 0;

    for (int i = 0; i < count; i++) {
        const struct dev_cost *c    = &cost[i];
        const struct forecast_op *o = played(f, c->name);
        const double calls          = o != NULL ? rint(o->seconds) : 0;

        if (c->flops + c->bytes == 0 || is_put(f, c->name) ||
            is_called_otherwise(c->name) || calls == (double)c->calls)
            continue;
        wrong++;
        tap_note("%s: %s: %lld calls; played %.0f", what, c->name, (long long)c->calls,
                 calls);
    }
    ok(wrong == 0, "%s: and is called as often", what);
}

static struct forecast forecast_on(const struct machine *machine, const struct spec *s,
                                   const struct traffic_job *job)
{
    struct cost_rank rank;
    struct forecast f;

    if (cost_make(&rank, machine, job->dtype, job->D * job->M) != 0)
        die("%s", err_sentence());
    forecast_step(&f, s, job, &rank);
    return f;
}

/* 'is_of_gpus': on a model of a GPU. */
static void one(struct model_options *o, bool is_of_gpus, const char *what)
{
    const struct machine bytes = is_of_gpus ? of_gpus(&any) : any;
    const struct machine times = is_of_gpus ? of_gpus(&calls_only) : calls_only;
    struct traffic_job job     = { .B                = o->B,
                                   .D                = o->D,
                                   .M                = o->M,
                                   .dtype            = o->dtype,
                                   .form             = o->form,
                                   .shard            = o->shard,
                                   .remat            = o->remat,
                                   .micros           = o->micros,
                                   .has_wide_sums    = o->has_wide_sums,
                                   .has_narrow_grads = o->has_narrow_grads,
                                   .is_apart         = is_of_gpus };
    const struct dev_cost *cost;
    struct cost_rank rank;
    struct step_result result;
    struct forecast f, calls;
    struct model m;
    int count;

    if (cost_make(&rank, &bytes, o->dtype, o->D * o->M) != 0)
        die("%s", err_sentence());
    o->costs = is_of_gpus ? &rank : NULL;
    model_open(&m, o, MPI_COMM_WORLD);
    step_run(m.step, 1.0, &result);
    dev_costs_start(m.dev);
    step_run(m.step, 1.0, &result);
    cost  = dev_costs(m.dev, &count);
    f     = forecast_on(&bytes, &m.spec, &job);
    calls = forecast_on(&times, &m.spec, &job);
    if (m.mesh->rank == 0) {
        compare(&f, cost, count, what);
        compare_calls(&calls, cost, count, what);
    } else {
        ok(true, "-");
        ok(true, "-");
    }
    model_close(&m);
}

int main(int argc, char **argv)
{
    const int size = ranks_open(&argc, &argv, "t530-played");

    for (int M = 1; M <= size; M++) {
        if (size % M != 0)
            continue;
        for (int v = 0; v < 9; v++) {
            struct model_options o = model_odd(
                v % 2 == 0 ? WIRING_PARALLEL : WIRING_SEQUENTIAL, (enum pool)(v % 3),
                v / 3 % 2 == 0 ? LOSS_SIGMOID : LOSS_SOFTMAX);
            char what[96];

            o.spec.shape    = "64/3/96/4";
            o.spec.image    = 12;
            o.spec.patch    = 4;
            o.spec.classes  = 8;
            o.D             = size / M;
            o.M             = M;
            o.B             = 8;
            o.dtype         = v < 4 ? DTYPE_F32 : v < 6 ? DTYPE_F64 : DTYPE_BF16;
            o.device        = v < 6 ? o.device : "cpu:emulate";
            o.has_wide_sums = o.has_narrow_grads = v > 5;
            o.form                               = (enum cmm_form)(v % 3);
            o.shard                              = v % 2 == 0 ? SHARD_FULL : SHARD_NONE;
            o.remat  = v == 4 || v == 5 ? REMAT_BLOCK : REMAT_NONE;
            o.micros = v == 1 || v == 4 ? 2 : 1;
            snprintf(what, sizeof what, "%dx%d, variant %d", o.D, o.M, v);
            one(&o, false, what);
            if (v < 6)
                continue;
            snprintf(what, sizeof what, "%dx%d, variant %d on GPUs", o.D, o.M, v);
            one(&o, true, what);
        }
    }
    return ranks_done();
}
