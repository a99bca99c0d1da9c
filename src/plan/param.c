/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of tensors, written out in the order of memory.
 *
 * A kernel's fans are the rows and columns of the matrix that it is in memory: flax
 * computes them the same way, on the flattened kernel of its DenseGeneral ([C, H E] for
 * query, key and value, [H E, C] for out).  The patch kernel starts with the variance
 * that flax gives it, 1 / P, but from a whole normal: flax's ends at 2.27 deviations.
 */
#include "config.h"

#include "src/plan/param.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"

#include <math.h>
#include <string.h>

/* More rows than any model's table has, by block and besides. */
enum { ROWS_BLOCK = 18, ROWS_REST = 32 };

/* big_vision starts the biases of its MLPs so, all others at zero. */
static const double mlp_bias_scale = 1e-6;

/* The table in the making, and what the rows to come have in common. */
struct maker {
    struct params *p;
    const struct spec *s;
    int capacity;
    int group, block;
    char prefix[48]; /* of their names */
};

/* ---- kinds of rows --------------------------------------------------------------- */

/* A new row of the table, all its dimensions still missing. */
static struct param *add(struct maker *k, enum slot slot, const char *name)
{
    if (k->p->count == k->capacity)
        die("the table of tensors is full at %s%s", k->prefix, name);

    struct param *t = &k->p->param[k->p->count++];

    if (snprintf(t->name, sizeof t->name, "%s%s", k->prefix, name) >= PARAM_NAME)
        die("the name %s%s is too long", k->prefix, name);
    t->group  = k->group;
    t->block  = k->block;
    t->slot   = slot;
    t->stream = RNG_PARAM + rng_hash(t->name);
    return t;
}

static void set_dims(struct param *t, int split, int fold, int dims, int64_t d0,
                     int64_t d1, int64_t d2, int64_t d3)
{
    const int64_t dim[PARAM_DIMS] = { d0, d1, d2, d3 };

    t->split = split;
    t->fold  = fold;
    t->dims  = dims;
    memcpy(t->dim, dim, sizeof dim);
}

static double xavier(double fan_in, double fan_out)
{
    return sqrt(6 / (fan_in + fan_out));
}

static void set_kernel(struct param *t, double fan_in, double fan_out)
{
    t->init       = INIT_XAVIER;
    t->init_scale = xavier(fan_in, fan_out);
    t->decay      = 1;
    t->is_matmul  = t->block >= 0;
}

/* A vector along the width, the MLP or the classes. */
static struct param *add_vector(struct maker *k, enum slot slot, const char *name,
                                int64_t n, enum init init, double scale)
{
    struct param *t = add(k, slot, name);

    set_dims(t, 0, 0, 1, n, 0, 0, 0);
    t->init       = init;
    t->init_scale = scale;
    return t;
}

/* [in, out]; the side that is cut is the one of which this rank has its own part. */
static struct param *add_matrix(struct maker *k, enum slot slot, const char *name,
                                int64_t in, int64_t out, int split)
{
    struct param *t = add(k, slot, name);

    set_dims(t, split, 1, 2, in, out, 0, 0);
    set_kernel(t, (double)in, (double)out);
    return t;
}

/* Scale and bias of a norm; the bias, if any, has the slot after the scale's. */
static void add_norm(struct maker *k, enum slot slot, const char *name)
{
    char full[32];

    snprintf(full, sizeof full, "%s/scale", name);
    add_vector(k, slot, full, k->s->C, INIT_ONE, 0);
    if (k->s->norm == NORM_LAYER) {
        snprintf(full, sizeof full, "%s/bias", name);
        add_vector(k, slot + 1, full, k->s->C, INIT_ZERO, 0);
    }
}

/* query, key or value: kernel [C, H, E], whole heads to a rank. */
static void add_heads(struct maker *k, enum slot slot, const char *which)
{
    const struct spec *s = k->s;
    char name[64];

    snprintf(name, sizeof name, "MultiHeadDotProductAttention_0/%s/kernel", which);

    struct param *t = add(k, slot, name);

    set_dims(t, 1, 1, 3, s->C, s->H, s->E, 0);
    set_kernel(t, (double)s->C, (double)s->C);
}

