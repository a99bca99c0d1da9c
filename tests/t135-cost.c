/* SPDX-License-Identifier: BSD-3-Clause */
/* Seconds of operations and messages: by hand, and what must never happen. */
#include "config.h"

#include "src/plan/cost.h"

#include "src/base/err.h"
#include "src/base/rng.h"
#include "src/plan/traffic.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

static const struct machine small = {
    .name           = "test",
    .cores          = 8,
    .memory_bytes   = INT64_C(64) << 30,
    .peak           = { 5e10, 1e11, 0 },
    .mem_bw         = 1e10,
    .nodes          = 4,
    .ranks_per_node = 8,
    .progress       = "poll",
    .links          = 3,
    .link           = { { "core", 1e-6, 1e-10, 1, 1 },
                        { "node", 2e-6, 2e-10, 1, 1 },
                        { "network", 4e-6, 4e-10, 0, 1 } },
    .kernels        = 4,
    .kernel         = { { "gemm", "f32", { 1024, 1024, 1024 }, 8e10 },
                        { "gemm", "f32", { 64, 64, 64 }, 2e10 },
                        { "gemm_dw", "f32", { 1024, 1024, 1024 }, 4e10 },
                        { "adamw", "f32", { 1, 1, 1 }, 5e9 } },
};

static struct cost_rank rank_of(const struct machine *m, enum dtype dtype,
                                int64_t ranks)
{
    struct cost_rank c;

    if (cost_make(&c, m, dtype, ranks) != 0)
        ok(false, "%s", err_sentence());
    return c;
}

static void by_hand(void)
{
    const double n = 1024, flops = 2 * n * n * n;
    struct cost_rank c = rank_of(&small, DTYPE_F32, 8);

    close_to(cost_gemm(&c, COST_GEMM, 1024, 1024, 1024), flops / 8e10, 1e-9,
             "a measured product takes what it took");
    close_to(cost_gemm(&c, COST_GEMM_DW, 1024, 1024, 1024), flops / 4e10, 1e-9,
             "and so does the gradient of the weights");
    close_to(cost_gemm(&c, COST_GEMM_T, 1024, 1024, 1024), flops / 8e10, 1e-9,
             "one that was not measured counts as the forward product");
    close_to(cost_gemm(&c, COST_GEMM, 256, 256, 256), 2 * pow(256, 3) / 4e10, 1e-9,
             "halfway between two shapes the rate is their geometric mean");
    close_to(cost_gemm(&c, COST_GEMM, 512, 512, 512),
             2 * pow(512, 3) / 8e10 * exp2(2 / 82.0), 1e-9,
             "one that is three times as near counts 81 times");
    close_to(cost_gemm(&c, COST_GEMM, 1, 1 << 14, 1 << 14), 4 * pow(2, 28) / 1e10, 1e-3,
             "one row waits for the weights to pass memory");
    close_to(cost_move(&c, "norm_apply", 1e9), 0.1, 1e-12,
             "an operation that was not measured goes at the pace of memory");
    close_to(cost_move(&c, "adamw", 1e9), 0.2, 1e-12, "one that was, at its own");
    ok(cost_gemm(&c, COST_GEMM, 0, 5, 5) == 0 && cost_move(&c, "add", 0) == 0 &&
           cost_attn(&c, true, 0, 4, 8, 16, 16) == 0,
       "nothing takes no time");
    close_to(c.peak, 1e11, 1, "the peak is that of a rank");

    c = rank_of(&small, DTYPE_F64, 8);
    close_to(cost_gemm(&c, COST_GEMM, 1024, 1024, 1024), flops / 4e10, 1e-9,
             "in a format that was not measured the ratio of the peaks counts");
    close_to(cost_move(&c, "adamw", 1e9), 0.2, 1e-12, "but not for bytes");
    c = rank_of(&small, DTYPE_BF16, 8);
    close_to(cost_gemm(&c, COST_GEMM, 1024, 1024, 1024), flops / 8e10, 1e-9,
             "without a peak of its own bf16 is no faster than f32");
}

