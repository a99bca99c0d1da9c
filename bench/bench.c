/* SPDX-License-Identifier: BSD-3-Clause */
/* The main path of vitbench and of its simulation: open mesh and device, run the cases
 * of the agenda one by one (run.c), report.
 */
#include "config.h"

#include "bench/bench.h"

#include "bench/agenda.h"
#include "bench/changes.h"
#include "bench/dry.h"
#include "bench/env.h"
#include "bench/report.h"
#include "bench/run.h"
#include "mesh/program.h"
#include "mesh/progress.h"
#include "src/base/clock.h"
#include "src/base/draft.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/dev/dev_model.h"
#include "src/step/tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS                                                                         \
    "\nExit status: 0 passed; 1 a check or a required bar failed; 2 an option is "     \
    "wrong;"                                                                           \
    "\n3 memory, device, files, or stopped by a signal.\n"                             \
    "\nEvery option NAME can also be given as VITBENCH_NAME in the environment.\n"

/* ---- without MPI ----------------------------------------------------------------- */

static int show(FILE *out, bool is_heard, void *values)
{
    struct options *o = values;
    struct choices choices;

    if (!is_heard)
        o->json[0] = '\0';
    if (o->schema) {
        fputs(report_schema, out);
        return 0;
    }
    TRY(options_resolve(&choices, o));
    return dry_run(out, o, &choices);
}

/* ---- a run ----------------------------------------------------------------------- */

/* Tell rank 0's record of the options what "auto" became, and how many threads there
 * are, which may be fewer than were asked for.
 */
static void note_choices(struct opts *opts, const struct bench *b)
{
    const struct options *o = b->options;
    char mesh[32], threads[16];

    snprintf(mesh, sizeof mesh, "%dx%d", b->mesh->D, b->mesh->M);
    snprintf(threads, sizeof threads, "%d", dev_threads(b->dev));
    if (b->choices->way.D == 0)
        opts_set(opts, "mesh", mesh, FROM_PROGRAM);
    if (o->threads != dev_threads(b->dev))
        opts_set(opts, "threads", threads, FROM_PROGRAM);
    if (o->device == DEVICE_AUTO)
        opts_set(opts, "device", dev_name(b->dev), FROM_PROGRAM);
    if (o->dtype == DTYPE_CHOICE_AUTO)
        opts_set(opts, "dtype", dtype_name(dev_dtype(b->dev)), FROM_PROGRAM);
    if (o->progress == PROGRESS_CHOICE_AUTO)
        opts_set(opts, "progress", progress_name[b->progress], FROM_PROGRAM);
    if (o->overlap == 0 && !o->tune) /* auto is the first choice */
        opts_set(opts, "overlap", cmm_form_name[b->choices->way.form], FROM_PROGRAM);
}

/* What the output options name can be written; found out before the work.  The folder
 * of --out must be there: with a wrong name another disk would be measured.
 */
static int probe_outputs(const struct options *o)
{
    enum { FILES = 4, RESULT_MOST = 1 << 18 };
    const char *const path[FILES] = { o->json, o->jsonl, o->machine_out, o->trace };
    char inside[sizeof o->out + 2];

    snprintf(inside, sizeof inside, "%s/.", o->out);
    if (o->out[0] != '\0' && access(inside, F_OK) != 0)
        return ERR(ERR_USAGE, "--out=%s: there is no such folder", o->out);
    for (int i = 0; i < FILES; i++)
        TRY(draft_probe(path[i], RESULT_MOST));
    return 0;
}

/* What rank 0 knows before the first case. */
static void open_result(struct bench *b, struct opts *opts, int argc, char **argv)
{
    if (b->mesh->rank != 0)
        return;
    b->result       = result_open();
    b->result->argc = argc;
    b->result->argv = argv;
    note_choices(opts, b);
    b->result->options = opts_json(opts);
    if (b->options->progress == PROGRESS_CHOICE_AUTO && b->options->tune)
        json_object_set_new(b->result->tuned, "progress",
                            json_string(progress_name[b->progress]));
}

