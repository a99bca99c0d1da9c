/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages and bytes of a step, against collectives played out message by message. */
#include "config.h"

#include "src/plan/traffic.h"

#include "src/base/rng.h"
#include "src/plan/cut.h"
#include "tests/net.h"
#include "tests/tap.h"

#include <string.h>

/* ---- the formulas of collectives ------------------------------------------------- */

static bool is_same(struct traffic_count a, struct traffic_count b)
{
    return a.messages == b.messages && a.bytes == b.bytes;
}

typedef void (*play_fn)(struct net *net, const int64_t *bytes);
typedef void (*count_fn)(struct traffic_count *t, const int64_t *bytes, int ranks,
                         int i);

static void collective(const char *name, play_fn play, count_fn count)
{
    int wrong = 0;

    for (int ranks = 1; ranks <= RANKS; ranks++) {
        for (int zeros = 0; zeros < 2; zeros++) {
            struct net net = { .ranks = ranks };
            int64_t bytes[RANKS];

            /* Uneven, some empty, and one of several chunks. */
            for (int j = 0; j < ranks; j++)
                bytes[j] = zeros && j % 3 == 1 ? 0 : 100 + 8 * j;
            bytes[ranks / 2] = 2 * WIRE_CHUNK + 8;
            play(&net, bytes);
            wrong += net.wrong;
            for (int i = 0; i < ranks; i++) {
                struct traffic_count t = { 5, 7 };

                count(&t, bytes, ranks, i);
                wrong += t.messages != net.sent[i].messages + 5 ||
                         t.bytes != net.sent[i].bytes + 7;
            }
        }
    }
    ok(wrong == 0, "the %s posts what its play posts, on 1 to %d ranks", name, RANKS);
}

static void allreduce(void)
{
    static const int64_t counts[] = { 0,  1,      3,          5,
                                      11, 12,     13,         64,
                                      99, 100000, WIRE_CHUNK, 13 * WIRE_CHUNK / 8 };
    int wrong                     = 0;

    for (int ranks = 1; ranks <= RANKS; ranks++) {
        for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
            struct net net = { .ranks = ranks };

            play_allreduce(&net, counts[k], 8);
            wrong += net.wrong;
            for (int i = 0; i < ranks; i++) {
                struct traffic_count t = { 0, 0 };

                traffic_allreduce(&t, counts[k], 8, ranks, i);
                wrong += !is_same(t, net.sent[i]);
            }
        }
    }
    ok(wrong == 0, "the all-reduce posts what its play posts");
}

/* ---- a step, played -------------------------------------------------------------- */

/* All ranks' messages of one step by kind. */
struct job {
    const struct spec *s;
    const struct traffic_job *t;
    struct traffic_count sent[RANKS][RANKS][TRAFFIC_KINDS]; /* [d][m] */
};

static void charge(struct job *j, const struct net *net, int d, enum traffic kind)
{
    for (int m = 0; m < net->ranks; m++) {
        j->sent[d][m][kind].messages += net->sent[m].messages;
        j->sent[d][m][kind].bytes += net->sent[m].bytes;
    }
}

/* A matrix of 'rows' rows over the width, in data row d. */
static void play_act(struct job *j, int d, enum traffic kind, int64_t rows,
                     enum cmm_form form)
{
    const int lanes  = form == CMM_BIDIR ? 2 : 1;
    const int pieces = form == CMM_PLAIN ? 1 : cmm_pieces(rows, j->t->M);
    struct net net = { .ranks = j->t->M }, back = net;
    int64_t bytes[RANKS] = { 0 };

    for (int k = 0; k < pieces * lanes; k++) {
        const int lane = k % lanes;

        for (int m = 0; m < net.ranks; m++)
            bytes[m] = split_size(rows, pieces, k / lanes) *
                       (int64_t)dtype_size(j->t->dtype) *
                       split_size(split_size(j->s->C, net.ranks, m), lanes, lane);
        if (kind == ACT_SCATTER)
            (form == CMM_PLAIN ? play_reduce_scatter : play_ring_scatter)(&net, bytes);
        else if (lane == 1)
            play_ring_back(&back, bytes);
        else
            (form == CMM_PLAIN ? play_allgather : play_ring_gather)(&net, bytes);
    }
    charge(j, &net, d, kind);
    charge(j, &back, d, kind);
}

