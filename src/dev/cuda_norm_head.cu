/* SPDX-License-Identifier: BSD-3-Clause */
/* Norms of every head by itself, its numbers in registers: 8, 16 or 32 threads have a
 * head of a row, eight neighbouring columns each, or, where rows lie unevenly, a warp
 * has it, a column at a time.  Sums for the scale's gradient are kept by each thread
 * for its own columns.
 */
#include "config.h"

#include "src/dev/cuda_math.h"
#include "src/dev/cuda_view.cuh"

#include <type_traits>

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

/* ---- Eight columns a thread ------------------------------------------------------ */

enum { THREADS = 256, WIDE_BLOCKS = 528 /* four on each of 132 multiprocessors */ };

template <int LANES> __device__ __forceinline__ float team_sum(float x)
{
#pragma unroll
    for (int d = LANES / 2; d > 0; d /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, d);
    return x;
}

/* Where a thread's columns, from c on, of head number 'item' lie in 'a'. */
__device__ __forceinline__ int64_t place_of(const view &a, unsigned item, unsigned H,
                                            int E, int c)
{
    return item / H * a.ld + item % H * E + c;
}

template <bool IS_BF16, int LANES>
__global__ void __launch_bounds__(THREADS)
    wide_norm(view y, view stat, view x, view scale, int E, int kind)
{
    const unsigned H    = (unsigned)(x.cols / E);
    const unsigned item = blockIdx.x * (THREADS / LANES) + threadIdx.x / LANES;
    const int c         = threadIdx.x % LANES * WIDE;
    const bool is_there = item < x.rows * H && c < E;
    eight<IS_BF16> e    = {};
    float v[WIDE], w[WIDE], sum = 0.0F, mean = 0.0F, rstd;

    if (is_there)
        fetch(e, x, place_of(x, item, H, E, c));
    unpack(v, e);
    if (kind == NORM_LAYER) {
#pragma unroll
        for (int i = 0; i < WIDE; i++)
            sum += v[i];
        mean = team_sum<LANES>(sum) / (float)E;
        sum  = 0.0F;
    }
#pragma unroll
    for (int i = 0; i < WIDE; i++)
        sum += c < E ? (v[i] - mean) * (v[i] - mean) : 0.0F;
    rstd = math_rstd(team_sum<LANES>(sum), (float)E);
    if (!is_there)
        return;
    get_eight(w, scale, c);
#pragma unroll
    for (int i = 0; i < WIDE; i++)
        v[i] = (v[i] - mean) * rstd * w[i];
    put_eight(y, place_of(y, item, H, E, c), v);
    if (c == 0) {
        put_one<float>(stat, item / H * stat.ld + item % H * 2, mean);
        put_one<float>(stat, item / H * stat.ld + item % H * 2 + 1, rstd);
    }
}

/* partial [gridDim.x, E]: what the block's heads add to dscale. */
template <bool IS_BF16, int LANES>
__global__ void __launch_bounds__(THREADS)
    wide_back(float *partial, view dx, view dy, view x, view stat, view scale, int E,
              int kind)
{
    enum { TEAMS = THREADS / LANES };
    __shared__ float sums[TEAMS][LANES * WIDE];
    const unsigned H     = (unsigned)(x.cols / E);
    const unsigned items = (unsigned)x.rows * H, team = threadIdx.x / LANES;
    const int c   = threadIdx.x % LANES * WIDE;
    float w[WIDE] = {}, of_scale[WIDE] = {};

    if (c < E)
        get_eight(w, scale, c);
    for (unsigned first = blockIdx.x * TEAMS; first < items;
         first += gridDim.x * TEAMS) {
        const unsigned item  = first + team;
        const bool is_there  = item < items && c < E;
        eight<IS_BF16> of_dy = {}, of_x = {};
        float d[WIDE], v[WIDE], mean = 0.0F, rstd = 0.0F, of_g = 0.0F, of_gx = 0.0F;

        if (is_there) {
            fetch(of_dy, dy, place_of(dy, item, H, E, c));
            fetch(of_x, x, place_of(x, item, H, E, c));
            mean = get_one<float>(stat, item / H * stat.ld + item % H * 2);
            rstd = get_one<float>(stat, item / H * stat.ld + item % H * 2 + 1);
        }
        unpack(d, of_dy);
        unpack(v, of_x);
#pragma unroll
        for (int i = 0; i < WIDE; i++) {
            v[i] = (v[i] - mean) * rstd;
            of_scale[i] += d[i] * v[i];
            d[i] *= w[i];
            of_g += d[i];
            of_gx += d[i] * v[i];
        }
        of_g  = kind == NORM_LAYER ? team_sum<LANES>(of_g) / (float)E : 0.0F;
        of_gx = team_sum<LANES>(of_gx) / (float)E;
        if (!is_there)
            continue;
#pragma unroll
        for (int i = 0; i < WIDE; i++)
            d[i] = rstd * (d[i] - of_g - v[i] * of_gx);
        put_eight(dx, place_of(dx, item, H, E, c), d);
    }
#pragma unroll
    for (int i = 0; i < WIDE; i++)
        sums[team][c + i] = of_scale[i];
    __syncthreads();
    for (int e = threadIdx.x; e < E; e += THREADS) {
        float all = 0.0F;

        for (int i = 0; i < TEAMS; i++)
            all += sums[i][e];
        partial[(int64_t)blockIdx.x * E + e] = all;
    }
}