static void shares(void)
{
    struct machine gpus = small;
    struct cost_rank c  = rank_of(&small, DTYPE_F32, 2);

    ok(c.on_node == 2 && c.nodes == 1, "two ranks are on one node");
    close_to(c.share, 4, 0, "of whose cores each has four times as many");
    close_to(cost_move(&c, "add", 1e9), 0.025, 1e-12, "and so much more of memory");
    c = rank_of(&small, DTYPE_F32, 64);
    ok(c.on_node == 16 && c.nodes == 4, "too many ranks crowd on the nodes there are");
    close_to(c.share, 0.5, 0, "with half of the cores each");
    c = rank_of(&small, DTYPE_F32, 33);
    ok(c.on_node == 9 && c.nodes == 4, "one too many has a place, too");
    for (int threads = 1; threads <= 16; threads *= 2) {
        cost_make_on(&c, &small, DTYPE_F32, 4, 2, threads);
        close_to(c.share, fmin(threads, 4), 0,
                 "%d threads use as many cores, of the four of a rank", threads);
    }
    gpus.gpus = 8;
    c         = rank_of(&gpus, DTYPE_F32, 2);
    close_to(c.share, 1, 0, "a rank has one GPU, however many there are");
}

static void refusals(void)
{
    struct machine m = { .name = "nothing", .nodes = 1, .ranks_per_node = 1 };
    struct cost_rank c;

    ok(cost_make(&c, &m, DTYPE_F32, 1) == ERR_DATA &&
           strstr(err_sentence(), "neither products nor a peak") != NULL,
       "a machine that says nothing of products is refused");
    m.peak[DTYPE_F32] = 1e9;
    ok(cost_make(&c, &m, DTYPE_F32, 1) == ERR_DATA, "nor one without memory");
    m.mem_bw = 1e9;
    ok(cost_make(&c, &m, DTYPE_F32, 2) == ERR_DATA, "nor one without links for two");
    err_forget();
    ok(cost_make(&c, &m, DTYPE_F32, 1) == 0, "one rank needs none");
}

/* ---- messages -------------------------------------------------------------------- */

/* How many ranks of a block of 'block' speak to one outside, the most of all blocks. */
static int64_t count_leaving(int64_t ranks, int64_t block, int64_t stride, int size,
                             int64_t distance)
{
    int64_t most = 0;

    for (int64_t lo = 0; lo < ranks; lo += block) {
        int64_t out = 0;

        for (int64_t r = lo; r < lo + block && r < ranks; r++) {
            const int64_t i    = r / stride % size;
            const int64_t peer = r + ((i + distance) % size - i) * stride;

            out += peer < lo || peer >= lo + block;
        }
        most = out > most ? out : most;
    }
    return most;
}

/* beta tells how many messages share what leaves a node. */
static void patterns(void)
{
    struct machine m = small;
    int wrong = 0, more = 0, cases = 0;

    m.parameters   = 1;
    m.parameter[0] = (struct machine_parameter){ "node_bw", 1 }; /* a byte a second */
    m.nodes        = 1000;
    for (int D = 1; D <= 24; D++) {
        for (int M = 1; M <= 24; M++) {
            struct cost_rank c = rank_of(&m, DTYPE_F32, D * M);

            for (int k = 0; k < 2; k++) {
                const int64_t stride = k == 0 ? 1 : M;
                const int size       = k == 0 ? M : D;

                for (int far = 1; far < size; far = 2 * far + 1) {
                    const int64_t real =
                        count_leaving(D * M, c.on_node, stride, size, far);
                    struct cost_path p;
                    int64_t said;

                    cost_axis(&p, &c, stride, size, far);
                    said = p.beta_s_per_byte < 1 ? 0 : llround(p.beta_s_per_byte);
                    cases++;
                    wrong += said < real;
                    more += said > real;
                }
            }
        }
    }
    ok(wrong == 0, "no pattern has more messages leave a node than is said, of %d",
       cases);
    ok(more == 0, "and none has fewer");
}

/* Messages of one rank that leave its node in rounds 'first' to 'last'; the most. */
static int64_t count_outside(int64_t ranks, int64_t block, const struct cost_rounds *r)
{
    int64_t most = 0;

    for (int64_t rank = 0; rank < ranks; rank++) {
        const int64_t i = rank % r->size;
        int64_t out     = 0;

        for (int d = r->first; d <= r->last; d++)
            out += (rank - i + (i + d) % r->size) / block != rank / block;
        most = out > most ? out : most;
    }
    return most;
}

/* Where a byte takes a second on the network, and no time else, a second tells that
 * one message of a rank follows the other.
 */
