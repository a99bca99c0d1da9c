/* SPDX-License-Identifier: BSD-3-Clause */
/* Fills, copies, sums and maxima of two matrices, of any formats. */
#include "config.h"

#include "src/dev/cuda_view.cuh"

#include <math.h>

namespace {

template <class R> struct fill_op {
    view y;
    R value;
    template <int V> __device__ void at(int64_t r, int64_t c) const
    {
        R v[V];

#pragma unroll
        for (int k = 0; k < V; k++)
            v[k] = value;
        store(y, r, c, v);
    }
};

template <class R> struct copy_op {
    view y, x;
    template <int V> __device__ void at(int64_t r, int64_t c) const
    {
        R v[V];

        load(v, x, r, c);
        store(y, r, c, v);
    }
};

template <class R> struct add_op {
    view y, x;
    template <int V> __device__ void at(int64_t r, int64_t c) const
    {
        R sum[V], more[V];

        load(sum, y, r, c);
        load(more, x, r, c);
#pragma unroll
        for (int k = 0; k < V; k++)
            sum[k] += more[k];
        store(y, r, c, sum);
    }
};

template <class R> struct max_op {
    view y, x;
    template <int V> __device__ void at(int64_t r, int64_t c) const
    {
        R most[V], other[V];

        load(most, y, r, c);
        load(other, x, r, c);
#pragma unroll
        for (int k = 0; k < V; k++)
            if (other[k] > most[k] || isnan(other[k])) /* NaN stays */
                most[k] = other[k];
        store(y, r, c, most);
    }
};

/* Numbers that do not repeat: products of zeros would run faster than real ones. */
struct noise_op {
    view y;
    template <int V> __device__ void at(int64_t r, int64_t c) const
    {
        float v[V];

#pragma unroll
        for (int k = 0; k < V; k++) {
            uint32_t x = (uint32_t)(r * y.cols + c + k) * 2654435761u;

            x ^= x >> 15;
            x *= 0x2c1b3c6du;
            x ^= x >> 12;
            v[k] = (float)(int32_t)x * 0x1p-31F;
        }
        store(y, r, c, v);
    }
};

/* 'op' on all of y and x, which are as large. */
template <template <class> class Op>
void both(struct dev_stream *s, struct mat y, struct mat x)
{
    view to = view_of(y), from = view_of(x);

    if (mat_size(y) == 0)
        return;
    if (is_packed(to) && is_packed(from)) {
        flatten(&to);
        flatten(&from);
    }
    if (to.type == DTYPE_F64 || from.type == DTYPE_F64)
        launch_each<1>(s, Op<double>{ to, from }, to.rows, to.cols);
    else if (to.type == DTYPE_F32 && from.type == DTYPE_F32 && is_wide(to) &&
             is_wide(from))
        launch_each<FOUR>(s, Op<float>{ to, from }, to.rows, to.cols);
    else
        launch_cells(s, Op<float>{ to, from }, to.rows, to.cols,
                     is_wide(to) && is_wide(from));
}

} /* namespace */

void cuda_fill(struct dev_stream *s, struct mat y, double value)
{
    view to = view_of(y);

    if (is_packed(to))
        flatten(&to);
    if (to.type == DTYPE_F64)
        launch_each<1>(s, fill_op<double>{ to, value }, to.rows, to.cols);
    else if (to.type == DTYPE_F32 && is_wide(to))
        launch_each<FOUR>(s, fill_op<float>{ to, (float)value }, to.rows, to.cols);
    else
        launch_cells(s, fill_op<float>{ to, (float)value }, to.rows, to.cols,
                     is_wide(to));
}

void cuda_copy(struct dev_stream *s, struct mat y, struct mat x)
{
    both<copy_op>(s, y, x);
}

void cuda_add(struct dev_stream *s, struct mat y, struct mat x)
{
    both<add_op>(s, y, x);
}

void cuda_max(struct dev_stream *s, struct mat y, struct mat x)
{
    both<max_op>(s, y, x);
}

void cuda_noise(struct dev_stream *s, struct mat y)
{
    const view to = view_of(y);

    launch_cells(s, noise_op{ to }, to.rows, to.cols, is_wide(to));
}
