/* SPDX-License-Identifier: BSD-3-Clause */
/* Norms over the rows of a matrix, in the steps of dev.h.  A warp has a row where sums
 * over it are formed; the backward pass, whose sums are there already, gives every
 * thread V columns to walk down, so that the sums over rows stay in registers.
 */
#include "config.h"

#include "src/dev/cuda_math.h"
#include "src/dev/cuda_view.cuh"

namespace {

enum { WARPS = 8, ACROSS = 32, DOWN = 8, STRIPS = 64, LEAST_ROWS = 32 };

/* The row of this thread's warp, and whether there is one. */
__device__ int64_t row_of_warp()
{
    return (int64_t)blockIdx.x * WARPS + threadIdx.y;
}

template <int V> __global__ void moments(view part, view x, int kind)
{
    const int64_t r = row_of_warp();
    float sum = 0.0F, mean = 0.0F, m2 = 0.0F, v[V];

    if (r >= x.rows)
        return;
    for (int64_t c = threadIdx.x * V; c < x.cols; c += LANES_OF_WARP * V) {
        load(v, x, r, c);
#pragma unroll
        for (int k = 0; k < V; k++)
            sum += kind == NORM_RMS ? v[k] * v[k] : v[k];
    }
    sum = warp_sum(sum);
    if (kind == NORM_RMS) {
        if (threadIdx.x == 0)
            put_one<float>(part, r * part.ld, sum);
        return;
    }
    mean = x.cols > 0 ? sum / (float)x.cols : 0.0F;
    for (int64_t c = threadIdx.x * V; c < x.cols; c += LANES_OF_WARP * V) {
        load(v, x, r, c);
#pragma unroll
        for (int k = 0; k < V; k++)
            m2 += (v[k] - mean) * (v[k] - mean);
    }
    m2 = warp_sum(m2);
    if (threadIdx.x == 0) {
        put_one<float>(part, r * part.ld, mean);
        put_one<float>(part, r * part.ld + 1, m2);
    }
}

enum { MOST_RANKS = 256 };
struct widths_of_ranks {
    int count;
    int width[MOST_RANKS];
};

__global__ void merge(view stat, view parts, widths_of_ranks widths, int kind)
{
    const int64_t r = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    float mean = 0.0F, m2 = 0.0F, n = 0.0F;

    if (r >= stat.rows)
        return;
    for (int m = 0; m < widths.count; m++) {
        const int64_t at  = (m * stat.rows + r) * parts.ld;
        const float width = (float)widths.width[m];

        if (widths.width[m] == 0)
            continue;
        if (kind == NORM_RMS)
            m2 += get_one<float>(parts, at);
        else
            math_merge(&mean, &m2, n, get_one<float>(parts, at),
                       get_one<float>(parts, at + 1), width);
        n += width;
    }
    put_one<float>(stat, r * stat.ld, mean);
    put_one<float>(stat, r * stat.ld + 1, math_rstd(m2, n));
}

struct apply_op {
    view y, x, stat, scale, bias;
    template <int V> __device__ void at(int64_t r, int64_t c) const
    {
        const float mean = get_one<float>(stat, r * stat.ld);
        const float rstd = get_one<float>(stat, r * stat.ld + 1);
        float v[V], w[V], b[V] = {};

        load(v, x, r, c);
        load(w, scale, 0, c);
        if (bias.at != NULL)
            load(b, bias, 0, c);
#pragma unroll
        for (int k = 0; k < V; k++)
            v[k] = (v[k] - mean) * rstd * w[k] + b[k];
        store(y, r, c, v);
    }
};

template <int V>
__global__ void back_moments(view part, view dy, view x, view stat, view scale,
                             int kind)
{
    const int64_t r = row_of_warp();
    float of_g = 0.0F, of_gx = 0.0F, mean, rstd, d[V], v[V], w[V];

    if (r >= x.rows)
        return;
    mean = get_one<float>(stat, r * stat.ld);
    rstd = get_one<float>(stat, r * stat.ld + 1);
    for (int64_t c = threadIdx.x * V; c < x.cols; c += LANES_OF_WARP * V) {
        load(d, dy, r, c);
        load(v, x, r, c);
        load(w, scale, 0, c);
#pragma unroll
        for (int k = 0; k < V; k++) {
            of_g += d[k] * w[k];
            of_gx += d[k] * w[k] * ((v[k] - mean) * rstd);
        }
    }
    of_g  = warp_sum(of_g);
    of_gx = warp_sum(of_gx);
    if (threadIdx.x == 0 && kind == NORM_LAYER)
        put_one<float>(part, r * part.ld, of_g);
    if (threadIdx.x == 0)
        put_one<float>(part, r * part.ld + (kind == NORM_LAYER), of_gx);
}

/* What the backward pass of a strip of rows reads and writes. */
struct back {
    view dx, dy, x, stat, scale, parts;
    int M, kind;
    float by_C;
    bool is_dx_added;
    int64_t strip;
};

/* partial [strips, 2 cols]: of each strip the sums for dscale, then those for dbias. */
template <int V> __global__ void backward(float *partial, back b)
{
    __shared__ float sums[DOWN][ACROSS * V];
    const int64_t c  = ((int64_t)blockIdx.x * ACROSS + threadIdx.x) * V;
    const int64_t lo = blockIdx.y * b.strip, hi = min(lo + b.strip, b.x.rows);
    const int64_t n     = b.x.rows;
    const bool is_layer = b.kind == NORM_LAYER;
    float sum[2][V] = {}, w[V], d[V], v[V], old[V] = {};

    if (c < b.x.cols)
        load(w, b.scale, 0, c);
    for (int64_t r = lo + threadIdx.y; r < hi && c < b.x.cols; r += DOWN) {
        const float mean = get_one<float>(b.stat, r * b.stat.ld);
        const float rstd = get_one<float>(b.stat, r * b.stat.ld + 1);
        float of_g = 0.0F, of_gx = 0.0F;

        for (int m = 0; m < b.M; m++) {
            const int64_t at = (m * n + r) * b.parts.ld;

            if (is_layer)
                of_g += get_one<float>(b.parts, at);
            of_gx += get_one<float>(b.parts, at + is_layer);
        }
        load(d, b.dy, r, c);
        load(v, b.x, r, c);
        if (b.is_dx_added)
            load(old, b.dx, r, c);
#pragma unroll
        for (int k = 0; k < V; k++) {
            const float xhat = (v[k] - mean) * rstd;

            sum[0][k] += d[k] * xhat;
            sum[1][k] += d[k];
            v[k] = old[k] + rstd * (d[k] * w[k] - (of_g + xhat * of_gx) * b.by_C);
        }
        store(b.dx, r, c, v);
    }
    for (int which = 0; which < 2; which++) {
#pragma unroll
        for (int k = 0; k < V; k++)
            sums[threadIdx.y][threadIdx.x * V + k] = sum[which][k];
        __syncthreads();
        for (int k = 0; k < V && threadIdx.y == 0 && c < b.x.cols; k++) {
            float all = 0.0F;

            for (int i = 0; i < DOWN; i++)
                all += sums[i][threadIdx.x * V + k];
            partial[(2 * (int64_t)blockIdx.y + which) * b.x.cols + c + k] = all;
        }
        __syncthreads();
    }
}

dim3 warps_block()
{
    return dim3(LANES_OF_WARP, WARPS);
}

} /* namespace */