static enum cmm_form form_of(const struct job *j, enum cmm_product product,
                             enum cmm_pass pass)
{
    return j->t->form == CMM_AUTO ? j->t->tuned->of[product][pass].form : j->t->form;
}

/* Five passes: in forward and twice backward, out forward and backward. */
static void play_pair(struct job *j, int d, int64_t n, enum cmm_product in,
                      enum cmm_product out)
{
    play_act(j, d, ACT_GATHER, n, form_of(j, in, CMM_FORWARD));
    play_act(j, d, ACT_SCATTER, n, form_of(j, out, CMM_FORWARD));
    play_act(j, d, ACT_GATHER, n, form_of(j, out, CMM_BACKWARD));
    play_act(j, d, ACT_GATHER, n, form_of(j, in, CMM_BACKWARD));
    play_act(j, d, ACT_SCATTER, n, form_of(j, in, CMM_BACKWARD));
}

static void play_numbers(struct job *j, int d, int64_t numbers)
{
    struct net net       = { .ranks = j->t->M };
    int64_t bytes[RANKS] = { 0 };

    for (int m = 0; m < net.ranks; m++)
        bytes[m] = numbers * (j->t->dtype == DTYPE_F64 ? 8 : 4);
    play_allgather(&net, bytes);
    charge(j, &net, d, REDUCE);
}

/* The messages of one data row, by count: of 'big' matrices (rows of tokens, by the
 * form) and 'small' ones (a row an image, plain).
 */
static void play_model_row(struct job *j, int d, int64_t b)
{
    const struct spec *s = j->s;
    const int64_t n      = b * (s->T + (s->pool == POOL_CLS));
    const bool has_map   = s->pool == POOL_MAP;
    const int pairs      = (int)s->L * (s->wiring == WIRING_PARALLEL ? 1 : 2);
    const int norms      = pairs + 1;
    const int numbers    = s->wiring == WIRING_PARALLEL ? 1 : 2;
    const bool is_again  = j->t->remat == REMAT_BLOCK;

    for (int i = 0; i < pairs; i++) {
        const bool is_first        = i % 2 == 0 || s->wiring == WIRING_PARALLEL;
        const bool is_last         = i % 2 == 1 || s->wiring == WIRING_PARALLEL;
        const enum cmm_product in  = is_first ? CMM_IN : CMM_UP;
        const enum cmm_product out = is_first ? CMM_OUT : CMM_DOWN;

        play_pair(j, d, n, in, out);
        if (is_again)
            play_act(j, d, ACT_GATHER, n, form_of(j, in, CMM_FORWARD));
        if (is_again && !is_last)
            play_act(j, d, ACT_SCATTER, n, form_of(j, out, CMM_FORWARD));
    }
    for (int i = 0; i < has_map; i++) {
        const enum cmm_form to   = form_of(j, CMM_IN, CMM_FORWARD);
        const enum cmm_form back = form_of(j, CMM_IN, CMM_BACKWARD);

        play_act(j, d, ACT_GATHER, n, to);
        if (j->t->M != 2 || to != CMM_RING || back != CMM_RING) /* else it is there */
            play_act(j, d, ACT_GATHER, n, back);
        play_act(j, d, ACT_SCATTER, n, back);
    }
    for (int i = 0; i < 2 + 4 * has_map; i++)
        play_act(j, d, ACT_GATHER, b, CMM_PLAIN);
    for (int i = 0; i < 1 + 3 * has_map; i++)
        play_act(j, d, ACT_SCATTER, b, CMM_PLAIN);
    for (int i = 0; i < 2 * norms; i++)
        play_numbers(j, d, n * numbers);
    for (int i = 0; i < 2 * has_map; i++)
        play_numbers(j, d, b * numbers);
    for (int i = 1; s->loss == LOSS_SOFTMAX && i <= 2; i++)
        play_numbers(j, d, i * b);
}

