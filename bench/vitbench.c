/* SPDX-License-Identifier: BSD-3-Clause */
/* vitbench: read the options, open mesh and device, run the cases, report.
 *
 * What runs nothing (--help, --dry-run, ..) is done before MPI, by the process that the
 * launcher calls rank 0; the others leave in silence.  In a run rank 0's reading of the
 * options counts, since files and environment may differ between nodes.
 */
#include "config.h"

#include "bench/agenda.h"
#include "bench/dry.h"
#include "bench/env.h"
#include "bench/report.h"
#include "bench/run.h"
#include "mesh/progress.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/version.h"

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

static bool runs_nothing(const struct options *o)
{
    return o->help || o->version || o->list_shapes || o->schema || o->print_config ||
           o->dry_run;
}

/* Do what was asked for, on 'out'. */
static int do_it(FILE *out, const struct opts *opts, const struct options *o)
{
    struct choices choices;

    if (o->help) {
        opts_help(opts, out, USAGE, ABOUT);
        fputs(STATUS, out);
    } else if (o->version) {
        fprintf(out, "vitbench %s (git %s)\n", version_text(), version_git());
    } else if (o->list_shapes) {
        spec_list(out);
    } else if (o->schema) {
        fputs(report_schema, out);
    } else if (o->print_config) {
        opts_dump(opts, out);
    } else {
        TRY(options_resolve(&choices, o));
        TRY(dry_run(out, o, &choices));
    }
    if (fflush(out) != 0 || ferror(out))
        return ERR(ERR_IO, "the output cannot be written");
    return 0;
}

/* The exit status; 'rc' is how reading the options ended.  Ranks other than 0 do the
 * same unheard, so that they end alike.
 */
static int without_mpi(int rc, const struct opts *opts, struct options *o)
{
    const bool is_heard = env_launcher_rank() == 0;
    FILE *out           = is_heard ? stdout : fopen("/dev/null", "w");

    if (!is_heard)
        o->json[0] = '\0';
    if (rc == 0)
        rc = out != NULL ? do_it(out, opts, o) : ERR(ERR_IO, "/dev/null is missing");
    if (is_heard)
        err_say(rc);
    return err_exit_status(rc);
}

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
        opts_set(opts, "progress", "poll", FROM_PROGRAM);
    if (o->overlap == 0) /* auto is the first choice */
        opts_set(opts, "overlap", "ring", FROM_PROGRAM);
}

/* The files of the output options are apart and can be written; found out before the
 * work.
 */
static int probe_outputs(const struct options *o)
{
    enum { FILES = 3 };
    const char *const path[FILES] = { o->json, o->jsonl, o->machine_out };

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

/* Open mesh, device and hang guard, as all ranks agree on.  Returns 0 or a code, said.
 */
static int open_bench(struct bench *b, struct node *node)
{
    const struct options *o = b->options;
    int ranks, D = 0, M = 0, rc, threads;

    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    node_find(node, MPI_COMM_WORLD);
    b->memory_base = mem_high_water();
    b->node_memory = node->bytes;
    threads        = o->threads > 0 ? (int)o->threads : node_threads(node);
    rc = agenda_mesh(&D, &M, o, b->choices, ranks, node->ranks_most, node->bytes);
    if (rc == 0)
        rc = mesh_open(&b->mesh, MPI_COMM_WORLD, D, M);
    TRY(mesh_agree_comm(MPI_COMM_WORLD, rc));
    rc = dev_open(&b->dev, b->choices->device, b->choices->dtype, threads);
    if (rc == 0 && b->mesh->rank == 0)
        rc = probe_outputs(o);
    if (rc == 0)
        rc = guard_start(b->mesh, o->stall_timeout);
    return mesh_agree(b->mesh, rc);
}

/* Everything between MPI_Init and MPI_Finalize; the exit status. */
static int run(struct opts *opts, struct options *o, int argc, char **argv)
{
    struct choices choices;
    struct bench b = { .options = o, .choices = &choices };
    struct agenda agenda;
    struct node node;
    int rc, status;

    rc = mesh_agree_comm(MPI_COMM_WORLD, options_resolve(&choices, o));
    if (rc == 0)
        rc = open_bench(&b, &node);
    status = err_exit_status(rc);
    if (rc == 0) {
        b.is_quick = choices.is_default_run && !o->official;
        b.budget_s = b.is_quick ? AGENDA_BUDGET : 0;
        bench_catch_signals();
        open_result(&b, opts, argc, argv);
        env_describe(b.result, b.mesh, b.dev);
        b.is_crowded = env_warn(b.result, b.mesh, b.dev, &node);
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
    dev_close(&b.dev);
    mesh_close(&b.mesh);
    return status;
}

int main(int argc, char **argv)
{
    struct options options;
    struct opts opts;
    int rc = options_read(&opts, &options, argc, argv), rank, level, status;

    log_open("vitbench", -1);
    if (runs_nothing(&options))
        return without_mpi(rc, &opts, &options);

    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    log_open("vitbench", rank);
    if (rank > 0)
        err_forget(); /* rank 0's reading counts */
    rc = mesh_agree_comm(MPI_COMM_WORLD, rank == 0 ? rc : 0);
    MPI_Bcast(&options, sizeof options, MPI_BYTE, 0, MPI_COMM_WORLD);
    status = rc == 0 ? run(&opts, &options, argc, argv) : err_exit_status(rc);
    MPI_Finalize();
    return status;
}