/* ---- Launches -------------------------------------------------------------------- */

/* Whether threads can have eight columns of heads of E, and 32 bits count the heads. */
bool is_for_eights(view x, view like, view other, view scale, int64_t E)
{
    return is_wide(x) && is_wide(like) && is_wide(other) && is_wide(scale) &&
           like.type == x.type && E % WIDE == 0 && x.rows * x.cols / E <= INT32_MAX;
}

/* Call 'of' with how many threads have a head. */
template <class Of> void of_lanes(int64_t E, const Of &of)
{
    if (E <= 8 * WIDE)
        of(std::integral_constant<int, 8>());
    else if (E <= 16 * WIDE)
        of(std::integral_constant<int, 16>());
    else
        of(std::integral_constant<int, 32>());
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
    const view to = view_of(y), from = view_of(x), w = view_of(scale);

    check_head(E);
    if (items == 0)
        return;
    if (is_for_eights(from, from, to, w, E)) {
        of_lanes(E, [&](auto lanes) {
            enum { LANES = lanes.value };

            launch(s, "wide_norm",
                   from.type == DTYPE_BF16 ? wide_norm<true, LANES>
                                           : wide_norm<false, LANES>,
                   (unsigned)blocks_for(items, THREADS / LANES), THREADS, 0, to,
                   view_of(stat), from, w, (int)E, k);
        });
        return;
    }
    launch(s, "head_norm", head_norm, (unsigned)blocks_for(items, WARPS),
           dim3(LANES_OF_WARP, WARPS), 0, to, view_of(stat), from, w, (int)E, k);
}

void cuda_head_norm_backward(struct dev_stream *s, struct mat dx, struct mat dscale,
                             bool is_added, struct mat dy, struct mat x,
                             struct mat stat, struct mat scale, int64_t E,
                             enum norm_kind k)
{
    const int64_t items = x.rows * (x.cols / E);
    const view to = view_of(dx), d = view_of(dy), from = view_of(x);
    const view st = view_of(stat), w = view_of(scale);
    int64_t blocks = min(blocks_for(items, WARPS), (int64_t)BLOCKS);
    float *partial;

    check_head(E);
    partial = (float *)cuda_work(s, (size_t)(WIDE_BLOCKS * E + 1) * sizeof *partial);
    if (items > 0 && is_for_eights(from, d, to, w, E))
        of_lanes(E, [&](auto lanes) {
            enum { LANES = lanes.value };

            blocks = min(blocks_for(items, THREADS / LANES), (int64_t)WIDE_BLOCKS);
            launch(s, "wide_back",
                   from.type == DTYPE_BF16 ? wide_back<true, LANES>
                                           : wide_back<false, LANES>,
                   (unsigned)blocks, THREADS, 0, partial, to, d, from, st, w, (int)E,
                   k);
        });
    else if (items > 0)
        launch(s, "head_back", head_back, (unsigned)blocks, dim3(LANES_OF_WARP, WARPS),
               0, partial, to, d, from, st, w, (int)E, k);
    cuda_sum_strips(s, dscale, mat_none(), partial, blocks, E, is_added);
}