static void add_heads_bias(struct maker *k, enum slot slot, const char *which)
{
    char name[64];

    snprintf(name, sizeof name, "MultiHeadDotProductAttention_0/%s/bias", which);

    struct param *t = add(k, slot, name);

    set_dims(t, 0, 0, 2, k->s->H, k->s->E, 0, 0);
    t->is_key_bias = strcmp(which, "key") == 0;
}

/* Attention's output: kernel [H, E, C]. */
static void add_out(struct maker *k, enum slot slot)
{
    const struct spec *s = k->s;
    struct param *t      = add(k, slot, "MultiHeadDotProductAttention_0/out/kernel");

    set_dims(t, 0, 2, 3, s->H, s->E, s->C, 0);
    set_kernel(t, (double)s->C, (double)s->C);
}

static void add_out_bias(struct maker *k, enum slot slot)
{
    add_vector(k, slot, "MultiHeadDotProductAttention_0/out/bias", k->s->C, INIT_ZERO,
               0);
}

static void add_mlp_up(struct maker *k, enum slot slot)
{
    add_matrix(k, slot, "MlpBlock_0/Dense_0/kernel", k->s->C, k->s->F, 1);
}

static void add_mlp_up_bias(struct maker *k, enum slot slot)
{
    add_vector(k, slot, "MlpBlock_0/Dense_0/bias", k->s->F, INIT_NORMAL,
               mlp_bias_scale);
}

static void add_mlp_down(struct maker *k, enum slot slot)
{
    add_matrix(k, slot, "MlpBlock_0/Dense_1/kernel", k->s->F, k->s->C, 0);
}

static void add_mlp_down_bias(struct maker *k, enum slot slot)
{
    add_vector(k, slot, "MlpBlock_0/Dense_1/bias", k->s->C, INIT_NORMAL,
               mlp_bias_scale);
}

/* ---- groups ---------------------------------------------------------------------- */

static void add_embed(struct maker *k)
{
    const struct spec *s = k->s;
    struct param *t      = add(k, SLOT_PATCH, "embedding/kernel");

    set_dims(t, 3, 3, 4, s->patch, s->patch, 3, s->C);
    t->init       = INIT_NORMAL;
    t->init_scale = 1 / sqrt((double)s->P);
    t->decay      = 1;

    add_vector(k, SLOT_PATCH_BIAS, "embedding/bias", s->C, INIT_ZERO, 0);
    if (s->pool == POOL_CLS)
        set_dims(add(k, SLOT_CLS, "cls"), 2, 2, 3, 1, 1, s->C, 0);

    t = add(k, SLOT_POS, "pos_embedding");
    set_dims(t, 2, 2, 3, 1, s->T, s->C, 0);
    t->init       = INIT_NORMAL;
    t->init_scale = 1 / sqrt((double)s->C);
}

static void add_block_parallel(struct maker *k)
{
    add_norm(k, SLOT_NORM0, "LayerNorm_0");
    add_heads(k, SLOT_IN, "query");
    add_heads(k, SLOT_IN, "key");
    add_heads(k, SLOT_IN, "value");
    add_mlp_up(k, SLOT_IN);
    add_mlp_up_bias(k, SLOT_IN_BIAS);
    add_mlp_down(k, SLOT_OUT);
    add_out(k, SLOT_OUT);
    add_mlp_down_bias(k, SLOT_OUT_BIAS); /* one bias for both outputs */
}

