/* SPDX-License-Identifier: BSD-3-Clause */
/* Costs from the counts of src/plan and its model of a step. */
#include "config.h"

#include "src/fit/cost.h"

#include "src/base/err.h"
#include "src/plan/choice.h"
#include "src/plan/count.h"
#include "src/plan/forecast.h"
#include "src/plan/predict.h"

#include <math.h>

enum { IMAGES_OF_RANK = 8 };

int cost_spec(struct spec *s, int64_t C, int64_t L, int64_t F, int64_t heads, int patch,
              int image, int64_t classes)
{
    char name[96];
    struct spec_options o = { .shape   = name,
                              .wiring  = -1,
                              .qk_norm = -1,
                              .pool    = POOL_MAP,
                              .image   = image,
                              .patch   = patch,
                              .classes = classes };

    snprintf(name, sizeof name, "%lld/%lld/%lld/%lld", (long long)C, (long long)L,
             (long long)F, (long long)heads);
    return spec_make(s, &o);
}

/* A step of 'B' images on D x M ranks of a machine, in what it trains in. */
static struct traffic_job job_on(const struct machine *m, int64_t B, int D, int M)
{
    return (struct traffic_job){ .B        = B,
                                 .D        = D,
                                 .M        = M,
                                 .dtype    = m->gpus > 0 ? DTYPE_BF16 : DTYPE_F32,
                                 .form     = CMM_RING,
                                 .shard    = SHARD_FULL,
                                 .is_apart = m->gpus > 0,
                                 .packs    = m->packs };
}

/* Seconds of a step of 'job' by the model of a step, 'on_node' ranks sharing a node. */
static double step_of(const struct spec *s, const struct machine *m,
                      const struct traffic_job *job, int on_node)
{
    struct cost_rank rank;
    struct forecast f;

    if (cost_make_on(&rank, m, job->dtype, (int64_t)job->D * job->M, on_node, 0) != 0) {
        err_forget();
        return NAN;
    }
    forecast_step(&f, s, job, &rank);
    return f.step_s;
}

/* Device-seconds of one image, on a device by itself: messages come on top. */
static double seconds_of(const struct spec *s, const struct machine *m)
{
    const struct traffic_job job = job_on(m, IMAGES_OF_RANK, 1, 1);

    return step_of(s, m, &job, m->ranks_per_node) / IMAGES_OF_RANK;
}

/* The mesh for 'batch' images: the fewest model ranks with which it fits, as vitbench
 * has it, else those that need least; and the time of its step.
 */
static void find_mesh(struct cost *c, const struct spec *s, const struct machine *m,
                      int64_t batch)
{
    const int of_node       = m->ranks_per_node > 0 ? m->ranks_per_node : 1;
    const int ranks         = (m->nodes > 0 ? m->nodes : 1) * of_node;
    const int64_t fed       = (batch + IMAGES_OF_RANK - 1) / IMAGES_OF_RANK;
    struct traffic_job best = { 0 };

    c->fits = false;
    for (int M = 1; M <= ranks && M <= s->H && M <= s->F && !c->fits; M++) {
        const int D            = (int)(fed < ranks / M ? fed : ranks / M);
        const int64_t most     = (int64_t)D * IMAGES_OF_RANK;
        const int on_node      = D * M < of_node ? D * M : of_node;
        struct traffic_job job = job_on(m, batch < most ? batch : most, D, M);
        int64_t bytes;

        job.near = hops_near(NULL, on_node, D, M);
        bytes    = predict_most(s, &job);

        if (M > 1 && bytes >= c->bytes)
            continue;
        c->D     = D;
        c->M     = M;
        c->batch = job.B;
        c->bytes = bytes;
        c->fits  = choice_fits(m, on_node, bytes);
        best     = job;
    }
    c->step_s = step_of(s, m, &best, 0);
}

void cost_of(struct cost *c, const struct spec *s, const struct machine *m,
             int64_t batch)
{
    *c = (struct cost){ .forward = count_flops_forward(s),
                        .train   = count_flops_train(s),
                        .params  = count_params(s),
                        .seconds = NAN,
                        .step_s  = NAN,
                        .fits    = true };
    if (m == NULL)
        return;
    c->seconds = seconds_of(s, m);
    find_mesh(c, s, m, batch);
}

/* Linear in the depth; width and MLP to the nearest whole number, which is off by less
 * than rounding to any multiple.
 */
double cost_forward(double C, double L, double F, const struct spec *like)
{
    struct spec one = *like, none;

    one.C = llround(C);
    one.F = llround(F);
    one.L = 1;
    none  = one;

    none.L = 0;
    return count_flops_forward(&none) +
           L * (count_flops_forward(&one) - count_flops_forward(&none));
}
