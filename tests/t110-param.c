/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of tensors: its counts against the papers' formula written down again, its
 * names, order and shares, and the statistics of initial values.
 */
#include "config.h"

#include "src/plan/count.h"
#include "src/plan/param.h"

#include "src/base/rng.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

static struct spec make(const char *shape, enum wiring wiring, bool qk_norm,
                        enum pool pool)
{
    const struct spec_options o = { .shape   = shape,
                                    .wiring  = wiring,
                                    .qk_norm = qk_norm,
                                    .pool    = pool,
                                    .image   = 42,
                                    .classes = 11 };
    struct spec s;

    ok(spec_make(&s, &o) == 0, "%s can be made", shape);
    return s;
}

/* Section 3 of the published counts, with the parallel block and the class token. */
static int64_t formula(const struct spec *s)
{
    const int64_t D = s->C, M = s->F, L = s->L, n = s->T;
    const int64_t norm  = s->wiring == WIRING_PARALLEL ? D : 2 * D;
    const int64_t block = s->wiring == WIRING_PARALLEL
                              ? D + 3 * D * D + D * M + M + D * D + M * D + D
                              : 4 * D * D + 4 * D + 2 * D * M + M + D + 4 * D;
    int64_t sum         = s->P * D + D + n * D + norm;

    sum += L * (block + (s->qk_norm ? 2 * (D / s->H) : 0));
    if (s->pool == POOL_MAP)
        sum += D + 4 * (D * D + D) + norm + 2 * D * M + M + D;
    if (s->pool == POOL_CLS)
        sum += D;
    return sum + D * s->K + s->K;
}

/* A shape in which little divides; 'i' makes it another one. */
static struct spec random_spec(int i)
{
    const uint64_t seed = 5, stream = RNG_TEST;
    int64_t r[8];
    char shape[64];

    for (int k = 0; k < 8; k++)
        r[k] = (int64_t)(rng_bits(seed, stream, (uint64_t)(i * 8 + k)) >> 33);

    const int64_t H = 2 + r[0] % 7, E = 8 + r[1] % 30;

    snprintf(shape, sizeof shape, "%d/%d/%d/%d", (int)(H * E), (int)(1 + r[2] % 4),
             (int)(2 + r[3] % 200), (int)H);

    const struct spec_options o = { .shape   = shape,
                                    .wiring  = (int)(r[4] % 2),
                                    .qk_norm = (int)(r[5] % 2),
                                    .pool    = (int)(r[6] % 3),
                                    .image   = 28 + (int)(r[7] % 60),
                                    .classes = 1 + r[7] % 40 };
    struct spec s;

    if (spec_make(&s, &o) != 0)
        ok(false, "the random shape %s can be made", shape);
    return s;
}

static void counts_of_random_shapes(void)
{
    int wrong_table = 0, wrong_count = 0, wrong_shares = 0, wrong_matmul = 0;

    for (int i = 0; i < 50; i++) {
        const struct spec s = random_spec(i);
        struct params p;
        int64_t whole = 0, shares = 0, matmul = 0;

        params_make(&p, &s, HEAD_INIT_PAPER);
        for (int k = 0; k < p.count; k++) {
            const struct param *t = &p.param[k];

            whole += param_size(t);
            matmul += t->is_matmul ? param_size(t) : 0;
            for (int d = 0; d < 3; d++) {
                for (int m = 0; m < 2; m++) {
                    if (d == 0 && (t->split >= 0 || m == 0)) /* the first replica */
                        shares += param_size_local(t, 2, m);
                }
            }
        }
        params_free(&p);
        wrong_table += whole != formula(&s);
        wrong_count += count_params(&s) != formula(&s);
        wrong_shares += shares != formula(&s);
        wrong_matmul += matmul != count_params_matmul(&s);
    }
    ok(wrong_table == 0, "for 50 random shapes the table sums up to the formula");
    ok(wrong_count == 0, "and so does the count by terms");
    ok(wrong_shares == 0, "and so do the first replicas of a 3x2 mesh");
    ok(wrong_matmul == 0, "the kernels of blocks are those of the count");
}

