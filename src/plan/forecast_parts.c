/* SPDX-License-Identifier: BSD-3-Clause */
/* The operations and messages of the model's parts, as src/vit does them, with the
 * bytes that src/dev/dev_ops.c counts.  n rows, b images, A, F, K for local sizes.
 */
#include "config.h"

#include "src/plan/forecast_impl.h"

enum { F32_BYTES = 4 };

static const struct ending plain = { 0 };

/* ---- norms and attention --------------------------------------------------------- */

static int64_t moments(const struct play *p)
{
    return p->spec->norm == NORM_RMS ? 1 : 2;
}

static void norm_again(const struct play *p, struct part *to, int64_t n)
{
    play_move(p, to, "norm_apply", 2 * play_bytes(p, n, p->l.C_l));
}

/* For backward, unless it was kept. */
static void norm_kept(const struct play *p, struct part *to, int64_t n)
{
    if (!p->job->is_apart)
        norm_again(p, to, n);
}

static void norm(const struct play *p, struct part *to, int64_t n)
{
    play_move(p, to, "norm_moments", play_bytes(p, n, p->l.C_l));
    play_plain(p, to, REDUCE, play_sums(p, n, moments(p)));
    play_move(p, to, "norm_merge", play_sums(p, n, p->job->M * moments(p) + 2));
    norm_again(p, to, n);
}

static void norm_back(const struct play *p, struct part *to, int64_t n, bool is_added)
{
    play_move(p, to, "norm_backward_moments", 2 * play_bytes(p, n, p->l.C_l));
    play_plain(p, to, REDUCE, play_sums(p, n, moments(p)));
    play_move(p, to, "norm_backward", (is_added ? 4 : 3) * play_bytes(p, n, p->l.C_l));
}

/* Queries and keys are normed one after the other. */
static void attn(const struct play *p, struct part *to)
{
    const int64_t n = p->l.rows, A = p->l.A_l;

    if (p->spec->qk_norm)
        play_moves(p, to, "head_norm", 2 * 2 * play_bytes(p, n, A), 2);
    play_attention(p, to, false, p->spec->N);
    play_move(p, to, "max", play_sums(p, 3, 1));
}

static void attn_back(const struct play *p, struct part *to)
{
    play_attention(p, to, true, p->spec->N);
    if (p->spec->qk_norm)
        play_moves(p, to, "head_norm_backward",
                   2 * 3 * play_bytes(p, p->l.rows, p->l.A_l), 2);
}

/* GELU writes a second matrix, its gradient reads one, behind column 'cut'. */
static struct ending gelu_behind(const struct play *p, int64_t cut, int64_t n)
{
    return (struct ending){ cut, play_bytes(p, n, p->l.F_l) };
}

/* ---- blocks ---------------------------------------------------------------------- */

/* One GPU alone adds it within the product. */
static void residual(const struct play *p, struct part *to, int64_t n)
{
    if (!p->job->is_apart || p->job->M > 1)
        play_move(p, to, "add", 3 * play_bytes(p, n, p->l.C_l));
}

/* Up to the last product. */
static void parallel_inner(const struct play *p, struct part *to, bool is_again)
{
    const int64_t n = p->l.rows, A = p->l.A_l, F = p->l.F_l;

    is_again ? norm_again(p, to, n) : norm(p, to, n);
    play_gather(p, to, n, 3 * A + F, gelu_behind(p, 3 * A, n), CMM_IN);
    attn(p, to);
}

static void sequential_inner(const struct play *p, struct part *to, bool is_again)
{
    const int64_t n = p->l.rows, A = p->l.A_l, F = p->l.F_l;

    is_again ? norm_again(p, to, n) : norm(p, to, n);
    play_gather(p, to, n, 3 * A, plain, CMM_IN);
    attn(p, to);
    play_scatter(p, to, n, A, CMM_OUT);
    residual(p, to, n);
    is_again ? norm_again(p, to, n) : norm(p, to, n);
    play_gather(p, to, n, F, gelu_behind(p, 0, n), CMM_UP);
}

static void block_forward(const struct play *p, struct part *to)
{
    const int64_t n = p->l.rows, A = p->l.A_l, F = p->l.F_l;

    if (p->spec->wiring == WIRING_PARALLEL) {
        parallel_inner(p, to, false);
        play_scatter(p, to, n, A + F, CMM_OUT);
    } else {
        sequential_inner(p, to, false);
        play_scatter(p, to, n, F, CMM_DOWN);
    }
    residual(p, to, n);
}

static void parallel_backward(const struct play *p, struct part *to)
{
    const int64_t n = p->l.rows, A = p->l.A_l, F = p->l.F_l;

    play_scatter_back(p, to, n, F + A, gelu_behind(p, F, n), CMM_OUT);
    attn_back(p, to);
    norm_kept(p, to, n);
    play_gather_back(p, to, n, 3 * A + F, CMM_IN, false);
    play_move(p, to, "column_sums", play_bytes(p, n, F));
    norm_back(p, to, n, true);
}

