/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations, collectives, and products over the model axis, as mesh/ does them. */
#include "config.h"

#include "src/plan/forecast_impl.h"

#include "src/plan/act.h"
#include "src/plan/factor.h"
#include "src/plan/param.h"

#include <math.h>

/* ---- operations ------------------------------------------------------------------ */

void play_move(const struct play *p, struct part *to, const char *op, double bytes)
{
    part_op(to, op, 0, bytes, cost_move(p->cost, op, bytes));
}

void play_moves(const struct play *p, struct part *to, const char *op, double bytes,
                int times)
{
    part_op(to, op, 0, bytes, times * cost_move(p->cost, op, bytes / times));
}

void play_epilogue(const struct play *p, struct part *to, double bytes)
{
    part_op(to, "epilogue", 0, bytes, cost_epilogue(p->cost, bytes));
}

/* A matrix of activations: its bytes. */
double play_bytes(const struct play *p, int64_t rows, int64_t cols)
{
    return (double)rows * (double)cols * (double)p->size;
}

double play_partial(const struct play *p, int64_t rows, int64_t cols)
{
    return (double)rows * (double)cols * (double)p->partial;
}

double play_sums(const struct play *p, int64_t rows, int64_t cols)
{
    return (double)rows * (double)cols * (double)p->sum;
}

void play_gemm(const struct play *p, struct part *to, enum cost_product product,
               int64_t n, int64_t cols, int64_t depth, double times)
{
    part_op(to, cost_product_name[product],
            times * 2 * (double)n * (double)cols * (double)depth, 0,
            times * cost_gemm(p->cost, product, n, cols, depth));
}

void play_attention(const struct play *p, struct part *to, bool is_backward, int64_t Nq)
{
    const int64_t B = p->l.B_l, H = p->l.H_l, E = p->spec->E, Nk = p->spec->N;
    const double flops =
        (is_backward ? 10 : 4) * (double)(B * H) * (double)(Nq * Nk) * (double)E;

    part_op(to, is_backward ? "attn_backward" : "attn", flops, 0,
            cost_attn(p->cost, is_backward, B, H, E, Nq, Nk));
}

/* ---- messages of small collectives ----------------------------------------------- */

static double chunks(double bytes)
{
    return ceil(bytes / (double)WIRE_CHUNK);
}

/* Rounds of distance 1, 2, 4, ..: 'slice' bytes of each rank. */
static double doubling(const struct play *p, struct part *to, enum traffic kind,
                       int64_t stride, int ranks, double slice)
{
    double seconds = 0;

    for (int d = 1; d < ranks; d *= 2) {
        const double bytes = slice * traffic_round(ranks, d);
        struct cost_path path;

        cost_axis(&path, p->cost, stride, ranks, d);
        seconds += cost_message(&path, bytes);
        part_posted(to, kind, chunks(bytes), bytes);
    }
    return seconds;
}

/* Every rank to every other one; gathering and dealing out cost the same. */
static double each_to_each(const struct play *p, struct part *to, enum traffic kind,
                           int ranks, double slice)
{
    double seconds = 0;

    if (traffic_is_doubled(ranks))
        return doubling(p, to, kind, 1, ranks, slice);
    for (int d = 1; d < ranks; d += TRAFFIC_ROUNDS) {
        const struct cost_rounds r = { .size  = ranks,
                                       .first = d,
                                       .last  = traffic_last_round(ranks, d),
                                       .bytes = slice };

        seconds += cost_exchange(p->cost, &r);
    }
    part_posted(to, kind, (ranks - 1) * chunks(slice), (ranks - 1) * slice);
    return seconds;
}

/* Bytes of a sum that is left in the run's format, from those as it travels. */
static double as_left(const struct play *p, double bytes)
{
    return bytes * (double)p->size / (double)p->partial;
}

static bool is_shared(const struct play *p)
{
    return p->leg[0].is_shared || p->leg[1].is_shared;
}

