/* SPDX-License-Identifier: BSD-3-Clause */
/* A predicted step: messages equal to the counts, a step added up by hand, and what
 * must never happen, on random machines.
 */
#include "config.h"

#include "src/plan/forecast.h"

#include "src/base/err.h"
#include "src/base/rng.h"
#include "src/plan/count.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

static const struct machine cluster = {
    .name           = "test",
    .cores          = 16,
    .memory_bytes   = INT64_C(64) << 30,
    .peak           = { 5e10, 1e11, 2e11 },
    .mem_bw         = 1e10,
    .nodes          = 4096,
    .ranks_per_node = 16,
    .progress       = "poll",
    .links          = 2,
    .link    = { { "core", 1e-6, 1e-10, 0, 1 }, { "network", 4e-6, 4e-10, 0, 1 } },
    .kernels = 1,
    .kernel  = { { "gemm", "f32", { 1024, 1024, 1024 }, 8e10 } },
};

static struct spec spec_of(const char *shape, int64_t layers)
{
    const struct spec_options o = {
        .shape = shape, .layers = layers, .wiring = -1, .qk_norm = -1, .classes = 1024
    };
    struct spec s;

    if (spec_make(&s, &o) != 0)
        ok(false, "%s", err_sentence());
    return s;
}

static struct forecast forecast_of(const struct machine *m, const struct spec *s,
                                   const struct traffic_job *job)
{
    struct cost_rank c;
    struct forecast f;

    if (cost_make(&c, m, job->dtype, job->D * job->M) != 0)
        ok(false, "%s", err_sentence());
    forecast_step(&f, s, job, &c);
    return f;
}

/* ---- counts ---------------------------------------------------------------------- */

/* Shares that have one size: then all ranks post the same, which is what is played. */
static int differ(const struct spec *s, const struct traffic_job *job)
{
    const struct forecast f = forecast_of(&cluster, s, job);
    struct traffic_count t[TRAFFIC_KINDS];
    int wrong = 0;

    traffic_of_rank(t, s, job, 0, 0);
    for (int k = 0; k < TRAFFIC_KINDS; k++) {
        const double bytes = (double)t[k].bytes, messages = (double)t[k].messages;
        /* Parameters are cut on whole rows, so nearly evenly. */
        const bool is_even = k == ACT_GATHER || k == ACT_SCATTER;
        const double few   = is_even ? 0 : 0.02 * bytes + 4096;

        if (fabs(f.comm[k].bytes - bytes) <= few && f.comm[k].messages == messages)
            continue;
        tap_note("%s %dx%d %s %s: %s: %.0f messages of %.0f bytes, not %.0f of %.0f",
                 s->name, job->D, job->M, cmm_form_name[job->form],
                 job->shard == SHARD_FULL ? "full" : "none", traffic_name[k],
                 f.comm[k].messages, f.comm[k].bytes, messages, bytes);
        wrong++;
    }
    return wrong;
}

static void counts(void)
{
    static const int meshes[][2] = { { 1, 1 }, { 1, 4 },  { 4, 1 },  { 2, 2 },
                                     { 8, 4 }, { 32, 2 }, { 2, 32 }, { 64, 8 } };
    int wrong = 0, cases = 0;

    for (size_t i = 0; i < sizeof meshes / sizeof meshes[0]; i++) {
        for (int variant = 0; variant < 16; variant++) {
            struct spec s          = spec_of(variant & 1 ? "1024/3/4096/32" : "22B", 3);
            struct traffic_job job = {
                .D      = meshes[i][0],
                .M      = meshes[i][1],
                .near   = variant & 1 && meshes[i][0] > 4 ? 4 : 0,
                .B      = (int64_t)4 * meshes[i][0],
                .dtype  = variant & 2 ? DTYPE_BF16 : DTYPE_F32,
                .form   = (enum cmm_form)(variant % 3),
                .shard  = variant & 4 ? SHARD_FULL : SHARD_NONE,
                .remat  = variant & 8 ? REMAT_BLOCK : REMAT_NONE,
                .micros = variant & 8 ? 2 : 1,
            };

            s.C    = variant & 1 ? 1024 : 6144;
            s.H    = variant & 1 ? 32 : 64;
            s.E    = s.C / s.H;
            s.loss = variant & 2 ? LOSS_SOFTMAX : LOSS_SIGMOID;
            s.pool = variant % 5 == 4 ? POOL_GAP : POOL_MAP;
            wrong += differ(&s, &job);
            cases++;
        }
    }
    ok(wrong == 0, "messages and bytes of every kind are those of the counts, %d cases",
       cases);
}