static void sequential_backward(const struct play *p, struct part *to)
{
    const int64_t n = p->l.rows, A = p->l.A_l, F = p->l.F_l;

    play_scatter_back(p, to, n, F, gelu_behind(p, 0, n), CMM_DOWN);
    norm_kept(p, to, n);
    play_gather_back(p, to, n, F, CMM_UP, false);
    play_move(p, to, "column_sums", play_bytes(p, n, F));
    norm_back(p, to, n, true);

    play_scatter_back(p, to, n, A, plain, CMM_OUT);
    attn_back(p, to);
    norm_kept(p, to, n);
    play_gather_back(p, to, n, 3 * A, CMM_IN, false);
    play_move(p, to, "column_sums", play_bytes(p, n, 3 * A));
    norm_back(p, to, n, true);
}

static void block_backward(const struct play *p, struct part *to)
{
    const bool is_parallel = p->spec->wiring == WIRING_PARALLEL;

    if (p->job->remat == REMAT_BLOCK && is_parallel)
        parallel_inner(p, to, true);
    else if (p->job->remat == REMAT_BLOCK)
        sequential_inner(p, to, true);
    if (is_parallel)
        parallel_backward(p, to);
    else
        sequential_backward(p, to);
}

/* ---- embedding ------------------------------------------------------------------- */

/* Images and targets from the host; f64 runs by way of f32.  The images are noise,
 * which a device with memory of its own draws itself.
 */
static void input(const struct play *p, struct part *to)
{
    const int64_t pixels = 3 * (int64_t)p->spec->image * p->spec->image;
    const int64_t sent   = p->job->is_apart ? 0 : pixels;
    const double numbers = (double)p->l.B_l * (double)(sent + p->l.K_l);
    const int puts       = p->job->is_apart ? 1 : 2;

    if (p->job->is_apart)
        play_move(p, to, "normals", play_sums(p, p->l.B_l, pixels));
    play_moves(p, to, "put", 2 * numbers * F32_BYTES, puts);
    if (p->sum != F32_BYTES)
        play_moves(p, to, "copy", numbers * (F32_BYTES + (double)p->sum), puts);
}

static void embed_forward(const struct play *p, struct part *to)
{
    const struct spec *s = p->spec;
    const int has_cls    = s->pool == POOL_CLS;
    const int64_t n = p->l.rows, C = p->l.C_l;
    const int64_t pixels = 3 * (int64_t)s->image * s->image;

    play_moves(p, to, "copy", 2 * play_bytes(p, s->T + has_cls, C), 1 + has_cls);
    play_move(p, to, "add_table", 2 * play_bytes(p, s->T, C));
    play_move(p, to, "patches",
              play_bytes(p, n, s->P) + play_sums(p, p->l.B_l, pixels));
    play_gemm(p, to, COST_GEMM, n, C, s->P, 1);
    play_move(p, to, "add_table", 2 * play_bytes(p, n, C));
}

static void embed_backward(const struct play *p, struct part *to)
{
    const struct spec *s = p->spec;
    const int64_t n = p->l.rows, C = p->l.C_l;

    play_move(p, to, "sum_tables", play_bytes(p, n, C));
    play_move(p, to, "column_sums", play_sums(p, s->T, C));
    play_gemm(p, to, COST_GEMM_DW, n, C, s->P, 1);
}

/* ---- head ------------------------------------------------------------------------ */

/* The same as the products of a block, but always plain: few rows. */
static void few_gather(const struct play *p, struct part *to, int64_t N)
{
    play_gemm(p, to, COST_GEMM, p->l.B_l, N, p->slice, p->job->M);
    play_plain(p, to, ACT_GATHER, play_bytes(p, p->l.B_l, p->slice));
}

static void few_gather_back(const struct play *p, struct part *to, int64_t N)
{
    const int64_t b = p->l.B_l;

    play_plain(p, to, ACT_GATHER, play_bytes(p, b, p->slice));
    play_gemm(p, to, COST_GEMM_T, b, N, p->slice, p->job->M);
    play_gemm(p, to, COST_GEMM_DW, b, N, p->slice, p->job->M);
    play_plain(p, to, ACT_SCATTER, play_partial(p, b, p->slice));
    play_move(p, to, "column_sums", play_bytes(p, b, N));
}

static void few_scatter(const struct play *p, struct part *to, int64_t K)
{
    play_gemm(p, to, COST_GEMM, p->l.B_l, p->slice, K, p->job->M);
    play_plain(p, to, ACT_SCATTER, play_partial(p, p->l.B_l, p->slice));
}

static void few_scatter_back(const struct play *p, struct part *to, int64_t K)
{
    const int64_t b = p->l.B_l;

    play_plain(p, to, ACT_GATHER, play_bytes(p, b, p->slice));
    play_gemm(p, to, COST_GEMM_T, b, p->slice, K, p->job->M);
    play_gemm(p, to, COST_GEMM_DW, b, p->slice, K, p->job->M);
    play_move(p, to, "column_sums", play_bytes(p, b, p->l.C_l));
}

