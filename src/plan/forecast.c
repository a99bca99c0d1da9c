/* SPDX-License-Identifier: BSD-3-Clause */
/* The timeline: groups and their flights as in src/vit/vit.c, and the seconds of each
 * part from forecast_parts.c.
 */
#include "config.h"

#include "src/plan/forecast_impl.h"

#include "src/plan/count.h"
#include "src/plan/hops.h"

#include <math.h>
#include <string.h>

const char *const forecast_stage_name[FORECAST_STAGES] = {
    [FORECAST_INPUT] = "input",   [FORECAST_EMBED] = "embed",
    [FORECAST_BLOCKS] = "blocks", [FORECAST_HEAD] = "head",
    [FORECAST_UPDATE] = "update",
};

/* ---- what a part costs ----------------------------------------------------------- */

void part_op(struct part *p, const char *name, double flops, double bytes,
             double seconds)
{
    int i = 0;

    while (i < p->ops && p->op[i].name != name && strcmp(p->op[i].name, name) != 0)
        i++;
    if (i == p->ops) {
        if (i == FORECAST_OPS)
            return;
        p->op[p->ops++] = (struct forecast_op){ .name = name };
    }
    p->op[i].flops += flops;
    p->op[i].bytes += bytes;
    p->op[i].seconds += seconds;
    p->compute_s += seconds;
}

void part_posted(struct part *p, enum traffic kind, double messages, double bytes)
{
    p->comm[kind].messages += messages;
    p->comm[kind].bytes += bytes;
}

void part_waited(struct part *p, enum traffic kind, double alone, double exposed)
{
    p->comm[kind].alone_s += alone;
    p->comm[kind].exposed_s += exposed;
    p->exposed_s += exposed;
}

static void add_part(struct part *to, const struct part *from)
{
    for (int i = 0; i < from->ops; i++)
        part_op(to, from->op[i].name, from->op[i].flops, from->op[i].bytes,
                from->op[i].seconds);
    for (int k = 0; k < TRAFFIC_KINDS; k++) {
        const struct forecast_comm *c = &from->comm[k];

        part_posted(to, (enum traffic)k, c->messages, c->bytes);
        part_waited(to, (enum traffic)k, c->alone_s, c->exposed_s);
    }
    to->link_s += from->link_s;
}

/* ---- flights --------------------------------------------------------------------- */

/* A group that flies over the data axis: seconds of the links of each leg, bytes and
 * messages.
 */
struct flight {
    double leg_s[2], busy_s;
    double messages, bytes;
    int hops; /* one way */
};

/* 'times' hops of leg 'k'. */
static void add_hops(struct flight *f, const struct play *p, int k, int distance,
                     double bytes, int times)
{
    struct cost_path path;

    cost_axis(&path, p->cost, p->leg[k].stride, p->leg[k].ranks, distance);
    f->leg_s[k] += times * cost_message(&path, bytes);
    f->busy_s += times * path.busy * cost_message(&path, bytes);
    f->bytes += times * bytes;
    f->messages += times * ceil(bytes / (double)WIRE_CHUNK);
}

/* Leg 'k', of 'bytes' for each of its ranks, 'times' over. */
static void add_leg(struct flight *f, const struct play *p, int k, double bytes,
                    int times)
{
    const int ranks = p->leg[k].ranks;

    if (ranks == 1)
        return;
    if (hops_is_ring(ranks, p->job->D, HOPS_RING)) {
        add_hops(f, p, k, 1, bytes, (ranks - 1) * times);
        f->hops += ranks - 1;
        return;
    }
    for (int n = ranks; n > 1; n = (n + 1) / 2, f->hops++)
        add_hops(f, p, k, (n + 1) / 2, bytes * (n / 2), times);
}

/* Of 'elements' of 'size' bytes, cut evenly, in the hops of plan/hops.h. */
static struct flight flight_of(const struct play *p, enum hops_form form,
                               double elements, double size)
{
    const int times = form == HOPS_SUM ? 2 : 1;
    struct flight f = { 0 };

    add_leg(&f, p, 0, elements * size / p->leg[0].ranks, times);
    add_leg(&f, p, 1, elements * size / p->job->D, times);
    return f;
}

