/* SPDX-License-Identifier: BSD-3-Clause */
/* Open and close a run, each thing after what it borrows; and its record. */
#include "config.h"

#include "src/train/train.h"

#include "ckpt/folder.h"
#include "mesh/guard.h"
#include "mesh/node.h"
#include "mesh/progress.h"
#include "src/base/clock.h"
#include "src/base/draft.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/rng.h"
#include "src/base/version.h"
#include "src/plan/count.h"
#include "src/plan/predict.h"
#include "src/plan/record.h"
#include "src/step/tune.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- where it runs --------------------------------------------------------------- */

static bool has_pictures(const struct trainer *t)
{
    return strcmp(t->options->data, "noise") != 0;
}

/* The mesh as asked for, or the fewest model ranks with which it fits the memory. */
static int choose_mesh(int *D, int *M, const struct trainer *t, int ranks,
                       const struct node *node)
{
    const struct way *way         = &t->plan.way;
    const int64_t B               = t->options->batch;
    const struct traffic_job like = setting_job(way, has_pictures(t), 0, 0, 0);

    *D = way->D;
    *M = way->M;
    if (way->D == 0)
        TRY(predict_mesh(D, M, &t->plan.spec, ranks, B, 0, &like, node->ranks_most,
                         node->bytes));
    if ((int64_t)*D * *M != ranks)
        return ERR(ERR_SHAPE, "--mesh=%dx%d is for %lld ranks, not %d", *D, *M,
                   (long long)*D * *M, ranks);
    TRY(spec_check_mesh(&t->plan.spec, B, *D, *M));
    return spec_check_micros(B, *D, way->micros);
}

/* What it needs must be there: touching more would end in a kill. */
static int check_memory(const struct trainer *t, const struct node *node)
{
    struct traffic_job job = setting_job(&t->plan.way, has_pictures(t),
                                         t->options->batch, t->mesh->D, t->mesh->M);
    double most;

    job.near = t->mesh->near;
    most     = (double)predict_most(&t->plan.spec, &job);
    if (node->bytes == 0 || most * node->ranks_most <= (double)node->bytes)
        return 0;
    return ERR(
        ERR_MEMORY,
        "not enough memory: %.1f GB a rank are needed, a node has %.1f GB for %d",
        most * 1e-9, (double)node->bytes * 1e-9, node->ranks_most);
}

/* Where the lines of JSON go; "": nowhere. */
static void log_path(char path[TRAIN_PATH + 16], const struct train_options *o)
{
    const bool is_named = o->jsonl[0] != '\0' || o->out[0] == '\0';

    snprintf(path, TRAIN_PATH + 16, "%s%s", is_named ? o->jsonl : o->out,
             is_named ? "" : "/log.jsonl");
}

/* The folder of the latest fork, which is made in the end: its name is the longest. */
static int check_fork_folder(const struct trainer *t)
{
    const struct train_plan *p = &t->plan;
    char folder[TRAIN_PATH + 32];

    snprintf(folder, sizeof folder, "%s/fork-%lld", t->options->out,
             p->forks > 0 ? (long long)p->fork[p->forks - 1] : 0);
    return p->forks > 0 ? folder_check(folder) : 0;
}

/* Files of the output options, on rank 0; records are appended to.  The folder is this
 * run's from here on: who has it before may save until then.
 */
static int probe_outputs(struct trainer *t)
{
    enum { FILES = 4, INPUTS = 3, ROOM = 1 << 14 };
    const struct train_options *o = t->options;
    char lines[TRAIN_PATH + 16];
    const char *const path[FILES + INPUTS] = { o->json,    lines,   o->trace,
                                               o->records, o->data, o->holdout,
                                               o->init };

    log_path(lines, o);
    TRY(draft_apart(path, FILES, INPUTS));
    if (o->out[0] != '\0') {
        TRY(check_fork_folder(t));
        TRY(folder_open(&t->claim, o->out));
    }
    for (int i = 0; i < FILES - 1; i++)
        TRY(draft_probe(path[i], ROOM));
    return record_probe(o->records);
}

static int open_place(struct trainer *t)
{
    const struct train_options *o = t->options;
    const struct way *way         = &t->plan.way;
    enum progress_form form;
    struct node node;
    int ranks, D = 0, M = 0, rc;

    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    node_find(&node, MPI_COMM_WORLD);
    TRY(mesh_agree_comm(MPI_COMM_WORLD, guard_catch_signals()));
    TRY(mesh_agree_comm(MPI_COMM_WORLD, train_plan(&t->plan, o)));
    TRY(node_use(&node, MPI_COMM_WORLD, way->device, way->dtype));
    rc = choose_mesh(&D, &M, t, ranks, &node);
    if (rc == 0)
        rc = mesh_open(&t->mesh, MPI_COMM_WORLD, D, M);
    TRY(mesh_agree_comm(MPI_COMM_WORLD, rc));
    mesh_wires(t->mesh, way->has_wide_sums, way->has_narrow_grads);
    t->node_memory = node.bytes;
    form           = setting_progress(t->mesh, o->progress);
    if (o->progress == PROGRESS_CHOICE_THREAD && form != PROGRESS_THREAD &&
        t->mesh->rank == 0)
        WARN("this MPI has no MPI_THREAD_MULTIPLE for --progress=thread: products poll "
             "instead");
    rc = setting_open(&t->dev, way,
                      o->threads > 0 ? (int)o->threads : node_threads(&node));
    if (rc == 0)
        rc = check_memory(t, &node);
    if (rc == 0 && t->mesh->rank == 0)
        rc = probe_outputs(t);
    if (rc == 0)
        rc = guard_start(t->mesh, o->stall_timeout);
    TRY(mesh_agree(t->mesh, rc));
    return node_same_device(MPI_COMM_WORLD, dev_name(t->dev), dev_dtype(t->dev));
}

