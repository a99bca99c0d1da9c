/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of activations, family by family, in the order of memory.  Matrices start
 * at multiples of MEM_ALIGN bytes.
 */
#include "config.h"

#include "src/plan/act.h"

#include "src/base/mem.h"
#include "src/plan/param.h"

#include <string.h>

/* The table in the making: the next matrix of 'family' starts at byte 'at'. */
struct maker {
    struct act_table *t;
    enum act_family family;
    int64_t at;
    enum dtype dtype, acc;
};

static void start(struct maker *k, enum act_family family)
{
    k->family = family;
    k->at     = 0;
}

static void add_typed(struct maker *k, enum act which, int64_t rows, int64_t cols,
                      enum dtype dtype)
{
    k->t->place[which] = (struct act_place){
        .family = k->family, .offset = k->at, .rows = rows, .cols = cols, .dtype = dtype
    };
    k->at += (int64_t)mem_round((size_t)(rows * cols) * dtype_size(dtype));
}

static void add(struct maker *k, enum act which, int64_t rows, int64_t cols)
{
    add_typed(k, which, rows, cols, k->dtype);
}

static void add_acc(struct maker *k, enum act which, int64_t rows, int64_t cols)
{
    add_typed(k, which, rows, cols, k->acc);
}

enum dtype act_acc(enum dtype dtype)
{
    return dtype == DTYPE_F64 ? DTYPE_F64 : DTYPE_F32;
}

/* ---- kept ------------------------------------------------------------------------ */

/* What a block can be made again from. */
static void add_seed(struct maker *k, const struct spec *s, const struct local *l)
{
    add(k, KEPT_X, l->rows, l->C_l); /* first: block L has nothing else */
    add_acc(k, KEPT_STAT0, l->rows, 2);
    if (s->wiring == WIRING_SEQUENTIAL)
        add_acc(k, KEPT_STAT1, l->rows, 2);
}

static void add_inner(struct maker *k, const struct spec *s, const struct local *l,
                      const struct act_form *form)
{
    const bool is_parallel = s->wiring == WIRING_PARALLEL;
    const int64_t n = l->rows, A = l->A_l, F = l->F_l;
    const int64_t fused = is_parallel ? F : 0;

    add(k, KEPT_IN, n, 3 * A + fused);
    add(k, KEPT_OUT, n, A + fused);
    if (s->qk_norm) {
        add(k, KEPT_Q, n, A);
        add(k, KEPT_K, n, A);
        add_acc(k, KEPT_Q_STAT, n, 2 * l->H_l);
        add_acc(k, KEPT_K_STAT, n, 2 * l->H_l);
    }
    add_acc(k, KEPT_ATTN, 1, form->kept_block);
    if (form->keeps_norms)
        add(k, KEPT_XN0, n, l->C_l);
    if (form->keeps_norms && !is_parallel)
        add(k, KEPT_XN1, n, l->C_l);
    if (!is_parallel) {
        add(k, KEPT_X1, n, l->C_l);
        add(k, KEPT_UP, n, F);
        add(k, KEPT_ACT, n, F);
    }
}

/* All blocks, and x of block L. */
static void add_blocks(struct maker *k, const struct spec *s, const struct local *l,
                       const struct act_form *form)
{
    int64_t stride;

    add_seed(k, s, l);
    if (form->remat == REMAT_NONE)
        add_inner(k, s, l, form);
    stride = k->at;
    for (int i = KEPT_X; i <= KEPT_ACT; i++)
        k->t->place[i].stride = stride;
    k->at = s->L * stride;
    k->at += (int64_t)mem_round((size_t)(l->rows * l->C_l) * dtype_size(k->dtype));
    if (form->remat == REMAT_BLOCK)
        add_inner(k, s, l, form); /* without a stride */
}

