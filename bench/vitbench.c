/* SPDX-License-Identifier: BSD-3-Clause */
/* vitbench: read the options, open mesh and device, run the cases, report. */
#include "config.h"

#include "bench/agenda.h"
#include "bench/changes.h"
#include "bench/dry.h"
#include "bench/env.h"
#include "bench/files.h"
#include "bench/report.h"
#include "bench/run.h"
#include "mesh/program.h"
#include "mesh/progress.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/plan/cost.h"
#include "src/step/tune.h"

#include <stdio.h>
#include <string.h>

#define USAGE "mpirun -n RANKS vitbench [--name=value ..]"
#define ABOUT                                                                          \
    "Runs training steps of Vision Transformers on a mesh of data and model ranks, "   \
    "checks what they computed, and says how fast they were.  Without options it "     \
    "runs "                                                                            \
    "ViT-22B, SoViT-400m, SoViT-150m and 608/10/928/16, each as deep as it fits."
#define STATUS                                                                         \
    "\nExit status: 0 passed; 1 a check or a required bar failed; 2 an option is "     \
    "wrong;"                                                                           \
    "\n3 memory, device, files, or stopped by a signal.\n"                             \
    "\nEvery option NAME can also be given as VITBENCH_NAME in the environment.\n"

/* ---- without MPI ------------------------------------------------------------------- */

static int read_options(struct opts *opts, void *values, int argc, char **argv)
{
    return options_read(opts, values, argc, argv);
}

/* A thread of its own moves messages. */
static bool is_threaded(const void *values)
{
    const struct options *o = values;

    return o->progress == PROGRESS_CHOICE_THREAD;
}

static bool runs_nothing(const void *values)
{
    const struct options *o = values;

    return o->help || o->version || o->list_shapes || o->schema || o->print_config ||
           o->dry_run;
}

static int show(FILE *out, bool is_heard, void *values)
{
    struct options *o = values;
    struct choices choices;

    if (!is_heard)
        o->json[0] = '\0';
    if (o->list_shapes) {
        spec_list(out);
    } else if (o->schema) {
        fputs(report_schema, out);
    } else {
        TRY(options_resolve(&choices, o));
        TRY(dry_run(out, o, &choices));
    }
    return 0;
}

/* What a build without HDF5 cannot do. */
#ifdef HAVE_HDF5
static const struct bench_files h5_files = {
    .open_data = data_open_file,
    .open_set  = h5set_open,
    .shape     = h5set_shape,
    .read      = h5set_read,
    .close_set = h5set_close,
};
static const struct bench_files *const files = &h5_files;
static case_fn *const ckpt                   = case_ckpt;
#else
static const struct bench_files *const files = NULL;
static case_fn *const ckpt                   = NULL;
#endif

/* ---- a run ------------------------------------------------------------------------- */

/* Tell rank 0's record of the options what "auto" became. */
static void note_choices(struct opts *opts, const struct bench *b)
{
    const struct options *o = b->options;
    char mesh[32], threads[16];

    snprintf(mesh, sizeof mesh, "%dx%d", b->mesh->D, b->mesh->M);
    snprintf(threads, sizeof threads, "%d", dev_threads(b->dev));
    if (b->choices->D == 0)
        opts_set(opts, "mesh", mesh, FROM_PROGRAM);
    if (o->threads == 0)
        opts_set(opts, "threads", threads, FROM_PROGRAM);
    if (o->device == DEVICE_AUTO)
        opts_set(opts, "device", dev_name(b->dev), FROM_PROGRAM);
    if (o->dtype == DTYPE_CHOICE_AUTO)
        opts_set(opts, "dtype", dtype_name(dev_dtype(b->dev)), FROM_PROGRAM);
    if (o->progress == PROGRESS_CHOICE_AUTO)
        opts_set(opts, "progress", progress_name[b->progress], FROM_PROGRAM);
    if (o->overlap == 0 && !o->tune) /* auto is the first choice */
        opts_set(opts, "overlap", cmm_form_name[b->choices->form], FROM_PROGRAM);
}

/* The files of the output options are apart and can be written; found out before the
 * work.
 */