/* Additions that make a sum of so many ranks' numbers, part after part or in rounds. */
static int additions(int ranks, bool is_doubled)
{
    int n = 0;

    for (int d = 1; d < ranks; d = is_doubled ? 2 * d : d + 1)
        n++;
    return n;
}

/* A plain collective over the model axis, which is waited for. */
void play_plain(const struct play *p, struct part *to, enum traffic kind, double slice)
{
    double seconds;

    if (p->job->M == 1 || slice <= 0)
        return;
    play_move(p, to, "copy",
              kind == ACT_SCATTER ? slice + as_left(p, slice) : 2 * slice);
    if (kind == ACT_SCATTER)
        play_moves(p, to, "add", 3 * slice * (p->job->M - 1),
                   additions(p->job->M, traffic_is_doubled(p->job->M)));
    seconds = each_to_each(p, to, kind, p->job->M, slice);
    part_waited(to, kind, seconds, seconds);
    to->link_s += is_shared(p) ? seconds : 0;
}

void play_allreduce(const struct play *p, struct part *to, int64_t stride, int ranks,
                    double elements)
{
    const double bytes = elements * (double)p->sum, each = bytes / ranks;
    const bool is_doubled = traffic_is_doubled_sum(ranks, (int64_t)bytes);
    struct cost_path path;
    double seconds;

    if (ranks == 1 || elements <= 0)
        return;
    if (is_doubled) {
        seconds = doubling(p, to, REDUCE, stride, ranks, each) +
                  doubling(p, to, REDUCE, stride, ranks, each);
    } else {
        cost_axis(&path, p->cost, stride, ranks, 1);
        seconds = 2 * (ranks - 1) * cost_message(&path, each);
        part_posted(to, REDUCE, 2 * (ranks - 1) * chunks(each), 2 * (ranks - 1) * each);
    }
    play_moves(p, to, "add", 3 * bytes * (ranks - 1) / ranks,
               additions(ranks, is_doubled));
    part_waited(to, REDUCE, seconds, seconds);
}

/* A gathering by the MPI library of a few bytes of each rank. */
void play_library(const struct play *p, struct part *to, int ranks, double bytes)
{
    double seconds = 0;

    if (ranks == 1)
        return;
    for (int d = 1; d < ranks; d *= 2) {
        struct cost_path path;

        cost_axis(&path, p->cost, 1, ranks, d);
        seconds += cost_message(&path, bytes * traffic_round(ranks, d));
    }
    part_posted(to, REDUCE, 1, bytes);
    part_waited(to, REDUCE, seconds, seconds);
}

/* ---- products over the model axis ------------------------------------------------ */

/* What happens in the M turns: products, and slices that travel. */
struct turns {
    double product_s[CMM_AUTO]; /* of all turns, by the form that cuts them */
    double up, down;            /* bytes that are gathered and that are added up */
};

static int lanes_of(enum cmm_form form)
{
    return form == CMM_BIDIR ? 2 : 1;
}

static double link_seconds(const struct play *p, double up, double down)
{
    return up + down == 0 ? 0 : cost_turn(p->cost, p->job->M, up, down);
}

/* How much longer all turns of a pass take for their messages, which alone take
 * '*alone': of one of the slices, a single piece is not hidden by products.
 */
static double pass_wait(const struct play *p, const struct turns *t, enum cmm_form form,
                        double *alone)
{
    const int M       = p->job->M;
    const double up   = form == CMM_BIDIR ? (t->up + t->down) / 2 : t->up;
    const double down = form == CMM_BIDIR ? (t->up + t->down) / 2 : t->down;
    const double hide = M - 1.0 / cmm_pieces(p->l.rows, M); /* turns that can */

    *alone = (M - 1) * link_seconds(p, up, down);
    return fmax(p->ring.busy * *alone, *alone - hide * t->product_s[form] / M);
}

/* The messages of all turns. */
static void send_slices(const struct play *p, struct part *to, const struct turns *t,
                        enum cmm_form form)
{
    const int M     = p->job->M;
    const int parts = lanes_of(form) * cmm_pieces(p->l.rows, M);
    double alone, wait, share;