static void add_rest(struct maker *k, const struct spec *s, const struct local *l,
                     int64_t kept_map)
{
    add(k, KEPT_ROWS, l->rows, param_round(s->P)); /* as GPUs' products want rows */
    add_acc(k, KEPT_STAT, l->rows, 2);
    add(k, KEPT_POOLED, l->B_l, l->C_l);
    add_acc(k, KEPT_LOGITS, l->B_l, l->K_l);
    add(k, KEPT_D_LOGITS, l->B_l, l->K_l);
    if (s->pool == POOL_MAP) {
        add(k, KEPT_MAP_Q, l->B_l, l->A_l);
        add(k, KEPT_MAP_KV, l->rows, 2 * l->A_l);
        add(k, KEPT_MAP_O, l->B_l, l->A_l);
        add_acc(k, KEPT_MAP_ATTN, 1, kept_map);
        add(k, KEPT_MAP_X, l->B_l, l->C_l);
        add_acc(k, KEPT_MAP_STAT, l->B_l, 2);
        add(k, KEPT_MAP_XN, l->B_l, l->C_l);
        add(k, KEPT_MAP_UP, l->B_l, l->F_l);
        add(k, KEPT_MAP_ACT, l->B_l, l->F_l);
    }
}

/* ---- work ------------------------------------------------------------------------ */

static void add_work_rows(struct maker *k, const struct spec *s, const struct local *l,
                          int M)
{
    const bool is_parallel = s->wiring == WIRING_PARALLEL;
    const int64_t n = l->rows, A = l->A_l, F = l->F_l, C = l->C_l;
    const int64_t R = s->norm == NORM_RMS ? 1 : 2;

    add_acc(k, WORK_PEAK, 1, 1); /* first: the place is the same in every micro-batch */
    add_acc(k, WORK_PEAK1, 1, 1);
    add(k, WORK_XN, n, C);
    add(k, WORK_DX, n, C);
    add(k, WORK_DXN, n, C);
    add(k, WORK_D_IN, n, 3 * A + (is_parallel ? F + A : 0));
    if (!is_parallel) {
        add(k, WORK_D_O, n, A);
        add(k, WORK_D_UP, n, F);
    }
    if (s->qk_norm) {
        add(k, WORK_D_Q, n, A);
        add(k, WORK_D_K, n, A);
    }
    if (M > 1)
        add_acc(k, WORK_PART, n, R);
    add_acc(k, WORK_PARTS, M * n, R);
    add(k, WORK_TABLE, s->N, C);
    add_acc(k, WORK_D_TABLE, s->N, C);
}

static void add_work_images(struct maker *k, const struct spec *s,
                            const struct local *l, int M)
{
    add(k, WORK_D_POOLED, l->B_l, l->C_l);
    if (s->pool == POOL_MAP) {
        add(k, WORK_D_MAP_XN, l->B_l, l->C_l);
        add(k, WORK_D_MAP_UP, l->B_l, l->F_l);
        add(k, WORK_D_MAP_O, l->B_l, l->A_l);
        add(k, WORK_D_MAP_Q, l->B_l, l->A_l);
        add(k, WORK_MAP_Q1, 1, l->A_l);
    }
    if (s->loss == LOSS_SOFTMAX) {
        add_acc(k, WORK_LARGEST, l->B_l, 1);
        add_acc(k, WORK_SUMS, 2 * l->B_l, 1);
        if (M > 1)
            add_acc(k, WORK_SLICES, 2 * l->B_l * M, 1);
    }
}

/* ---- the table ------------------------------------------------------------------- */

void act_make(struct act_table *t, const struct spec *s, const struct local *l,
              const struct act_form *form)
{
    struct maker k = { .t = t, .dtype = form->dtype, .acc = act_acc(form->dtype) };
    const int64_t pixels = 3 * (int64_t)s->image * s->image;

    memset(t, 0, sizeof *t);

    start(&k, ACT_KEPT);
    add_blocks(&k, s, l, form);
    add_rest(&k, s, l, form->kept_map);
    t->bytes[ACT_KEPT] = k.at;

    start(&k, ACT_WORK);
    add_work_rows(&k, s, l, form->M);
    add_work_images(&k, s, l, form->M);
    t->bytes[ACT_WORK] = k.at;

    start(&k, ACT_BATCH);
    add_acc(&k, BATCH_IMAGES, l->B_l, pixels);
    add_acc(&k, BATCH_TARGETS, l->B_l, l->K_l);
    if (k.acc != DTYPE_F32)
        add_typed(&k, BATCH_STAGED, l->B_l, pixels > l->K_l ? pixels : l->K_l,
                  DTYPE_F32);
    t->bytes[ACT_BATCH] = k.at;

    start(&k, ACT_HOST);
    add_typed(&k, HOST_IMAGES, l->B_l, pixels, DTYPE_F32);
    add_typed(&k, HOST_TARGETS, l->B_l, l->K_l, DTYPE_F32);
    t->bytes[ACT_HOST] = k.at;

    start(&k, ACT_PICTURES);
    add_typed(&k, ALL_PICTURES, 1 + l->B_l, pixels + ACT_PICTURE, DTYPE_F32);
    t->bytes[ACT_PICTURES] = k.at;
}

