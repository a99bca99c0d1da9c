/* SPDX-License-Identifier: BSD-3-Clause */
/* Open and close a probe, each thing after what it borrows. */
#include "config.h"

#include "src/eval/probe.h"

#include "mesh/guard.h"
#include "mesh/node.h"
#include "src/base/draft.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/data/h5set.h"
#include "src/eval/blas.h"
#include "src/plan/predict.h"
#include "src/plan/record.h"
#include "src/step/stored.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the checkpoint -------------------------------------------------------------- */

/* What is stored, for images as they are asked for. */
static int stored_model(struct probe *p)
{
    const struct probe_options *o = p->options;
    struct spec *s                = &p->plan.spec;

    TRY(stored_spec(s, p->file));
    return spec_set_image(s, o->has_image ? (int)o->image : s->image,
                          o->has_patch && o->patch > 0 ? (int)o->patch : s->patch);
}

/* What the run has held out is tested on, if nothing else is asked for. */
static void take_holdout(struct probe *p)
{
    const double share = stored_held_share(p->file->meta.options);

    if (strcmp(p->options->test, "auto") == 0 && share > 0)
        p->plan.share = share;
}

/* A run has seen what is tested on where it has held out less of that set, or nothing,
 * by whatever name the set goes.
 */
static void warn_seen(const struct probe *p)
{
    const struct probe_options *o = p->options;
    const bool is_other           = isnan(p->plan.share);
    const struct data *data =
        p->learn_data == NULL || is_other ? p->test_data : p->learn_data;
    const double share = is_other ? 1 : p->plan.share;

    if (p->file == NULL || data == NULL || p->mesh->rank != 0)
        return;
    if (stored_has_seen(p->file->meta.options, data->identity, share))
        WARN("the model was trained on images of %s that it is tested on now",
             is_other ? o->test : o->data);
}

static int open_checkpoint(struct probe *p)
{
    if (p->options->checkpoint[0] == '\0')
        return 0;
    TRY(ckpt_find(p->path, p->options->checkpoint, MPI_COMM_WORLD));
    TRY(file_open_all(&p->file, p->path, MPI_COMM_WORLD));
    TRY(mesh_agree_comm(MPI_COMM_WORLD, stored_model(p)));
    take_holdout(p);
    return 0;
}

/* ---- where it runs --------------------------------------------------------------- */

/* The mesh as asked for, or the fewest model ranks with which the model fits; features
 * need none.
 */
static int choose_mesh(int *D, int *M, const struct probe *p, const struct node *node,
                       int ranks)
{
    const struct way *way         = &p->plan.way;
    const int64_t B               = p->options->batch;
    const struct traffic_job like = setting_job(way, true, 0, 0, 0);

    *D = way->D > 0 ? way->D : ranks;
    *M = way->D > 0 ? way->M : 1;
    if (way->D == 0 && p->plan.has_model)
        TRY(predict_mesh(D, M, &p->plan.spec, ranks, B, 0, &like, node->ranks_most,
                         node->bytes));
    if ((int64_t)*D * *M != ranks)
        return ERR(ERR_SHAPE, "--mesh=%dx%d is for %lld ranks, not %d", *D, *M,
                   (long long)*D * *M, ranks);
    if (!p->plan.has_model)
        return 0;
    TRY(spec_check_mesh(&p->plan.spec, B, *D, *M));
    return spec_check_micros(B, *D, way->micros);
}

/* What the model needs must be there: touching more would end in a kill.  Nothing is
 * updated, so that no moments are counted.
 */
static int check_memory(const struct probe *p, const struct node *node)
{
    struct predict_memory memory;
    const struct traffic_job job =
        setting_job(&p->plan.way, true, p->options->batch, p->mesh->D, p->mesh->M);
    double most;

    if (!p->plan.has_model || node->bytes == 0)
        return 0;
    predict_memory(&memory, &p->plan.spec, &job, 0, 0);
    most = (double)(memory.total - memory.moments);
    if (most * node->ranks_most <= (double)node->bytes)
        return 0;
    return ERR(
        ERR_MEMORY,
        "not enough memory: %.1f GB a rank are needed, a node has %.1f GB for %d",
        most * 1e-9, (double)node->bytes * 1e-9, node->ranks_most);
}