/* A flight under way. */
struct airborne {
    enum traffic kind;
    double landing; /* when it is over if its links have nothing else to do */
    double alone, busy, link_before;
    double shared; /* the part of it on links that activations use */
    bool is_active;
};

/* When the links of a leg are taken. */
struct links {
    double from, to;
};

/* The timeline. */
struct timeline {
    struct play *play;
    struct part all;
    double now;
    struct links links[2];
    enum forecast_stage stage;
    double stage_s[FORECAST_STAGES];
    struct airborne gather, scatter;
};

static void pass(struct timeline *t, double seconds)
{
    t->now += seconds;
    t->stage_s[t->stage] += seconds;
}

static void do_part(struct timeline *t, const struct part *part)
{
    add_part(&t->all, part);
    pass(t, part->compute_s + part->exposed_s);
}

/* Take the links for 'seconds' from 'at' on, when they are free; returns the end.  One
 * flight may be among near ranks while another is among far ones.
 */
static double take_links(struct links *l, double at, double seconds)
{
    const double before = fmin(seconds, fmax(l->from - at, 0));
    const double end =
        seconds > before ? fmax(at, l->to) + seconds - before : at + seconds;

    l->from = at < l->to ? fmin(at, l->from) : at;
    l->to   = fmax(end, l->to);
    return end;
}

static void take_off(struct timeline *t, struct airborne *a, enum traffic kind,
                     const struct flight *f)
{
    const int first    = kind == PARAM_GATHER ? 1 : 0; /* a gather comes back */
    const double alone = f->leg_s[0] + f->leg_s[1];
    double at          = t->now;

    if (f->messages == 0)
        return;
    *a = (struct airborne){ .kind        = kind,
                            .alone       = alone,
                            .busy        = f->busy_s,
                            .link_before = t->all.link_s,
                            .is_active   = true };
    for (int i = 0; i < 2; i++) {
        const int k = i == 0 ? first : 1 - first;

        if (f->leg_s[k] > 0)
            at = take_links(&t->links[k], at, f->leg_s[k]);
        if (f->leg_s[k] > 0 && t->play->leg[k].is_shared)
            a->shared += f->leg_s[k] / alone;
    }
    a->landing = at;
    part_posted(&t->all, kind, f->messages, f->bytes);
}

/* The cores' share of it is spent, and the rest waited for. */
static void land(struct timeline *t, struct airborne *a)
{
    const double delay = (t->all.link_s - a->link_before) * a->shared;
    const double wait  = fmax(a->busy, a->landing + delay - t->now);

    if (!a->is_active)
        return;
    part_waited(&t->all, a->kind, a->alone, wait);
    pass(t, wait);
    a->is_active = false;
}

/* ---- groups ---------------------------------------------------------------------- */

enum { EMBED, BLOCK, HEAD, GROUPS };

struct group {
    double elements, own;
    int weights; /* that are multiplied with */
    struct flight gather, scatter, sum;
};

static double acc_bytes(const struct play *p)
{
    return (double)p->sum;
}

static void make_group(struct group *g, const struct play *p, double elements,
                       int weights)
{
    g->elements = elements;
    g->weights  = weights;
    g->own      = job_is_cut(p->job) ? ceil(elements / p->job->D) : elements;
    g->gather   = flight_of(p, HOPS_GATHER, elements, (double)p->size);
    g->scatter  = flight_of(p, HOPS_SCATTER, elements, (double)p->grad);
    g->sum      = flight_of(p, HOPS_SUM, elements, (double)p->grad);
}

/* Operations in the middle of the timeline. */
static void now_moves(struct timeline *t, const char *op, double bytes, int times)
{
    struct part one = { 0 };

    if (times > 0)
        play_moves(t->play, &one, op, bytes, times);
    do_part(t, &one);
}

static void now_move(struct timeline *t, const char *op, double bytes)
{
    now_moves(t, op, bytes, 1);
}

/* The weights' packed copies are made anew. */
static void repack(struct timeline *t, const struct group *g)
{
    const struct play *p = t->play;

    now_moves(t, "weight_changed", 2 * g->elements * (double)p->size * p->job->packs,
              g->weights);
}

static void start_gather(struct timeline *t, const struct group *g)
{
    if (!job_is_cut(t->play->job))
        return;
    now_move(t, "copy", g->own * (acc_bytes(t->play) + (double)t->play->size));
    take_off(t, &t->gather, PARAM_GATHER, &g->gather);
}

