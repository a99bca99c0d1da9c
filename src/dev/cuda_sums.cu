/* SPDX-License-Identifier: BSD-3-Clause */
/* Sums over rows, and over everything.  Rows are cut into strips by the sizes alone;
 * each strip's sums go to the workspace, and a second kernel adds them in order.
 */
#include "config.h"

#include "src/dev/cuda_view.cuh"

namespace {

enum { ACROSS = 32, DOWN = 8, AT_ONCE = 4, TALL = 16, STRIPS = 128, LEAST_ROWS = 32 };

/* The sums of a block's threads go to partial [strips, cols], those of one column added
 * from the top down.
 */
template <int V>
__device__ void leave_strip(float *partial, view x, int64_t c, const float (&sum)[V])
{
    __shared__ float sums[DOWN][ACROSS * V];

#pragma unroll
    for (int k = 0; k < V; k++)
        sums[threadIdx.y][threadIdx.x * V + k] = sum[k];
    __syncthreads();
    if (threadIdx.y > 0 || c >= x.cols)
        return;
#pragma unroll
    for (int k = 0; k < V; k++) {
        float all = sum[k];

        for (int i = 1; i < DOWN; i++)
            all += sums[i][threadIdx.x * V + k];
        partial[blockIdx.y * x.cols + c + k] = all;
    }
}

__global__ void sum_rows(float *partial, view x, int64_t strip)
{
    const int64_t c  = (int64_t)blockIdx.x * ACROSS + threadIdx.x;
    const int64_t lo = blockIdx.y * strip, hi = min(lo + strip, x.rows);
    float sum[1] = {};

    for (int64_t r = lo + threadIdx.y; r < hi && c < x.cols; r += DOWN)
        sum[0] += get_one<float>(x, r * x.ld + c);
    leave_strip(partial, x, c, sum);
}

/* Add rows r, r + 'step', .. before 'end' of eight columns, AT_ONCE of them under way:
 * were each asked for whether it is there, each would wait for the one before.
 */
template <bool IS_BF16>
__device__ __forceinline__ void add_rows(float (&sum)[WIDE], view x, int64_t r,
                                         int64_t end, int64_t step, int64_t c)
{
    float v[WIDE];

    for (; r + (AT_ONCE - 1) * step < end; r += AT_ONCE * step) {
        eight<IS_BF16> e[AT_ONCE];

#pragma unroll
        for (int i = 0; i < AT_ONCE; i++)
            fetch(e[i], x, (r + i * step) * x.ld + c);
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            unpack(v, e[i]);
#pragma unroll
            for (int k = 0; k < WIDE; k++)
                sum[k] += v[k];
        }
    }
    for (; r < end; r += step) {
        eight<IS_BF16> e;

        fetch(e, x, r * x.ld + c);
        unpack(v, e);
#pragma unroll
        for (int k = 0; k < WIDE; k++)
            sum[k] += v[k];
    }
}

template <bool IS_BF16>
__global__ void sum_wide_rows(float *partial, view x, int64_t strip)
{
    const int64_t c  = ((int64_t)blockIdx.x * ACROSS + threadIdx.x) * WIDE;
    const int64_t lo = blockIdx.y * strip, hi = min(lo + strip, x.rows);
    float sum[WIDE] = {};

    if (c < x.cols)
        add_rows<IS_BF16>(sum, x, lo + threadIdx.y, hi, DOWN, c);
    leave_strip(partial, x, c, sum);
}

/* A column is added up by TALL threads, each of which has every TALLth strip; of
 * 'other', which lies behind db in the strips, by the second row of blocks.
 */
__global__ void sum_strips(view db, view other, const float *partial, int64_t strips,
                           int64_t ld, bool is_added)
{
    __shared__ float sums[TALL][ACROSS];
    const int64_t c = (int64_t)blockIdx.x * ACROSS + threadIdx.x;
    float sum       = 0.0F;

    if (blockIdx.y > 0) {
        partial += db.cols;
        db = other;
    }

    for (int64_t i = threadIdx.y; i < strips && c < db.cols; i += TALL)
        sum += partial[i * ld + c];
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || c >= db.cols)
        return;
    for (int i = 1; i < TALL; i++)
        sum += sums[i][threadIdx.x];
    if (is_added)
        sum += get_one<float>(db, c);
    put_one<float>(db, c, sum);
}

/* y [r] = or += factor times the sum of 'count' rows of x: r first, then 'step' on. */
struct sum_of_rows_op {
    view y, x;
    int64_t count, first, step;
    float factor;
    bool is_added;
    template <int V> __device__ void at(int64_t r, int64_t c) const
    {
        const int64_t from = r * first, end = from + count * step;
        float sum[V] = {}, v[V];

        if constexpr (V == WIDE)
            x.type == DTYPE_BF16 ? add_rows<true>(sum, x, from, end, step, c)
                                 : add_rows<false>(sum, x, from, end, step, c);
        else
            for (int64_t i = from; i < end; i += step)
                sum[0] += get_one<float>(x, i * x.ld + c);
#pragma unroll
        for (int k = 0; k < V; k++)
            sum[k] *= factor;
        if (is_added) {
            load(v, y, r, c);
#pragma unroll
            for (int k = 0; k < V; k++)
                sum[k] += v[k];
        }
        store(y, r, c, sum);
    }
};

} /* namespace */

