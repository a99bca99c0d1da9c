/* SPDX-License-Identifier: BSD-3-Clause */
/* What one training step posts, message by message.
 *
 * With n = B_l N rows on a rank, over the M ranks of the model axis (nothing if M = 1);
 * gathers and scatters are of matrices whose slice j has C_l(j) columns:
 *
 *   embedding    nothing
 *   every norm   forward and backward: an all-gather of one (RMS) or two (layer) sums a
 *                row: n rows, B_l in the pooling head                          REDUCE
 *   a block, for each pair of products (one if parallel, two if sequential):
 *     forward    in: gather n(x); out: scatter y
 *     backward   out: gather dy; in: gather n(x) again, scatter d n(x)
 *   MAP head     key and value see n rows; query sees the probe, which all ranks hold;
 *                the rest sees B_l rows and is always plain
 *     forward    key, value: gather x; out: scatter; up: gather; down: scatter
 *     backward   down: gather dy; up: gather x, scatter dx; out: gather dy;
 *                key, value: gather x, unless it was kept, scatter dx
 *   classifier   forward: gather x; backward: gather x, scatter dx; B_l rows, plain
 *   softmax      all-gathers of B_l maxima and of 2 B_l sums                   REDUCE
 *
 * Gathers count as ACT_GATHER and go round the ring, or both ways, or plainly, as the
 * form of the product says;
 * scatters likewise as ACT_SCATTER.  Then
 *
 *   over the data axis (D > 1), each group but the replicated one:
 *     not sharded  its gradients are summed after the last micro-batch    GRAD_SCATTER
 *     sharded, in every micro-batch, hops over the parts that ranks own:
 *                  parameters are gathered for forward, those of all blocks but the
 *                  last for backward too (this one and the head are still there)
 *                                                                         PARAM_GATHER
 *                  gradients are scattered                                GRAD_SCATTER
 *   the replicated group, if it holds anything: an all-reduce of its gradients over the
 *                model axis, then one over the data axis                       REDUCE
 *   Adafactor: over the data axis, if parameters are cut over it, an all-reduce of all
 *                averages; over the model axis one of those (and means of them) that
 *                run along the axis which is cut over it                       REDUCE
 *   over all ranks (D M > 1): the step's verdicts, one library call            REDUCE
 *
 * What goes over the model axis in forward and backward does so for every micro-batch
 * of n rows; with REMAT_BLOCK a parallel block gathers once more, a sequential one
 * gathers twice and scatters once.
 *
 * Activations travel in the run's format, and so do their partial sums, unless they are
 * wide; gradients, unless they are narrow, and other sums in the format that adds them,
 * f64 in f64 runs and f32 else.
 */
#include "config.h"

#include "src/plan/traffic.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/plan/act.h"
#include "src/plan/cut.h"
#include "src/plan/factor.h"
#include "src/plan/rank_sample.h"

int traffic_check(const struct spec *s, const struct traffic_job *job)
{
    TRY(spec_check_mesh(s, job->B, job->D, job->M));
    return spec_check_micros(job->B, job->D, job_micros(job));
}

const char *param_shard_name(enum param_shard shard, int D)
{
    return shard == SHARD_FULL && D > 1 ? "full" : "none";
}

const char *remat_name(enum remat remat)
{
    return remat == REMAT_BLOCK ? "block" : "none";
}

enum dtype traffic_sums_wire(enum dtype dtype, bool has_wide_sums)
{
    return has_wide_sums ? act_acc(dtype) : dtype;
}

enum dtype traffic_grads_wire(enum dtype dtype, bool has_narrow_grads)
{
    return has_narrow_grads ? dtype : act_acc(dtype);
}

const char *const traffic_name[TRAFFIC_KINDS] = {
    [ACT_GATHER]   = "act_gather",
    [ACT_SCATTER]  = "act_scatter",
    [PARAM_GATHER] = "param_gather",
    [GRAD_SCATTER] = "grad_scatter",
    [REDUCE]       = "reduce",
};

const char *const cmm_form_name[CMM_FORMS] = {
    [CMM_PLAIN] = "plain",
    [CMM_RING]  = "ring",
    [CMM_BIDIR] = "bidir",
    [CMM_AUTO]  = "auto",
};