static void rounds(void)
{
    struct machine m = small;
    int wrong = 0, more = 0, cases = 0;

    m.nodes                   = 1000;
    m.link[0].beta_s_per_byte = m.link[1].beta_s_per_byte = 0;
    m.link[2].beta_s_per_byte                             = 1;
    for (int D = 1; D <= 6; D++) {
        for (int M = 2; M <= 16; M++) {
            const struct cost_rank c = rank_of(&m, DTYPE_F32, D * M);

            for (int first = 1; first < M; first += TRAFFIC_ROUNDS) {
                const struct cost_rounds r = { M, first, traffic_last_round(M, first),
                                               1 };
                const int64_t real         = count_outside(D * M, c.on_node, &r);
                const int64_t said         = llround(cost_exchange(&c, &r));

                cases++;
                wrong += said < real;
                more += said > real;
            }
        }
    }
    ok(wrong == 0, "no exchange has more messages of a rank leave its node, of %d",
       cases);
    ok(more < cases / 10, "and few have fewer: %d", more);
}

static void exchanges(void)
{
    const struct cost_rank c = rank_of(&small, DTYPE_F32, 32);
    struct machine m         = small;
    struct cost_rank narrow;

    close_to(cost_exchange(&c, &(struct cost_rounds){ 8, 1, 7, 1e6 }), 1e-6 + 7e-4,
             1e-15, "on a node the messages of a rank follow one another");
    close_to(cost_exchange(&c, &(struct cost_rounds){ 16, 1, 8, 1e6 }), 4e-6 + 3.2e-3,
             1e-15, "on two nodes the last rank of one has eight far ones at first");
    close_to(cost_exchange(&c, &(struct cost_rounds){ 16, 9, 15, 1e6 }), 4e-6 + 2.8e-3,
             1e-15, "and the first rank seven then");
    m.link[0].lanes = 4;
    narrow          = rank_of(&m, DTYPE_F32, 32);
    close_to(cost_exchange(&narrow, &(struct cost_rounds){ 8, 1, 7, 1e6 }),
             1e-6 + 1.75e-4, 1e-15, "four lanes carry four at a time");
    close_to(cost_exchange(&narrow, &(struct cost_rounds){ 8, 1, 2, 1e6 }), 1e-6 + 1e-4,
             1e-15, "and two as fast as one");
    close_to(cost_turn(&narrow, 2, 1e6, 5e5), 1e-6 + 1.5e-4, 1e-15,
             "not those to the same neighbour");
    close_to(cost_turn(&narrow, 4, 1e6, 5e5), 1e-6 + 1e-4, 1e-15,
             "as those to two are");
    m                         = small;
    m.link[2].beta_s_per_byte = 1e-15;
    narrow                    = rank_of(&m, DTYPE_F32, 32);
    close_to(cost_exchange(&narrow, &(struct cost_rounds){ 16, 1, 8, 1e6 }),
             1e-6 + 7e-4, 1e-15, "of eight on a node a rank has seven others");
    m              = small;
    m.parameters   = 1;
    m.parameter[0] = (struct machine_parameter){ "node_bw", 1e9 };
    narrow         = rank_of(&m, DTYPE_F32, 32);
    close_to(cost_exchange(&narrow, &(struct cost_rounds){ 16, 1, 8, 1e6 }),
             4e-6 + 3.6e-2, 1e-15, "of 36 that leave a node each has its share");
    close_to(cost_exchange(&narrow, &(struct cost_rounds){ 16, 9, 15, 1e6 }),
             4e-6 + 2.8e-2, 1e-15, "and of 28");
}

