/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory of a rank, and what fits into a node: the same tables and formulas by which
 * the programs allocate.
 */
#include "config.h"

#include "src/plan/predict.h"

#include "src/base/err.h"
#include "src/plan/act.h"
#include "src/plan/cut.h"
#include "src/plan/factor.h"

#include <math.h>

enum { BF16_BYTES = 2 };

/* ---- one rank -------------------------------------------------------------------- */

/* Elements of a rank's groups. */
struct sums {
    int64_t own;    /* of what the rank owns */
    int64_t copied; /* of what is whole always, with a copy beside bf16's masters */
    int64_t packed; /* of the weights that a device may hold in its own order */
    int64_t rooms;  /* of the two rooms where sharded groups are whole */
    int64_t room;   /* what comes to be added at a time, at most */
};

/* The groups of a model rank that may be cut, of which the blocks are all alike. */
enum { KINDS = 3, ROOMS = 2, TRIED = 1 << 14 };
struct kinds {
    struct cut cut[KINDS];
    int64_t times[KINDS];
    int64_t replicated; /* elements of the group that is never cut */
};

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void kinds_make(struct kinds *k, const struct spec *s, int M, int m)
{
    const int group[KINDS] = { GROUP_EMBED, group_block(0), group_head(s) };
    struct params params;

    *k = (struct kinds){ .times = { 1, s->L, 1 } };
    params_make(&params, s, HEAD_INIT_NORMAL);
    for (int i = 0; i < KINDS; i++) {
        if (k->times[i] > 0)
            cut_make(&k->cut[i], &params, group[i], M, m);
    }
    k->replicated = param_group_elements(&params, s, group_replicated(s), M, m);
    params_free(&params);
}

/* Elements of the data rank that has part 'd'. */
static int64_t owned(const struct kinds *k, const struct traffic_job *job, int d)
{
    int64_t own = k->replicated;

    for (int i = 0; i < KINDS; i++) {
        const struct cut *c = &k->cut[i];
        const bool is_here  = k->times[i] > 0 && job_is_cut(job);

        own += k->times[i] *
               (is_here ? cut_at(c, job->D, d + 1) - cut_at(c, job->D, d) : c->size);
    }
    return own;
}

/* The data rank that owns most: rows are whole, so it may be any.  Of very many ranks
 * some are tried, evenly spread.
 */
static int largest_owner(const struct kinds *k, const struct traffic_job *job)
{
    const int step = (job->D + TRIED - 1) / TRIED;
    int64_t most   = -1;
    int owner      = 0;

    for (int d = 0; d < job->D && job_is_cut(job); d += step) {
        const int64_t own = owned(k, job, d);

        if (own > most) {
            most  = own;
            owner = d;
        }
    }
    return owner;
}

/* Sharded groups are whole in two rooms, of even and of odd ones, as in mesh/arena.h;
 * blocks in the same room share their packed weights.
 */
static void group_sums(struct sums *sum, const struct kinds *k, const struct spec *s,
                       const struct traffic_job *job, int owner, int64_t bytes)
{
    const bool is_cut   = job_is_cut(job);
    int64_t room[ROOMS] = { 0 };

    *sum = (struct sums){ .own    = owned(k, job, owner),
                          .copied = k->replicated,
                          .packed = k->replicated };
    for (int i = 0; i < KINDS; i++) {
        const struct cut *c = &k->cut[i];
        const int64_t n     = k->times[i];
        const int first     = i == 0   ? GROUP_EMBED
                              : i == 1 ? group_block(0)
                                       : group_head(s);

        if (n == 0)
            continue;
        sum->copied += is_cut ? 0 : n * c->size;
        sum->packed += (is_cut && n > ROOMS ? ROOMS : n) * c->size;
        sum->room = larger(sum->room, cut_room(c, is_cut, job->D, job->near));
        for (int64_t j = 0; is_cut && j < n && j < ROOMS; j++)
            room[(first + j) % ROOMS] = larger(room[(first + j) % ROOMS], c->size);
    }
    sum->rooms = room[0] + room[1];
    sum->room =
        larger(sum->room, traffic_allreduce_room(k->replicated, (size_t)bytes, job->D));
    sum->room =
        larger(sum->room, traffic_allreduce_room(k->replicated, (size_t)bytes, job->M));
}

/* Bytes of Adafactor: momentum in bf16; averages, and room to sum them; the second
 * moments of what is not factored, which are few, as if one data rank owned them all;
 * work for the all-reduces.
 */
static int64_t adafactor_bytes(const struct spec *s, const struct traffic_job *job,
                               int64_t elements, int64_t sum, int m)
{
    const int M = job->M;
    struct factor_sizes n;
    struct params params;
    int64_t whole = 0, work;

    params_make(&params, s, HEAD_INIT_NORMAL);
    factor_sizes(&n, &params, M, m);
    for (int i = 0; i < params.count; i++) {
        struct factor f;

        factor_make(&f, &params.param[i], M, m);
        if (!f.is_factored)
            whole += param_size_local(&params.param[i], M, m);
    }
    params_free(&params);
    work = traffic_allreduce_room(n.joint + n.joint_means, (size_t)sum, M);
    if (job_is_cut(job))
        work =
            larger(work, traffic_allreduce_room(n.own + n.joint, (size_t)sum, job->D));
    return elements * BF16_BYTES +
           sum * (2 * (n.own + n.joint) + n.joint_means + n.means + whole + work);
}

