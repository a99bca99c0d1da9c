/* SPDX-License-Identifier: BSD-3-Clause */
/* The model as a whole.  It is laid out and allocated once.  Forward goes group by
 * group (embedding, blocks, head); while one computes, the parameters of the next are
 * gathered.  Backward goes the other way; while one group computes, the gradients of
 * the group before it are summed over the data axis.
 */
#include "config.h"

#include "src/vit/vit.h"

#include "mesh/guard.h"
#include "mesh/trace.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/dev/lap.h"
#include "src/vit/attn.h"
#include "src/vit/block.h"
#include "src/vit/head.h"
#include "src/vit/loss.h"
#include "src/vit/model.h"
#include "src/vit/patch.h"

#include <math.h>
#include <string.h>

enum { NUMBERS = 64 }; /* that vit_sum() reads from the device at a time */

/* ---- what model.h promises ------------------------------------------------------- */

struct mat vit_act(struct vit *v, enum act which, int64_t i)
{
    const struct act_place *p = &v->act.place[which];
    const int64_t at          = p->offset + i * p->stride;

    return mat_at(&v->block[p->family], p->dtype, at / (int64_t)dtype_size(p->dtype),
                  p->rows, p->cols);
}

double vit_sum(const struct vit *v, struct mat x)
{
    double sum = 0, value[NUMBERS];

    for (int64_t i = 0; i < x.cols; i += NUMBERS) {
        const int64_t end = i + NUMBERS < x.cols ? i + NUMBERS : x.cols;

        memset(value, 0, sizeof value); /* what a muted device leaves */
        dev_get(v->stream, value, mat_cols(x, i, end));
        for (int64_t k = 0; k < end - i; k++)
            sum += dtype_load(x.dtype, value, k);
    }
    return sum;
}

/* ---- open and close -------------------------------------------------------------- */

/* The slots that are multiplied with. */
static const enum slot products[] = {
    SLOT_PATCH,  SLOT_IN,      SLOT_OUT,    SLOT_UP,       SLOT_DOWN, SLOT_MAP_Q,
    SLOT_MAP_KV, SLOT_MAP_OUT, SLOT_MAP_UP, SLOT_MAP_DOWN, SLOT_HEAD,
};

enum { PRODUCTS = sizeof products / sizeof products[0] };

static int open_weights(struct vit *v)
{
    for (int group = 0; group < v->layout.groups; group++) {
        for (int i = 0; i < PRODUCTS; i++) {
            const struct mat w = vit_param(v, group, products[i]);

            if (!mat_is_none(w) && vit_weight_group(v, group) == group)
                TRY(dev_weight_open(&v->weight[group * SLOT_COUNT + (int)products[i]],
                                    v->dev, w));
        }
    }
    return 0;
}

static void open_lists(struct vit *v)
{
    const int M = v->mesh->M;

    v->weight =
        mem_new((size_t)v->layout.groups * SLOT_COUNT, sizeof(struct dev_weight *));
    v->widths  = mem_new((size_t)M, sizeof *v->widths);
    v->ones    = mem_new((size_t)M, sizeof *v->ones);
    v->moments = mem_new((size_t)M, sizeof *v->moments);
    v->partial = mem_new((size_t)M, sizeof *v->partial);
    for (int j = 0; j < M; j++) {
        v->widths[j]  = split_size(v->spec.C, M, j);
        v->ones[j]    = 1;
        v->moments[j] = v->spec.norm == NORM_RMS ? 1 : 2;
    }
}

/* Places for the activations of the micro-batch at hand. */
static void place_activations(struct vit *v)
{
    const struct attn block    = attn_of_block(&v->spec, &v->local);
    const struct attn map      = attn_of_map(&v->spec, &v->local);
    const struct act_form form = { .dtype       = dev_dtype(v->dev),
                                   .M           = v->mesh->M,
                                   .remat       = v->options.remat,
                                   .keeps_norms = dev_keeps_norms(v->dev),
                                   .kept_block  = dev_attn_kept(v->dev, &block),
                                   .kept_map    = dev_attn_kept(v->dev, &map) };

    act_make(&v->act, &v->spec, &v->local, &form);
}

int vit_micros(const struct vit *v)
{
    return v->options.micros > 1 ? v->options.micros : 1;
}

void vit_micro(struct vit *v, int micro)
{
    v->micro = micro;
    v->local = v->row;
    spec_micro(&v->local, &v->spec, vit_micros(v), micro);
    place_activations(v);
}

/* One block for what is kept and one for work, touched now rather than in a step. */
static int open_activations(struct vit *v)
{
    for (int family = ACT_KEPT; family <= ACT_WORK; family++) {
        struct buf *b = &v->block[family];

        TRY(dev_alloc(b, v->dev, (size_t)v->act.bytes[family]));
        dev_fill(v->stream, mat_of(b, DTYPE_F32, 1, v->act.bytes[family] / 4), 0);
    }
    TRY(dev_alloc(&v->losses, v->dev,
                  (size_t)vit_micros(v) * dtype_size(dev_acc(v->dev))));
    dev_fill(v->stream, vit_losses(v), 0);
    return 0;
}