static void post_call(struct traffic_count *t, int64_t bytes)
{
    t->messages++;
    t->bytes += bytes;
}

/* ---- one rank's step ------------------------------------------------------------- */

/* A rank, and where its messages are counted. */
struct rank {
    const struct spec *s;
    const struct traffic_job *job;
    const struct params *params;
    int d, m;
    struct local l;
    int64_t *slice;          /* [M] room for the bytes of slices */
    int64_t size, sum;       /* bytes of an activation, of a sum, */
    int64_t partial, grad;   /* of a partial sum and a gradient that travel */
    struct traffic_count *t; /* [TRAFFIC_KINDS] */
};

/* Slices of a matrix of 'rows' rows over the width, of 'size' bytes a number; of
 * 'lanes' that share each of them by columns, the part of 'lane'.
 */
static const int64_t *slices_of(const struct rank *r, int64_t rows, int64_t size,
                                int lanes, int lane)
{
    for (int j = 0; j < r->job->M; j++)
        r->slice[j] =
            rows * size * split_size(split_size(r->s->C, r->job->M, j), lanes, lane);
    return r->slice;
}

int cmm_pieces(int64_t rows, int M)
{
    const int64_t most = M > 1 ? CMM_PIECES / (M - 1) : 1;
    const int64_t n    = most < rows / CMM_PIECE_ROWS ? most : rows / CMM_PIECE_ROWS;

    return n > 1 ? (int)n : 1;
}

bool cmm_keeps(int M, enum cmm_form forward, enum cmm_form backward)
{
    return M == 2 && forward == CMM_RING && backward == CMM_RING;
}

static void plain_gather(const struct rank *r, int64_t rows)
{
    traffic_allgather(&r->t[ACT_GATHER], slices_of(r, rows, r->size, 1, 0), r->job->M,
                      r->m);
}

static void plain_scatter(const struct rank *r, int64_t rows)
{
    traffic_reduce_scatter(&r->t[ACT_SCATTER], slices_of(r, rows, r->partial, 1, 0),
                           r->job->M, r->m);
}

static enum cmm_form form_of(const struct rank *r, enum cmm_product product,
                             enum cmm_pass pass)
{
    if (r->job->form != CMM_AUTO)
        return r->job->form;
    return r->job->tuned != NULL ? r->job->tuned->of[product][pass].form : CMM_RING;
}

/* The same as the form of a product has it. */
static void gather(const struct rank *r, int64_t rows, enum cmm_product product,
                   enum cmm_pass pass)
{
    struct traffic_count *t  = &r->t[ACT_GATHER];
    const enum cmm_form form = form_of(r, product, pass);
    const int M = r->job->M, lanes = form == CMM_BIDIR ? 2 : 1;
    const int pieces = cmm_pieces(rows, M);

    if (form == CMM_PLAIN) {
        plain_gather(r, rows);
        return;
    }
    for (int k = 0; k < pieces; k++) {
        const int64_t n = split_size(rows, pieces, k);

        traffic_ring_gather(t, slices_of(r, n, r->size, lanes, 0), M, r->m);
        if (lanes > 1)
            traffic_ring_back(t, slices_of(r, n, r->size, lanes, 1), M, r->m);
    }
}

static void scatter(const struct rank *r, int64_t rows, enum cmm_product product,
                    enum cmm_pass pass)
{
    const enum cmm_form form = form_of(r, product, pass);
    const int lanes          = form == CMM_BIDIR ? 2 : 1;
    const int pieces         = cmm_pieces(rows, r->job->M);

    if (form == CMM_PLAIN) {
        plain_scatter(r, rows);
        return;
    }
    for (int k = 0; k < pieces * lanes; k++)
        traffic_ring_scatter(&r->t[ACT_SCATTER],
                             slices_of(r, split_size(rows, pieces, k / lanes),
                                       r->partial, lanes, k % lanes),
                             r->job->M, r->m);
}

/* 'numbers' sums of every row, gathered by all. */
static void gather_sums(const struct rank *r, int64_t rows, int numbers)
{
    for (int j = 0; j < r->job->M; j++)
        r->slice[j] = rows * numbers * r->sum;
    traffic_allgather(&r->t[REDUCE], r->slice, r->job->M, r->m);
}