    if (form == CMM_PLAIN) {
        play_plain(p, to, ACT_GATHER, t->up);
        play_plain(p, to, ACT_SCATTER, t->down);
        return;
    }
    if (t->down > 0)
        play_moves(p, to, "add", 3 * t->down * (M - 1), (M - 1) * parts);
    if (t->down > 0 && p->partial != p->size)
        play_moves(p, to, "copy", t->down + as_left(p, t->down), lanes_of(form));
    if (form == CMM_BIDIR && t->up > 0) /* in halves, side by side no more */
        play_moves(p, to, "copy", 2 * t->up, lanes_of(form));
    wait  = pass_wait(p, t, form, &alone);
    share = t->up / (t->up + t->down);
    part_posted(to, ACT_GATHER, t->up > 0 ? (M - 1) * parts * chunks(t->up / parts) : 0,
                (M - 1) * t->up);
    part_posted(to, ACT_SCATTER,
                t->down > 0 ? (M - 1) * parts * chunks(t->down / parts) : 0,
                (M - 1) * t->down);
    part_waited(to, ACT_GATHER, share * alone, share * wait);
    part_waited(to, ACT_SCATTER, (1 - share) * alone, (1 - share) * wait);
    to->link_s += is_shared(p) ? alone : 0;
}

static double form_seconds(const struct play *p, const struct turns *t,
                           enum cmm_form form)
{
    struct part one = { 0 };

    send_slices(p, &one, t, form);
    return t->product_s[form] + one.compute_s + one.exposed_s;
}

/* The form of a product: as asked for, as tuned, or the fastest. */
static enum cmm_form form_of(const struct play *p, const struct turns *t,
                             enum cmm_product product, enum cmm_pass pass)
{
    const struct traffic_job *job = p->job;
    double ring, bidir;

    if (job->form != CMM_AUTO)
        return job->form;
    if (job->tuned != NULL)
        return job->tuned->of[product][pass].form;
    ring  = form_seconds(p, t, CMM_RING);
    bidir = form_seconds(p, t, CMM_BIDIR);
    if (form_seconds(p, t, CMM_PLAIN) < fmin(ring, bidir))
        return CMM_PLAIN;
    return bidir < ring ? CMM_BIDIR : CMM_RING;
}

/* One product's part in a pass, of a whole slice: the columns of a slice are its 'cols'
 * or its 'depth', and it multiplies slices or makes sums for them.
 */
struct product {
    enum cost_product kind;
    int64_t n, cols, depth;
    bool is_cols, is_sum;
    struct ending end;
};

/* 'times' products of one size: seconds, and, if 'to' is not NULL, the operations. */
static double play_one(const struct play *p, struct part *to, enum cost_product kind,
                       int64_t n, int64_t cols, int64_t depth, int times)
{
    if (times == 0)
        return 0;
    if (to != NULL)
        play_gemm(p, to, kind, n, cols, depth, times);
    return times * cost_gemm(p->cost, kind, n, cols, depth);
}

/* What is made last: its ending, too.  Of dy W^T the columns are 'depth'. */
static double play_last(const struct play *p, struct part *to,
                        const struct product *one, int64_t n, int64_t cols,
                        int64_t depth)
{
    const bool is_turned = one->kind == COST_GEMM_T;
    const int64_t all    = is_turned ? depth : cols;
    const int64_t cut[]  = { 0, one->end.cut, all };
    const double bytes   = one->end.epilogue * (double)n / (double)one->n;
    double seconds       = cost_epilogue(p->cost, bytes);

    for (int k = one->end.cut == 0; k < 2; k++) {
        const int64_t width = cut[k + 1] - cut[k];

        seconds += play_one(p, to, one->kind, n, is_turned ? cols : width,
                            is_turned ? width : depth, 1);
    }
    if (to != NULL)
        play_epilogue(p, to, bytes);
    return seconds;
}