/* The exit status of a run whose cases ended with 'rc'; says why where nobody has. */
static int status_of(const struct result *r, int rc)
{
    if (rc != 0)
        return err_exit_status(rc);
    if (r->is_incomplete)
        return err_exit_status(ERR_ENV);
    if (result_has_passed(r))
        return 0;
    if (result_count(r, STATUS_FAIL) > 0)
        return err_exit_status(ERR_CHECK);
    err_say(
        ERR(ERR_ENV, "no case could run: %s", r->count > 0 ? r->cases[0].reason : ""));
    return err_exit_status(ERR_ENV);
}

/* The closing lines, the files of JSON, and the exit status that all ranks share; 'rc'
 * is how the cases ended.
 */
static int conclude(struct bench *b, int rc)
{
    struct result *r = b->result;
    const int lines  = report_jsonl_close(&b->jsonl);
    int status       = 0;

    if (r != NULL) {
        clock_date(r->end);
        r->is_incomplete |= rc != 0;
        status = status_of(r, rc);
        if (status == 0)
            status = err_exit_status(lines);
        rc = report_end(stdout, r);
        err_say(rc);
        if (status == 0)
            status = err_exit_status(rc);
        r->exit_status = status;
        rc = b->options->json[0] != '\0' ? report_write(r, b->options->json) : 0;
        err_say(rc);
        if (status == 0)
            status = err_exit_status(rc);
    }
    coll_broadcast(b->mesh, AXIS_ALL, 0, &status, sizeof status);
    return status;
}

/* What a run is, beside its options: struct program hands on only these. */
struct values {
    struct options options; /* first: what rows point into */
    const struct bench_program *program;
};

/* The machine of --machine, and what a simulation makes of it. */
struct simulated {
    struct machine machine;
    struct cost_rank rank;
    struct mesh_model messages;
};

/* What plan/cost.h says of a message; for struct mesh_model. */
static double message_seconds(double *busy, const struct mesh *mesh, int peer,
                              int64_t bytes)
{
    struct cost_path path;

    cost_pair(&path, mesh->model->ctx, mesh->rank, peer);
    *busy = path.busy;
    return cost_message(&path, (double)bytes);
}

/* The machine of --machine, read by one rank for all. */
static int read_machine(struct choices *choices, struct machine *m,
                        const struct options *o, int ranks)
{
    struct cost_rank cost;
    int rank, rc = 0;

    if (o->machine[0] == '\0')
        return 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0)
        rc = machine_find(m, o->machine);
    TRY(mesh_agree_comm(MPI_COMM_WORLD, rc));
    TRY_MPI(MPI_Bcast(m, sizeof *m, MPI_BYTE, 0, MPI_COMM_WORLD));
    choices->machine = m;
    if (o->is_simulated) {
        choices->way.packs    = m->packs;
        choices->way.is_apart = m->gpus > 0;
    }
    return mesh_agree_comm(MPI_COMM_WORLD,
                           cost_make(&cost, m, choices->way.dtype, ranks));
}

/* The memory that the ranks of a node have: of its GPUs only what they use. */
static int64_t memory_used(const struct machine *m, int on_node)
{
    return on_node < m->gpus ? m->memory_bytes / m->gpus * on_node : m->memory_bytes;
}

/* Take that machine for this one. */
static int simulate_machine(struct bench *b, struct simulated *s, struct node *node,
                            int ranks)
{
    const struct machine *m = &s->machine;

    TRY(cost_make(&s->rank, m, b->choices->way.dtype, ranks));
    s->messages.seconds = message_seconds;
    s->messages.ctx     = &s->rank;
    b->model            = &s->rank;
    *node               = (struct node){ .ranks      = s->rank.on_node,
                                         .ranks_most = s->rank.on_node,
                                         .bytes      = memory_used(m, s->rank.on_node),
                                         .cores      = m->cores,
                                         .sharers    = s->rank.on_node,
                                         .cores_all  = m->cores };
    return 0;
}

