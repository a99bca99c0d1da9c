/* SPDX-License-Identifier: BSD-3-Clause */
/* Attention: which kernels do it, and what is the same for all of them.
 *
 * Weights are never written: forward keeps of each row the largest logit and the sum of
 * exponentials, from which backward makes them again, once for the gradient of queries
 * and once for those of keys and values, so that nothing is added by several blocks.
 *
 * FLOPs: 4 B H Nq Nk E forward, 14 backward (of which 10 count).
 */
#include "config.h"

#include "src/dev/cuda_attn.cuh"

#include <math.h>

namespace {

enum { WARPS = 8, PEAK_BLOCKS = 256, PEAK_ROWS = 2048 /* of a block, at least */ };

/* delta [B, H, Nq]; a warp has a head of a row. */
__global__ void row_deltas(attention a)
{
    const int64_t i = (int64_t)blockIdx.x * WARPS + threadIdx.y;
    float sum       = 0.0F;

    if (i >= a.B * a.H * a.Nq)
        return;

    const int64_t h = i / a.Nq % a.H, row = i / (a.H * a.Nq) * a.Nq + i % a.Nq;

    for (int64_t e = threadIdx.x; e < a.E; e += LANES_OF_WARP)
        sum += get_one<float>(a.d_o, row * a.d_o.ld + h * a.E + e) *
               get_one<float>(a.o, row * a.o.ld + h * a.E + e);
    sum = warp_sum(sum);
    if (threadIdx.x == 0)
        a.delta[i] = sum;
}

/* to [block]: the largest of the numbers that a block walks over, 'step' apart. */
__global__ void largest_of(view to, const float *from, int64_t count, int64_t step)
{
    __shared__ float tops[WARPS];
    const int64_t each = WARPS * LANES_OF_WARP;
    float most         = -INFINITY;

    for (int64_t i = blockIdx.x * each + threadIdx.y * LANES_OF_WARP + threadIdx.x;
         i < count; i += gridDim.x * each)
        most = fmaxf(most, from[step * i]);
    most = warp_max(most);
    if (threadIdx.x == 0)
        tops[threadIdx.y] = most;
    __syncthreads();
    if (threadIdx.x != 0 || threadIdx.y != 0)
        return;
    for (int w = 1; w < WARPS; w++)
        most = fmaxf(most, tops[w]);
    put_one<float>(to, blockIdx.x, most);
}

/* The largest of all rows' largest logits. */
void largest_logit(struct dev_stream *s, struct mat peak, const float *kept,
                   int64_t rows)
{
    const dim3 block(LANES_OF_WARP, WARPS);
    const int64_t wanted = blocks_for(rows, PEAK_ROWS);
    const int64_t blocks = wanted < PEAK_BLOCKS ? wanted : PEAK_BLOCKS;
    float *tops          = (float *)cuda_work(s, PEAK_BLOCKS * sizeof *tops);
    const view of_block  = { (char *)tops, 1, blocks, blocks, DTYPE_F32 };

    if (blocks > 0)
        launch(s, "largest_of", largest_of, (unsigned)blocks, block, 0, of_block, kept,
               rows, (int64_t)2);
    launch(s, "largest_of", largest_of, 1, block, 0, view_of(peak), (const float *)tops,
           blocks, (int64_t)1);
}

/* 31 bits count an image's rows, as far apart as they are. */
bool is_near(view a, int64_t rows)
{
    return rows * a.ld <= INT32_MAX;
}

void finish(attention *a, const struct attn *sizes)
{
    a->B      = sizes->B;
    a->H      = sizes->H;
    a->E      = sizes->E;
    a->Nq     = sizes->Nq;
    a->Nk     = sizes->Nk;
    a->factor = (float)(1.0 / sqrt((double)sizes->E));
    a->wide   = a->E % WIDE == 0 && is_wide(a->q) && is_wide(a->k) && is_wide(a->v) &&
              is_wide(a->o) && is_wide(a->d_o) && is_wide(a->dq) && is_wide(a->dk) &&
              is_wide(a->dv);
    if (a->E > 256)
        die("heads of %lld; the largest are of 256", (long long)a->E);
    if (!is_near(a->q, a->Nq) || !is_near(a->o, a->Nq) || !is_near(a->d_o, a->Nq) ||
        !is_near(a->dq, a->Nq) || !is_near(a->k, a->Nk) || !is_near(a->v, a->Nk) ||
        !is_near(a->dk, a->Nk) || !is_near(a->dv, a->Nk))
        die("an image of more than 2^31 numbers");
}

} /* namespace */

int64_t cuda_attn_kept(const struct dev *dev, const struct attn *a)
{
    (void)dev;
    return 2 * a->B * a->H * a->Nq;
}

void cuda_attn(struct dev_stream *s, struct mat o, struct mat kept, struct mat peak,
               struct mat q, struct mat k, struct mat v, const struct attn *sizes)
{
    const int64_t rows = sizes->B * sizes->H * sizes->Nq;
    attention a        = {};

    a.q    = view_of(q);
    a.k    = view_of(k);
    a.v    = view_of(v);
    a.o    = view_of(o);
    a.kept = (float *)mat_ptr(kept);
    finish(&a, sizes);
    if (rows > 0 && q.dtype == DTYPE_BF16)
        attn_forward_bf16(s, a);
    else if (rows > 0)
        attn_forward_f32(s, a);
    largest_logit(s, peak, a.kept, rows);
}

void cuda_attn_backward(struct dev_stream *s, struct mat dq, struct mat dk,
                        struct mat dv, struct mat d_o, struct mat o, struct mat kept,
                        struct mat q, struct mat k, struct mat v,
                        const struct attn *sizes)
{
    const int64_t rows = sizes->B * sizes->H * sizes->Nq;
    attention a        = {};

    if (rows == 0)
        return;
    a.q     = view_of(q);
    a.k     = view_of(k);
    a.v     = view_of(v);
    a.o     = view_of(o);
    a.d_o   = view_of(d_o);
    a.dq    = view_of(dq);
    a.dk    = view_of(dk);
    a.dv    = view_of(dv);
    a.kept  = (float *)mat_ptr(kept);
    a.known = (float *)cuda_work(s, 2 * (size_t)rows * sizeof *a.known);
    a.delta = a.known;
    finish(&a, sizes);
    if (q.dtype == DTYPE_BF16) {
        attn_backward_bf16(s, a);
        return;
    }
    launch(s, "row_deltas", row_deltas, (unsigned)blocks_for(rows, WARPS),
           dim3(LANES_OF_WARP, WARPS), 0, a);
    attn_backward_f32(s, a);
}
