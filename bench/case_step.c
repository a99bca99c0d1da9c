/* SPDX-License-Identifier: BSD-3-Clause */
/* The main case: whole training steps, end to end.
 *
 *   self-test  tuning  warm-up  barrier  steps ..  peak  replicas, products, overlap
 *   trace  proof
 *
 * Between the barrier and the last step nothing happens but steps.  A step's time is
 * the difference of its ends, the largest over all ranks; rates follow from the median.
 */
#include "config.h"

#include "bench/case.h"
#include "bench/env.h"
#include "bench/overlap.h"
#include "bench/profile.h"
#include "bench/report.h"
#include "bench/run.h"
#include "bench/series.h"
#include "bench/settle.h"
#include "bench/setup.h"
#include "bench/straggler.h"
#include "bench/verify.h"

#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/told.h"
#include "src/plan/choice.h"
#include "src/plan/count.h"
#include "src/plan/predict.h"
#include "src/step/finite.h"
#include "src/step/timeline.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FEWEST_STEPS = 3, MOST_STEPS = 1 << 20 };

/* What the parts of the case share. */
struct run {
    struct bench *bench;
    struct case_result *c;
    const struct spec *spec;
    int64_t batch;
    struct traffic_job job;
    struct setup setup;
    struct series series;
    struct step_result last;  /* of the last step */
    bool is_finite;           /* loss and gradient norm, in every step */
    char bad[2 * PARAM_NAME]; /* the first tensor that was not, when one was not */
    bool is_stopped;
    double start, mark; /* of the case, of the part of it at hand */
    double displaced;   /* share of the timed steps, clock_displaced() */
};

/* What has passed since the last such call went into 'part'. */
static void spend(struct run *r, enum spent part)
{
    const double now = clock_now();

    if (r->bench->model == NULL)
        r->c->spent_s[part] += now - r->mark;
    r->mark = now;
}

/* ---- steps ----------------------------------------------------------------------- */

/* One step; a signal that came to any rank before it is known to all after it. */
static void one_step(struct run *r)
{
    if (told_to_end())
        step_ask_stop(r->setup.step);
    step_run(r->setup.step, 1.0, &r->last);
    r->is_stopped = r->last.is_stopped;
    if (r->is_finite && !r->last.is_finite)
        finite_find(r->bad, sizeof r->bad, r->setup.vit);
    r->is_finite &= r->last.is_finite;
    guard_alive();
}

/* Seconds of the last warm-up step on the slowest rank, 0 without one. */
static double warm_up(struct run *r)
{
    double seconds = 0;

    guard_phase("warm-up");
    for (int64_t i = 0; i < r->bench->options->warmup && !r->is_stopped; i++) {
        const double before = clock_now();

        one_step(r);
        seconds = clock_now() - before;
    }
    return coll_largest(r->bench->mesh, AXIS_ALL, seconds);
}

/* How long the timed steps may take where their number was not asked for. */
static double time_for_steps(const struct bench *b)
{
    enum { SHARE = 6 }; /* of a case; the rest is for checks and the proof of overlap */

    if (b->is_quick && b->budget_s > 0)
        return fmin(b->options->seconds, b->budget_s / SHARE);
    return b->options->seconds;
}

/* How many steps there are to be, when 'n' took 'seconds' (0: nothing is known). */
static int steps_wanted(const struct bench *b, int n, double seconds)
{
    const double all = seconds > 0 ? time_for_steps(b) / seconds * n : 0;

    if (b->options->steps > 0)
        return (int)fmin((double)b->options->steps, MOST_STEPS);
    return (int)fmin(fmax(ceil(all), FEWEST_STEPS), MOST_STEPS);
}

/* Rank 0 says how far the run is, every so often. */
static void say_progress(const struct run *r, int wanted, double *next)
{
    const double every = r->bench->options->progress_report;
    const double now   = clock_now();

    if (every <= 0 || r->bench->mesh->rank != 0 || now < *next)
        return;
    *next = now + every;
    fprintf(stderr, "vitbench: %s, step %d of about %d, loss %.6g, %.3g s a step\n",
            r->spec->name, r->series.n, wanted, r->last.loss,
            r->series.seconds[r->series.n - 1]);
}

/* The line of step 'i' from 0: what this rank knows of it so far. */
static void write_line(const struct run *r, int i)
{
    const struct bench *b        = r->bench;
    const double seconds         = r->series.seconds[i];
    const struct jsonl_step line = {
        .name         = r->c->name,
        .shape        = r->spec->name,
        .batch        = r->batch,
        .step         = i + 1,
        .seconds      = seconds,
        .loss         = r->series.loss[i],
        .grad_norm    = r->series.grad_norm[i],
        .tokens_per_s = (double)(r->batch * r->spec->T) / seconds,
        .mfu_measured =
            count_mfu(r->c->flops_per_step, seconds, b->mesh->size, b->peak),
    };

    report_jsonl_step(b->jsonl, &line);
}