static void norm(const struct rank *r, int64_t rows)
{
    const int numbers = r->s->norm == NORM_RMS ? 1 : 2;

    gather_sums(r, rows, numbers); /* forward */
    gather_sums(r, rows, numbers); /* backward */
}

static void block(const struct rank *r)
{
    const int64_t n = r->l.rows;
    const int pairs = r->s->wiring == WIRING_PARALLEL ? 1 : 2;

    for (int i = 0; i < pairs; i++) {
        const enum cmm_product in  = i == 0 ? CMM_IN : CMM_UP;
        const enum cmm_product out = i == 0 ? CMM_OUT : CMM_DOWN;

        norm(r, n);
        gather(r, n, in, CMM_FORWARD);   /* n(x) */
        scatter(r, n, out, CMM_FORWARD); /* y */
        gather(r, n, out, CMM_BACKWARD); /* dy */
        gather(r, n, in, CMM_BACKWARD);  /* n(x) again */
        scatter(r, n, in, CMM_BACKWARD); /* d n(x) */
    }
    for (int i = 0; r->job->remat == REMAT_BLOCK && i < pairs; i++) {
        gather(r, n, i == 0 ? CMM_IN : CMM_UP, CMM_FORWARD); /* n(x), again */
        if (i + 1 < pairs) /* y, again: the last one of a block is not needed */
            scatter(r, n, CMM_OUT, CMM_FORWARD);
    }
}

static void map_head(const struct rank *r)
{
    const int64_t n = r->l.rows, b = r->l.B_l;

    gather(r, n, CMM_IN, CMM_FORWARD); /* key, value: x */
    plain_scatter(r, b);               /* out: y */
    norm(r, b);
    plain_gather(r, b);  /* up: x */
    plain_scatter(r, b); /* down: y */

    plain_gather(r, b);  /* down: dy */
    plain_gather(r, b);  /* up: x */
    plain_scatter(r, b); /* up: dx */
    plain_gather(r, b);  /* out: dy */
    if (!cmm_keeps(r->job->M, form_of(r, CMM_IN, CMM_FORWARD),
                   form_of(r, CMM_IN, CMM_BACKWARD)))
        gather(r, n, CMM_IN, CMM_BACKWARD); /* key, value: x */
    scatter(r, n, CMM_IN, CMM_BACKWARD);    /* key, value: dx */
}

static void classifier(const struct rank *r)
{
    const int64_t b = r->l.B_l;

    plain_gather(r, b);  /* x, forward */
    plain_gather(r, b);  /* x, backward */
    plain_scatter(r, b); /* dx */
    if (r->s->loss == LOSS_SOFTMAX) {
        gather_sums(r, b, 1); /* maxima */
        gather_sums(r, b, 2); /* sums of exponentials and of targets */
    }
}

/* One micro-batch. */
static void activations(const struct rank *r)
{
    struct traffic_count one[TRAFFIC_KINDS] = { 0 };
    struct rank in_block                    = *r;

    in_block.t = one;
    block(&in_block); /* all blocks post the same */
    for (int k = 0; k < TRAFFIC_KINDS; k++) {
        r->t[k].messages += r->s->L * one[k].messages;
        r->t[k].bytes += r->s->L * one[k].bytes;
    }
    norm(r, r->l.rows);
    if (r->s->pool == POOL_MAP)
        map_head(r);
    classifier(r);
}

static int64_t group_elements(const struct rank *r, int group)
{
    return param_group_elements(r->params, r->s, group, r->job->M, r->m);
}

/* Groups that are alike: where their parts begin, and how often one of them goes over
 * the data axis in a step.
 */
struct groups {
    int64_t *at; /* [D + 1] */
    int64_t gathers, scatters, sums;
};

static void groups_open(struct groups *g, const struct rank *r, int group)
{
    struct cut cut;

    cut_make(&cut, r->params, group, r->job->M, r->m);
    *g = (struct groups){ .at = mem_new((size_t)r->job->D + 1, sizeof *g->at) };
    for (int d = 0; d <= r->job->D; d++)
        g->at[d] = cut_place(&cut, job_is_cut(r->job), r->job->D, d);
}