/* ---- by hand --------------------------------------------------------------------- */

/* A machine where products take a second a FLOP and nothing else takes time. */
static struct machine products_only(void)
{
    struct machine m = cluster;

    m.gpus            = 16; /* so that few ranks have no more */
    m.kernel[0].rate  = 1;
    m.peak[DTYPE_F32] = 1;
    m.mem_bw          = 1e300;
    m.op_s            = 0;
    for (int i = 0; i < m.links; i++)
        m.link[i].alpha_s = m.link[i].beta_s_per_byte = 0;
    return m;
}

static void by_hand(void)
{
    struct machine m       = products_only();
    struct spec s          = spec_of("So150m", 2);
    struct traffic_job job = { .B = 4, .D = 1, .M = 1, .dtype = DTYPE_F32 };
    struct forecast f;
    double flops, slice, more;

    for (int pool = POOL_GAP; pool <= POOL_CLS; pool++) {
        s.pool = (enum pool)pool;
        s.N    = s.T + (pool == POOL_CLS);
        f      = forecast_of(&m, &s, &job);
        /* Attention's backward makes the weights again: 10 products for 8.  A class
         * token goes through the embedding's product as a row of zeros.
         */
        more = 2 * 4.0 * (double)(s.L * s.N * s.N * s.C) +
               2 * 2 * 4.0 * (double)((s.N - s.T) * s.P * s.C);
        flops = count_flops_train(&s) * 4 + more;
        close_to(f.step_s / flops, 1, 1e-9,
                 "without anything else a step is its FLOPs with %s pooling",
                 pool_name(s.pool));
        close_to(f.mfu, (flops - more) / flops, 1e-9,
                 "and the MFU what counts of them");
    }
    s.pool = POOL_GAP;
    s.N    = s.T;
    ok(f.exposed_s == 0, "one rank waits for nobody");

    /* Now the links are the slow part: seconds are bytes. */
    m.kernel[0].rate          = 1e300;
    m.link[0].beta_s_per_byte = 1;
    job.M                     = 4;
    s                         = spec_of("22B", 1);
    s.pool                    = POOL_GAP;
    slice                     = 4.0 * (double)(s.T * 6144 / 4) * 4;
    f                         = forecast_of(&m, &s, &job);
    job.form                  = CMM_RING;
    f                         = forecast_of(&m, &s, &job);
    /* In forward one gather and one scatter; in backward one gather, and one gather and
     * one scatter together; three messages each; a few plain ones of the classifier.
     */
    close_to(f.comm[ACT_GATHER].exposed_s / (3 * 3 * slice), 1, 0.01,
             "three gathers of a block are waited for, message by message");
    close_to(f.comm[ACT_SCATTER].exposed_s / (2 * 3 * slice), 1, 0.01,
             "and two scatters");

    /* A product that takes as long as a message hides it. */
    m.kernel[0].rate =
        2 * (double)(4 * s.T) * (6144 * 3 + 24576) / 4 * 6144 / 4 / slice / 4;
    f = forecast_of(&m, &s, &job);
    ok(f.comm[ACT_GATHER].exposed_s < 0.1 * f.comm[ACT_GATHER].alone_s,
       "behind longer products they are not");
    m.link[0].busy = 1;
    f              = forecast_of(&m, &s, &job);
    close_to(f.comm[ACT_GATHER].exposed_s, f.comm[ACT_GATHER].alone_s,
             1e-9 * f.comm[ACT_GATHER].alone_s, "unless the cores have to move them");
}