/* The lines with the figures of the result: times of the slowest rank,
 * the last peak.
 */
static void settle_lines(const struct run *r)
{
    if (!report_jsonl_again(r->bench->jsonl))
        return;
    for (int i = 0; i < r->series.n; i++)
        write_line(r, i);
    report_jsonl_settle(r->bench->jsonl);
}

/* Steps until there are 'wanted' of them, one right after the other. */
static void run_steps(struct run *r, int wanted, double *before, double *next_report)
{
    struct step *step = r->setup.step;

    while (r->series.n < wanted && !r->is_stopped) {
        const double busy = dev_busy(r->bench->dev);
        double stage[STAGES], now;

        memcpy(stage, step_seconds(step), sizeof stage);
        one_step(r);
        now = clock_now();
        for (int i = 0; i < STAGES; i++)
            stage[i] = step_seconds(step)[i] - stage[i];
        series_add(&r->series, now - *before, stage, dev_busy(r->bench->dev) - busy,
                   r->last.loss, r->last.grad_norm);
        write_line(r, r->series.n - 1);
        say_progress(r, wanted, next_report);
        *before = now;
    }
}

/* The number of steps follows from the warm-up; where this was too slow to be typical,
 * the ranks look at the clock once more when they are done.
 */
static void run_timed(struct run *r)
{
    struct bench *b    = r->bench;
    const double warm  = warm_up(r);
    int wanted         = steps_wanted(b, 1, warm);
    double next_report = clock_now() + b->options->progress_report;
    double start, before, displaced;

    guard_phase("timed steps");
    mesh_count_reset(b->mesh);
    if (b->options->profile)
        profile_start(b);
    step_reset_times(r->setup.step);
    report_jsonl_begin(b->jsonl);
    coll_barrier(b->mesh);
    displaced = clock_displaced();
    start = before = clock_now();
    while (r->series.n < wanted && !r->is_stopped) {
        run_steps(r, wanted, &before, &next_report);
        wanted = steps_wanted(b, r->series.n,
                              coll_largest(b->mesh, AXIS_ALL, before - start));
    }
    r->displaced = (clock_displaced() - displaced) / (clock_now() - start);
}

/* ---- figures --------------------------------------------------------------------- */

/* Messages and bytes a step; what was sent must be what was planned, to the byte. */
static int count_traffic(struct run *r)
{
    const struct mesh *mesh = r->bench->mesh;
    const int n             = r->series.n;
    struct traffic_count plan[TRAFFIC_KINDS];
    int is_wrong = 0;

    traffic_of_rank(plan, r->spec, &r->job, mesh->d, mesh->m);
    for (int k = 0; k < TRAFFIC_KINDS; k++) {
        int64_t sent[2] = { mesh->sent[k].bytes, mesh->sent[k].messages };

        if (sent[0] != n * plan[k].bytes || sent[1] != n * plan[k].messages) {
            WARN("%s: %lld messages of %lld bytes in %d steps, planned were %lld of "
                 "%lld",
                 traffic_name[k], (long long)sent[1], (long long)sent[0], n,
                 (long long)(n * plan[k].messages), (long long)(n * plan[k].bytes));
            is_wrong = 1;
        }
        TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, sent, 2, MPI_INT64_T, MPI_MAX,
                              mesh->comm[AXIS_ALL]));
        r->c->comm[k].bytes    = sent[0] / n;
        r->c->comm[k].messages = sent[1] / n;
    }
    return is_wrong;
}

/* Who is slow, and what the others need for a rank's share of the work.  Simulated
 * ranks run on nodes of the model, whatever the host is.
 */
static void find_stragglers(struct run *r)
{
    struct bench *b         = r->bench;
    const struct mesh *mesh = b->mesh;
    struct local l;

    spec_local(&l, r->spec, r->batch, mesh->D, mesh->M, mesh->d, mesh->m);
    straggler_find(r->c, b->mesh, &r->series, count_flops_rank(r->spec, &l),
                   b->is_crowded || b->model != NULL);
    for (int i = 0; i < r->c->slow_ranks && b->model != NULL; i++) {
        struct slow_rank *slow = &r->c->slowest[i];

        snprintf(slow->host, sizeof slow->host, "node%d", slow->rank / b->on_node);
    }
    if (b->result != NULL && r->c->straggler[0] != '\0')
        result_warn(b->result, "%s", r->c->straggler);
}

