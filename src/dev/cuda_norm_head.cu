/* SPDX-License-Identifier: BSD-3-Clause */
/* Norms of every head by itself: a warp has a head of a row, its numbers in registers.
 * Sums for the scale's gradient are kept by each lane for its own columns.
 */
#include "config.h"

#include "src/dev/cuda_math.h"
#include "src/dev/cuda_view.cuh"

namespace {

enum { WARPS = 8, MOST_E = 256, EACH = MOST_E / LANES_OF_WARP, BLOCKS = 264 };

/* The numbers of a lane: columns lane, lane + 32, .. of a head. */
__device__ void load_head(float (&v)[EACH], view a, int64_t at, int E)
{
#pragma unroll
    for (int k = 0; k < EACH; k++) {
        const int e = threadIdx.x + k * LANES_OF_WARP;

        v[k] = e < E ? get_one<float>(a, at + e) : 0.0F;
    }
}

__device__ bool has(int k, int E)
{
    return (int)threadIdx.x + k * LANES_OF_WARP < E;
}

__global__ void head_norm(view y, view stat, view x, view scale, int E, int kind)
{
    const int H        = (int)(x.cols / E);
    const int64_t item = (int64_t)blockIdx.x * WARPS + threadIdx.y;
    const int64_t r = item / H, h = item % H;
    float v[EACH], sum = 0.0F, mean = 0.0F, rstd;

    if (item >= x.rows * H)
        return;
    load_head(v, x, r * x.ld + h * E, E);
    if (kind == NORM_LAYER) {
#pragma unroll
        for (int k = 0; k < EACH; k++)
            sum += v[k];
        mean = warp_sum(sum) / (float)E;
        sum  = 0.0F;
    }
#pragma unroll
    for (int k = 0; k < EACH; k++)
        if (has(k, E))
            sum += (v[k] - mean) * (v[k] - mean);
    rstd = math_rstd(warp_sum(sum), (float)E);
#pragma unroll
    for (int k = 0; k < EACH; k++) {
        const int e = threadIdx.x + k * LANES_OF_WARP;

        if (e < E)
            put_one<float>(y, r * y.ld + h * E + e,
                           (v[k] - mean) * rstd * get_one<float>(scale, e));
    }
    if (threadIdx.x == 0) {
        put_one<float>(stat, r * stat.ld + 2 * h, mean);
        put_one<float>(stat, r * stat.ld + 2 * h + 1, rstd);
    }
}

/* partial [gridDim.x, E]: what the block's heads add to dscale. */
__global__ void head_back(float *partial, view dx, view dy, view x, view stat,
                          view scale, int E, int kind)
{
    __shared__ float sums[WARPS][MOST_E];
    const int H         = (int)(x.cols / E);
    const int64_t items = x.rows * H;
    float w[EACH], of_scale[EACH] = {};

    load_head(w, scale, 0, E);
    for (int64_t item = (int64_t)blockIdx.x * WARPS + threadIdx.y; item < items;
         item += (int64_t)gridDim.x * WARPS) {
        const int64_t r = item / H, h = item % H;
        const float mean = get_one<float>(stat, r * stat.ld + 2 * h);
        const float rstd = get_one<float>(stat, r * stat.ld + 2 * h + 1);
        float d[EACH], v[EACH], of_g = 0.0F, of_gx = 0.0F;

        load_head(d, dy, r * dy.ld + h * E, E);
        load_head(v, x, r * x.ld + h * E, E);
#pragma unroll
        for (int k = 0; k < EACH; k++) {
            v[k] = has(k, E) ? (v[k] - mean) * rstd : 0.0F;
            of_scale[k] += d[k] * v[k];
            d[k] *= w[k];
            of_g += d[k];
            of_gx += d[k] * v[k];
        }
        of_g  = kind == NORM_LAYER ? warp_sum(of_g) / (float)E : 0.0F;
        of_gx = warp_sum(of_gx) / (float)E;
#pragma unroll
        for (int k = 0; k < EACH; k++)
            if (has(k, E))
                put_one<float>(dx, r * dx.ld + h * E + threadIdx.x + k * LANES_OF_WARP,
                               rstd * (d[k] - of_g - v[k] * of_gx));
    }
#pragma unroll
    for (int k = 0; k < EACH; k++)
        sums[threadIdx.y][threadIdx.x + k * LANES_OF_WARP] = of_scale[k];
    __syncthreads();
    for (int e = threadIdx.y * LANES_OF_WARP + threadIdx.x; e < E;
         e += WARPS * LANES_OF_WARP) {
        float all = 0.0F;

        for (int i = 0; i < WARPS; i++)
            all += sums[i][e];
        partial[(int64_t)blockIdx.x * E + e] = all;
    }
}

void check_head(int64_t E)
{
    if (E > MOST_E)
        die("heads of %lld; the largest are of %d", (long long)E, MOST_E);
}

} /* namespace */

void cuda_head_norm(struct dev_stream *s, struct mat y, struct mat stat, struct mat x,
                    struct mat scale, int64_t E, enum norm_kind k)
{
    const int64_t items = x.rows * (x.cols / E);

    check_head(E);
    if (items == 0)
        return;
    launch(s, "head_norm", head_norm, (unsigned)blocks_for(items, WARPS),
           dim3(LANES_OF_WARP, WARPS), 0, view_of(y), view_of(stat), view_of(x),
           view_of(scale), (int)E, k);
}

void cuda_head_norm_backward(struct dev_stream *s, struct mat dx, struct mat dscale,
                             bool is_added, struct mat dy, struct mat x,
                             struct mat stat, struct mat scale, int64_t E,
                             enum norm_kind k)
{
    const int64_t items = x.rows * (x.cols / E), most = blocks_for(items, WARPS);
    const int64_t blocks = most < BLOCKS ? most : BLOCKS;
    float *partial;

    check_head(E);
    partial = (float *)cuda_work(s, (size_t)(blocks * E + 1) * sizeof *partial);
    if (blocks > 0)
        launch(s, "head_back", head_back, (unsigned)blocks, dim3(LANES_OF_WARP, WARPS),
               0, partial, view_of(dx), view_of(dy), view_of(x), view_of(stat),
               view_of(scale), (int)E, k);
    cuda_sum_strips(s, dscale, partial, blocks, E, is_added);
}