static void finish_gather(struct timeline *t, const struct group *g)
{
    if (!job_is_cut(t->play->job))
        return;
    land(t, &t->gather);
    repack(t, g);
}

/* What arrives is added as it comes; what is narrow is rounded before it is sent, and
 * of sums for all made wide again, and a rank's own rounded as theirs.
 */
static void start_scatter(struct timeline *t, const struct group *g, bool is_last)
{
    const struct traffic_job *job = t->play->job;
    const bool is_cut             = job_is_cut(job);
    const struct flight *f        = is_cut ? &g->scatter : &g->sum;
    const double acc = acc_bytes(t->play), grad = (double)t->play->grad;
    const double moved = g->elements * (job->D - 1) / job->D;

    if (job->D == 1 || (!is_cut && !is_last))
        return;
    now_moves(t, "add", (2 * acc + grad) * moved, f->hops);
    if (grad != acc && is_cut)
        now_moves(t, "copy", (acc + grad) * moved, f->hops);
    else if (grad != acc)
        now_moves(t, "copy", (acc + grad) * (3 * moved + 2 * g->elements / job->D),
                  3 * f->hops + 2);
    take_off(t, &t->scatter, GRAD_SCATTER, f);
}

static void finish_scatter(struct timeline *t, const struct group *g, bool is_first)
{
    if (!t->scatter.is_active)
        return;
    land(t, &t->scatter);
    if (job_is_cut(t->play->job))
        now_move(t, is_first ? "copy" : "add",
                 (is_first ? 2 : 3) * g->own * acc_bytes(t->play));
}

/* ---- a micro-batch --------------------------------------------------------------- */

static void forward(struct timeline *t, const struct group g[GROUPS],
                    const struct step_parts *parts)
{
    const int64_t L = t->play->spec->L;

    t->stage = FORECAST_EMBED;
    start_gather(t, &g[EMBED]);
    finish_gather(t, &g[EMBED]);
    start_gather(t, L > 0 ? &g[BLOCK] : &g[HEAD]);
    do_part(t, &parts->embed_forward);
    t->stage = FORECAST_BLOCKS;
    for (int64_t i = 0; i < L; i++) {
        finish_gather(t, &g[BLOCK]);
        start_gather(t, i + 1 < L ? &g[BLOCK] : &g[HEAD]);
        do_part(t, &parts->block_forward);
    }
    t->stage = FORECAST_HEAD;
    finish_gather(t, &g[HEAD]);
    do_part(t, &parts->head_forward);
}

/* The gradients of positions and class token: kept, or added to those there. */
static void keep_embedding(struct timeline *t, bool is_first)
{
    const struct play *p = t->play;
    const bool is_kept   = is_first || job_is_cut(p->job);
    const int has_cls    = p->spec->pool == POOL_CLS;
    const double bytes   = play_sums(p, p->spec->T + has_cls, p->l.C_l);

    now_moves(t, is_kept ? "copy" : "add", (is_kept ? 2 : 3) * bytes, 1 + has_cls);
}

/* The last block and the head are still there. */
static void backward(struct timeline *t, const struct group g[GROUPS],
                     const struct step_parts *parts, bool is_first, bool is_last)
{
    const int64_t L = t->play->spec->L;

    do_part(t, &parts->head_backward);
    start_scatter(t, &g[HEAD], is_last);
    t->stage = FORECAST_BLOCKS;
    for (int64_t i = L - 1; i >= 0; i--) {
        if (i < L - 1)
            finish_gather(t, &g[BLOCK]);
        if (i > 0)
            start_gather(t, &g[BLOCK]);
        do_part(t, &parts->block_backward);
        finish_scatter(t, i == L - 1 ? &g[HEAD] : &g[BLOCK], is_first);
        start_scatter(t, &g[BLOCK], is_last);
    }
    t->stage = FORECAST_EMBED;
    do_part(t, &parts->embed_backward);
    keep_embedding(t, is_first);
    finish_scatter(t, L > 0 ? &g[BLOCK] : &g[HEAD], is_first);
    start_scatter(t, &g[EMBED], is_last);
    finish_scatter(t, &g[EMBED], is_first);
}