/* A slice's step with all blocks: these and their share of the update grow. */
static void extrapolate(struct run *r)
{
    struct case_result *c = r->c;
    struct spec none      = *r->spec;
    double blocks, share;

    if (r->spec->L == r->spec->L_full)
        return;
    none.L         = 0;
    share          = 1 - (double)count_params(&none) / (double)count_params(r->spec);
    blocks         = c->stage_s[STAGE_BLOCKS] + share * c->stage_s[STAGE_UPDATE];
    c->full_step_s = c->steps.median - blocks +
                     blocks * (double)r->spec->L_full / (double)r->spec->L;
    c->full_tokens_per_s = (double)(r->batch * r->spec->T) / c->full_step_s;
}

static void fill_figures(struct run *r)
{
    struct bench *b       = r->bench;
    struct case_result *c = r->c;
    const int ranks       = b->mesh->size;
    const double tokens   = (double)(r->batch * r->spec->T);

    find_stragglers(r);
    if (b->model == NULL && dev_is_host(b->dev) && !b->is_crowded)
        env_warn_displaced(b->result, b->mesh, r->displaced);
    series_slowest(&r->series, b->mesh);
    settle_lines(r);
    series_finish(&c->steps, c->stage_s, &r->series, (int)b->options->warmup, b->mesh);
    extrapolate(r);
    c->tokens_per_s = tokens / c->steps.median;
    c->flops_per_s  = c->flops_per_step / c->steps.median;
    if (b->model == NULL) {
        c->loss       = r->last.loss;
        c->grad_norm  = r->last.grad_norm;
        c->peak_logit = r->last.peak_logit;
    }
    c->peak         = b->peak;
    c->mfu_measured = count_mfu(c->flops_per_step, c->steps.median, ranks, b->peak);
    c->mfu_palm =
        count_mfu(tokens * count_palm(r->spec), c->steps.median, ranks, b->peak);
    c->mfu_spec = count_mfu(c->flops_per_step, c->steps.median, ranks, b->peak_spec);
    if (c->remat == REMAT_BLOCK)
        c->hfu =
            count_mfu(c->flops_per_step + (double)r->batch * count_flops_again(r->spec),
                      c->steps.median, ranks, b->peak);
}

/* What the machine's file says of this step. */
static void predict(struct run *r)
{
    const struct bench *b  = r->bench;
    struct traffic_job job = r->job;
    struct cost_rank cost;
    struct choice choice;

    job.tuned = b->tuned;
    if (b->model != NULL)
        cost = *b->model;
    else if (b->choices->machine == NULL ||
             cost_make_on(&cost, b->choices->machine, job.dtype, b->mesh->size,
                          b->on_node, dev_threads(b->dev)) != 0)
        return;
    choice_make(&choice, r->spec, &job, &cost);
    r->c->predicted_step_s    = choice.forecast.step_s;
    r->c->predicted_mfu       = choice.forecast.mfu;
    r->c->predicted_exposed_s = choice.forecast.exposed_s;
}

/* ---- memory ---------------------------------------------------------------------- */

/* Let the high-water mark start again from what is in use: it is of one case. */
static void reset_high_water(struct dev *dev)
{
    FILE *file;

    dev_bytes_most(dev, true);
    dev_packed_most(dev, true);
    mem_trim();
    file = fopen("/proc/self/clear_refs", "w");
    if (file == NULL)
        return;
    fputs("5", file);
    fclose(file);
}

static void note_memory(struct run *r)
{
    const struct bench *b = r->bench;
    struct predict_memory plan;
    double packed;
    int64_t most;

    if (b->model != NULL)
        return;
    most              = dev_is_host(b->dev) ? mem_high_water() - b->memory_base
                                            : dev_bytes_most(b->dev, false);
    r->c->memory_peak = (int64_t)coll_largest(b->mesh, AXIS_ALL, (double)most);
    predict_largest(&plan, r->spec, &r->job);
    packed = coll_largest(b->mesh, AXIS_ALL, (double)dev_packed_most(b->dev, false));
    r->c->memory_tuned =
        plan.total - plan.packed + (int64_t)fmin(packed, (double)plan.packed);
}

/* True if the case fits into the ranks' share of the memory, else it is skipped. */
static bool fits(struct run *r)
{
    struct bench *b        = r->bench;
    const int64_t most     = predict_most(r->spec, &r->job);
    const double on_a_node = b->on_node;

    r->c->memory_predicted = most;
    if (b->node_memory == 0 || (double)most * on_a_node <= (double)b->node_memory)
        return true;
    case_skip(r->c, "needs %.1f GB a rank, there are %.1f GB a node",
              (double)most * 1e-9, (double)b->node_memory * 1e-9);
    return false;
}

/* ---- checks ---------------------------------------------------------------------- */

