/* SPDX-License-Identifier: BSD-3-Clause */
/* From the agenda to results: what surrounds every case. */
#include "config.h"

#include "bench/run.h"

#include "bench/changes.h"
#include "bench/report.h"
#include "mesh/progress.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/plan/machine.h"
#include "src/step/tune.h"

#include <math.h>

/* Checkpoints need HDF5, and the rest does not. */
static int ckpt_or_skip(struct bench *b, struct case_result *c, const struct spec *spec,
                        int64_t batch)
{
    if (b->ckpt != NULL)
        return b->ckpt(b, c, spec, batch);
    case_skip(c, "this vitbench was built without HDF5");
    return 0;
}

const struct bench_case bench_cases[CASES] = {
    [CASE_STEP]    = { "step", case_step },
    [CASE_BLOCK]   = { "block", case_block },
    [CASE_GEMM]    = { "gemm", case_gemm },
    [CASE_COLL]    = { "coll", case_coll },
    [CASE_CMM]     = { "cmm", case_cmm },
    [CASE_DATA]    = { "data", case_data },
    [CASE_CKPT]    = { "ckpt", ckpt_or_skip },
    [CASE_MACHINE] = { "machine", case_machine },
};

int bench_go_on(const struct bench *b)
{
    return coll_is_told(b->mesh) ? ERR_STOPPED : 0;
}

/* ---- time ------------------------------------------------------------------------ */

void bench_time(double *seconds, int n, int warmup, struct mesh *mesh, timed_fn run,
                void *ctx)
{
    double before;

    for (int i = 0; i < warmup; i++)
        run(ctx);
    coll_barrier(mesh);
    before = clock_now();
    for (int i = 0; i < n; i++) {
        run(ctx);

        const double now = clock_now();

        seconds[i] = now - before;
        before     = now;
    }
    coll_largest_of(mesh, AXIS_ALL, seconds, n);
    guard_alive();
}

double bench_median(double budget, struct mesh *mesh, timed_fn run, void *ctx)
{
    enum { FEWEST = 3, MOST = 1000 };
    double seconds[MOST], first, wanted;
    struct stat stat;
    int n;

    bench_time(&first, 1, 1, mesh, run, ctx);
    wanted = budget / fmax(first, 1e-9);
    n      = wanted < FEWEST ? FEWEST : wanted > MOST ? MOST : (int)wanted;
    bench_time(seconds, n, 0, mesh, run, ctx);
    stat_of(&stat, seconds, n, 0);
    return stat.median;
}

/* ---- the peak -------------------------------------------------------------------- */

/* It takes a quarter of a second, or of what steps are timed for if that is shorter.
 * All ranks measure at once, so that those of one GPU find their parts of it; of its
 * data sheet's peak they have theirs, too.
 */
void run_peak(struct bench *b)
{
    const double seconds = fmin(0.25, b->options->seconds / 4);
    const char *source   = "";
    struct result *r     = b->result;

    guard_phase("measuring the peak");
    coll_barrier(b->mesh);
    b->peak_own  = fmax(b->peak_own, dev_peak(b->dev, seconds));
    b->peak      = coll_smallest(b->mesh, AXIS_ALL, b->peak_own);
    b->peak_spec = machine_spec_peak(dev_hardware(b->dev), dev_dtype(b->dev),
                                     b->choices->way.is_tf32, &source) *
                   b->units / b->mesh->size;
    if (r == NULL)
        return;
    r->peak_measured = b->peak;
    r->peak_spec     = b->peak_spec;
    snprintf(r->peak_source, sizeof r->peak_source, "%s", source);
    if (b->model != NULL)
        snprintf(r->peak_by, sizeof r->peak_by, "the file of machine %s",
                 b->model->machine->name);
    else if (!dev_is_host(b->dev))
        snprintf(r->peak_by, sizeof r->peak_by,
                 "%s products of a fixed list, all ranks",
                 dtype_name(dev_dtype(b->dev)));
    else
        snprintf(r->peak_by, sizeof r->peak_by,
                 "%s multiply-adds, %d %s a rank, all ranks",
                 dtype_name(dev_dtype(b->dev)), dev_threads(b->dev),
                 dev_threads(b->dev) == 1 ? "thread" : "threads");
}

/* ---- a case ---------------------------------------------------------------------- */

struct row *case_add_row(struct case_result *c)
{
    enum { GROW = 32 };
    const size_t n = (size_t)c->rows;