/* 'times' times one slice, in 'pieces' of its rows and 'lanes' of its columns. */
static double play_slice(const struct play *p, struct part *to,
                         const struct product *one, int pieces, int lanes, int times,
                         bool is_last)
{
    double seconds = 0;

    for (int i = 0; i < pieces * lanes; i++) {
        const int64_t n = split_size(one->n, pieces, i / lanes);
        const int64_t part =
            split_size(one->is_cols ? one->cols : one->depth, lanes, i % lanes);
        const int64_t cols  = one->is_cols ? part : one->cols;
        const int64_t depth = one->is_cols ? one->depth : part;

        if (is_last && i % lanes == 0)
            seconds += play_last(p, to, one, n, cols, depth);
        else
            seconds += play_one(p, to, one->kind, n, cols, depth, times);
    }
    return seconds;
}

/* All turns.  What travels round a ring is multiplied in pieces, but for gradients of
 * weights, and by halves in both directions; a rank's own slice is whole, but sums for
 * it are made by halves, too.
 */
static double play_product(const struct play *p, struct part *to,
                           const struct product *one, enum cmm_form form)
{
    const int M       = p->job->M;
    const int lanes   = M > 1 ? lanes_of(form) : 1;
    const bool is_cut = M > 1 && form != CMM_PLAIN && one->kind != COST_GEMM_DW;
    const int pieces  = is_cut ? cmm_pieces(p->l.rows, M) : 1;
    const int own     = one->is_sum ? lanes : 1;

    if (M == 1)
        return play_slice(p, to, one, 1, 1, 1, true);
    return play_slice(p, to, one, 1, own, 1, false) +
           play_slice(p, to, one, pieces, lanes, M - 2, false) +
           play_slice(p, to, one, pieces, lanes, 1, true);
}

static struct turns turns_of(const struct play *p, const struct product *list,
                             int count, double up, double down)
{
    struct turns t = { .up = up, .down = down };

    for (int form = CMM_PLAIN; form < CMM_AUTO; form++) {
        for (int i = 0; i < count; i++)
            t.product_s[form] += play_product(p, NULL, &list[i], (enum cmm_form)form);
    }
    return t;
}

static void pass_of(const struct play *p, struct part *to, const struct product *list,
                    int count, double up, double down, enum cmm_product product,
                    enum cmm_pass pass)
{
    const struct turns t     = turns_of(p, list, count, up, down);
    const bool is_alone      = p->job->M == 1;
    const enum cmm_form form = is_alone ? CMM_PLAIN : form_of(p, &t, product, pass);

    for (int i = 0; i < count; i++)
        play_product(p, to, &list[i], form);
    if (!is_alone)
        send_slices(p, to, &t, form);
}

/* The four of mesh/cmm.h, of 'n' rows and N or K local columns. */
void play_gather(const struct play *p, struct part *to, int64_t n, int64_t N,
                 struct ending end, enum cmm_product product)
{
    const struct product y = { COST_GEMM, n, N, p->slice, false, false, end };

    pass_of(p, to, &y, 1, play_bytes(p, n, p->slice), 0, product, CMM_FORWARD);
}

void play_gather_back(const struct play *p, struct part *to, int64_t n, int64_t N,
                      enum cmm_product product, bool may_keep)
{
    const struct ending none    = { 0 };
    const struct product y      = { COST_GEMM, n, N, p->slice, false, false, none };
    const struct product both[] = {
        { COST_GEMM_T, n, N, p->slice, false, true, none },
        { COST_GEMM_DW, n, N, p->slice, false, false, none },
    };
    const double up = play_bytes(p, n, p->slice), down = play_partial(p, n, p->slice);
    const struct turns forward = turns_of(p, &y, 1, up, 0);
    const struct turns back    = turns_of(p, both, 2, up, down);
    const bool is_kept =
        may_keep && cmm_keeps(p->job->M, form_of(p, &forward, product, CMM_FORWARD),
                              form_of(p, &back, product, CMM_BACKWARD));