/* The replicas, which are looked at first, are named last. */
static int check(struct run *r)
{
    struct bench *b       = r->bench;
    struct case_result *c = r->c;
    struct check replicas;
    int rc;

    r->mark = clock_now();
    guard_phase("checking replicas");
    TRY(bench_go_on(b));
    verify_replicas(&replicas, b, r->setup.vit, &r->last);
    guard_phase("checking products");
    rc = verify_products(&c->check[1], &c->check[2], b, r->setup.step, r->setup.vit);
    c->checks += rc == 0 ? 2 : 0;
    c->check[c->checks++] = replicas;
    spend(r, SPENT_CHECKS);
    return rc;
}

/* What follows the timed steps, the proof of overlap last: it ruins the model.  Returns
 * 0, ERR_STOPPED, or the code of a trace that cannot be written.
 */
static int check_and_prove(struct run *r)
{
    struct bench *b       = r->bench;
    struct case_result *c = r->c;
    const char *trace     = b->options->trace;
    bool is_traced        = c->is_rated && trace[0] != '\0';
    struct step_result ignored;

    if (b->options->check)
        TRY(check(r));
    guard_phase("writing the trace");
    TRY(bench_go_on(b));
    TRY(is_traced ? timeline_step(r->setup.step, 1.0, &ignored, trace) : 0);
    if (b->model != NULL)
        return 0;
    guard_phase("proof of overlap");
    return overlap_measure(c, b, r->setup.step, clock_now() - r->start);
}

static void judge(struct run *r, bool is_traffic_wrong)
{
    const struct choices *choices = r->bench->choices;

    result_judge(r->c);
    result_judge_mfu(r->c, choices->require_mfu, choices->require_mfu_spec);
    result_judge_overlap(r->c, choices->require_overlap);
    if (is_traffic_wrong)
        case_fail(r->c, "messages or bytes are not what was planned");
    if (!r->is_finite)
        case_fail(r->c, "loss or gradient norm not finite, first in %s", r->bad);
}

/* ---- the case -------------------------------------------------------------------- */

static int stopped(struct run *r)
{
    r->c->status = STATUS_INCOMPLETE;
    snprintf(r->c->reason, sizeof r->c->reason, "stopped by a signal after %d %s",
             r->series.n, r->series.n == 1 ? "step" : "steps");
    return ERR_STOPPED;
}

static int measure(struct run *r)
{
    bool is_wrong = false;
    int rc;

    run_timed(r);
    spend(r, SPENT_STEPS);
    r->c->tapes      = step_tapes(r->setup.step);
    r->c->has_clocks = dev_clocks(&r->c->clocks, r->bench->dev);
    if (r->series.n > 0) {
        is_wrong = coll_sum(r->bench->mesh, AXIS_ALL, count_traffic(r)) > 0;
        predict(r);
        note_memory(r);
        if (r->bench->model != NULL)
            overlap_from_waits(r->c->comm, r->bench, r->series.n);
        run_peak(r->bench);
        fill_figures(r);
        if (r->bench->options->profile)
            profile_finish(r->c, r->bench, r->series.n, r->c->steps.mean);
    }
    rc = r->is_stopped ? ERR_STOPPED : check_and_prove(r);
    if (rc == ERR_STOPPED)
        return stopped(r);
    TRY(rc);
    judge(r, is_wrong);
    return 0;
}

int case_step(struct bench *b, struct case_result *c, const struct spec *spec,
              int64_t batch)
{
    struct run r = { .bench = b,
                     .c     = c,
                     .spec  = spec,
                     .batch = batch,
                     .job   = setting_job(&b->choices->way, false, batch, b->mesh->D,
                                          b->mesh->M),
                     .is_finite = true,
                     .start     = clock_now() };
    int rc;

    r.job.tuned       = b->tuned;
    r.job.near        = b->mesh->near;
    c->flops_per_step = (double)batch * count_flops_train(spec);
    r.mark            = r.start;
    if (!fits(&r))
        return 0;
    if (b->options->check) {
        guard_phase("self-test");
        TRY(bench_go_on(b));
        TRY(verify_self_test(&c->check[0], b, spec));
        c->checks = 1;
        spend(&r, SPENT_CHECKS);
    }
    guard_phase("opening the model");
    TRY(bench_go_on(b));
    if (b->model == NULL)
        reset_high_water(b->dev);
    rc = setup_open(&r.setup, b, spec, batch, (uint64_t)b->options->seed);
    if (rc == ERR_MEMORY) {
        case_skip(c, "not enough memory for %.1f GB a rank",
                  (double)c->memory_predicted * 1e-9);
        return 0;
    }
    TRY(rc);
    spend(&r, SPENT_OPENING);
    if (b->options->tune) {
        guard_phase("timing products");
        rc = bench_go_on(b);
        if (rc == 0)
            settle_products(b, &r.setup);
        spend(&r, SPENT_TUNING);
    }
    rc = rc == 0 ? measure(&r) : stopped(&r);
    series_free(&r.series);
    setup_close(&r.setup);
    return rc;
}
