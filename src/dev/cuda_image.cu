/* SPDX-License-Identifier: BSD-3-Clause */
/* Patches of images, tables that are added to every image, rows spread over images. */
#include "config.h"

#include "src/dev/cuda_math.h"
#include "src/dev/cuda_view.cuh"

namespace {

struct patches_op {
    view rows, images;
    int image, patch, side;
    int64_t N;
    template <int V> __device__ void at(int64_t r, int64_t c) const
    {
        const int64_t t = r % N - (N - side * side), from = r / N * images.ld;
        float v[V];

#pragma unroll
        for (int k = 0; k < V; k++)
            v[k] = t < 0 ? 0.0F
                         : get_one<float>(
                               images, from + math_patch(t, c + k, image, patch, side));
        store(rows, r, c, v);
    }
};

struct add_table_op {
    view y, table;
    template <int V> __device__ void at(int64_t r, int64_t c) const
    {
        float sum[V], v[V];

        load(sum, y, r, c);
        load(v, table, r % table.rows, c);
#pragma unroll
        for (int k = 0; k < V; k++)
            sum[k] += v[k];
        store(y, r, c, sum);
    }
};

struct spread_op {
    view dx, dy;
    int64_t N;
    float factor;
    template <int V> __device__ void at(int64_t r, int64_t c) const
    {
        float v[V];

        load(v, dy, r / N, c);
#pragma unroll
        for (int k = 0; k < V; k++)
            v[k] *= factor;
        store(dx, r, c, v);
    }
};

} /* namespace */

void cuda_patches(struct dev_stream *s, struct mat rows, struct mat images, int image,
                  int patch, int64_t N)
{
    const view to = view_of(rows), from = view_of(images);

    launch_cells(s, patches_op{ to, from, image, patch, image / patch, N }, to.rows,
                 to.cols, is_wide(to));
}

void cuda_add_table(struct dev_stream *s, struct mat y, struct mat table)
{
    const view to = view_of(y), from = view_of(table);

    launch_cells(s, add_table_op{ to, from }, to.rows, to.cols,
                 is_wide(to) && is_wide(from));
}

void cuda_spread_rows(struct dev_stream *s, struct mat dx, struct mat dy, double factor)
{
    const view to = view_of(dx), from = view_of(dy);
    const int64_t N = from.rows > 0 ? to.rows / from.rows : 1;

    launch_cells(s, spread_op{ to, from, N, (float)factor }, to.rows, to.cols,
                 is_wide(to) && is_wide(from));
}