/* ---- sums ------------------------------------------------------------------------ */

/* Weights are made again in backward, from a row's largest logit and its sum. */
int64_t act_attn_kept(int64_t B, int64_t H, int64_t Nq)
{
    return 2 * B * H * Nq;
}

int act_cmm_sums(int M, enum dtype dtype, enum dtype sums)
{
    return M > 2 || sums != dtype ? 2 : M - 1;
}

/* A plain product has room for all slices and for what other ranks send of one; a ring
 * has up to two rooms for slices that come, as many for sums, and one for the sum that
 * arrives.  In both directions each has half of the columns, and two rooms always for
 * slices, of which the own is copied.
 */
int64_t act_cmm_bytes(int64_t rows, int64_t width, int M, enum dtype dtype,
                      enum dtype sums, enum cmm_form form)
{
    const int lanes    = form == CMM_BIDIR ? 2 : 1;
    const int slices   = form == CMM_BIDIR || M > 2 ? 2 : M - 1;
    const int made     = act_cmm_sums(M, dtype, sums) + 1;
    const int64_t cols = split_most(split_most(width, M), lanes), n = rows * cols;
    const int64_t slice = (int64_t)mem_round((size_t)n * dtype_size(dtype));
    const int64_t sum   = (int64_t)mem_round((size_t)n * dtype_size(sums));

    if (M == 1)
        return 0;
    if (form == CMM_AUTO) {
        const int64_t plain = act_cmm_bytes(rows, width, M, dtype, sums, CMM_PLAIN);
        const int64_t bidir = act_cmm_bytes(rows, width, M, dtype, sums, CMM_BIDIR);

        return plain > bidir ? plain : bidir;
    }
    if (form == CMM_PLAIN)
        return (2 * M - 1) * sum;
    return lanes * (slices * slice + made * sum);
}

void act_bytes(int64_t *kept, int64_t *work, int64_t *batch, const struct spec *s,
               const struct local *l, const struct traffic_job *job)
{
    const enum dtype sums = traffic_sums_wire(job->dtype, job->has_wide_sums);
    struct local m        = *l;
    struct act_table t, row; /* of a micro-batch, of all that the host holds */
    struct act_form form = { .dtype       = job->dtype,
                             .M           = job->M,
                             .remat       = job->remat,
                             .keeps_norms = job->is_apart };

    spec_micro(&m, s, job_micros(job), 0);
    form.kept_block = act_attn_kept(m.B_l, m.H_l, s->N);
    form.kept_map   = act_attn_kept(m.B_l, m.H_l, 1);
    act_make(&t, s, &m, &form);
    *kept = t.bytes[ACT_KEPT];
    *work = t.bytes[ACT_WORK] +
            act_cmm_bytes(m.rows, s->C, job->M, job->dtype, sums, job->form) +
            act_cmm_bytes(m.B_l, s->C, job->M, job->dtype, sums, CMM_PLAIN);
    *work += job->is_apart ? ACT_PRODUCTS : 0;
    act_make(&row, s, l, &form);
    /* Where the host's memory does not count, the batch after it is sent ahead. */
    *batch = job->is_apart ? 2 * t.bytes[ACT_BATCH]
                           : t.bytes[ACT_BATCH] + row.bytes[ACT_HOST];
    *batch += job->is_apart && job->has_pictures ? t.bytes[ACT_PICTURES] : 0;
}