/* ---- the step -------------------------------------------------------------------- */

enum { FOUND = 3 }; /* numbers that the host reads: loss, norm, largest logit */

/* Whether what is multiplied with are copies, to be made by hand: a GPU's updates leave
 * them.
 */
static bool has_copies(const struct play *p)
{
    return p->size != p->sum && !p->job->is_apart;
}

/* Copies of a group that is whole are made anew. */
static void renew(struct timeline *t, const struct group *g)
{
    const struct play *p = t->play;

    if (has_copies(p))
        now_move(t, "copy", g->elements * (double)(p->sum + p->size));
    repack(t, g);
}

/* Parameters are updated where they are owned. */
static void update(struct timeline *t, const struct group g[GROUPS], double replicated)
{
    const struct play *p = t->play;
    const double acc = acc_bytes(p), size = (double)p->size;
    const double own =
        g[EMBED].own + (double)p->spec->L * g[BLOCK].own + g[HEAD].own + replicated;
    const double whole  = job_is_cut(p->job) ? replicated : own;
    const double copies = p->job->is_apart && p->size != p->sum ? whole * size : 0;

    t->stage = FORECAST_UPDATE;
    now_move(t, "sum_squares", own * acc);
    now_moves(t, "get", FOUND * 2 * acc, FOUND);
    do_part(t, &p->verdict);
    switch (p->job->optimizer) {
    case OPTIMIZER_ADAFACTOR:
        now_move(t, "fill", p->averages * acc);
        now_move(t, "factor_sums", own * acc);
        now_move(t, "factor_rows", 4 * p->averages * acc);
        now_move(t, "factor_scales", 4 * p->averages * acc);
        now_move(t, "adafactor", own * (3 * acc + 4) + copies);
        break;
    case OPTIMIZER_SGD:
        now_move(t, "sgd", own * 5 * acc + copies);
        break;
    case OPTIMIZER_ADAMW:
    case OPTIMIZERS:
        now_move(t, "adamw", own * 7 * acc + copies);
        break;
    }
    if (has_copies(p))
        now_move(t, "copy", replicated * (acc + size));
    if (job_is_cut(p->job))
        return;
    renew(t, &g[EMBED]);
    renew(t, &g[HEAD]);
    for (int64_t i = 0; i < p->spec->L; i++)
        renew(t, &g[BLOCK]);
}

static void conclude(struct forecast *f, const struct timeline *t)
{
    const struct play *p = t->play;

    *f = (struct forecast){ .step_s    = t->now,
                            .compute_s = t->all.compute_s,
                            .exposed_s = t->all.exposed_s,
                            .flops     = count_flops_train(p->spec) * (double)p->job->B,
                            .ops       = t->all.ops };
    memcpy(f->stage_s, t->stage_s, sizeof f->stage_s);
    memcpy(f->comm, t->all.comm, sizeof f->comm);
    memcpy(f->op, t->all.op, sizeof f->op);
    f->tokens_per_s = (double)(p->job->B * p->spec->T) / f->step_s;
    f->mfu = count_mfu(f->flops, f->step_s, p->job->D * p->job->M, p->cost->peak);
}

void forecast_step(struct forecast *forecast, const struct spec *s,
                   const struct traffic_job *job, const struct cost_rank *c)
{
    struct play play;
    struct timeline t = { .play = &play };
    struct group group[GROUPS];
    struct step_parts parts;

    play_make(&play, s, job, c);
    step_parts_make(&parts, &play);
    make_group(&group[EMBED], &play, play.embed, 1);
    make_group(&group[BLOCK], &play, play.block, s->wiring == WIRING_PARALLEL ? 2 : 4);
    make_group(&group[HEAD], &play, play.head, s->pool == POOL_MAP ? 6 : 1);
    now_move(&t, "fill", acc_bytes(&play)); /* no logit is the largest yet */
    for (int micro = 0; micro < job_micros(job); micro++) {
        const bool is_last = micro == job_micros(job) - 1;

        t.stage = FORECAST_INPUT;
        do_part(&t, &parts.input);
        forward(&t, group, &parts);
        backward(&t, group, &parts, micro == 0, is_last);
    }
    do_part(&t, &parts.replicated);
    update(&t, group, play.replicated);
    conclude(forecast, &t);
}