    if (n % GROW == 0)
        c->row = mem_grow(c->row, n, n + GROW, sizeof *c->row);
    c->row[c->rows] =
        (struct row){ .hidden = NAN, .error = NAN, .threshold = NAN, .blocked = NAN };
    return &c->row[c->rows++];
}

void row_judge(struct row *row)
{
    row->status = row->error <= row->threshold ? STATUS_PASS : STATUS_FAIL;
}

/* What is known of a case before it runs. */
static void describe(struct case_result *c, struct bench *b,
                     const struct agenda_entry *e)
{
    *c = (struct case_result){
        .batch             = e->batch,
        .dtype             = dev_dtype(b->dev),
        .is_rated          = e->is_rated,
        .mfu_spec          = NAN,
        .mfu_measured      = NAN,
        .mfu_palm          = NAN,
        .hfu               = NAN,
        .predicted_step_s  = NAN,
        .remat             = b->choices->way.remat,
        .micros            = b->choices->way.micros,
        .wires             = setting_wires(&b->choices->way),
        .loss              = NAN,
        .grad_norm         = NAN,
        .peak_logit        = NAN,
        .full_step_s       = NAN,
        .full_tokens_per_s = NAN,
    };
    if (e->has_spec)
        c->spec = e->spec;
    for (int kind = 0; kind < TRAFFIC_KINDS; kind++)
        c->comm[kind].kind = HIDDEN_NONE;
    stat_of(&c->steps, NULL, 0, 0);
    snprintf(c->name, sizeof c->name, "%s", bench_cases[e->id].name);
    snprintf(c->device, sizeof c->device, "%s", dev_name(b->dev));
    snprintf(c->overlap, sizeof c->overlap, "%s", cmm_form_name[b->choices->way.form]);
    snprintf(c->progress, sizeof c->progress, "%s", progress_name[b->progress]);
    snprintf(c->param_shard, sizeof c->param_shard, "%s",
             param_shard_name(b->choices->way.shard, b->mesh->D));
}

/* Choose the forms of a case that has sharded products, where they are to be chosen. */
static int tune(struct bench *b, struct case_result *c, const struct agenda_entry *e)
{
    b->tuned = NULL;
    if (b->choices->way.form != CMM_AUTO || b->mesh->M == 1 ||
        (e->id != CASE_STEP && e->id != CASE_BLOCK))
        return 0;
    TRY(tune_products(&c->tuned, b->mesh, b->dev, &e->spec, e->batch,
                      b->choices->way.micros, b->peak, b->node_memory));
    c->tuned_products = e->spec.wiring == WIRING_PARALLEL ? 1U << CMM_IN | 1U << CMM_OUT
                                                          : (1U << CMM_PRODUCTS) - 1;
    b->tuned          = &c->tuned;
    return 0;
}

/* One entry of the agenda, from its announcement to its report. */
static int run_entry(struct bench *b, const struct agenda_entry *e, FILE *out)
{
    struct case_result scratch;
    struct case_result *c = b->result != NULL ? result_add(b->result) : &scratch;
    int rc                = 0;

    describe(c, b, e);
    if (e->skip[0] != '\0') {
        case_skip(c, "%s", e->skip);
    } else {
        rc = tune(b, c, e);
        if (rc == 0)
            rc = bench_cases[e->id].run(b, c, e->has_spec ? &e->spec : NULL, e->batch);
    }
    if (rc != 0 && c->status == STATUS_PASS) {
        c->status = STATUS_INCOMPLETE;
        snprintf(c->reason, sizeof c->reason, "%s",
                 rc == ERR_STOPPED ? "stopped by a signal" : "broken off by an error");
    }
    if (b->result != NULL)
        report_case(out, b->result, c);
    if (b->result != NULL && b->old != NULL && e->id == CASE_STEP)
        changes_print(out, c, b->result->options, b->result->system, b->old);
    if (b->result == NULL)
        mem_free(c->row);
    return rc;
}

int run_agenda(struct bench *b, const struct agenda *a, FILE *out)
{
    int rc = 0;

    for (int i = 0; i < a->count && rc == 0; i++) {
        rc = bench_go_on(b);
        if (rc == 0)
            rc = run_entry(b, &a->entry[i], out);
    }
    if (rc == ERR_STOPPED && b->result != NULL)
        b->result->is_incomplete = true;
    return rc == ERR_STOPPED ? 0 : rc;
}