static void charge_column(struct job *j, const struct net *net, int m, enum traffic k)
{
    for (int d = 0; d < net->ranks; d++) {
        j->sent[d][m][k].messages += net->sent[d].messages;
        j->sent[d][m][k].bytes += net->sent[d].bytes;
    }
}

/* A group over the data axis.  Sharded: in every micro-batch it is gathered
 * for forward, and for backward unless it is the embedding (not needed) or one
 * of the last two (still there), and scattered.  Else its gradients are
 * scattered and gathered, once.
 */
static void play_group(struct job *j, const struct params *p, int g, int m, size_t size)
{
    const bool is_cut = j->t->shard == SHARD_FULL;
    const int head    = group_head(j->s);
    const int times   = g == GROUP_EMBED || g >= head - 1 ? 1 : 2;
    int64_t param[RANKS], grad[RANKS];
    struct cut cut;

    if (j->t->D == 1)
        return;
    cut_make(&cut, p, g, j->t->M, m);
    for (int d = 0; d < j->t->D; d++) {
        const int64_t part =
            is_cut ? cut_at(&cut, j->t->D, d + 1) - cut_at(&cut, j->t->D, d)
                   : split_size(cut.size, j->t->D, d);

        param[d] = part * (int64_t)dtype_size(j->t->dtype);
        grad[d]  = part * (int64_t)size;
    }
    for (int k = 0; k < (is_cut ? job_micros(j->t) : 1); k++) {
        struct net gather = { .ranks = j->t->D }, scatter = { .ranks = j->t->D };

        for (int i = 0; i < times && is_cut; i++)
            play_ring_gather(&gather, param);
        play_ring_scatter(&scatter, grad);
        if (!is_cut)
            play_ring_gather(&scatter, grad);
        charge_column(j, &gather, m, PARAM_GATHER);
        charge_column(j, &scatter, m, GRAD_SCATTER);
    }
}

static void play_gradients(struct job *j)
{
    const size_t size = j->t->dtype == DTYPE_F64 ? 8 : 4;
    const int last    = group_replicated(j->s);
    struct params p;

    params_make(&p, j->s, HEAD_INIT_PAPER);
    for (int m = 0; m < j->t->M; m++) {
        struct net net = { .ranks = j->t->D };

        for (int g = 0; g < last; g++)
            play_group(j, &p, g, m, size);
        play_allreduce(&net, param_group_elements(&p, j->s, last, j->t->M, m), size);
        charge_column(j, &net, m, REDUCE);
    }
    for (int d = 0; d < j->t->D; d++) {
        struct net net = { .ranks = j->t->M };

        play_allreduce(&net, param_group_elements(&p, j->s, last, j->t->M, 0), size);
        charge(j, &net, d, REDUCE);
    }
    params_free(&p);
}

static void play_step(struct job *j)
{
    memset(j->sent, 0, sizeof j->sent);
    for (int d = 0; d < j->t->D; d++) {
        const int64_t row = range_size(split_range(j->t->B, j->t->D, d));

        for (int k = 0; k < job_micros(j->t); k++)
            play_model_row(j, d, range_size(split_range(row, job_micros(j->t), k)));
    }
    play_gradients(j);
    for (int d = 0; d < j->t->D; d++) {
        for (int m = 0; m < j->t->M && j->t->D * j->t->M > 1; m++) {
            j->sent[d][m][REDUCE].messages++;
            j->sent[d][m][REDUCE].bytes += 48;
        }
    }
}

/* The formulas against the play of all ranks; 'most' against the largest of them. */
static void compare(const struct job *j, int *wrong, int *wrong_most)
{
    struct traffic_count most[TRAFFIC_KINDS], largest[TRAFFIC_KINDS] = { 0 };

    for (int d = 0; d < j->t->D; d++) {
        for (int m = 0; m < j->t->M; m++) {
            struct traffic_count t[TRAFFIC_KINDS];

            traffic_of_rank(t, j->s, j->t, d, m);
            for (int k = 0; k < TRAFFIC_KINDS; k++) {
                const struct traffic_count *sent = &j->sent[d][m][k];

                *wrong += !is_same(t[k], *sent);
                if (sent->messages > largest[k].messages)
                    largest[k].messages = sent->messages;
                if (sent->bytes > largest[k].bytes)
                    largest[k].bytes = sent->bytes;
            }
        }
    }
    traffic_most(most, j->s, j->t);
    for (int k = 0; k < TRAFFIC_KINDS; k++)
        *wrong_most += !is_same(most[k], largest[k]);
}