/* Bytes of the optimizer's state: moments in the format that adds gradients, two of
 * AdamW, one of SGD.
 */
static int64_t moment_bytes(const struct spec *s, const struct traffic_job *job,
                            int64_t elements, int64_t sum, int m)
{
    switch (job->optimizer) {
    case OPTIMIZER_ADAFACTOR:
        return adafactor_bytes(s, job, elements, sum, m);
    case OPTIMIZER_SGD:
        return elements * sum;
    case OPTIMIZER_ADAMW:
    case OPTIMIZERS:
        break;
    }
    return elements * sum * 2;
}

/* As on rank (d, m), with the share of data rank 'owner'. */
static void memory_of(struct predict_memory *p, const struct spec *s,
                      const struct traffic_job *job, const struct kinds *k, int owner,
                      int d, int m)
{
    const int64_t sum    = job->dtype == DTYPE_F64 ? 8 : 4; /* bytes of a sum */
    const int64_t number = (int64_t)dtype_size(job->dtype);
    struct sums n;
    struct local l;

    spec_local(&l, s, job->B, job->D, job->M, d, m);
    group_sums(&n, k, s, job, owner, sum);
    /* In bf16 what is multiplied with is a copy beside the f32 masters. */
    p->params = n.own * sum + n.rooms * number;
    p->params += job->dtype == DTYPE_BF16 ? n.copied * number : 0;
    p->grads   = (n.own + n.rooms + n.room) * sum;
    p->moments = moment_bytes(s, job, n.own, sum, m);
    p->packed  = job->packs * n.packed * number;
    act_bytes(&p->kept, &p->work, &p->batch, s, &l, job);
    p->total =
        p->params + p->grads + p->moments + p->packed + p->kept + p->work + p->batch;
}

void predict_memory(struct predict_memory *p, const struct spec *s,
                    const struct traffic_job *job, int d, int m)
{
    struct kinds k;

    kinds_make(&k, s, job->M, m);
    memory_of(p, s, job, &k, hops_part(d, job->D, job->near), d, m);
}

void predict_largest(struct predict_memory *p, const struct spec *s,
                     const struct traffic_job *job)
{
    struct kinds k;

    kinds_make(&k, s, job->M, 0);
    memory_of(p, s, job, &k, largest_owner(&k, job), 0, 0);
}

int64_t predict_most(const struct spec *s, const struct traffic_job *job)
{
    struct predict_memory p;

    predict_largest(&p, s, job);
    return p.total;
}

/* ---- what fits ------------------------------------------------------------------- */

int predict_mesh(int *D, int *M, const struct spec *s, int ranks, int64_t B,
                 int64_t B_per_data_rank, const struct traffic_job *like,
                 int ranks_per_node, int64_t node_bytes)
{
    double least = INFINITY;
    int rc       = 0;

    for (int m = 1; m <= ranks && m <= s->H && m <= s->F; m++) {
        struct traffic_job job = *like;

        if (ranks % m != 0)
            continue;
        job.D = ranks / m;
        job.M = m;
        job.B = B > 0 ? B : B_per_data_rank * job.D;
        rc    = traffic_check(s, &job);
        if (rc != 0)
            continue;

        const double bytes = (double)predict_most(s, &job) * ranks_per_node;

        if (bytes < least) {
            least = bytes;
            *D    = ranks / m;
            *M    = m;
        }
        if (bytes < (double)node_bytes) {
            *D = ranks / m;
            *M = m;
            err_forget(); /* of meshes that were passed over */
            return 0;
        }
    }
    if (least == INFINITY)
        return rc;
    return ERR(
        ERR_MEMORY,
        "%s with %lld blocks does not fit: of all meshes of %d ranks, %dx%d needs "
        "the least, %.1f GB on a node of %.1f GB",
        s->name, (long long)s->L, ranks, *D, *M, least * 1e-9,
        (double)node_bytes * 1e-9);
}

static bool fits(const struct spec *s, int64_t layers, const struct traffic_job *job,
                 int ranks_per_node, int64_t node_bytes)
{
    struct spec slice = *s;

    slice.L = layers;
    return (double)predict_most(&slice, job) * ranks_per_node < (double)node_bytes;
}

int64_t predict_layers(const struct spec *s, const struct traffic_job *job,
                       int ranks_per_node, int64_t node_bytes)
{
    int64_t lo = 0, hi = s->L + 1; /* 'lo' fits or is 0, 'hi' does not or is too many */

    while (hi - lo > 1) {
        const int64_t mid = lo + (hi - lo) / 2;

        if (fits(s, mid, job, ranks_per_node, node_bytes))
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}