/* The embedding, the blocks, the head, as model rank r->m has them.  A step's last
 * block and head stay from forward to backward, and the embedding is not needed there.
 */
static void groups_open_all(struct groups g[3], const struct rank *r)
{
    const int64_t L = r->s->L, n = job_micros(r->job), times[3] = { 1, L, 1 };

    groups_open(&g[0], r, GROUP_EMBED);
    groups_open(&g[1], r, group_block(0));
    groups_open(&g[2], r, group_head(r->s));
    for (int k = 0; k < 3; k++) {
        if (job_is_cut(r->job)) {
            g[k].gathers  = n * (k == 1 ? 2 * L - 1 : 1);
            g[k].scatters = n * times[k];
        } else {
            g[k].sums = times[k];
        }
    }
}

static void groups_close_all(struct groups g[3])
{
    for (int k = 0; k < 3; k++)
        mem_free(g[k].at);
}

/* Add 'times' times what data rank d sends of one collective. */
static void add_times(struct traffic_count *t, const struct groups *g,
                      enum hops_form form, int64_t size, int64_t times,
                      const struct traffic_job *job, int d)
{
    struct traffic_count one = { 0 };

    if (times > 0)
        traffic_hops(&one, g->at, (size_t)size, form, job->D, d, job->near, HOPS_RING);
    t->messages += times * one.messages;
    t->bytes += times * one.bytes;
}

static void groups_count(struct traffic_count t[TRAFFIC_KINDS],
                         const struct groups g[3], const struct rank *r, int d)
{
    const struct traffic_job *job = r->job;

    for (int k = 0; k < 3; k++) {
        add_times(&t[PARAM_GATHER], &g[k], HOPS_GATHER, r->size, g[k].gathers, job, d);
        add_times(&t[GRAD_SCATTER], &g[k], HOPS_SCATTER, r->grad, g[k].scatters, job,
                  d);
        add_times(&t[GRAD_SCATTER], &g[k], HOPS_SUM, r->grad, g[k].sums, job, d);
    }
}

static void replicated_gradients(const struct rank *r)
{
    const int64_t elements = group_elements(r, group_replicated(r->s));
    const size_t size      = (size_t)r->sum;

    traffic_allreduce(&r->t[REDUCE], elements, size, r->job->M, r->m);
    traffic_allreduce(&r->t[REDUCE], elements, size, r->job->D, r->d);
}

/* How many of Adafactor's averages this rank has. */
static struct factor_sizes averages_of(const struct rank *r)
{
    struct factor_sizes n = { 0 };

    if (r->job->optimizer == OPTIMIZER_ADAFACTOR)
        factor_sizes(&n, r->params, r->job->M, r->m);
    return n;
}

/* How many of them are summed over each axis: those that are cut over it. */
static int64_t averages_over_data(const struct rank *r)
{
    const struct factor_sizes n = averages_of(r);

    return job_is_cut(r->job) ? n.own + n.joint : 0;
}

static int64_t averages_over_model(const struct rank *r)
{
    const struct factor_sizes n = averages_of(r);

    return n.joint + n.joint_means;
}

/* Make of 'r' the rank (d, m) and count into 't' its step, but for the groups over the
 * data axis.
 */
static void count_rest(struct traffic_count t[TRAFFIC_KINDS], struct rank *r, int d,
                       int m)
{
    const struct traffic_job *job = r->job;

    for (int k = 0; k < TRAFFIC_KINDS; k++)
        t[k] = (struct traffic_count){ 0, 0 };
    r->t = t;
    r->d = d;
    r->m = m;
    for (int k = 0; k < job_micros(job) && job->M > 1; k++) {
        spec_local(&r->l, r->s, job->B, job->D, job->M, d, m);
        spec_micro(&r->l, r->s, job_micros(job), k);
        activations(r);
    }
    replicated_gradients(r);
    traffic_allreduce(&t[REDUCE], averages_over_data(r), (size_t)r->sum, job->D, d);
    traffic_allreduce(&t[REDUCE], averages_over_model(r), (size_t)r->sum, job->M, m);
    if (job->D > 1 || job->M > 1)
        post_call(&t[REDUCE], TRAFFIC_VERDICT);
}