static void random_jobs(void)
{
    int wrong = 0, wrong_most = 0, refused = 0;

    for (uint64_t i = 0; i < 600; i++) {
        int64_t r[20];
        char shape[64];
        static struct job j;
        struct cmm_tuned tuned;
        struct spec s;

        for (uint64_t k = 0; k < 20; k++)
            r[k] = (int64_t)(rng_bits(3, RNG_TEST, i * 20 + k) >> 33);

        const int M = 1 + (int)(r[0] % 7), D = 1 + (int)(r[1] % 7);
        const int H = M + (int)(r[2] % 6), E = 8 + (int)(r[3] % 9);

        snprintf(shape, sizeof shape, "%d/%d/%d/%d", H * E, 1 + (int)(r[4] % 3),
                 M + (int)(r[5] % 90), H);

        const struct spec_options o = { .shape   = shape,
                                        .wiring  = (int)(r[6] % 2),
                                        .qk_norm = (int)(r[7] % 2),
                                        .pool    = (int)(r[8] % 3),
                                        .loss    = (int)(r[9] % 2),
                                        .image   = 14 + (int)(r[10] % 40),
                                        .classes = 1 + r[11] % 12 };
        const int micros            = (int)(r[15] % 4);
        const struct traffic_job t  = { .B      = D * (micros + 1) + r[12] % 9,
                                        .D      = D,
                                        .M      = M,
                                        .dtype  = r[13] % 2 ? DTYPE_F32 : DTYPE_F64,
                                        .form   = (enum cmm_form)(r[14] % CMM_FORMS),
                                        .tuned  = &tuned,
                                        .shard  = (enum param_shard)(r[16] % 2),
                                        .remat  = (enum remat)(r[17] % 2),
                                        .micros = micros };

        for (int k = 0; k < CMM_PRODUCTS * CMM_PASSES; k++)
            tuned.of[k / 2][k % 2].form = (enum cmm_form)((r[15] >> 2 * k) % CMM_AUTO);

        refused += spec_make(&s, &o) != 0 || spec_check_mesh(&s, t.B, D, M) != 0;
        j.s = &s;
        j.t = &t;
        play_step(&j);
        compare(&j, &wrong, &wrong_most);
    }
    ok(refused == 0, "600 random jobs on meshes up to 7x7 can be run");
    ok(wrong == 0, "every rank of them posts what its play posts, of every kind");
    ok(wrong_most == 0, "and the busiest rank is found without trying all");
}

/* Too many ranks to play; all of them by the formulas against the few
 * that are tried.
 */
static void many_ranks(void)
{
    static const int D[] = { 65, 100, 128, 257 }, M[] = { 1, 3, 17, 66 };
    int wrong = 0;

    for (int i = 0; i < 16; i++) {
        const struct spec_options o  = { .shape   = "924/2/511/66",
                                         .wiring  = i / 4 % 2,
                                         .qk_norm = 1,
                                         .classes = 77,
                                         .image   = 28,
                                         .patch   = 14 };
        const struct traffic_job job = { .B     = D[i / 4] + 31,
                                         .D     = D[i / 4],
                                         .M     = M[i % 4],
                                         .dtype = DTYPE_F32,
                                         .form  = i % 2 ? CMM_PLAIN : CMM_BIDIR };
        struct traffic_count most[TRAFFIC_KINDS], all[TRAFFIC_KINDS] = { 0 };
        struct spec s;

        if (spec_make(&s, &o) != 0 || spec_check_mesh(&s, job.B, job.D, job.M) != 0)
            ok(false, "a mesh of %dx%d can be run", job.D, job.M);
        traffic_most(most, &s, &job);
        for (int d = 0; d < job.D; d++) {
            for (int m = 0; m < job.M; m++) {
                struct traffic_count t[TRAFFIC_KINDS];

                traffic_of_rank(t, &s, &job, d, m);
                for (int k = 0; k < TRAFFIC_KINDS; k++) {
                    if (t[k].messages > all[k].messages)
                        all[k].messages = t[k].messages;
                    if (t[k].bytes > all[k].bytes)
                        all[k].bytes = t[k].bytes;
                }
            }
        }
        for (int k = 0; k < TRAFFIC_KINDS; k++)
            wrong += !is_same(most[k], all[k]);
    }
    ok(wrong == 0, "so it is on meshes up to 257x66, where sums double and halve");
}