/* Flights: the first gather and the last scatter are seen, the others hidden. */
static void flights(void)
{
    struct machine m       = products_only();
    const struct spec s    = spec_of("So400m", 8);
    struct traffic_job job = {
        .B = 64, .D = 8, .M = 1, .dtype = DTYPE_F32, .shard = SHARD_FULL
    };
    double embed, gather, scatter;
    struct forecast f;

    m.link[0].beta_s_per_byte = 1e-6;
    f                         = forecast_of(&m, &s, &job);
    embed                     = (double)((s.P + 1 + s.T) * s.C) * 4 * 7 / 8 * 1e-6;
    gather                    = f.comm[PARAM_GATHER].exposed_s;
    scatter                   = f.comm[GRAD_SCATTER].exposed_s;
    close_to(gather / embed, 1, 0.01, "only the gather of the embedding is waited for");
    close_to(scatter / embed, 1, 0.01, "and only its scatter");
    ok(f.comm[PARAM_GATHER].alone_s > 5 * gather, "all of them take far longer");

    m.link[0].beta_s_per_byte = 1e6;
    f                         = forecast_of(&m, &s, &job);
    ok(f.comm[PARAM_GATHER].exposed_s > 0.9 * f.comm[PARAM_GATHER].alone_s,
       "on a slow link nearly all is waited for");
    close_to(f.step_s, f.compute_s + f.exposed_s, 1e-9 * f.step_s,
             "a step is its operations and its waiting");
}

/* The data axis of 4 ranks on each of two nodes, of links that take a second a byte in
 * the node and between: in the node 3/4 of a group go round, between the nodes half of
 * what is left; a gather may be on the one while sums are on the other.
 */
static void two_legs(void)
{
    struct machine m       = products_only();
    const struct spec s    = spec_of("So400m", 8);
    struct traffic_job job = {
        .B = 64, .D = 8, .M = 1, .near = 4, .dtype = DTYPE_F32, .shard = SHARD_FULL
    };
    const double block = 4.0 * (double)(4 * s.C * s.C + 2 * s.C * s.F); /* bytes */
    struct forecast f, flat;

    m.kernel[0].rate = m.peak[DTYPE_F32] = 1e300;
    m.ranks_per_node                     = 4;
    for (int i = 0; i < m.links; i++)
        m.link[i].beta_s_per_byte = 1;
    m.parameters = 0;
    f            = forecast_of(&m, &s, &job);
    job.near     = 1;
    flat         = forecast_of(&m, &s, &job);
    close_to(f.comm[PARAM_GATHER].alone_s / flat.comm[PARAM_GATHER].alone_s, 1, 0.01,
             "where all links are alike both legs take as long as one ring");
    /* Of a gather, far first, and sums, near first, that are under way at a time, what
     * is between the nodes costs nothing; it is the gather that is waited for less.
     */
    close_to(flat.comm[PARAM_GATHER].exposed_s - f.comm[PARAM_GATHER].exposed_s,
             7 * (2.0 / 8) * block, 0.02 * block,
             "but for what a gather and sums do at a time on links of their own");
    close_to(f.comm[GRAD_SCATTER].exposed_s, flat.comm[GRAD_SCATTER].exposed_s,
             0.01 * block, "of which the gather comes first");
    m.link[0].beta_s_per_byte = 1e-3;
    job.near                  = 4;
    f                         = forecast_of(&m, &s, &job);
    close_to(f.step_s / flat.step_s, 1.0 / 8 / (7.0 / 8), 0.02,
             "on slow links between nodes a step takes an eighth for seven");
}

/* ---- never ----------------------------------------------------------------------- */

static double between(uint64_t seed, uint64_t *i, double lo, double hi)
{
    return lo + (hi - lo) * rng_uniform(seed, RNG_BENCH, (*i)++);
}