static void add_block_sequential(struct maker *k)
{
    add_norm(k, SLOT_NORM0, "LayerNorm_0");
    add_heads(k, SLOT_IN, "query");
    add_heads(k, SLOT_IN, "key");
    add_heads(k, SLOT_IN, "value");
    add_heads_bias(k, SLOT_IN_BIAS, "query");
    add_heads_bias(k, SLOT_IN_BIAS, "key");
    add_heads_bias(k, SLOT_IN_BIAS, "value");
    add_out(k, SLOT_OUT);
    add_out_bias(k, SLOT_OUT_BIAS);
    add_norm(k, SLOT_NORM1, "LayerNorm_1");
    add_mlp_up(k, SLOT_UP);
    add_mlp_up_bias(k, SLOT_UP_BIAS);
    add_mlp_down(k, SLOT_DOWN);
    add_mlp_down_bias(k, SLOT_DOWN_BIAS);
}

static void add_map(struct maker *k)
{
    add_heads(k, SLOT_MAP_Q, "query");
    add_heads_bias(k, SLOT_MAP_Q_BIAS, "query");
    add_heads(k, SLOT_MAP_KV, "key");
    add_heads(k, SLOT_MAP_KV, "value");
    add_heads_bias(k, SLOT_MAP_KV_BIAS, "key");
    add_heads_bias(k, SLOT_MAP_KV_BIAS, "value");
    add_out(k, SLOT_MAP_OUT);
    add_out_bias(k, SLOT_MAP_OUT_BIAS);
    add_norm(k, SLOT_MAP_NORM, "LayerNorm_0");
    add_mlp_up(k, SLOT_MAP_UP);
    add_mlp_up_bias(k, SLOT_MAP_UP_BIAS);
    add_mlp_down(k, SLOT_MAP_DOWN);
    add_mlp_down_bias(k, SLOT_MAP_DOWN_BIAS);
}

static void add_classifier(struct maker *k, enum head_init init)
{
    const struct spec *s = k->s;
    const bool is_normal = init == HEAD_INIT_NORMAL;
    const bool is_low    = !is_normal && s->loss == LOSS_SIGMOID;
    struct param *t      = add_matrix(k, SLOT_HEAD, "head/kernel", s->C, s->K, 1);

    t->init       = is_normal ? INIT_NORMAL : INIT_ZERO;
    t->init_scale = is_normal ? 1 / sqrt((double)s->C) : 0;
    t->is_head    = true;
    add_vector(k, SLOT_HEAD_BIAS, "head/bias", s->K, is_low ? INIT_CONST : INIT_ZERO,
               is_low ? -log((double)s->K) : 0);
}

static void add_qk_scale(struct maker *k, enum slot slot, const char *which)
{
    char name[64];

    snprintf(name, sizeof name, "MultiHeadDotProductAttention_0/%s/scale", which);
    add_vector(k, slot, name, k->s->E, INIT_ONE, 0)->split = -1;
}

/* The fans of the probe [1, 1, C] are those of a matrix of one row. */
static void add_probe(struct maker *k)
{
    struct param *t = add(k, SLOT_MAP_PROBE, "probe");

    set_dims(t, -1, 2, 3, 1, 1, k->s->C, 0);
    t->init       = INIT_XAVIER;
    t->init_scale = xavier(1, (double)k->s->C);
}

/* ---- the table ------------------------------------------------------------------- */

/* The rows to come belong to block 'i'. */
static void enter_block(struct maker *k, int group, int i)
{
    snprintf(k->prefix, sizeof k->prefix, "Transformer/encoderblock_%d/", i);
    k->group = group;
    k->block = i;
}

/* The rows to come belong to no block; their names start with 'prefix'. */
static void enter(struct maker *k, int group, const char *prefix)
{
    snprintf(k->prefix, sizeof k->prefix, "%s", prefix);
    k->group = group;
    k->block = -1;
}