/* The rank's own part of opening: what fails here fails alone, and is agreed on. */
static int open_local(struct vit *v)
{
    const struct vit_options *o = &v->options;

    TRY(shard_open(&v->shard, v->mesh, v->dev, &v->layout, o->seed, o->is_poisoned));
    TRY(open_activations(v));
    TRY(cmm_open(&v->cmm, v->mesh, v->dev, v->local.rows, v->spec.C, o->form,
                 o->panels));
    if (o->tuned != NULL)
        cmm_tune(v->cmm, o->tuned);
    cmm_put_aside(v->cmm);
    TRY(cmm_open(&v->cmm_pool, v->mesh, v->dev, v->local.B_l, v->spec.C, CMM_PLAIN, 1));
    return open_weights(v);
}

int vit_open(struct vit **vit, const struct spec *s, struct mesh *mesh, struct dev *dev,
             const struct vit_options *o)
{
    TRY(mesh_agree(mesh, spec_check_mesh(s, o->B, mesh->D, mesh->M)));
    TRY(mesh_agree(mesh, spec_check_micros(o->B, mesh->D, o->micros)));

    struct vit *v = mem_new(1, sizeof *v);

    v->spec    = *s;
    v->options = *o;
    v->mesh    = mesh;
    v->dev     = dev;
    v->stream  = dev_stream(dev, LANE_COMPUTE);
    laps_open(&v->laps, v->stream, VIT_PARTS);
    spec_local(&v->row, s, o->B, mesh->D, mesh->M, mesh->d, mesh->m);
    layout_make(&v->layout, s, o->head, o->shard, mesh->D, mesh->M, mesh->near, mesh->d,
                mesh->m);
    vit_micro(v, 0);
    open_lists(v);

    const int rc = mesh_agree(mesh, open_local(v));

    if (rc != 0)
        vit_close(&v);
    else
        *vit = v;
    return rc;
}

void vit_close(struct vit **vit)
{
    struct vit *v = *vit;

    if (v == NULL)
        return;
    for (int i = 0; i < v->layout.groups * SLOT_COUNT; i++)
        dev_weight_close(&v->weight[i]);
    cmm_close(&v->cmm_pool);
    cmm_close(&v->cmm);
    for (int family = 0; family < ACT_FAMILIES; family++)
        dev_free(&v->block[family]);
    dev_free(&v->losses);
    shard_close(&v->shard);
    layout_free(&v->layout);
    laps_close(&v->laps);
    mem_free(v->weight);
    mem_free(v->widths);
    mem_free(v->ones);
    mem_free(v->moments);
    mem_free(v->partial);
    mem_free(v);
    *vit = NULL;
}

/* ---- forward and backward -------------------------------------------------------- */

/* A group was gathered: what the device keeps of its weights is out of date. */
static void weights_changed(struct vit *v, int group)
{
    for (int slot = 0; slot < SLOT_COUNT; slot++) {
        struct dev_weight *w =
            v->weight[vit_weight_group(v, group) * SLOT_COUNT + slot];

        if (w != NULL)
            dev_weight_changed(v->stream, w);
    }
}

/* On to another group, a sign of life: the parameters of 'group' are here, those of
 * 'next' (if not negative) on their way.
 */
static void enter_group(struct vit *v, int group, int next)
{
    guard_alive();
    shard_gather_start(v->shard, group);
    if (shard_gather_finish(v->shard, group))
        weights_changed(v, group);
    if (next >= 0)
        shard_gather_start(v->shard, next);
}

/* Backward through a group is over: its parameters are not needed any more, the
 * gradients of 'last' (if not negative) are done, its own on their way.
 */
static void leave_group(struct vit *v, int group, int last)
{
    guard_alive();
    shard_release(v->shard, group);
    if (v->written != NULL && v->micro == vit_micros(v) - 1 && group != GROUP_EMBED)
        v->written(v->written_ctx, group);
    if (last >= 0)
        shard_scatter_finish(v->shard, last);
    shard_scatter_start(v->shard, group);
}

void vit_tell(struct vit *v, vit_group_fn written, void *ctx)
{
    v->written     = written;
    v->written_ctx = ctx;
}