static int probe_outputs(const struct options *o)
{
    enum { FILES = 4 };
    const char *const path[FILES] = { o->json, o->jsonl, o->machine_out, o->trace };

    for (int i = 0; i < FILES; i++) {
        if (path[i][0] == '\0')
            continue;
        for (int k = 0; k < i; k++) {
            if (strcmp(path[k], path[i]) == 0)
                return ERR(ERR_USAGE, "two outputs would write the same file %s",
                           path[i]);
        }
        TRY(report_probe(path[i]));
    }
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

/* The closing lines, the JSON, and the exit status that all ranks share; 'rc' is how
 * the cases ended.
 */
static int conclude(struct bench *b, int rc)
{
    struct result *r = b->result;
    int status       = 0;

    if (r != NULL) {
        clock_date(r->end);
        r->is_incomplete |= rc != 0;
        r->exit_status = status = status_of(r, rc);
        report_end(stdout, r);
        rc = b->options->json[0] != '\0' ? report_write(r, b->options->json) : 0;
        err_say(rc);
        if (status == 0)
            status = err_exit_status(rc);
    }
    coll_broadcast(b->mesh, AXIS_ALL, 0, &status, sizeof status);
    return status;
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
    return mesh_agree_comm(MPI_COMM_WORLD, cost_make(&cost, m, choices->dtype, ranks));
}

/* Open mesh, device and hang guard, as all ranks agree on; the device may be chosen
 * here.  Returns 0 or a code, said.
 */
static int open_bench(struct bench *b, struct choices *choices, struct node *node,
                      struct machine *machine)
{
    const struct options *o = b->options;
    int ranks, D = 0, M = 0, rc, threads;

    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    node_find(node, MPI_COMM_WORLD);
    TRY(read_machine(choices, machine, o, ranks));
    b->memory_base = mem_high_water();
    b->node_memory = node->bytes;
    threads        = o->threads > 0 ? (int)o->threads : node_threads(node);
    agenda_device(choices, o, ranks, node->ranks_most, node->bytes);
    rc = agenda_mesh(&D, &M, o, choices, ranks, node->ranks_most, node->bytes);
    if (rc == 0)
        rc = mesh_open(&b->mesh, MPI_COMM_WORLD, D, M);
    TRY(mesh_agree_comm(MPI_COMM_WORLD, rc));
    rc = dev_open(&b->dev, choices->device, choices->dtype, threads);
    if (rc == 0 && b->mesh->rank == 0)
        rc = probe_outputs(o);
    if (rc == 0 && b->mesh->rank == 0 && o->compare[0] != '\0')
        rc = changes_open(&b->old, o->compare);
    if (rc == 0)
        rc = guard_start(b->mesh, o->stall_timeout);
    return mesh_agree(b->mesh, rc);
}

/* Everything between MPI_Init and MPI_Finalize; the exit status. */
static int run(struct opts *opts, void *values, int argc, char **argv)
{
    struct options *o = values;
    struct choices choices;
    struct bench b = {
        .options = o, .choices = &choices, .files = files, .ckpt = ckpt
    };
    struct agenda agenda;
    struct machine machine;
    struct node node;
    bool is_fallback;
    int rc, status;

    rc = mesh_agree_comm(MPI_COMM_WORLD, options_resolve(&choices, o));
    if (rc == 0)
        rc = open_bench(&b, &choices, &node, &machine);
    status = err_exit_status(rc);
    if (rc == 0) {
        b.is_quick = choices.is_default_run && !o->official;
        b.budget_s = b.is_quick ? AGENDA_BUDGET : 0;
        bench_catch_signals();
        b.progress = tune_progress(b.mesh, o->progress, o->tune);
        is_fallback =
            o->progress == PROGRESS_CHOICE_THREAD && b.progress == PROGRESS_POLL;
        open_result(&b, opts, argc, argv);
        env_describe(b.result, b.mesh, b.dev);
        b.is_crowded = env_warn(b.result, b.mesh, b.dev, &node);
        if (is_fallback && b.result != NULL)
            result_warn(b.result, "this MPI has no MPI_THREAD_MULTIPLE for "
                                  "--progress=thread: products poll instead");
        run_peak(&b);
        rc = agenda_make(&agenda, o, &choices, b.mesh->D, b.mesh->M, node.ranks_most,
                         node.bytes, b.peak);
        if (rc == 0 && b.mesh->rank == 0)
            rc = report_jsonl_open(&b.jsonl, o->jsonl);
        rc     = mesh_agree(b.mesh, rc);
        status = err_exit_status(rc);
        if (rc == 0 && b.result != NULL)
            report_banner(stdout, b.result, opts);
        if (rc == 0)
            status = conclude(&b, run_agenda(&b, &agenda, stdout));
        report_jsonl_close(&b.jsonl);
        result_close(&b.result);
        guard_stop(b.mesh);
    }
    json_decref(b.old);
    dev_close(&b.dev);
    mesh_close(&b.mesh);
    return status;
}

int main(int argc, char **argv)
{
    struct options options;

    return program_main(&(struct program){ .name         = "vitbench",
                                           .usage        = USAGE,
                                           .about        = ABOUT,
                                           .status       = STATUS,
                                           .read         = read_options,
                                           .values       = &options,
                                           .size         = sizeof options,
                                           .runs_nothing = runs_nothing,
                                           .show         = show,
                                           .is_threaded  = is_threaded,
                                           .run          = run },
                        argc, argv);
}