/* VITBENCH_FAULT=values:SEED: ranks read any numbers from a device that computes
 * nothing, each its own.
 */
static int open_model(struct bench *b, void *block)
{
    static const char fault[] = "values:";
    const char *asked         = getenv("VITBENCH_FAULT");

    TRY(dev_model_open(&b->dev, b->model, block));
    if (asked != NULL && strncmp(asked, fault, sizeof fault - 1) == 0)
        dev_model_invent(b->dev, rng_bits(strtoull(asked + sizeof fault - 1, NULL, 10),
                                          RNG_BENCH, (uint64_t)b->mesh->rank));
    return 0;
}

/* Open the device, of which some may be chosen by what fits. */
static int open_device(struct bench *b, const struct node *node, void *block)
{
    const int threads = (int)b->options->threads;

    if (b->model != NULL)
        return open_model(b, block);
    return setting_open(&b->dev, &b->choices->way,
                        threads > 0 ? threads : node_threads(node));
}

/* D and M for all, as rank 0 finds them if 'rc' is 0 on all ranks: thousands of
 * simulated ranks share one core.
 */
static int choose_grid(int grid[2], int rc, const struct bench *b,
                       const struct choices *choices, const struct node *node,
                       int ranks)
{
    int rank;

    TRY(mesh_agree_comm(MPI_COMM_WORLD, rc));
    TRY_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    if (rank == 0)
        rc = agenda_mesh(&grid[0], &grid[1], b->options, choices, ranks,
                         node->ranks_most, node->bytes);
    TRY(mesh_agree_comm(MPI_COMM_WORLD, rc));
    TRY_MPI(MPI_Bcast(grid, 2, MPI_INT, 0, MPI_COMM_WORLD));
    return 0;
}

/* Open mesh, device and hang guard, as all ranks agree on; the device may be chosen
 * here.  Returns 0 or a code, said.
 */
static int open_bench(struct bench *b, struct choices *choices, struct node *node,
                      const struct bench_program *program, struct simulated *s)
{
    const struct options *o = b->options;
    int ranks, grid[2] = { 0, 0 }, rc = 0;
    void *block = NULL;

    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (program->block != NULL)
        block = program->block(&s->messages, MPI_COMM_WORLD);
    TRY(read_machine(choices, &s->machine, o, ranks));
    if (program->block != NULL) {
        rc = simulate_machine(b, s, node, ranks);
    } else {
        node_find(node, MPI_COMM_WORLD);
        b->memory_base = mem_high_water();
        TRY(mesh_agree_comm(MPI_COMM_WORLD, guard_catch_signals()));
        TRY(node_use(node, MPI_COMM_WORLD, choices->way.device, choices->way.dtype));
        agenda_device(choices, o, ranks, node->ranks_most, node->bytes);
    }
    b->node_memory = node->bytes;
    b->on_node     = node->ranks_most;
    TRY(choose_grid(grid, rc, b, choices, node, ranks));
    TRY(mesh_open(&b->mesh, MPI_COMM_WORLD, grid[0], grid[1]));
    mesh_wires(b->mesh, choices->way.has_wide_sums, choices->way.has_narrow_grads);
    if (b->model != NULL) {
        clock_set(program->clock);
        b->mesh->model = &s->messages;
        b->mesh->near  = hops_near(NULL, b->on_node, grid[0], grid[1]);
    }
    rc = open_device(b, node, block);
    if (rc == 0 && b->mesh->rank == 0)
        rc = probe_outputs(o);
    if (rc == 0 && b->mesh->rank == 0 && o->compare[0] != '\0')
        rc = changes_open(&b->old, o->compare);
    if (rc == 0)
        rc = guard_start(b->mesh, o->stall_timeout);
    TRY(mesh_agree(b->mesh, rc));
    b->units = b->mesh->size;
    if (b->model != NULL)
        return 0;
    b->units = node_units(MPI_COMM_WORLD, dev_unit(b->dev));
    return node_same_device(MPI_COMM_WORLD, dev_name(b->dev), dev_dtype(b->dev));
}