/* Name, shape, cut and fold as others rely on them. */
struct row {
    const char *name;
    int dims;
    int64_t dim[4];
    int split, fold;
    enum slot slot;
    int group;
};

static const struct param *find(const struct params *p, const char *name)
{
    for (int i = 0; i < p->count; i++) {
        if (strcmp(p->param[i].name, name) == 0)
            return &p->param[i];
    }
    return NULL;
}

static void has_rows(const struct params *p, const struct row *row, int count)
{
    for (int i = 0; i < count; i++) {
        const struct param *t = find(p, row[i].name);

        ok(t != NULL && t->dims == row[i].dims && t->split == row[i].split &&
               t->fold == row[i].fold && t->slot == row[i].slot &&
               t->group == row[i].group &&
               memcmp(t->dim, row[i].dim, (size_t)t->dims * sizeof t->dim[0]) == 0,
           "%s has its shape, cut, fold and place", row[i].name);
    }
}

#define BLOCK "Transformer/encoderblock_1/"
#define MHDPA "MultiHeadDotProductAttention_0/"

static void sequential_table(void)
{
    static const struct row rows[] = {
        { "embedding/kernel", 4, { 14, 14, 3, 50 }, 3, 3, SLOT_PATCH, 0 },
        { "embedding/bias", 1, { 50 }, 0, 0, SLOT_PATCH_BIAS, 0 },
        { "pos_embedding", 3, { 1, 9, 50 }, 2, 2, SLOT_POS, 0 },
        { BLOCK "LayerNorm_0/scale", 1, { 50 }, 0, 0, SLOT_NORM0, 2 },
        { BLOCK "LayerNorm_0/bias", 1, { 50 }, 0, 0, SLOT_NORM0_BIAS, 2 },
        { BLOCK MHDPA "query/kernel", 3, { 50, 5, 10 }, 1, 1, SLOT_IN, 2 },
        { BLOCK MHDPA "value/kernel", 3, { 50, 5, 10 }, 1, 1, SLOT_IN, 2 },
        { BLOCK MHDPA "key/bias", 2, { 5, 10 }, 0, 0, SLOT_IN_BIAS, 2 },
        { BLOCK MHDPA "out/kernel", 3, { 5, 10, 50 }, 0, 2, SLOT_OUT, 2 },
        { BLOCK MHDPA "out/bias", 1, { 50 }, 0, 0, SLOT_OUT_BIAS, 2 },
        { BLOCK "LayerNorm_1/bias", 1, { 50 }, 0, 0, SLOT_NORM1_BIAS, 2 },
        { BLOCK "MlpBlock_0/Dense_0/kernel", 2, { 50, 70 }, 1, 1, SLOT_UP, 2 },
        { BLOCK "MlpBlock_0/Dense_0/bias", 1, { 70 }, 0, 0, SLOT_UP_BIAS, 2 },
        { BLOCK "MlpBlock_0/Dense_1/kernel", 2, { 70, 50 }, 0, 1, SLOT_DOWN, 2 },
        { BLOCK "MlpBlock_0/Dense_1/bias", 1, { 50 }, 0, 0, SLOT_DOWN_BIAS, 2 },
        { BLOCK MHDPA "query_ln/scale", 1, { 10 }, -1, 0, SLOT_Q_SCALE, 4 },
        { BLOCK MHDPA "key_ln/scale", 1, { 10 }, -1, 0, SLOT_K_SCALE, 4 },
        { "Transformer/encoder_norm/bias", 1, { 50 }, 0, 0, SLOT_NORM_BIAS, 3 },
        { "MAPHead_0/probe", 3, { 1, 1, 50 }, -1, 2, SLOT_MAP_PROBE, 4 },
        { "MAPHead_0/" MHDPA "query/kernel", 3, { 50, 5, 10 }, 1, 1, SLOT_MAP_Q, 3 },
        { "MAPHead_0/" MHDPA "key/kernel", 3, { 50, 5, 10 }, 1, 1, SLOT_MAP_KV, 3 },
        { "MAPHead_0/" MHDPA "value/bias", 2, { 5, 10 }, 0, 0, SLOT_MAP_KV_BIAS, 3 },
        { "MAPHead_0/" MHDPA "out/kernel", 3, { 5, 10, 50 }, 0, 2, SLOT_MAP_OUT, 3 },
        { "MAPHead_0/LayerNorm_0/bias", 1, { 50 }, 0, 0, SLOT_MAP_NORM_BIAS, 3 },
        { "MAPHead_0/MlpBlock_0/Dense_1/bias", 1, { 50 }, 0, 0, SLOT_MAP_DOWN_BIAS, 3 },
        { "head/kernel", 2, { 50, 11 }, 1, 1, SLOT_HEAD, 3 },
        { "head/bias", 1, { 11 }, 0, 0, SLOT_HEAD_BIAS, 3 },
    };
    const struct spec s = make("50/2/70/5", WIRING_SEQUENTIAL, true, POOL_MAP);
    struct params p;

    params_make(&p, &s, HEAD_INIT_PAPER);
    has_rows(&p, rows, sizeof rows / sizeof rows[0]);
    ok(find(&p, "cls") == NULL, "there is no class token with another pooling");
    params_free(&p);
}