/* ---- what it runs ---------------------------------------------------------------- */

static int open_source(struct trainer *t)
{
    TRY(source_open(&t->source, &t->plan, t->options, t->mesh));
    t->plan.spec.K = t->source.train->classes;
    return train_plan_steps(&t->plan, t->options, t->source.train->count);
}

/* The first bias of the classifier, where it is not what the loss asks for. */
static void set_head_bias(struct trainer *t)
{
    const struct layout *l = vit_layout(t->vit);

    for (int i = 0; i < l->params.count && t->plan.has_head_bias; i++) {
        struct piece piece[LAYOUT_PIECES];
        int pieces;

        if (strcmp(l->params.param[i].name, "head/bias") != 0)
            continue;
        pieces = layout_pieces(piece, l, &l->item[i], l->d, l->m);
        for (int k = 0; k < pieces; k++)
            dev_fill(dev_stream(t->dev, LANE_COMPUTE),
                     shard_piece_param(vit_shard(t->vit), &l->item[i], &piece[k]),
                     t->plan.head_bias);
    }
    vit_changed(t->vit);
}

/* What --tune leaves to timing: as the run has had it up to here, if that was on this
 * mesh, device and build; else by trying.
 */
static int choose(struct trainer *t)
{
    const struct train_options *o = t->options;
    struct mesh *mesh             = t->mesh;
    bool is_here                  = false;
    double peak                   = 0;

    if (!o->tune)
        return 0;
    if (t->saved.tuned != NULL)
        is_here = tuned_take(&t->tuned, t->saved.tuned, mesh, t->dev);
    t->is_taken_over = coll_smallest(mesh, AXIS_ALL, is_here) > 0;
    if (t->is_taken_over) {
        if (o->progress == PROGRESS_CHOICE_AUTO)
            progress_set(mesh, t->tuned.progress);
        t->tuned.progress = progress_of(mesh);
        return 0;
    }
    t->tuned.progress = tune_progress(mesh, o->progress, true);
    if (mesh->M > 1)
        peak = coll_smallest(mesh, AXIS_ALL, dev_peak(t->dev, 0.1));
    if (tune_products(&t->tuned.products, mesh, t->dev, &t->plan.spec, o->batch,
                      t->plan.way.micros, peak, t->node_memory) != 0)
        return mesh_agree(mesh, ERR(ERR_STOPPED, "stopped by a signal before the first "
                                                 "step: start it again"));
    mesh_count_reset(mesh);
    return 0;
}

static int open_model(struct trainer *t)
{
    const struct train_options *o   = t->options;
    const struct vit_options option = { .B      = o->batch,
                                        .micros = t->plan.way.micros,
                                        .form   = t->plan.way.form,
                                        .tuned  = &t->tuned.products,
                                        .shard  = t->plan.way.shard,
                                        .remat  = t->plan.way.remat,
                                        .seed   = (uint64_t)o->seed,
                                        .head   = HEAD_INIT_PAPER };

    guard_phase("opening the model");
    TRY(vit_open(&t->vit, &t->plan.spec, t->mesh, t->dev, &option));
    TRY(mesh_agree(t->mesh, optim_open(&t->optim, vit_shard(t->vit), &t->plan.optim)));
    TRY(step_open(&t->step, t->vit, t->optim, t->source.train));
    set_head_bias(t);
    return 0;
}

/* What it starts from.  A classifier that is taken has a bias. */
static int load_init(struct trainer *t)
{
    const struct train_options *o = t->options;

    TRY(saved_init(&t->saved, o->init, t->vit, &t->source, t->plan.holdout));
    if (!t->plan.has_head_bias || t->saved.adopted.classes > 0)
        return 0;
    return mesh_agree(t->mesh, ERR(ERR_USAGE,
                                   "--head-bias=%s: the classifier is that of %s, with "
                                   "its bias",
                                   o->head_bias, o->init));
}

/* Where it goes on, or what it starts from. */
static int load(struct trainer *t)
{
    const double start = clock_now();

    guard_phase("loading");
    if (t->saved.path[0] == '\0')
        return t->options->init[0] != '\0' ? load_init(t) : 0;
    TRY(saved_load(&t->saved, t->vit, t->optim));
    t->save_seconds = fmax(t->saved.spent.save_seconds, clock_now() - start);
    step_set_count(t->step, t->saved.step);
    if (t->saved.step <= t->plan.sched.steps)
        return 0;
    return mesh_agree(t->mesh, ERR(ERR_USAGE,
                                   "%s is of step %lld, and the run ends at step %lld",
                                   t->saved.path, (long long)t->saved.step,
                                   (long long)t->plan.sched.steps));
}

