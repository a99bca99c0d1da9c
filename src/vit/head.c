/* SPDX-License-Identifier: BSD-3-Clause */
/* Pooling and classifier, forward beside backward. */
#include "config.h"

#include "src/vit/head.h"

#include "src/vit/attn.h"
#include "src/vit/linear.h"
#include "src/vit/norm.h"

static int head(const struct vit *v)
{
    return group_head(&v->spec);
}

/* ---- MAP ------------------------------------------------------------------------- */

static struct mat probe(const struct vit *v)
{
    return vit_param(v, group_replicated(&v->spec), SLOT_MAP_PROBE);
}

static struct range all_rows(const struct vit *v)
{
    return (struct range){ 0, v->spec.C };
}

static struct range own_cols(const struct vit *v)
{
    return (struct range){ 0, v->local.A_l };
}

/* The query is the same for every image: one row, multiplied once and copied. */
static void map_query_forward(struct vit *v)
{
    const struct mat q1      = vit_work(v, WORK_MAP_Q1);
    const struct epilogue to = { .kind = EPI_BIAS,
                                 .bias = vit_param(v, head(v), SLOT_MAP_Q_BIAS) };

    dev_gemm(v->stream, q1, probe(v), vit_weight(v, head(v), SLOT_MAP_Q), all_rows(v),
             own_cols(v), false, &to);
    dev_spread_rows(v->stream, vit_act(v, KEPT_MAP_Q, 0), q1, 1);
}

/* The probe's gradient is this rank's heads' share: summed over the model axis with the
 * other replicated tensors.
 */
static void map_query_backward(struct vit *v, struct mat d_q)
{
    const struct mat d_q1    = vit_work(v, WORK_MAP_Q1);
    const struct mat d_bias  = vit_grad(v, head(v), SLOT_MAP_Q_BIAS);
    const struct mat d_probe = vit_grad(v, group_replicated(&v->spec), SLOT_MAP_PROBE);

    const bool is_added = vit_adds(v, head(v));

    dev_column_sums(v->stream, d_q1, d_q, false);
    dev_column_sums(v->stream, d_bias, d_q, is_added);
    dev_gemm_dw(v->stream, vit_grad(v, head(v), SLOT_MAP_Q), probe(v), d_q1, is_added);
    dev_gemm_t(v->stream, d_probe, d_q1, vit_weight(v, head(v), SLOT_MAP_Q),
               all_rows(v), own_cols(v), vit_adds(v, group_replicated(&v->spec)), NULL);
}

/* 'pooled' [B_l, C_l] from the normalised rows 'xn' [n, C_l]. */
static void map_forward(struct vit *v, struct mat pooled, struct mat xn)
{
    const int64_t A      = v->local.A_l;
    const struct attn a  = attn_of_map(&v->spec, &v->local);
    const struct mat kv  = vit_act(v, KEPT_MAP_KV, 0);
    const struct mat o   = vit_act(v, KEPT_MAP_O, 0);
    const struct mat x   = vit_act(v, KEPT_MAP_X, 0);
    const struct mat x_n = vit_act(v, KEPT_MAP_XN, 0);
    const struct mat act = vit_act(v, KEPT_MAP_ACT, 0);

    const struct cmm_section to_kv =
        linear_bias(0, 2 * A, vit_param(v, head(v), SLOT_MAP_KV_BIAS));
    const struct cmm_section to_up =
        linear_gelu(v, 0, v->local.F_l, vit_param(v, head(v), SLOT_MAP_UP_BIAS), act);

    map_query_forward(v);
    cmm_keep(v->cmm); /* backward wants the same, and there is nothing between */
    linear_gather(v, v->cmm, kv, xn, head(v), SLOT_MAP_KV, &to_kv, 1);
    dev_attn(v->stream, o, vit_act(v, KEPT_MAP_ATTN, 0), vit_work(v, WORK_PEAK1),
             vit_act(v, KEPT_MAP_Q, 0), mat_cols(kv, 0, A), mat_cols(kv, A, 2 * A), &a);
    linear_scatter(v, v->cmm_pool, x, o, mat_none(), head(v), SLOT_MAP_OUT);

    norm_forward(v, x_n, vit_act(v, KEPT_MAP_STAT, 0), x, head(v), SLOT_MAP_NORM);
    linear_gather(v, v->cmm_pool, vit_act(v, KEPT_MAP_UP, 0), x_n, head(v), SLOT_MAP_UP,
                  &to_up, 1);
    linear_scatter(v, v->cmm_pool, pooled, act, x, head(v), SLOT_MAP_DOWN);
}

