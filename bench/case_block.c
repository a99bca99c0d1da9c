/* SPDX-License-Identifier: BSD-3-Clause */
/* One block alone, forward and backward, with its messages over the model axis; with
 * micro-batches on the images of the last one, which are the batch of the record.
 */
#include "config.h"

#include "bench/case.h"
#include "bench/run.h"
#include "bench/setup.h"
#include "bench/watch.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/plan/count.h"

#include <math.h>
#include <stdio.h>

/* A device may have returned before it is done. */
static void finish(struct setup *setup)
{
    dev_sync(dev_stream(vit_dev(setup->vit), LANE_COMPUTE));
}

static void forward(void *ctx)
{
    struct setup *setup = ctx;

    vit_block_forward(setup->vit, 0);
    finish(setup);
}

static void backward(void *ctx)
{
    struct setup *setup = ctx;

    vit_block_backward(setup->vit, 0);
    finish(setup);
}

static void both(void *ctx)
{
    struct setup *setup = ctx;

    vit_block_forward(setup->vit, 0);
    vit_block_backward(setup->vit, 0);
    finish(setup);
}

/* Of a block's training step on this rank. */
static double own_flops(const struct setup *setup)
{
    const struct local *l = vit_local(setup->vit);
    struct spec one = *vit_spec(setup->vit), none = one;

    one.L  = 1;
    none.L = 0;
    return count_flops_rank(&one, l) - count_flops_rank(&none, l);
}

/* 'share' of the work is done, by the first rank in the time of the slowest. */
static double time_row(struct case_result *c, struct bench *b, struct setup *setup,
                       const char *name, timed_fn run, double share)
{
    struct row *row = case_add_row(c);

    row->status = STATUS_SKIP; /* until the check */
    snprintf(row->name, sizeof row->name, "%s", name);
    row->size    = vit_local(setup->vit)->rows;
    row->seconds = bench_median(b->options->seconds / 4, b->mesh, run, setup);
    row->rate    = share * own_flops(setup) / row->seconds;
    return row->seconds;
}

/* In turns of a second, so that a signal need not wait for the end. */
static int time_both(struct case_result *c, struct bench *b, struct setup *setup,
                     double expected)
{
    const double fitting = fmax(3, b->options->seconds / 2 / expected);
    const double wanted  = b->options->steps > 0 ? (double)b->options->steps : fitting;
    const int n          = (int)fmin(wanted, 1 << 20);
    const int warmup     = (int)b->options->warmup;
    const int turn       = (int)fmin(fmax(1, 1 / expected), n);
    double *seconds      = mem_new((size_t)n, sizeof *seconds);
    int rc               = 0, done;

    for (done = 0; done < n && rc == 0; done += turn) {
        bench_time(seconds + done, done + turn < n ? turn : n - done,
                   done == 0 ? warmup : 0, b->mesh, both, setup);
        rc = bench_go_on(b);
    }
    stat_of(&c->steps, seconds, done < n ? done : n, warmup);
    mem_free(seconds);
    return rc;
}

/* The products of one more pass, projected; the rows stand or fall with them. */
static void check(struct case_result *c, struct bench *b, struct setup *setup)
{
    struct cmm *cmm = vit_cmm(setup->vit);
    struct step_result ignored;
    struct watch watch;

    /* A backward adds to the gradient that it finds: after many it is infinite. */
    step_gradients(setup->step, &ignored);
    watch_open(&watch, b->mesh, b->dev, (uint64_t)b->options->seed);
    watch_start(&watch, cmm);
    both(setup);
    watch_stop(cmm);
    watch_decide(&c->check[0], &watch);
    watch_close(&watch);
    c->checks = 1;
    for (int i = 0; i < c->rows; i++) {
        c->row[i].error     = c->check[0].residual;
        c->row[i].threshold = c->check[0].threshold;
        row_judge(&c->row[i]);
    }
}

static int measure(struct case_result *c, struct bench *b, struct setup *setup)
{
    const struct spec *spec = vit_spec(setup->vit);
    struct step_result ignored;
    double seconds, flops;
    int rc;

    step_gradients(setup->step, &ignored); /* fills what a block reads */
    c->batch =
        (int64_t)coll_sum(b->mesh, AXIS_DATA, (double)vit_local(setup->vit)->B_l);
    flops   = (double)c->batch * count_flops_block(spec);
    seconds = time_row(c, b, setup, "forward", forward, 1.0 / 3);
    TRY(bench_go_on(b));
    seconds += time_row(c, b, setup, "backward", backward, 2.0 / 3);
    rc = time_both(c, b, setup, seconds);
    run_peak(b);
    c->flops_per_step = flops;
    c->flops_per_s    = flops / c->steps.median;
    c->tokens_per_s   = (double)(c->batch * spec->T) / c->steps.median;
    c->peak           = b->peak;
    c->mfu_measured   = count_mfu(flops, c->steps.median, b->mesh->size, b->peak);
    c->mfu_spec       = count_mfu(flops, c->steps.median, b->mesh->size, b->peak_spec);
    if (c->remat == REMAT_BLOCK) {
        const double again = count_flops_again(spec) / (double)spec->L;

        c->hfu = count_mfu(flops + (double)c->batch * again, c->steps.median,
                           b->mesh->size, b->peak);
    }
    TRY(rc);
    check(c, b, setup);
    result_judge(c);
    result_judge_mfu(c, b->choices->require_mfu, b->choices->require_mfu_spec);
    return 0;
}

int case_block(struct bench *b, struct case_result *c, const struct spec *spec,
               int64_t batch)
{
    struct setup setup;
    int rc;

    guard_phase("one block");
    rc = setup_open(&setup, b, spec, batch, (uint64_t)b->options->seed);
    if (rc == ERR_MEMORY) {
        case_skip(c, "not enough memory");
        return 0;
    }
    TRY(rc);
    rc = bench_go_on(b);
    if (rc == 0)
        rc = measure(c, b, &setup);
    setup_close(&setup);
    return rc;
}