static int open_journal(struct trainer *t)
{
    const struct train_options *o = t->options;
    struct journal *j             = &t->journal;
    char path[TRAIN_PATH + 16];

    guard_phase("measuring the peak");
    coll_barrier(t->mesh);
    *j      = (struct journal){ .start = t->start - t->saved.spent.seconds,
                                .B     = o->batch,
                                .T     = t->plan.spec.T,
                                .ranks = t->mesh->size,
                                .lr    = o->lr,
                                .flops_per_step =
                                    (double)o->batch * count_flops_train(&t->plan.spec),
                                .report_every = o->progress_report,
                                .reported_at  = clock_now() };
    j->peak = coll_smallest(t->mesh, AXIS_ALL, dev_peak(t->dev, 0.25));
    if (t->mesh->rank != 0)
        return 0;
    j->out = stdout;
    log_path(path, o);
    return journal_open(j, path, t->saved.step);
}

int trainer_open(struct trainer *t, const struct opts *opts,
                 const struct train_options *o)
{
    *t = (struct trainer){ .opts    = opts,
                           .options = o,
                           .last    = { .loss = NAN, .top1 = NAN, .ece = NAN } };
    TRY(open_place(t));
    t->start = clock_now(); /* which the mesh has set */
    stop_open(&t->stop, o->time_limit, t->mesh->rank == 0);
    TRY(mesh_agree(t->mesh, open_source(t)));
    TRY(saved_find(&t->saved, t->mesh, &t->source, opts, o));
    TRY(choose(t));
    TRY(open_model(t));
    TRY(load(t));
    TRY(save_open(&t->save, o->out, (int)o->keep, t->vit, t->optim, &t->source, opts,
                  o->tune ? &t->tuned : NULL, &t->claim));
    TRY(mesh_agree(t->mesh, open_journal(t)));
    t->saved_at = clock_now();
    return 0;
}

void trainer_close(struct trainer *t)
{
    journal_close(&t->journal);
    save_close(&t->save);
    claim_drop(&t->claim);
    saved_free(&t->saved);
    step_close(&t->step);
    optim_close(&t->optim);
    vit_close(&t->vit);
    source_close(&t->source);
    if (t->mesh != NULL)
        guard_stop(t->mesh);
    dev_close(&t->dev);
    mesh_close(&t->mesh);
}

/* ---- the record ------------------------------------------------------------------ */

/* The options that make a run, as one number: the same however often it is resumed. */
static void name_by_options(char text[64], const struct opts *opts)
{
    json_t *options = train_options_json(opts, true);
    char *all       = json_dumps(options, JSON_SORT_KEYS | JSON_COMPACT);

    snprintf(text, 64, "%016llx", (unsigned long long)rng_hash(all != NULL ? all : ""));
    free(all);
    json_decref(options);
}

void trainer_id(char id[TRAINER_ID], const struct trainer *t, int64_t fork)
{
    char run[64];

    if (t->options->id[0] != '\0')
        snprintf(run, sizeof run, "%s", t->options->id);
    else
        name_by_options(run, t->opts);
    if (fork < 0)
        snprintf(id, TRAINER_ID, "%s", run);
    else
        snprintf(id, TRAINER_ID, "%s.%lld", run, (long long)fork);
}

static int append(const struct trainer *t, int64_t step, int64_t fork, bool is_done)
{
    const struct train_options *o = t->options;
    struct record r;

    _Static_assert((int)TRAINER_ID <= (int)sizeof r.id, "a record holds it");
    record_init(&r);
    record_set_spec(&r, &t->plan.spec, step * o->batch);
    trainer_id(r.id, t, fork);
    if (!is_done)
        snprintf(r.status, sizeof r.status, "failed");
    snprintf(r.program, sizeof r.program, "vittrain");
    snprintf(r.version, sizeof r.version, "%s", version_text());
    snprintf(r.machine, sizeof r.machine, "%s", log_host());
    snprintf(r.mesh, sizeof r.mesh, "%dx%d", t->mesh->D, t->mesh->M);
    snprintf(r.dtype, sizeof r.dtype, "%s", dtype_name(dev_dtype(t->dev)));
    snprintf(r.data, sizeof r.data, "%.*s", RECORD_TEXT - 1, o->data);
    r.seed           = o->seed;
    r.devices        = t->mesh->size;
    r.device_seconds = trainer_spent(t).device_seconds;
    r.loss           = t->last.loss;
    r.top1           = t->last.top1;
    r.ece            = t->last.ece;
    return record_append(o->records, &r);
}

int trainer_record(struct trainer *t, int64_t step, int64_t fork, bool is_done)
{
    int rc = 0;

    if (t->options->records[0] != '\0' && t->mesh->rank == 0)
        rc = append(t, step, fork, is_done);
    return mesh_agree(t->mesh, rc);
}