void cuda_norm_moments(struct dev_stream *s, struct mat part, struct mat x,
                       enum norm_kind k)
{
    const view to = view_of(part), from = view_of(x);
    const unsigned blocks = (unsigned)blocks_for(from.rows, WARPS);

    if (blocks == 0)
        return;
    if (is_wide(from))
        launch(s, "moments<WIDE>", moments<WIDE>, blocks, warps_block(), 0, to, from,
               k);
    else
        launch(s, "moments<1>", moments<1>, blocks, warps_block(), 0, to, from, k);
}

void cuda_norm_merge(struct dev_stream *s, struct mat stat, struct mat parts, int M,
                     const int64_t *widths, enum norm_kind k)
{
    const view to = view_of(stat), from = view_of(parts);
    widths_of_ranks w;

    if (M > MOST_RANKS)
        die("a norm over %d ranks; the most is %d", M, MOST_RANKS);
    w.count = M;
    for (int m = 0; m < M; m++)
        w.width[m] = (int)widths[m];
    if (to.rows == 0)
        return;
    launch(s, "merge", merge, (unsigned)blocks_for(to.rows, 256), 256, 0, to, from, w,
           k);
}

void cuda_norm_apply(struct dev_stream *s, struct mat y, struct mat x, struct mat stat,
                     struct mat scale, struct mat bias)
{
    const apply_op op = { view_of(y), view_of(x), view_of(stat), view_of(scale),
                          view_of(bias) };