static void messages(void)
{
    const struct cost_rank c = rank_of(&small, DTYPE_F32, 32);
    struct machine groups    = small;
    struct cost_rank g;
    struct cost_path p;

    cost_axis(&p, &c, 1, 4, 1);
    ok(p.level == LEVEL_CORE, "four neighbours are on one node");
    close_to(cost_message(&p, 1e6), 1e-6 + 1e-4, 1e-15, "alpha and beta");
    cost_axis(&p, &c, 4, 8, 1);
    ok(p.level == LEVEL_NETWORK, "eight data rows of four are not");
    close_to(cost_message(&p, 1e6), 4e-6 + 4e-4, 1e-15, "and take the network's time");
    cost_axis(&p, &c, 1, 32, 1);
    ok(p.level == LEVEL_NETWORK && p.busy == 1,
       "the slowest part of a ring that crosses nodes decides");
    cost_pair(&p, &c, 7, 8);
    ok(p.level == LEVEL_NETWORK && p.busy == 0, "of a pair only its own link counts");
    cost_pair(&p, &c, 0, 7);
    ok(p.level == LEVEL_CORE, "packages that are not told apart are one");

    close_to(cost_turn(&c, 4, 1e6, 5e5), 1e-6 + 1.5e-4, 1e-15,
             "on a node a turn's messages to both neighbours share the link");
    close_to(cost_turn(&c, 16, 1e6, 5e5), 4e-6 + 4e-4, 1e-15,
             "between nodes each rank sends to one of them");
    close_to(cost_turn(&c, 2, 1e6, 5e5), 1e-6 + 1.5e-4, 1e-15,
             "two ranks have but one neighbour");
    groups.parameters   = 1;
    groups.parameter[0] = (struct machine_parameter){ "node_bw", 1e9 };
    g                   = rank_of(&groups, DTYPE_F32, 32);
    close_to(cost_turn(&g, 16, 1e6, 5e5), 4e-6 + 1.5e-3, 1e-15,
             "but the node's way out is shared");

    groups.parameters   = 2;
    groups.parameter[0] = (struct machine_parameter){ "ranks_per_package", 4 };
    groups.parameter[1] = (struct machine_parameter){ "nodes_per_group", 2 };
    g                   = rank_of(&groups, DTYPE_F32, 32);
    cost_pair(&p, &g, 3, 4);
    ok(p.level == LEVEL_NODE, "two packages");
    cost_pair(&p, &g, 8, 16);
    ok(p.level == LEVEL_GLOBAL && p.beta_s_per_byte == 4e-10,
       "two groups, by the network's link if there is no other");
    cost_pair(&p, &g, 0, 8);
    ok(p.level == LEVEL_NETWORK, "one group");
    groups.links   = 4;
    groups.link[3] = (struct machine_link){ "global", 8e-6, 8e-10, 0, 1 };
    g              = rank_of(&groups, DTYPE_F32, 32);
    cost_axis(&p, &g, 8, 4, 1);
    ok(p.level == LEVEL_GLOBAL && p.alpha_s == 8e-6 && p.beta_s_per_byte == 8e-10,
       "nodes of two groups, by the link between groups");
    cost_axis(&p, &g, 8, 2, 1);
    ok(p.level == LEVEL_NETWORK && p.beta_s_per_byte == 4e-10, "and of one, not");
}

/* ---- never ----------------------------------------------------------------------- */

static double between(uint64_t seed, uint64_t *i, double lo, double hi)
{
    return lo + (hi - lo) * rng_uniform(seed, RNG_BENCH, (*i)++);
}

static void random_machine(struct machine *m, uint64_t seed)
{
    static const char *const op[] = { "gemm", "gemm_t", "gemm_dw", "attn", "adamw" };
    uint64_t i                    = 0;

    *m         = small;
    m->kernels = 20;
    for (int k = 0; k < m->kernels; k++) {
        struct machine_kernel *q = &m->kernel[k];

        strcpy(q->op, op[k % 5]);
        strcpy(q->dtype, "f32");
        for (int j = 0; j < 3; j++)
            q->shape[j] = (int64_t)exp2(between(seed, &i, 3, 14));
        q->rate = exp2(between(seed, &i, 30, 38));
    }
    m->mem_bw = exp2(between(seed, &i, 30, 36));
    m->op_s   = between(seed, &i, 0, 1e-5);
}

static double some_seconds(const struct machine *m, uint64_t seed)
{
    const struct cost_rank c = rank_of(m, DTYPE_F32, 8);
    uint64_t i               = 1000;
    double sum               = 0;

    for (int k = 0; k < 20; k++) {
        const int64_t a = (int64_t)exp2(between(seed, &i, 0, 13));
        const int64_t b = (int64_t)exp2(between(seed, &i, 0, 13));

        sum += cost_gemm(&c, (enum cost_product)(k % 3), a, b, a + b);
        sum += cost_attn(&c, k % 2 == 0, 1 + a % 7, 4, 64, b % 300, 256);
        sum += cost_move(&c, "adamw", (double)(a * b));
    }
    return sum;
}

static void never_slower(void)
{
    int kernel = 0, memory = 0, longer = 0;

    for (uint64_t seed = 0; seed < 50; seed++) {
        struct machine m, better;
        double before;

        random_machine(&m, seed);
        before = some_seconds(&m, seed);
        better = m;
        better.kernel[seed % 20].rate *= 1.5;
        kernel += some_seconds(&better, seed) > before;
        better = m;
        better.mem_bw *= 1.5;
        memory += some_seconds(&better, seed) > before;
        better = m;
        better.op_s += 1e-6;
        longer += some_seconds(&better, seed) <= before;
    }
    ok(kernel == 0, "a faster kernel makes nothing slower");
    ok(memory == 0, "nor does faster memory");
    ok(longer == 0, "a longer start makes everything longer");
}

int main(void)
{
    by_hand();
    shares();
    refusals();
    messages();
    patterns();
    exchanges();
    rounds();
    never_slower();
    return tap_done();
}