static void random_machine(struct machine *m, uint64_t seed)
{
    uint64_t i = 0;

    *m         = cluster;
    m->kernels = 12;
    for (int k = 0; k < m->kernels; k++) {
        struct machine_kernel *q      = &m->kernel[k];
        static const char *const op[] = { "gemm", "gemm_t", "gemm_dw", "attn" };

        strcpy(q->op, op[k % 4]);
        strcpy(q->dtype, "f32");
        for (int j = 0; j < 3; j++)
            q->shape[j] = (int64_t)exp2(between(seed, &i, 5, 14));
        q->rate = exp2(between(seed, &i, 33, 40));
    }
    m->mem_bw         = exp2(between(seed, &i, 30, 38));
    m->ranks_per_node = 1 << (int)between(seed, &i, 0, 6);
    for (int l = 0; l < m->links; l++) {
        m->link[l].alpha_s         = exp2(between(seed, &i, -22, -14));
        m->link[l].beta_s_per_byte = exp2(between(seed, &i, -38, -26));
        m->link[l].busy            = between(seed, &i, 0, 1);
        m->link[l].lanes           = 1 + (int)between(seed, &i, 0, 3);
    }
    m->parameters = 1;
    m->parameter[0] =
        (struct machine_parameter){ "node_bw", exp2(between(seed, &i, 28, 38)) };
}

static void random_job(struct traffic_job *job, uint64_t seed)
{
    uint64_t i = 5000;

    *job   = (struct traffic_job){ .D     = 1 << (int)between(seed, &i, 0, 7),
                                   .M     = 1 << (int)between(seed, &i, 0, 5),
                                   .dtype = DTYPE_F32,
                                   .form  = (enum cmm_form)between(seed, &i, 0, 3),
                                   .shard = (enum param_shard)between(seed, &i, 0, 2),
                                   .remat = (enum remat)between(seed, &i, 0, 2) };
    job->B = job->D * (1 + (int64_t)between(seed, &i, 0, 8));
}

/* 'better' may not be slower than 'before', but for rounding. */
static bool is_slower(const struct machine *better, const struct spec *s,
                      const struct traffic_job *job, double before)
{
    return forecast_of(better, s, job).step_s > before * (1 + 1e-12);
}

static void never_slower(void)
{
    enum { CASES = 300 };
    int bandwidth = 0, latency = 0, kernel = 0, memory = 0, lanes = 0, node = 0,
        busy = 0;
    int more = 0, again = 0;

    for (uint64_t seed = 0; seed < CASES; seed++) {
        const struct spec s = spec_of(seed % 2 ? "So400m" : "22B", 4);
        struct traffic_job job, larger;
        struct machine m, better;
        double before;

        random_machine(&m, seed);
        random_job(&job, seed);
        job.M  = job.M > s.H ? 1 : job.M;
        before = forecast_of(&m, &s, &job).step_s;

        better = m;
        better.link[seed % 2].beta_s_per_byte *= 0.7;
        bandwidth += is_slower(&better, &s, &job, before);
        better = m;
        better.link[seed % 2].alpha_s *= 0.5;
        latency += is_slower(&better, &s, &job, before);
        better = m;
        better.link[seed % 2].busy *= 0.5;
        busy += is_slower(&better, &s, &job, before);
        better = m;
        better.link[seed % 2].lanes++;
        lanes += is_slower(&better, &s, &job, before);
        better = m;
        better.parameter[0].value *= 2;
        node += is_slower(&better, &s, &job, before);
        better = m;
        better.kernel[seed % 12].rate *= 1.3;
        kernel += is_slower(&better, &s, &job, before);
        better = m;
        better.mem_bw *= 1.3;
        memory += is_slower(&better, &s, &job, before);

        larger = job;
        larger.B += job.D;
        more += forecast_of(&m, &s, &larger).step_s < before;
        larger       = job;
        larger.remat = REMAT_BLOCK;
        again += forecast_of(&m, &s, &larger).step_s < before;
    }
    ok(bandwidth == 0, "more bandwidth makes no step slower: %d", bandwidth);
    ok(latency == 0, "nor less latency: %d", latency);
    ok(busy == 0, "nor links that need the cores less: %d", busy);
    ok(lanes == 0, "nor more lanes: %d", lanes);
    ok(node == 0, "nor a wider way out of nodes: %d", node);
    ok(kernel == 0, "nor faster products: %d", kernel);
    ok(memory == 0, "nor faster memory: %d", memory);
    ok(more < CASES / 20, "more images take longer, but where another rate is met: %d",
       more);
    ok(again == 0, "computing again takes longer: %d", again);
}