/* Can the files of the output options be written?  On rank 0, before the work. */
static int check_outputs(const struct probe_options *o)
{
    const char *const file[] = { o->features_out, o->logits_out, o->records,
                                 o->checkpoint,   o->data,       o->test,
                                 o->features };

    TRY(draft_apart(file, 3, 4));
    TRY(record_probe(o->records));
    if (o->features_out[0] != '\0')
        TRY(h5set_check(o->features_out));
    return o->logits_out[0] != '\0' ? h5set_check(o->logits_out) : 0;
}

static int open_place(struct probe *p)
{
    const struct probe_options *o = p->options;
    enum progress_form form;
    struct node node;
    int ranks, D = 0, M = 0, rc;

    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    node_find(&node, MPI_COMM_WORLD);
    if (p->plan.has_model)
        TRY(node_use(&node, MPI_COMM_WORLD, p->plan.way.device, p->plan.way.dtype));
    p->threads = o->threads > 0 ? (int)o->threads : node_threads(&node);
    rc         = choose_mesh(&D, &M, p, &node, ranks);
    if (rc == 0)
        rc = mesh_open(&p->mesh, MPI_COMM_WORLD, D, M);
    TRY(mesh_agree_comm(MPI_COMM_WORLD, rc));
    mesh_wires(p->mesh, p->plan.way.has_wide_sums, false);
    form = setting_progress(p->mesh, o->progress);
    if (o->progress == PROGRESS_CHOICE_THREAD && form != PROGRESS_THREAD &&
        p->mesh->rank == 0)
        WARN("this MPI has no MPI_THREAD_MULTIPLE for --progress=thread: products poll "
             "instead");
    blas_start(p->threads);
    if (p->plan.has_model)
        rc = setting_open(&p->dev, &p->plan.way, p->threads);
    if (rc == 0)
        rc = check_memory(p, &node);
    if (rc == 0 && p->mesh->rank == 0)
        rc = check_outputs(o);
    if (rc == 0)
        rc = guard_start(p->mesh, o->stall_timeout);
    TRY(mesh_agree(p->mesh, rc));
    if (p->dev == NULL)
        return 0;
    return node_same_device(MPI_COMM_WORLD, dev_name(p->dev), dev_dtype(p->dev));
}

/* ---- images ---------------------------------------------------------------------- */

/* The model's own classifier is only tested. */
static bool needs_learning(const struct probe_options *o)
{
    return o->method != METHOD_HEAD || o->features_out[0] != '\0' ||
           o->logits_out[0] != '\0';
}

/* As many fractals as it takes to have 'shots' of every class, whose labels are drawn:
 * at least twice as many as that is on average.
 */
static int64_t count_shots(const struct data *data, int64_t shots)
{
    const int64_t K = data->classes;
    int64_t *count, lacking = K, n = 0;
    float *target;

    if (shots > INT_MAX / (2 * K))
        return (int64_t)INT_MAX + 1; /* too many, which is said later */
    count  = mem_new((size_t)K, sizeof *count);
    target = mem_new((size_t)K, sizeof *target);
    for (; lacking > 0 || n < 2 * shots * K; n++) {
        data->ops->get(data, NULL, target, (struct range){ 0, K }, n);
        for (int64_t k = 0; k < K; k++)
            lacking -= target[k] > 0 && ++count[k] == shots;
    }
    mem_free(target);
    mem_free(count);
    return n;
}

/* Fractals to test on are those that vittrain holds out; those to learn from are held
 * out of a run with another seed: nobody trains on either.
 */
static int open_fractals(struct probe *p, struct data_options *with)
{
    const struct probe_options *o = p->options;
    int64_t most                  = 0;

    for (int i = 0; i < p->plan.few.shot_count; i++)
        most = p->plan.few.shots[i] > most ? p->plan.few.shots[i] : most;
    with->classes     = o->has_classes ? o->classes : p->plan.spec.K;
    with->is_held_out = true;
    p->test_count     = o->test_examples;
    TRY(data_open_fractal(&p->test_data, with));
    if (!needs_learning(o))
        return 0;
    with->seed++;
    TRY(data_open_fractal(&p->learn_data, with));
    p->learn_count = o->examples > 0 ? o->examples : count_shots(p->learn_data, most);
    return 0;
}