static void parallel_table(void)
{
    static const struct row rows[] = {
        { "cls", 3, { 1, 1, 50 }, 2, 2, SLOT_CLS, 0 },
        { BLOCK "LayerNorm_0/scale", 1, { 50 }, 0, 0, SLOT_NORM0, 2 },
        { BLOCK MHDPA "key/kernel", 3, { 50, 5, 10 }, 1, 1, SLOT_IN, 2 },
        { BLOCK "MlpBlock_0/Dense_0/kernel", 2, { 50, 70 }, 1, 1, SLOT_IN, 2 },
        { BLOCK "MlpBlock_0/Dense_0/bias", 1, { 70 }, 0, 0, SLOT_IN_BIAS, 2 },
        { BLOCK MHDPA "out/kernel", 3, { 5, 10, 50 }, 0, 2, SLOT_OUT, 2 },
        { BLOCK "MlpBlock_0/Dense_1/kernel", 2, { 70, 50 }, 0, 1, SLOT_OUT, 2 },
        { BLOCK "MlpBlock_0/Dense_1/bias", 1, { 50 }, 0, 0, SLOT_OUT_BIAS, 2 },
    };
    static const char *const absent[] = {
        BLOCK "LayerNorm_0/bias",        BLOCK "LayerNorm_1/scale",
        BLOCK MHDPA "query/bias",        BLOCK MHDPA "key/bias",
        BLOCK MHDPA "out/bias",          BLOCK MHDPA "query_ln/scale",
        "Transformer/encoder_norm/bias", "MAPHead_0/probe",
    };
    const struct spec s   = make("50/2/70/5", WIRING_PARALLEL, false, POOL_CLS);
    const struct spec map = make("50/3/70/5", WIRING_PARALLEL, true, POOL_MAP);
    struct params p;

    params_make(&p, &s, HEAD_INIT_PAPER);
    has_rows(&p, rows, sizeof rows / sizeof rows[0]);
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
        ok(find(&p, absent[i]) == NULL, "%s is not there", absent[i]);
    ok(param_group_elements(&p, &s, group_replicated(&s), 1, 0) == 0,
       "nothing is replicated without QK-norm and MAP head");
    params_free(&p);

    params_make(&p, &map, HEAD_INIT_PAPER);
    ok(find(&p, "MAPHead_0/LayerNorm_0/scale") != NULL &&
           find(&p, "MAPHead_0/LayerNorm_0/bias") == NULL &&
           find(&p, "MAPHead_0/" MHDPA "key/bias") != NULL,
       "the MAP head of the parallel kind has all biases but the norm's");
    ok(param_group_elements(&p, &map, group_replicated(&map), 2, 1) == 6 * 16 + 64,
       "QK scales and probe are whole on every rank, each rounded up to 16 elements");
    params_free(&p);
}