/* The choice of a form is the best of the three. */
static void automatic(void)
{
    const struct spec s = spec_of("22B", 48);
    int worse           = 0;

    for (uint64_t seed = 0; seed < 60; seed++) {
        struct traffic_job job;
        struct machine m;
        double best = INFINITY;

        random_machine(&m, seed);
        random_job(&job, seed);
        for (int form = CMM_PLAIN; form < CMM_AUTO; form++) {
            job.form = (enum cmm_form)form;
            best     = fmin(best, forecast_of(&m, &s, &job).step_s);
        }
        job.form = CMM_AUTO;
        worse += forecast_of(&m, &s, &job).step_s > best * (1 + 1e-9);
    }
    ok(worse == 0, "auto is not slower than any form: %d", worse);
}

static double bytes_of(const struct forecast *f, const char *op)
{
    double bytes = 0;

    for (int i = 0; i < f->ops; i++)
        bytes += strcmp(f->op[i].name, op) == 0 ? f->op[i].bytes : 0;
    return bytes;
}

/* A device with memory of its own draws its images there, in what it adds in. */
static void images(void)
{
    const struct spec s  = spec_of("1024/3/4096/32", 3);
    const double numbers = 8 * 3.0 * s.image * s.image, targets = 8.0 * (double)s.K;
    struct traffic_job job = { .B = 8, .D = 1, .M = 1, .dtype = DTYPE_BF16 };
    struct forecast f      = forecast_of(&cluster, &s, &job);

    ok(bytes_of(&f, "put") == 2 * 4 * (numbers + targets) &&
           bytes_of(&f, "normals") == 0,
       "images and targets are sent");
    job.is_apart = true;
    f            = forecast_of(&cluster, &s, &job);
    ok(bytes_of(&f, "put") == 2 * 4 * targets && bytes_of(&f, "normals") == 4 * numbers,
       "or drawn where they are needed");
}

/* Bytes of 'op' that one more block adds, for each of its elements: of which the sum of
 * squares reads four bytes.
 */
static double an_element(const char *op, const struct traffic_job *job)
{
    double bytes[2], squares[2];

    for (int k = 0; k < 2; k++) {
        const struct spec s     = spec_of("So400m", 2 + k);
        const struct forecast f = forecast_of(&cluster, &s, job);

        bytes[k]   = bytes_of(&f, op);
        squares[k] = bytes_of(&f, "sum_squares");
    }
    return (bytes[1] - bytes[0]) / ((squares[1] - squares[0]) / 4);
}

/* Masters of four bytes are read and written, as are moments: two of four bytes, one,
 * one of two; gradients are read.  In bf16 a copy is written, of two bytes, by the
 * update itself on a GPU, which else reads the master again.
 */