/* A set, of which a part is tested on, or another one is: of classes that it has. */
static int open_sets(struct probe *p, struct data_options *with)
{
    const struct probe_options *o = p->options;
    const bool has_learning       = needs_learning(o);

    if (has_learning) {
        TRY(data_open_file(&p->learn_data, o->data, with));
        p->learn_count = p->learn_data->count;
    }
    if (isnan(p->plan.share)) {
        with->classes = has_learning ? p->learn_data->classes : 0;
        TRY(data_open_file(&p->test_data, o->test, with));
        if (has_learning)
            TRY(h5set_same_classes(o->data, o->test));
    } else if (o->method == METHOD_HEAD) {
        with->holdout     = p->plan.share;
        with->is_held_out = true;
        TRY(data_open_file(&p->test_data, o->data, with));
    }
    if (p->test_data != NULL)
        p->test_count = p->test_data->count;
    return 0;
}

static int open_images(struct probe *p)
{
    const struct probe_options *o = p->options;
    struct data_options with      = { .image = p->plan.spec.image,
                                      .seed  = (uint64_t)o->seed,
                                      .order = ORDER_FILE,
                                      .rank  = p->mesh->rank,
                                      .ranks = p->mesh->size };
    const int rc =
        probe_is_file(o->data) ? open_sets(p, &with) : open_fractals(p, &with);

    if (rc == 0 && o->method == METHOD_HEAD && p->test_data->classes > p->plan.spec.K)
        return ERR(ERR_DATA,
                   "the images are of %lld classes, and the classifier of %lld",
                   (long long)p->test_data->classes, (long long)p->plan.spec.K);
    return rc;
}

/* ---- the model ------------------------------------------------------------------- */

static int open_model(struct probe *p)
{
    const struct vit_options option = { .B      = p->options->batch,
                                        .micros = p->plan.way.micros,
                                        .form   = p->plan.way.form,
                                        .shard  = p->plan.way.shard,
                                        .remat  = p->plan.way.remat,
                                        .seed   = (uint64_t)p->options->seed,
                                        .head   = HEAD_INIT_PAPER };
    const int64_t L                 = p->plan.spec.L;
    int rc                          = 0;

    if (p->plan.feature >= L)
        rc = ERR(ERR_USAGE, "--feature=%s: the model has the blocks 0 to %lld",
                 p->options->feature, (long long)L - 1);
    TRY(mesh_agree(p->mesh, rc));
    TRY(mesh_agree(p->mesh, open_images(p)));
    warn_seen(p);
    guard_phase("opening the model");
    TRY(vit_open(&p->vit, &p->plan.spec, p->mesh, p->dev, &option));
    TRY(step_open(&p->step, p->vit, NULL,
                  p->test_data != NULL ? p->test_data : p->learn_data));
    guard_phase("loading");
    return p->file != NULL
               ? adopt_load(&p->adopted, p->vit, p->path, p->options->interpolate)
               : 0;
}

int probe_open(struct probe *p, const struct probe_options *o)
{
    *p = (struct probe){ .options = o };
    TRY(mesh_agree_comm(MPI_COMM_WORLD, probe_plan(&p->plan, o)));
    TRY(open_checkpoint(p));
    TRY(open_place(p));
    p->plan.few.threads = p->threads;
    return p->plan.has_model ? open_model(p) : 0;
}

void probe_close(struct probe *p)
{
    part_free(&p->learn);
    part_free(&p->test);
    features_free(&p->features);
    features_free(&p->test_features);
    step_close(&p->step);
    vit_close(&p->vit);
    data_close(&p->learn_data);
    data_close(&p->test_data);
    if (p->mesh != NULL)
        guard_stop(p->mesh);
    dev_close(&p->dev);
    mesh_close(&p->mesh);
    file_close(&p->file);
}