void params_make(struct params *p, const struct spec *s, enum head_init head)
{
    const int L    = (int)s->L;
    struct maker k = { .p = p, .s = s, .capacity = L * ROWS_BLOCK + ROWS_REST };

    p->count = 0;
    p->param = mem_new((size_t)k.capacity, sizeof *p->param);

    enter(&k, GROUP_EMBED, "");
    add_embed(&k);
    for (int i = 0; i < L; i++) {
        enter_block(&k, group_block(i), i);
        if (s->wiring == WIRING_PARALLEL)
            add_block_parallel(&k);
        else
            add_block_sequential(&k);
    }

    enter(&k, group_head(s), "Transformer/");
    add_norm(&k, SLOT_NORM, "encoder_norm");
    if (s->pool == POOL_MAP) {
        enter(&k, group_head(s), "MAPHead_0/");
        add_map(&k);
    }
    enter(&k, group_head(s), "");
    add_classifier(&k, head);

    for (int i = 0; s->qk_norm && i < L; i++) {
        enter_block(&k, group_replicated(s), i);
        add_qk_scale(&k, SLOT_Q_SCALE, "query_ln");
    }
    for (int i = 0; s->qk_norm && i < L; i++) {
        enter_block(&k, group_replicated(s), i);
        add_qk_scale(&k, SLOT_K_SCALE, "key_ln");
    }
    enter(&k, group_replicated(s), "MAPHead_0/");
    if (s->pool == POOL_MAP)
        add_probe(&k);
}

void params_free(struct params *p)
{
    mem_free(p->param);
    *p = (struct params){ 0 };
}

void param_stacked_name(char name[PARAM_NAME], const struct param *p)
{
    static const char block[] = "encoderblock";
    const char *at            = p->block >= 0 ? strstr(p->name, block) : NULL;

    if (at == NULL)
        snprintf(name, PARAM_NAME, "%s", p->name);
    else
        snprintf(name, PARAM_NAME, "%.*s%s%s", (int)(at - p->name), p->name, block,
                 strchr(at, '/'));
}

/* ---- sizes ----------------------------------------------------------------------- */

int64_t param_size(const struct param *p)
{
    return param_size_local(p, 1, 0);
}

struct range param_range(const struct param *p, int M, int m)
{
    if (p->split < 0)
        return (struct range){ 0, p->dim[0] };
    return split_range(p->dim[p->split], M, m);
}

int64_t param_size_local(const struct param *p, int M, int m)
{
    const int cut = p->split < 0 ? 0 : p->split;
    int64_t size  = range_size(param_range(p, M, m));

    for (int i = 0; i < p->dims; i++) {
        if (i != cut)
            size *= p->dim[i];
    }
    return size;
}

int64_t param_group_elements(const struct params *p, const struct spec *s, int group,
                             int M, int m)
{
    int64_t sum = 0, slot = 0;

    if (group < 0 || group >= group_count(s))
        die("there is no group %d in a model of %d blocks", group, (int)s->L);
    for (int i = 0; i < p->count; i++) {
        const struct param *t = &p->param[i];

        if (t->group != group)
            continue;
        slot += param_size_local(t, M, m);
        if (i + 1 < p->count && param_is_beside(t, t + 1))
            continue; /* the slot goes on */
        sum += param_round(slot);
        slot = 0;
    }
    return sum;
}

/* ---- initial values -------------------------------------------------------------- */

double param_init(const struct param *p, uint64_t seed, int64_t i)
{
    float value = 0;

    param_fill(&value, 1, p, seed, i);
    return value;
}

void param_fill(float *x, int64_t n, const struct param *p, uint64_t seed,
                int64_t first)
{
    const float value = p->init == INIT_ZERO  ? 0
                        : p->init == INIT_ONE ? 1
                                              : (float)p->init_scale;

    switch (p->init) {
    case INIT_ZERO:
    case INIT_ONE:
    case INIT_CONST:
        for (int64_t i = 0; i < n; i++)
            x[i] = value;
        break;
    case INIT_NORMAL:
        rng_fill_normal(x, n, seed, p->stream, (uint64_t)first);
        for (int64_t i = 0; i < n; i++)
            x[i] = (float)(p->init_scale * x[i]);
        break;
    case INIT_XAVIER:
        rng_fill_uniform(x, n, p->init_scale, seed, p->stream, (uint64_t)first);
        break;
    }
}