static void updates(void)
{
    static const char *const name[]  = { "adamw", "adafactor", "sgd" };
    static const enum optimizer of[] = { OPTIMIZER_ADAMW, OPTIMIZER_ADAFACTOR,
                                         OPTIMIZER_SGD };
    static const double moments[]    = { 8, 2, 4 };

    for (int i = 0; i < 3; i++) {
        struct traffic_job job = {
            .B = 4, .D = 1, .M = 1, .dtype = DTYPE_F32, .optimizer = of[i]
        };
        const double all = 2 * (4 + moments[i]) + 4;

        ok(an_element(name[i], &job) == all && an_element("copy", &job) == 0,
           "%s: %.0f bytes an element", name[i], all);
        job.dtype = DTYPE_BF16;
        ok(an_element(name[i], &job) == all && an_element("copy", &job) == 6,
           "in bf16, and 6 of the copy");
        job.is_apart = true;
        ok(an_element(name[i], &job) == all + 2 && an_element("copy", &job) == 0,
           "on a GPU 2, in the update");
    }
}

/* Operations in 'form' that a block needs, where an operation takes a second. */
static double operations(const char *op, enum cmm_form form, int M)
{
    struct machine m       = products_only();
    struct traffic_job job = {
        .B = 8, .D = 1, .M = M, .dtype = DTYPE_F32, .form = form
    };
    double seconds = 0;

    m.kernel[0].rate = m.peak[DTYPE_F32] = 1e300;
    m.op_s                               = 1;
    for (int64_t layers = 2; layers <= 3; layers++) {
        const struct spec s     = spec_of("So400m", layers);
        const struct forecast f = forecast_of(&m, &s, &job);

        for (int i = 0; i < f.ops; i++)
            if (strcmp(f.op[i].name, op) == 0)
                seconds += layers == 3 ? f.op[i].seconds : -f.op[i].seconds;
    }
    return seconds;
}

/* Of a sequential block: two gathers and two sums forward, and back.  Two ranks send a
 * slice in four pieces; bidir sends two halves of each, and makes two sums of its own.
 */
static void pieces(void)
{
    ok(operations("gemm", CMM_PLAIN, 4) == 4 * 4 &&
           operations("gemm", CMM_RING, 4) == 4 * 4 &&
           operations("gemm", CMM_RING, 2) == 4 * (1 + 4),
       "every slice is a product, of two ranks those that travel are four");
    ok(operations("gemm", CMM_BIDIR, 4) == 2 * (1 + 6) + 2 * (2 + 6) &&
           operations("gemm_t", CMM_BIDIR, 4) == 2 * (1 + 6) + 2 * (2 + 6) &&
           operations("gemm_dw", CMM_BIDIR, 4) == 4 * (1 + 6) &&
           operations("gemm", CMM_BIDIR, 2) == 2 * (1 + 8) + 2 * (2 + 8),
       "in both directions halves of slices are products of their own");
    ok(operations("add", CMM_RING, 4) == 2 + 4 * 3 &&
           operations("add", CMM_RING, 2) == 2 + 4 * 4 &&
           operations("add", CMM_BIDIR, 4) == 2 + 4 * 2 * 3,
       "and what arrives of a sum is added piece by piece");
}

/* On links that take no time all that is done beside messages is done still. */
static void instant_links(void)
{
    const struct spec s    = spec_of("So400m", 3);
    struct traffic_job job = {
        .B = 16, .D = 4, .M = 1, .dtype = DTYPE_F32, .shard = SHARD_FULL
    };
    struct machine m = cluster;
    struct forecast f, g;

    for (int i = 0; i < m.links; i++)
        m.link[i].alpha_s = m.link[i].beta_s_per_byte = 0;
    f = forecast_of(&m, &s, &job);
    for (int i = 0; i < m.links; i++)
        m.link[i].beta_s_per_byte = 1e-30;
    g = forecast_of(&m, &s, &job);
    close_to(f.step_s / g.step_s, 1, 1e-9,
             "links that take no time are as those that take next to none");
    ok(f.comm[GRAD_SCATTER].bytes > 0 &&
           f.comm[GRAD_SCATTER].bytes == g.comm[GRAD_SCATTER].bytes,
       "and carry as much");
}

int main(void)
{
    images();
    updates();
    pieces();
    instant_links();
    counts();
    by_hand();
    flights();
    two_legs();
    never_slower();
    automatic();
    return tap_done();
}