static void rank_open(struct rank *r, struct params *params, const struct spec *s,
                      const struct traffic_job *job)
{
    const enum dtype partial = traffic_sums_wire(job->dtype, job->has_wide_sums);
    const enum dtype grad    = traffic_grads_wire(job->dtype, job->has_narrow_grads);

    params_make(params, s, HEAD_INIT_NORMAL);
    *r = (struct rank){ .s       = s,
                        .job     = job,
                        .params  = params,
                        .slice   = mem_new((size_t)job->M, sizeof *r->slice),
                        .size    = (int64_t)dtype_size(job->dtype),
                        .sum     = (int64_t)dtype_size(act_acc(job->dtype)),
                        .partial = (int64_t)dtype_size(partial),
                        .grad    = (int64_t)dtype_size(grad) };
}

static void rank_close(struct rank *r, struct params *params)
{
    mem_free(r->slice);
    params_free(params);
}

void traffic_of_rank(struct traffic_count t[TRAFFIC_KINDS], const struct spec *s,
                     const struct traffic_job *job, int d, int m)
{
    struct params params;
    struct groups g[3];
    struct rank r;

    rank_open(&r, &params, s, job);
    count_rest(t, &r, d, m);
    if (job->D > 1) {
        groups_open_all(g, &r);
        groups_count(t, g, &r, d);
        groups_close_all(g);
    }
    rank_close(&r, &params);
}

/* ---- the busiest rank ------------------------------------------------------------ */

static void take_larger(struct traffic_count most[TRAFFIC_KINDS],
                        const struct traffic_count t[TRAFFIC_KINDS])
{
    for (int k = 0; k < TRAFFIC_KINDS; k++) {
        if (t[k].messages > most[k].messages)
            most[k].messages = t[k].messages;
        if (t[k].bytes > most[k].bytes)
            most[k].bytes = t[k].bytes;
    }
}

enum { MOST_TRIED = 1 << 14 };

/* Over the data axis parts have any size: all ranks are tried, or so many, evenly
 * spread.
 */
static void most_of_groups(struct traffic_count most[TRAFFIC_KINDS],
                           const struct rank *r)
{
    const int D = r->job->D, step = (D + MOST_TRIED - 1) / MOST_TRIED;
    struct groups g[3];

    groups_open_all(g, r);
    for (int d = 0; d < D; d += step) {
        struct traffic_count t[TRAFFIC_KINDS] = { 0 };

        groups_count(t, g, r, d);
        take_larger(most, t);
    }
    groups_close_all(g);
}

void traffic_most(struct traffic_count most[TRAFFIC_KINDS], const struct spec *s,
                  const struct traffic_job *job)
{
    struct rank_sample of_m, of_d;
    struct params params;
    struct rank r;

    for (int k = 0; k < TRAFFIC_KINDS; k++)
        most[k] = (struct traffic_count){ 0, 0 };
    rank_open(&r, &params, s, job);
    rank_sample_open(&of_m, job->M);
    rank_sample_split(&of_m, s->C);
    rank_sample_split(&of_m, s->H);
    rank_sample_split(&of_m, s->F);
    rank_sample_split(&of_m, s->K);
    rank_sample_split(&of_m, group_elements(&r, group_replicated(s)));
    rank_sample_split(&of_m, averages_over_model(&r));

    for (int i = 0; i < of_m.count; i++) {
        r.m = of_m.rank[i];
        if (job->D > 1)
            most_of_groups(most, &r);
        rank_sample_open(&of_d, job->D);
        rank_sample_split(&of_d, job->B);
        rank_sample_split(&of_d, group_elements(&r, group_replicated(s)));
        rank_sample_split(&of_d, averages_over_data(&r));
        for (int j = 0; j < of_d.count; j++) {
            struct traffic_count t[TRAFFIC_KINDS];

            count_rest(t, &r, of_d.rank[j], of_m.rank[i]);
            take_larger(most, t);
        }
    }
    rank_close(&r, &params);
}