    pass_of(p, to, both, 2, is_kept ? 0 : up, down, product, CMM_BACKWARD);
}

void play_scatter(const struct play *p, struct part *to, int64_t n, int64_t K,
                  enum cmm_product product)
{
    const struct product y = { COST_GEMM, n, p->slice, K, true, true, { 0 } };

    pass_of(p, to, &y, 1, 0, play_partial(p, n, p->slice), product, CMM_FORWARD);
}

void play_scatter_back(const struct play *p, struct part *to, int64_t n, int64_t K,
                       struct ending end, enum cmm_product product)
{
    const struct product both[] = {
        { COST_GEMM_T, n, p->slice, K, true, false, end },
        { COST_GEMM_DW, n, p->slice, K, true, false, { 0 } },
    };

    pass_of(p, to, both, 2, play_bytes(p, n, p->slice), 0, product, CMM_BACKWARD);
    play_move(p, to, "column_sums", play_bytes(p, n, p->l.C_l));
}

/* ---- the play -------------------------------------------------------------------- */

/* Elements of the groups on the first model rank.  All blocks are alike: the table of a
 * slice of one block has them all; each block adds its scales to the replicated ones.
 */
static void count_groups(struct play *p)
{
    const int M     = p->job->M;
    struct spec one = *p->spec;
    struct params params;
    struct factor_sizes n;

    one.L = one.L > 0 ? 1 : 0;
    params_make(&params, &one, HEAD_INIT_NORMAL);
    p->embed = (double)param_group_elements(&params, &one, GROUP_EMBED, M, 0);
    p->head  = (double)param_group_elements(&params, &one, group_head(&one), M, 0);
    p->replicated =
        (double)param_group_elements(&params, &one, group_replicated(&one), M, 0);
    if (one.L > 0)
        p->block = (double)param_group_elements(&params, &one, group_block(0), M, 0);
    if (one.qk_norm)
        p->replicated += (double)((p->spec->L - one.L) * 2 * param_round(one.E));
    params_free(&params);
    if (p->job->optimizer != OPTIMIZER_ADAFACTOR)
        return;
    params_make(&params, p->spec, HEAD_INIT_NORMAL);
    factor_sizes(&n, &params, M, 0);
    params_free(&params);
    p->averages   = (double)(n.own + n.joint);
    p->factors[0] = job_is_cut(p->job) ? (double)(n.own + n.joint) : 0;
    p->factors[1] = (double)(n.joint + n.joint_means);
}

void play_make(struct play *p, const struct spec *s, const struct traffic_job *job,
               const struct cost_rank *c)
{
    const int near = job->near > 1 ? job->near : 1;

    *p = (struct play){ .spec    = s,
                        .job     = job,
                        .cost    = c,
                        .size    = (int64_t)dtype_size(job->dtype),
                        .sum     = (int64_t)dtype_size(act_acc(job->dtype)),
                        .partial = (int64_t)dtype_size(
                            traffic_sums_wire(job->dtype, job->has_wide_sums)),
                        .grad = (int64_t)dtype_size(
                            traffic_grads_wire(job->dtype, job->has_narrow_grads)),
                        .slice = split_most(s->C, job->M) };
    spec_local(&p->l, s, job->B, job->D, job->M, 0, 0);
    spec_micro(&p->l, s, job_micros(job), 0);
    count_groups(p);
    cost_axis(&p->ring, c, 1, job->M, 1);
    p->leg[0] = (struct leg){ .stride = job->M, .ranks = near };
    p->leg[1] =
        (struct leg){ .stride = (int64_t)job->M * near, .ranks = job->D / near };
    for (int k = 0; k < 2; k++) {
        struct leg *l = &p->leg[k];
        struct cost_path data;

        cost_axis(&data, c, l->stride, l->ranks, 1);
        l->is_shared = job->M > 1 && l->ranks > 1 && p->ring.level == data.level;
    }
}