static void order_and_marks(void)
{
    for (int i = 0; i < 4; i++) {
        const struct spec s = make(
            "50/3/70/5", i % 2 ? WIRING_PARALLEL : WIRING_SEQUENTIAL, i >= 2, POOL_MAP);
        struct params p;
        int misplaced = 0, twice = 0, wrong_decay = 0, matmul = 0, heads = 0, keys = 0;

        params_make(&p, &s, HEAD_INIT_PAPER);
        for (int k = 0; k < p.count; k++) {
            const struct param *a = &p.param[k], *b = a + 1;
            const size_t length = strlen(a->name);
            const bool is_kernel =
                length > 7 && !strcmp(a->name + length - 7, "/kernel");

            if (k + 1 < p.count)
                misplaced +=
                    a->group > b->group ||
                    (a->group == b->group && a->slot > b->slot) ||
                    (a->group == b->group && a->slot == b->slot && a->block > b->block);
            twice += find(&p, a->name) != a;
            wrong_decay += a->decay != (is_kernel ? 1.0 : 0.0);
            matmul += a->is_matmul;
            heads += a->is_head;
            keys += a->is_key_bias;
        }
        ok(misplaced == 0 && twice == 0,
           "rows are in the order of memory, names unique");
        ok(wrong_decay == 0 && heads == 1 && matmul == 3 * 6,
           "kernels decay and nothing else, one head, six kernels a block");
        ok(keys == (i % 2 ? 1 : 4), "key biases are marked");
        params_free(&p);
    }
}

/* The buffer of a group again, by its slots' sizes as the header gives them. */
static void group_sizes(void)
{
    const struct spec s = make("50/2/70/5", WIRING_PARALLEL, true, POOL_MAP);
    struct params p;
    struct local l;

    params_make(&p, &s, HEAD_INIT_PAPER);
    for (int m = 0; m < 3; m++) {
        spec_local(&l, &s, 1, 1, 3, 0, m);

        const int64_t block[] = { l.C_l, s.C * (3 * l.A_l + l.F_l), l.F_l,
                                  (l.A_l + l.F_l) * s.C, l.C_l };
        int64_t sum           = 0;

        for (int i = 0; i < 5; i++)
            sum += (block[i] + 15) / 16 * 16;
        ok(param_group_elements(&p, &s, group_block(1), 3, m) == sum,
           "a block of model rank %d takes its slots, each rounded up", m);
    }
    params_free(&p);
}

/* Mean and root mean square of a tensor's first elements. */
static void moments(const struct param *t, uint64_t seed, double *mean, double *rms,
                    double *most)
{
    const int64_t n = param_size(t);
    double sum = 0, squares = 0;

    *most = 0;
    for (int64_t i = 0; i < n; i++) {
        const double x = param_init(t, seed, i);

        sum += x;
        squares += x * x;
        *most = tap_worse(*most, fabs(x));
    }
    *mean = sum / (double)n;
    *rms  = sqrt(squares / (double)n);
}

/* 'sd' is the standard deviation that the papers' code has; the bounds are five
 * standard errors of n draws.  'most' is the largest value allowed, 0: any.
 */
static void starts_as(const struct params *p, const char *name, double sd, double most)
{
    const struct param *t = find(p, name);
    const double n        = (double)param_size(t);
    double mean, rms, top;

    moments(t, 42, &mean, &rms, &top);
    ok(fabs(mean) < 5 * sd / sqrt(n) && fabs(rms - sd) < 5 * sd / sqrt(2 * n),
       "%s starts with mean 0 and deviation %g", name, sd);
    if (most > 0)
        ok(top <= most * (1 + 1e-6) && top > 0.9 * most, "%s stays within %g", name,
           most);
}