/* Who moves the messages, and what there is to say of the machine.  A simulated network
 * moves them by itself.
 */
static void describe(struct bench *b, struct opts *opts, int argc, char **argv,
                     const struct node *node)
{
    const struct options *o = b->options;

    b->progress = b->model != NULL ? progress_set(b->mesh, PROGRESS_NONE)
                                   : tune_progress(b->mesh, o->progress, o->tune);
    open_result(b, opts, argc, argv);
    if (b->model != NULL) {
        env_describe_model(b->result, b->mesh, b->dev, b->model);
        return;
    }
    env_describe(b->result, b->mesh, b->dev);
    b->is_crowded = env_warn(b->result, b->mesh, b->dev, node);
    if (o->progress == PROGRESS_CHOICE_THREAD && b->progress == PROGRESS_POLL &&
        b->result != NULL)
        result_warn(b->result, "this MPI has no MPI_THREAD_MULTIPLE for "
                               "--progress=thread: products poll instead");
}

/* Everything between MPI_Init and MPI_Finalize; the exit status. */
static int run(struct opts *opts, void *values, int argc, char **argv)
{
    const struct bench_program *program = ((struct values *)values)->program;
    struct options *o                   = values;
    struct choices choices;
    struct bench b              = { .options = o,
                                    .choices = &choices,
                                    .files   = program->files,
                                    .ckpt    = program->ckpt };
    struct simulated *simulated = mem_new(1, sizeof *simulated);
    struct agenda *agenda       = mem_new(1, sizeof *agenda);
    struct node node;
    int rc, status;

    rc = mesh_agree_comm(MPI_COMM_WORLD, options_resolve(&choices, o));
    if (rc == 0)
        rc = open_bench(&b, &choices, &node, program, simulated);
    status = err_exit_status(rc);
    if (rc == 0) {
        b.is_quick = choices.is_default_run && !o->official && b.model == NULL;
        b.budget_s = b.is_quick ? AGENDA_BUDGET : 0;
        describe(&b, opts, argc, argv, &node);
        run_peak(&b);
        rc = agenda_make(agenda, o, &choices, b.mesh->D, b.mesh->M, node.ranks_most,
                         node.bytes, b.peak);
        if (rc == 0 && b.mesh->rank == 0)
            rc = report_jsonl_open(&b.jsonl, o->jsonl);
        if (rc == 0 && b.result != NULL)
            rc = report_banner(stdout, b.result, opts);
        rc     = mesh_agree(b.mesh, rc);
        status = err_exit_status(rc);
        if (rc == 0)
            status = conclude(&b, run_agenda(&b, agenda, stdout));
        report_jsonl_close(&b.jsonl);
        result_close(&b.result);
        guard_stop(b.mesh);
    }
    json_decref(b.old);
    dev_close(&b.dev);
    mesh_close(&b.mesh);
    mem_free(agenda);
    mem_free(simulated);
    return status;
}

/* ---- the program ----------------------------------------------------------------- */

static int read_values(struct opts *opts, void *values, int argc, char **argv)
{
    struct values *v = values;

    return v->program->read(opts, &v->options, argc, argv);
}

int bench_main(const struct bench_program *program, int argc, char **argv)
{
    struct values values = { .program = program };

    return program_main(&(struct program){ .name        = program->name,
                                           .usage       = program->usage,
                                           .about       = program->about,
                                           .status      = STATUS,
                                           .read        = read_values,
                                           .values      = &values,
                                           .size        = sizeof values.options,
                                           .show        = show,
                                           .is_threaded = setting_is_threaded,
                                           .run         = run },
                        argc, argv);
}