/* ---- the papers' figures --------------------------------------------------------- */

static int64_t act_bytes_of(const char *shape, int64_t layers, int M)
{
    const struct spec_options o = {
        .shape = shape, .layers = layers, .wiring = -1, .qk_norm = -1
    };
    const struct traffic_job job = {
        .B = 8, .D = 1, .M = M, .dtype = DTYPE_F32, .form = CMM_RING
    };
    struct traffic_count t[TRAFFIC_KINDS];
    struct spec s;

    if (spec_make(&s, &o) != 0)
        ok(false, "%s can be made", shape);
    traffic_of_rank(t, &s, &job, 0, 0);
    return t[ACT_GATHER].bytes + t[ACT_SCATTER].bytes;
}

static void ring_passes(void)
{
    const int64_t of_22b = act_bytes_of("22B", 2, 8) - act_bytes_of("22B", 1, 8);
    const int64_t of_so400m =
        act_bytes_of("So400m", 2, 8) - act_bytes_of("So400m", 1, 8);

    ok(of_22b == INT64_C(5) * 8 * 256 * 6144 * 4 * 7 / 8,
       "a parallel block is five passes of B T C (M - 1) / M elements");
    ok(of_so400m == INT64_C(10) * 8 * 256 * 1152 * 4 * 7 / 8,
       "a sequential block is ten");
    ok(act_bytes_of("22B", 2, 1) == 0, "one model rank sends no activations");
}

static void large(void)
{
    const struct spec_options o = { .shape = "22B", .wiring = -1, .qk_norm = -1 };
    struct traffic_job job      = {
             .B = 8 * 4096, .D = 4096, .M = 48, .dtype = DTYPE_F32, .form = CMM_RING
    };
    const struct traffic_job one = { .B = 8, .D = 1, .M = 1, .dtype = DTYPE_F32 };
    struct traffic_count t[TRAFFIC_KINDS];
    struct spec s;
    int64_t messages = 0;

    ok(spec_make(&s, &o) == 0, "22B");
    traffic_most(t, &s, &job);
    ok(t[GRAD_SCATTER].messages == (48 + 2) * 2 * 12 && t[PARAM_GATHER].messages == 0,
       "on 4096 data ranks every group is summed in 12 hops there and 12 back");
    job.shard = SHARD_FULL;
    job.M     = 1;
    traffic_most(t, &s, &job);
    ok(t[GRAD_SCATTER].messages >= (48 + 1) * 12 &&
           t[GRAD_SCATTER].messages <= (48 + 2) * 12 &&
           t[PARAM_GATHER].messages >= (48 + 1 + 47) * 12 &&
           t[PARAM_GATHER].messages <= (48 + 2 + 47) * 12,
       "or scattered in 12, after two times 12 to gather it; of the embedding some "
       "have no row");
    traffic_most(t, &s, &one);
    for (int k = 0; k < TRAFFIC_KINDS; k++)
        messages += t[k].messages + t[k].bytes;
    ok(messages == 0, "one rank alone sends nothing");
}

int main(void)
{
    collective("ring gather", play_ring_gather, traffic_ring_gather);
    collective("ring scatter", play_ring_scatter, traffic_ring_scatter);
    collective("ring gather the other way", play_ring_back, traffic_ring_back);
    collective("all-gather", play_allgather, traffic_allgather);
    collective("reduce-scatter", play_reduce_scatter, traffic_reduce_scatter);
    allreduce();
    random_jobs();
    many_ranks();
    ring_passes();
    large();
    return tap_done();
}