    if (cuda_norm_rows(s, y, stat, x, scale, bias, NORM_LAYER, true))
        return;
    launch_cells(s, op, op.y.rows, op.y.cols,
                 is_wide(op.y) && is_wide(op.x) && is_wide(op.scale) &&
                     is_wide(op.bias));
}

void cuda_norm_backward_moments(struct dev_stream *s, struct mat part, struct mat dy,
                                struct mat x, struct mat stat, struct mat scale,
                                enum norm_kind k)
{
    const view to = view_of(part), d = view_of(dy), from = view_of(x);
    const view st = view_of(stat), w = view_of(scale);
    const unsigned blocks = (unsigned)blocks_for(from.rows, WARPS);

    if (blocks == 0)
        return;
    if (is_wide(from) && is_wide(d) && is_wide(w))
        launch(s, "back_moments<WIDE>", back_moments<WIDE>, blocks, warps_block(), 0,
               to, d, from, st, w, k);
    else
        launch(s, "back_moments<1>", back_moments<1>, blocks, warps_block(), 0, to, d,
               from, st, w, k);
}

void cuda_norm_backward(struct dev_stream *s, struct mat dx, bool is_dx_added,
                        struct mat dscale, struct mat dbias, bool is_added,
                        struct mat dy, struct mat x, struct mat stat, struct mat scale,
                        struct mat parts, int M, int64_t C, enum norm_kind k)
{
    const int64_t even = blocks_for(x.rows, STRIPS);
    back b             = {};
    int64_t strips;
    float *partial;

    b.dx          = view_of(dx);
    b.dy          = view_of(dy);
    b.x           = view_of(x);
    b.stat        = view_of(stat);
    b.scale       = view_of(scale);
    b.parts       = view_of(parts);
    b.M           = M;
    b.kind        = k;
    b.by_C        = C > 0 ? 1.0F / (float)C : 0.0F;
    b.is_dx_added = is_dx_added;
    b.strip       = even > LEAST_ROWS ? even : LEAST_ROWS;
    if (x.cols == 0)
        return;
    strips = blocks_for(x.rows, b.strip);
    partial =
        (float *)cuda_work(s, (size_t)(2 * strips * x.cols + 1) * sizeof *partial);

    const bool wide =
        is_wide(b.dx) && is_wide(b.dy) && is_wide(b.x) && is_wide(b.scale);
    const dim3 grid((unsigned)blocks_for(x.cols, ACROSS * (wide ? WIDE : 1)),
                    (unsigned)strips);

    if (strips > 0 && wide)
        launch(s, "backward<WIDE>", backward<WIDE>, grid, dim3(ACROSS, DOWN), 0,
               partial, b);
    else if (strips > 0)
        launch(s, "backward<1>", backward<1>, grid, dim3(ACROSS, DOWN), 0, partial, b);
    cuda_sum_strips(s, dscale, dbias, partial, strips, 2 * x.cols, is_added);
}
