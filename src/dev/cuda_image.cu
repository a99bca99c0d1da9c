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
        const int n = (int)N, t = (int)((uint32_t)r % (uint32_t)n) - (n - side * side);
        const int64_t from = (int64_t)((uint32_t)r / (uint32_t)n) * images.ld;
        int i              = t < 0 ? 0 : math_patch(t, (int)c, image, patch, side);
        int left           = 3 * patch - (int)c % (3 * patch); /* of the patch's row */
        float v[V];

#pragma unroll
        for (int k = 0; k < V; k++) {
            v[k] = t < 0 ? 0.0F : get_one<float>(images, from + i);
            i++;
            if (--left == 0) {
                i += 3 * (image - patch);
                left = 3 * patch;
            }
        }
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

    if (to.rows > UINT32_MAX)
        die("%lld patches", (long long)to.rows);
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
