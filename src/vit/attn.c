/* SPDX-License-Identifier: BSD-3-Clause */
/* Self-attention, and the normalisation of queries and keys that keeps its logits
 * small (arXiv 2302.05442).  Each head is normalised by itself, by the block's kind of
 * norm, before the division by sqrt(E); all heads of a block share one scale [E].
 */
#include "config.h"

#include "src/vit/attn.h"

struct attn attn_of_block(const struct spec *s, const struct local *l)
{
    return (struct attn){ .B = l->B_l, .H = l->H_l, .E = s->E, .Nq = s->N, .Nk = s->N };
}

struct attn attn_of_map(const struct spec *s, const struct local *l)
{
    return (struct attn){ .B = l->B_l, .H = l->H_l, .E = s->E, .Nq = 1, .Nk = s->N };
}

/* Columns 'part' (0: q, 1: k, 2: v) of a matrix that has them side by side. */
static struct mat part_of(const struct vit *v, struct mat in, int part)
{
    const int64_t A = v->local.A_l;

    return mat_cols(in, part * A, (part + 1) * A);
}

static struct mat qk_scale(const struct vit *v, enum slot slot, int64_t i)
{
    return shard_param(v->shard, group_replicated(&v->spec), slot, (int)i);
}

static struct mat d_qk_scale(const struct vit *v, enum slot slot, int64_t i)
{
    return shard_grad(v->shard, group_replicated(&v->spec), slot, (int)i);
}

/* What attention multiplies: queries and keys as projected, or normalised. */
static struct mat queries(struct vit *v, int64_t i)
{
    return v->spec.qk_norm ? vit_act(v, KEPT_Q, i)
                           : part_of(v, vit_act(v, KEPT_IN, i), 0);
}

static struct mat keys(struct vit *v, int64_t i)
{
    return v->spec.qk_norm ? vit_act(v, KEPT_K, i)
                           : part_of(v, vit_act(v, KEPT_IN, i), 1);
}

/* Rows of some images. */
static struct mat of(struct mat a, struct range rows)
{
    return mat_rows(a, rows.lo, rows.hi);
}

/* What attention keeps lies image by image. */
static struct mat kept_of(struct vit *v, int64_t i, struct range images)
{
    const struct mat all = vit_act(v, KEPT_ATTN, i);
    const int64_t each   = all.cols / v->local.B_l;

    return mat_cols(all, images.lo * each, images.hi * each);
}

/* The images that are not yet made, of the first 'images'. */
static void make_images(struct attn_rows *rows, int64_t images)
{
    struct vit *v   = rows->v;
    const int64_t i = rows->i, N = v->spec.N;
    struct attn a          = attn_of_block(&v->spec, &v->local);
    const struct range now = { rows->made, images }, at = { now.lo * N, now.hi * N };
    const struct mat in = of(vit_act(v, KEPT_IN, i), at);
    const struct mat q = of(queries(v, i), at), k = of(keys(v, i), at);
    const struct mat peak1 = vit_work(v, WORK_PEAK1);

    a.B = range_size(now);
    if (v->spec.qk_norm) {
        dev_head_norm(v->stream, q, of(vit_act(v, KEPT_Q_STAT, i), at),
                      part_of(v, in, 0), qk_scale(v, SLOT_Q_SCALE, i), a.E,
                      v->spec.norm);
        dev_head_norm(v->stream, k, of(vit_act(v, KEPT_K_STAT, i), at),
                      part_of(v, in, 1), qk_scale(v, SLOT_K_SCALE, i), a.E,
                      v->spec.norm);
    }
    dev_attn(v->stream, of(rows->o, at), kept_of(v, i, now), peak1, q, k,
             part_of(v, in, 2), &a);
    dev_max(v->stream, vit_work(v, WORK_PEAK), peak1);
    rows->made = images;
}

void attn_forward(struct vit *v, struct mat o, int64_t i)
{
    struct attn_rows rows = { .v = v, .o = o, .i = i };

    make_images(&rows, v->local.B_l);
}

/* At least 'rows' rows.  Threads share heads of images; a GPU wants many at once and
 * gets all of them, as does a simulated device, for which nothing is cut.
 */
static void make_rows(void *ctx, int64_t rows)
{
    struct attn_rows *r = ctx;
    const struct vit *v = r->v;
    const bool is_cut   = dev_is_host(v->dev) && !dev_is_hollow(v->dev);
    const int64_t tasks = 2 * dev_threads(v->dev), H = v->local.H_l;
    const int64_t images = (rows + v->spec.N - 1) / v->spec.N;
    const int64_t least  = r->made + (tasks + H - 1) / H;
    const int64_t most   = v->local.B_l;
    const int64_t to     = images > least ? images : least;

    if (images > r->made)
        make_images(r, is_cut && to < most ? to : most);
}

struct cmm_source attn_source(struct attn_rows *rows, struct vit *v, struct mat o,
                              int64_t i)
{
    *rows = (struct attn_rows){ .v = v, .o = o, .i = i };
    return (struct cmm_source){ make_rows, rows };
}

void attn_backward(struct vit *v, struct mat d_in, struct mat d_o, struct mat o,
                   int64_t i)
{
    const struct attn a  = attn_of_block(&v->spec, &v->local);
    const bool qk_norm   = v->spec.qk_norm;
    const bool is_added  = vit_adds(v, group_replicated(&v->spec));
    const struct mat in  = vit_act(v, KEPT_IN, i);
    const struct mat d_q = qk_norm ? vit_work(v, WORK_D_Q) : part_of(v, d_in, 0);
    const struct mat d_k = qk_norm ? vit_work(v, WORK_D_K) : part_of(v, d_in, 1);

    dev_attn_backward(v->stream, d_q, d_k, part_of(v, d_in, 2), d_o, o,
                      vit_act(v, KEPT_ATTN, i), queries(v, i), keys(v, i),
                      part_of(v, in, 2), &a);
    if (qk_norm) {
        dev_head_norm_backward(v->stream, part_of(v, d_in, 0),
                               d_qk_scale(v, SLOT_Q_SCALE, i), is_added, d_q,
                               part_of(v, in, 0), vit_act(v, KEPT_Q_STAT, i),
                               qk_scale(v, SLOT_Q_SCALE, i), a.E, v->spec.norm);
        dev_head_norm_backward(v->stream, part_of(v, d_in, 1),
                               d_qk_scale(v, SLOT_K_SCALE, i), is_added, d_k,
                               part_of(v, in, 1), vit_act(v, KEPT_K_STAT, i),
                               qk_scale(v, SLOT_K_SCALE, i), a.E, v->spec.norm);
    }
}