/* 'dxn' [n, C_l] from 'd_pooled', which becomes the gradient of x on the way. */
static void map_backward(struct vit *v, struct mat dxn, struct mat d_pooled,
                         struct mat xn)
{
    const int64_t A       = v->local.A_l;
    const struct attn a   = attn_of_map(&v->spec, &v->local);
    const struct mat kv   = vit_act(v, KEPT_MAP_KV, 0);
    const struct mat o    = vit_act(v, KEPT_MAP_O, 0);
    const struct mat x    = vit_act(v, KEPT_MAP_X, 0);
    const struct mat stat = vit_act(v, KEPT_MAP_STAT, 0);
    const struct mat x_n  = vit_act(v, KEPT_MAP_XN, 0);
    const struct mat dx_n = vit_work(v, WORK_D_MAP_XN);
    const struct mat d_up = vit_work(v, WORK_D_MAP_UP);
    const struct mat d_o  = vit_work(v, WORK_D_MAP_O);
    const struct mat d_q  = vit_work(v, WORK_D_MAP_Q);
    const struct mat d_kv = mat_cols(vit_work(v, WORK_D_IN), 0, 2 * A);

    const struct cmm_section from_act =
        linear_dgelu(v, 0, v->local.F_l, vit_act(v, KEPT_MAP_UP, 0));
    const struct cmm_section plain = linear_plain(0, A);

    linear_scatter_backward(v, v->cmm_pool, d_up, &from_act, 1, d_pooled,
                            vit_act(v, KEPT_MAP_ACT, 0), head(v), SLOT_MAP_DOWN);
    linear_gather_backward(v, v->cmm_pool, dx_n, d_up, x_n, head(v), SLOT_MAP_UP);
    norm_backward(v, d_pooled, true, dx_n, x, stat, head(v), SLOT_MAP_NORM);

    linear_scatter_backward(v, v->cmm_pool, d_o, &plain, 1, d_pooled, o, head(v),
                            SLOT_MAP_OUT);
    dev_attn_backward(v->stream, d_q, mat_cols(d_kv, 0, A), mat_cols(d_kv, A, 2 * A),
                      d_o, o, vit_act(v, KEPT_MAP_ATTN, 0), vit_act(v, KEPT_MAP_Q, 0),
                      mat_cols(kv, 0, A), mat_cols(kv, A, 2 * A), &a);
    map_query_backward(v, d_q);
    linear_gather_backward(v, v->cmm, dxn, d_kv, xn, head(v), SLOT_MAP_KV);
    cmm_finish(v->cmm);
}

/* ---- pooling --------------------------------------------------------------------- */

static void pool_forward(struct vit *v, struct mat pooled, struct mat xn)
{
    switch (v->spec.pool) {
    case POOL_MAP:
        map_forward(v, pooled, xn);
        break;
    case POOL_GAP:
        dev_pool_rows(v->stream, pooled, xn, 1 / (double)v->spec.N);
        break;
    case POOL_CLS:
        dev_copy(v->stream, pooled, mat_every(xn, 0, v->spec.N));
        break;
    }
}

static void pool_backward(struct vit *v, struct mat dxn, struct mat d_pooled)
{
    switch (v->spec.pool) {
    case POOL_MAP: /* the rows are as forward has left them, just before */
        map_backward(v, dxn, d_pooled, vit_work(v, WORK_XN));
        break;
    case POOL_GAP:
        dev_spread_rows(v->stream, dxn, d_pooled, 1 / (double)v->spec.N);
        break;
    case POOL_CLS:
        dev_fill(v->stream, dxn, 0);
        dev_copy(v->stream, mat_every(dxn, 0, v->spec.N), d_pooled);
        break;
    }
}

/* ---- the head -------------------------------------------------------------------- */

void head_forward(struct vit *v)
{
    const struct mat xn     = vit_work(v, WORK_XN);
    const struct mat pooled = vit_act(v, KEPT_POOLED, 0);

    const struct cmm_section to_logits =
        linear_bias(0, v->local.K_l, vit_param(v, head(v), SLOT_HEAD_BIAS));

    norm_forward(v, xn, vit_act(v, KEPT_STAT, 0), vit_act(v, KEPT_X, v->spec.L),
                 head(v), SLOT_NORM);
    pool_forward(v, pooled, xn);
    linear_gather(v, v->cmm_pool, vit_act(v, KEPT_LOGITS, 0), pooled, head(v),
                  SLOT_HEAD, &to_logits, 1);
}

void head_backward(struct vit *v)
{
    const struct mat d_pooled = vit_work(v, WORK_D_POOLED);
    const struct mat dxn      = vit_work(v, WORK_DXN);

    linear_gather_backward(v, v->cmm_pool, d_pooled, vit_act(v, KEPT_D_LOGITS, 0),
                           vit_act(v, KEPT_POOLED, 0), head(v), SLOT_HEAD);
    pool_backward(v, dxn, d_pooled);
    norm_backward(v, vit_work(v, WORK_DX), false, dxn, vit_act(v, KEPT_X, v->spec.L),
                  vit_act(v, KEPT_STAT, 0), head(v), SLOT_NORM);
}