static void few_gelu(const struct play *p, struct part *to, int64_t N)
{
    play_epilogue(p, to, play_bytes(p, p->l.B_l, N));
}

static void map_forward(const struct play *p, struct part *to)
{
    const int64_t n = p->l.rows, b = p->l.B_l, A = p->l.A_l, F = p->l.F_l;

    play_gemm(p, to, COST_GEMM, 1, A, p->spec->C, 1);
    play_move(p, to, "spread_rows", play_bytes(p, b, A));
    play_gather(p, to, n, 2 * A, plain, CMM_IN);
    play_attention(p, to, false, 1);
    few_scatter(p, to, A);
    norm(p, to, b);
    few_gather(p, to, F);
    few_gelu(p, to, F);
    few_scatter(p, to, F);
    residual(p, to, b);
}

static void map_backward(const struct play *p, struct part *to)
{
    const int64_t n = p->l.rows, b = p->l.B_l, A = p->l.A_l, F = p->l.F_l;

    few_scatter_back(p, to, F);
    few_gelu(p, to, F);
    few_gather_back(p, to, F);
    norm_back(p, to, b, true);
    few_scatter_back(p, to, A);
    play_attention(p, to, true, 1);
    play_moves(p, to, "column_sums", 2 * play_bytes(p, b, A), 2);
    play_gemm(p, to, COST_GEMM_DW, 1, A, p->spec->C, 1);
    play_gemm(p, to, COST_GEMM_T, 1, A, p->spec->C, 1);
    play_gather_back(p, to, n, 2 * A, CMM_IN, true);
    play_move(p, to, "column_sums", play_bytes(p, n, 2 * A));
}

/* Columns of everyone's sums are gathered and merged. */
static void merge(const struct play *p, struct part *to, const char *op, int64_t cols)
{
    const double bytes = play_sums(p, p->l.B_l, cols);

    if (p->job->M == 1)
        return;
    play_plain(p, to, REDUCE, bytes);
    play_move(p, to, "copy", 2 * bytes);
    play_moves(p, to, op, 3 * bytes * (p->job->M - 1), p->job->M - 1);
}

static void loss(const struct play *p, struct part *to)
{
    const int64_t b = p->l.B_l, K = p->l.K_l;

    if (p->spec->loss == LOSS_SIGMOID) {
        play_move(p, to, "sigmoid_loss", play_bytes(p, b, K) + 2 * play_sums(p, b, K));
    } else {
        play_move(p, to, "softmax_largest", play_sums(p, b, K));
        merge(p, to, "max", 1);
        play_move(p, to, "softmax_sum", 2 * play_sums(p, b, K));
        merge(p, to, "add", 2);
        play_move(p, to, "softmax_loss", play_bytes(p, b, K) + 2 * play_sums(p, b, K));
    }
}

static void head_forward(const struct play *p, struct part *to)
{
    const int64_t n = p->l.rows, b = p->l.B_l;

    norm(p, to, n);
    switch (p->spec->pool) {
    case POOL_MAP:
        map_forward(p, to);
        break;
    case POOL_GAP:
        play_move(p, to, "pool_rows", play_bytes(p, n, p->l.C_l));
        break;
    case POOL_CLS:
        play_move(p, to, "copy", 2 * play_bytes(p, b, p->l.C_l));
        break;
    }
    few_gather(p, to, p->l.K_l);
    loss(p, to);
}

static void head_backward(const struct play *p, struct part *to)
{
    const int64_t n = p->l.rows, b = p->l.B_l;

    few_gather_back(p, to, p->l.K_l);
    switch (p->spec->pool) {
    case POOL_MAP:
        map_backward(p, to);
        break;
    case POOL_GAP:
        play_move(p, to, "spread_rows", play_bytes(p, n, p->l.C_l));
        break;
    case POOL_CLS:
        play_move(p, to, "fill", play_bytes(p, n, p->l.C_l));
        play_move(p, to, "copy", 2 * play_bytes(p, b, p->l.C_l));
        break;
    }
    norm_back(p, to, n, false);
}

/* ---- all parts ------------------------------------------------------------------- */

void step_parts_make(struct step_parts *parts, struct play *p)
{
    const struct traffic_job *job = p->job;

    *parts = (struct step_parts){ 0 };
    input(p, &parts->input);
    embed_forward(p, &parts->embed_forward);
    head_forward(p, &parts->head_forward);
    head_backward(p, &parts->head_backward);
    embed_backward(p, &parts->embed_backward);
    if (p->spec->L > 0) {
        block_forward(p, &parts->block_forward);
        block_backward(p, &parts->block_backward);
    }
    play_allreduce(p, &parts->replicated, 1, job->M, p->replicated);
    play_allreduce(p, &parts->replicated, job->M, job->D, p->replicated);
    play_allreduce(p, &parts->replicated, job->M, job->D, p->factors[0]);
    play_allreduce(p, &parts->replicated, 1, job->M, p->factors[1]);
    play_library(p, &p->verdict, job->D * job->M, TRAFFIC_VERDICT);
}