static void initial_values(void)
{
    const struct spec s = make("160/1/352/8", WIRING_SEQUENTIAL, true, POOL_MAP);
    const double square = sqrt(6.0 / (160 + 160)), wide = sqrt(6.0 / (160 + 352));
    struct params p, q;
    const struct param *t;
    double mean, rms, most;

    params_make(&p, &s, HEAD_INIT_NORMAL);
    params_make(&q, &s, HEAD_INIT_PAPER);
    starts_as(&p, "embedding/kernel", 1 / sqrt(588), 0);
    starts_as(&p, "pos_embedding", 1 / sqrt(160), 0);
    starts_as(&p, "Transformer/encoderblock_0/" MHDPA "query/kernel", square / sqrt(3),
              square);
    starts_as(&p, "Transformer/encoderblock_0/" MHDPA "out/kernel", square / sqrt(3),
              square);
    starts_as(&p, "Transformer/encoderblock_0/MlpBlock_0/Dense_0/kernel",
              wide / sqrt(3), wide);
    starts_as(&p, "Transformer/encoderblock_0/MlpBlock_0/Dense_1/kernel",
              wide / sqrt(3), wide);
    starts_as(&p, "Transformer/encoderblock_0/MlpBlock_0/Dense_0/bias", 1e-6, 0);
    starts_as(&p, "MAPHead_0/MlpBlock_0/Dense_1/bias", 1e-6, 0);
    starts_as(&p, "MAPHead_0/probe", sqrt(6.0 / 161) / sqrt(3), sqrt(6.0 / 161));
    starts_as(&p, "head/kernel", 1 / sqrt(160), 0);

    t = find(&p, "Transformer/encoderblock_0/LayerNorm_1/scale");
    moments(t, 1, &mean, &rms, &most);
    ok(mean == 1 && rms == 1, "norm scales start at one");
    t = find(&p, "Transformer/encoderblock_0/" MHDPA "key_ln/scale");
    moments(t, 1, &mean, &rms, &most);
    ok(mean == 1 && rms == 1, "QK scales start at one");
    moments(find(&p, "embedding/bias"), 1, &mean, &rms, &most);
    ok(most == 0, "the patch bias starts at zero");
    moments(find(&p, "head/bias"), 1, &mean, &rms, &most);
    ok(most == 0, "the classifier's bias starts at zero beside a normal kernel");
    moments(find(&q, "head/kernel"), 1, &mean, &rms, &most);
    ok(most == 0, "the papers' classifier starts at zero");
    moments(find(&q, "head/bias"), 1, &mean, &rms, &most);
    ok(fabs(mean + log((double)find(&q, "head/bias")->dim[0])) < 1e-6 && rms > 1,
       "its bias at the logit of one class of all with the sigmoid loss (%g)", mean);

    const struct param *q0 =
        find(&p, "Transformer/encoderblock_0/" MHDPA "query/kernel");
    const struct param *k0 = find(&p, "Transformer/encoderblock_0/" MHDPA "key/kernel");

    ok(param_init(q0, 1, 7) == param_init(q0, 1, 7) &&
           param_init(q0, 1, 7) != param_init(q0, 2, 7) &&
           param_init(q0, 1, 7) != param_init(k0, 1, 7) &&
           param_init(q0, 1, 7) != param_init(q0, 1, 8),
       "a value depends on seed, tensor and index");
    ok(param_init(q0, 1, 7) == (double)(float)param_init(q0, 1, 7),
       "values are rounded to f32");
    params_free(&p);
    params_free(&q);

    struct spec soft = s;

    soft.loss = LOSS_SOFTMAX;
    params_make(&q, &soft, HEAD_INIT_PAPER);
    moments(find(&q, "head/bias"), 1, &mean, &rms, &most);
    ok(most == 0, "with the softmax loss the papers' bias starts at zero");
    params_free(&q);
}

int main(void)
{
    counts_of_random_shapes();
    sequential_table();
    parallel_table();
    order_and_marks();
    group_sizes();
    initial_values();
    return tap_done();
}