void vit_forward(struct vit *v, struct mat images, struct mat targets)
{
    const int head     = group_head(&v->spec);
    const int64_t last = v->spec.L - 1;
    double start       = clock_now();

    laps_start(v->laps);
    if (v->micro == 0)
        dev_fill(v->stream, vit_work(v, WORK_PEAK), -INFINITY);
    shard_release_all(v->shard);
    enter_group(v, GROUP_EMBED, group_block(0));
    patch_forward(v, images);
    shard_release(v->shard, GROUP_EMBED);
    start = trace_passed(v->mesh, "forward", 1 + GROUP_EMBED, start);
    laps_take(v->laps, VIT_EMBED);

    /* After the last block's group comes the head's; both stay for backward. */
    for (int64_t i = 0; i <= last; i++) {
        enter_group(v, group_block(i), group_block(i + 1));
        block_forward(v, i);
        if (i < last)
            shard_release(v->shard, group_block(i));
        start = trace_passed(v->mesh, "forward", 1 + group_block(i), start);
    }
    laps_take(v->laps, VIT_BLOCKS);

    enter_group(v, head, -1);
    head_forward(v);
    loss_forward(v, targets);
    trace_passed(v->mesh, "forward", 1 + head, start);
    laps_take(v->laps, VIT_HEAD);
}

/* The embedding's parameters are not needed: images have no gradient. */
void vit_backward(struct vit *v)
{
    const int head       = group_head(&v->spec);
    const int replicated = group_replicated(&v->spec);
    double start         = clock_now();

    laps_start(v->laps);
    shard_micro(v->shard, v->micro, vit_micros(v));
    enter_group(v, head, -1);
    head_backward(v);
    leave_group(v, head, -1);
    start = trace_passed(v->mesh, "backward", 1 + head, start);
    laps_take(v->laps, VIT_HEAD);

    for (int64_t i = v->spec.L - 1; i >= 0; i--) {
        enter_group(v, group_block(i), i > 0 ? group_block(i - 1) : -1);
        block_backward(v, i);
        leave_group(v, group_block(i), group_block(i + 1));
        start = trace_passed(v->mesh, "backward", 1 + group_block(i), start);
    }
    laps_take(v->laps, VIT_BLOCKS);

    patch_backward(v);
    leave_group(v, GROUP_EMBED, group_block(0));
    shard_scatter_finish(v->shard, GROUP_EMBED);
    shard_scatter_finish(v->shard, replicated);
    trace_passed(v->mesh, "backward", 1 + GROUP_EMBED, start);
    laps_take(v->laps, VIT_EMBED);
}

/* One block's group alone, which stays. */
static void enter_block(struct vit *v, int64_t block)
{
    if (!shard_is_here(v->shard, group_block(block)))
        shard_release_all(v->shard);
    enter_group(v, group_block(block), -1);
}

void vit_block_forward(struct vit *v, int64_t block)
{
    enter_block(v, block);
    block_forward(v, block);
}

void vit_block_backward(struct vit *v, int64_t block)
{
    enter_block(v, block);
    block_backward(v, block);
}

/* ---- its parts ------------------------------------------------------------------- */

static void changed(struct vit *v, bool has_copies)
{
    shard_changed(v->shard, has_copies);
    for (int group = 0; group < v->layout.groups; group++) {
        if (!layout_is_sharded(&v->layout, group)) /* else when they are gathered */
            weights_changed(v, group);
    }
}

void vit_changed(struct vit *v)
{
    changed(v, false);
}

void vit_updated(struct vit *v)
{
    changed(v, dev_has_copies(v->dev));
}

struct mat vit_peak_logit(const struct vit *v)
{
    return vit_work((struct vit *)v, WORK_PEAK);
}

struct mat vit_logits(const struct vit *v)
{
    return vit_act((struct vit *)v, KEPT_LOGITS, 0);
}

struct mat vit_pooled(const struct vit *v)
{
    return vit_act((struct vit *)v, KEPT_POOLED, 0);
}

struct mat vit_block_rows(const struct vit *v, int64_t i)
{
    return vit_act((struct vit *)v, KEPT_X, i + 1);
}

const double *vit_seconds(struct vit *v)
{
    return laps_known(v->laps);
}

void vit_reset_seconds(struct vit *v)
{
    laps_reset(v->laps);
}

struct laps *vit_watch(struct vit *v)
{
    return v->laps;
}

int64_t vit_bytes(const struct vit *v)
{
    const enum dtype dtype = dev_dtype(v->dev);
    struct local largest   = v->row;

    spec_micro(&largest, &v->spec, vit_micros(v), 0);
    return (int64_t)v->block[ACT_KEPT].bytes + (int64_t)v->block[ACT_WORK].bytes +
           cmm_bytes(v->mesh, largest.rows, v->spec.C, dtype, v->options.form) +
           cmm_bytes(v->mesh, largest.B_l, v->spec.C, dtype, CMM_PLAIN);
}

const struct spec *vit_spec(const struct vit *v)
{
    return &v->spec;
}

const struct local *vit_local(const struct vit *v)
{
    return &v->local;
}

const struct layout *vit_layout(const struct vit *v)
{
    return &v->layout;
}

struct shard *vit_shard(struct vit *v)
{
    return v->shard;
}

struct cmm *vit_cmm(struct vit *v)
{
    return v->cmm;
}

struct mesh *vit_mesh(struct vit *v)
{
    return v->mesh;
}

struct dev *vit_dev(struct vit *v)
{
    return v->dev;
}

int64_t vit_batch(const struct vit *v)
{
    return v->options.B;
}