void cuda_sum_strips(struct dev_stream *s, struct mat db, struct mat other,
                     const float *partial, int64_t strips, int64_t ld, bool is_added)
{
    const view to = view_of(db);

    if (to.cols == 0)
        return;
    launch(s, "sum_strips", sum_strips,
           dim3((unsigned)blocks_for(to.cols, ACROSS), mat_is_none(other) ? 1 : 2),
           dim3(ACROSS, TALL), 0, to, view_of(other), partial, strips, ld, is_added);
}

void cuda_column_sums(struct dev_stream *s, struct mat db, struct mat dy, bool is_added)
{
    const view x         = view_of(dy);
    const int64_t strip  = blocks_for(x.rows, STRIPS) > LEAST_ROWS
                               ? blocks_for(x.rows, STRIPS)
                               : LEAST_ROWS;
    const int64_t strips = blocks_for(x.rows, strip);
    const dim3 block(ACROSS, DOWN);
    const dim3 wide((unsigned)blocks_for(x.cols, ACROSS * WIDE), (unsigned)strips);
    float *partial;

    if (x.cols == 0)
        return;
    partial = (float *)cuda_work(s, (size_t)(strips * x.cols + 1) * sizeof *partial);
    if (strips > 0 && is_wide(x) && x.type == DTYPE_BF16)
        launch(s, "sum_wide_rows<bf16>", sum_wide_rows<true>, wide, block, 0, partial,
               x, strip);
    else if (strips > 0 && is_wide(x))
        launch(s, "sum_wide_rows<f32>", sum_wide_rows<false>, wide, block, 0, partial,
               x, strip);
    else if (strips > 0)
        launch(s, "sum_rows", sum_rows,
               dim3((unsigned)blocks_for(x.cols, ACROSS), (unsigned)strips), block, 0,
               partial, x, strip);
    cuda_sum_strips(s, db, mat_none(), partial, strips, x.cols, is_added);
}

void cuda_sum_tables(struct dev_stream *s, struct mat dtable, struct mat dy,
                     bool is_added)
{
    const view y = view_of(dtable), x = view_of(dy);
    const int64_t N = y.rows, images = N > 0 ? x.rows / N : 0;

    launch_cells(s, sum_of_rows_op{ y, x, images, 1, N, 1.0F, is_added }, y.rows,
                 y.cols, is_wide(y) && is_wide(x));
}

void cuda_pool_rows(struct dev_stream *s, struct mat y, struct mat x, double factor)
{
    const view to = view_of(y), from = view_of(x);
    const int64_t N = to.rows > 0 ? from.rows / to.rows : 0;

    launch_cells(s, sum_of_rows_op{ to, from, N, N, 1, (float)factor, false }, to.rows,
                 to.cols, is_wide(to) && is_wide(from));
}

/* ---- The sum of squares ---------------------------------------------------------- */

namespace {

enum { SQUARES = BLOCK_THREADS * WIDE * 8 /* elements of a block */ };

/* A matrix, and the first block that works on it. */
struct squared {
    view x;
    int wide, gap;
    int64_t first;
};

/* Every block sums its elements in double. */
__global__ void square_parts(double *partial, const squared *list, int count)
{
    const squared g     = list[piece_of_block(list, count)];
    const int64_t first = ((int64_t)blockIdx.x - g.first) * SQUARES;
    const int64_t size  = g.x.rows * g.x.cols;
    double sum          = 0.0;
    float v[WIDE];

    if (g.wide) {
        for (int64_t i = first + threadIdx.x * WIDE; i < first + SQUARES && i < size;
             i += BLOCK_THREADS * WIDE) {
            load(v, g.x, i / g.x.cols, i % g.x.cols);
#pragma unroll
            for (int k = 0; k < WIDE; k++)
                sum += (double)v[k] * (double)v[k];
        }
    } else {
        for (int64_t i = first + threadIdx.x; i < first + SQUARES && i < size;
             i += BLOCK_THREADS) {
            const double x = get_one<double>(g.x, i / g.x.cols * g.x.ld + i % g.x.cols);

            sum += x * x;
        }
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

__global__ void add_parts(view to, const double *partial, int64_t count, double factor,
                          bool is_added)
{
    double sum = 0.0;

    for (int64_t i = threadIdx.x; i < count; i += blockDim.x)
        sum += partial[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        put_one<double>(to, 0,
                        (is_added ? get_one<double>(to, 0) : 0.0) + factor * sum);
}

} /* namespace */

void cuda_sum_parts(struct dev_stream *s, struct mat to, const double *partial,
                    int64_t count, double factor, bool is_added)
{
    launch(s, "add_parts", add_parts, 1, BLOCK_THREADS, 0, view_of(to), partial, count,
           factor, is_added);
}

void cuda_sum_squares(struct dev_stream *s, struct mat sum, const struct mat *x,
                      int count, bool is_added)
{
    squared *list  = (squared *)mem_new((size_t)count + 1, sizeof *list);
    int64_t blocks = 0;
    int pieces     = 0;
    const squared *there;
    double *partial;

    for (int i = 0; i < count; i++) {
        view v = view_of(x[i]);

        if (mat_size(x[i]) == 0)
            continue;
        if (is_packed(v))
            flatten(&v);
        list[pieces++] = { v, is_wide(v), 0, blocks };
        blocks += blocks_for(mat_size(x[i]), SQUARES);
    }
    there   = (const squared *)cuda_describe(s, list, sizeof *list, (size_t)pieces);
    partial = (double *)cuda_work(s, (size_t)(blocks + 1) * sizeof *partial);
    mem_free(list);
    if (pieces > 0)
        launch(s, "square_parts", square_parts, (unsigned)blocks, BLOCK_THREADS, 0,
               partial, there, pieces);
    cuda_sum_parts(s, sum, partial, blocks, 1.0, is_added);
}
