/* SPDX-License-Identifier: BSD-3-Clause */
/* All meshes, tried and sorted. */
#include "config.h"

#include "src/plan/choice.h"

#include "src/base/err.h"
#include "src/plan/predict.h"

#include <stdlib.h>

/* A rank has the memory of its own GPU, but that of all cores. */
bool choice_fits(const struct machine *m, int on_node, int64_t bytes)
{
    const int sharers = on_node > m->gpus ? on_node : m->gpus;

    return (double)bytes * sharers < PREDICT_SHARE * (double)m->memory_bytes;
}

void choice_make(struct choice *choice, const struct spec *s,
                 const struct traffic_job *job, const struct cost_rank *c)
{
    static const enum cmm_form forms[] = { CMM_RING, CMM_BIDIR, CMM_PLAIN };
    struct choice best                 = { .job = *job };

    if (best.job.near == 0)
        best.job.near = hops_near(NULL, c->on_node, job->D, job->M);
    if (job->form != CMM_AUTO || job->tuned != NULL || job->M == 1) {
        if (job->form == CMM_AUTO && job->tuned == NULL)
            best.job.form = CMM_RING;
        forecast_step(&best.forecast, s, &best.job, c);
    } else {
        for (int i = 0; i < 3; i++) {
            struct traffic_job one = best.job;
            struct forecast f;

            one.form = forms[i];
            forecast_step(&f, s, &one, c);
            if (i == 0 || f.step_s < best.forecast.step_s) {
                best.forecast = f;
                best.job.form = forms[i];
            }
        }
    }
    best.bytes = predict_most(s, &best.job);
    best.fits  = choice_fits(c->machine, c->on_node, best.bytes);
    *choice    = best;
}

static int better_first(const void *a, const void *b)
{
    const struct choice *x = a, *y = b;

    if (x->fits != y->fits)
        return x->fits ? -1 : 1;
    if (x->forecast.tokens_per_s != y->forecast.tokens_per_s)
        return x->forecast.tokens_per_s > y->forecast.tokens_per_s ? -1 : 1;
    return x->job.M - y->job.M;
}

int choice_list(struct choice list[CHOICES], int *count, const struct spec *s,
                const struct traffic_job *like, const struct machine *m, int ranks,
                int64_t B, int64_t B_per_data_rank)
{
    struct cost_rank cost;

    *count = 0;
    TRY(cost_make(&cost, m, like->dtype, ranks));
    for (int M = 1; M <= ranks && M <= s->H && *count < CHOICES; M++) {
        struct traffic_job job = *like;

        if (ranks % M != 0)
            continue;
        job.D    = ranks / M;
        job.M    = M;
        job.near = 0;
        job.B    = B > 0 ? B : B_per_data_rank * job.D;
        if (traffic_check(s, &job) != 0) {
            err_forget();
            continue;
        }
        choice_make(&list[(*count)++], s, &job, &cost);
    }
    qsort(list, (size_t)*count, sizeof *list, better_first);
    return 0;
}
