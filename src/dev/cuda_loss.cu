/* SPDX-License-Identifier: BSD-3-Clause */
/* Losses and their gradients.  Every block adds its elements' losses in double; the
 * blocks' sums are added in order.
 */
#include "config.h"

#include "src/dev/cuda_math.h"
#include "src/dev/cuda_view.cuh"

#include <math.h>

namespace {

enum { WARPS = 8, LOSS_BLOCKS = 128 };

struct loss_of {
    view dlogits, logits, targets, largest, sum, total;
    float scale;
};

__device__ float row_value(view a, int64_t r)
{
    return get_one<float>(a, r * a.ld);
}

__device__ float sigmoid_at(const loss_of &l, int64_t r, int64_t c)
{
    const float z = get_one<float>(l.logits, r * l.logits.ld + c);
    const float y = get_one<float>(l.targets, r * l.targets.ld + c);

    put_one<float>(l.dlogits, r * l.dlogits.ld + c, l.scale * math_sigmoid_slope(z, y));
    return math_sigmoid_loss(z, y);
}

__device__ float softmax_at(const loss_of &l, int64_t r, int64_t c)
{
    const float z   = get_one<float>(l.logits, r * l.logits.ld + c);
    const float y   = get_one<float>(l.targets, r * l.targets.ld + c);
    const float top = row_value(l.largest, r), sum = row_value(l.sum, r);

    put_one<float>(l.dlogits, r * l.dlogits.ld + c,
                   l.scale * (row_value(l.total, r) * (expf(z - top) / sum) - y));
    return y * (top + logf(sum) - z);
}

template <bool IS_SOFTMAX> __global__ void losses(double *partial, loss_of l)
{
    const int64_t size = l.logits.rows * l.logits.cols;
    double all         = 0.0;

    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < size;
         i += (int64_t)gridDim.x * blockDim.x) {
        const int64_t r = i / l.logits.cols, c = i % l.logits.cols;

        all += IS_SOFTMAX ? softmax_at(l, r, c) : sigmoid_at(l, r, c);
    }
    all = block_sum(all);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = all;
}

template <bool IS_SOFTMAX>
void all_losses(struct dev_stream *s, struct mat loss, const loss_of &l, double scale)
{
    const int64_t wanted = blocks_for(l.logits.rows * l.logits.cols, BLOCK_THREADS);
    const int64_t blocks = wanted < LOSS_BLOCKS ? wanted : LOSS_BLOCKS;
    double *partial      = (double *)cuda_work(s, LOSS_BLOCKS * sizeof *partial);

    if (blocks > 0)
        launch(s, "losses<IS_SOFTMAX>", losses<IS_SOFTMAX>, (unsigned)blocks,
               BLOCK_THREADS, 0, partial, l);
    cuda_sum_parts(s, loss, partial, blocks, scale, false);
}

/* A warp has an image. */
__global__ void softmax_largest(view largest, view logits)
{
    const int64_t r = (int64_t)blockIdx.x * WARPS + threadIdx.y;
    float most      = -INFINITY;
    bool is_nan     = false;

    if (r >= logits.rows)
        return;
    for (int64_t c = threadIdx.x; c < logits.cols; c += LANES_OF_WARP) {
        const float z = get_one<float>(logits, r * logits.ld + c);

        most = fmaxf(most, z);
        is_nan |= isnan(z);
    }
    most   = warp_max(most);
    is_nan = __any_sync(0xffffffffu, is_nan);
    if (threadIdx.x == 0)
        put_one<float>(largest, r * largest.ld, is_nan ? NAN : most);
}

__global__ void softmax_sum(view sum, view total, view logits, view targets,
                            view largest)
{
    const int64_t r = (int64_t)blockIdx.x * WARPS + threadIdx.y;
    float of_exp = 0.0F, of_targets = 0.0F;

    if (r >= logits.rows)
        return;
    for (int64_t c = threadIdx.x; c < logits.cols; c += LANES_OF_WARP) {
        of_exp +=
            expf(get_one<float>(logits, r * logits.ld + c) - row_value(largest, r));
        of_targets += get_one<float>(targets, r * targets.ld + c);
    }
    of_exp     = warp_sum(of_exp);
    of_targets = warp_sum(of_targets);
    if (threadIdx.x == 0) {
        put_one<float>(sum, r * sum.ld, of_exp);
        put_one<float>(total, r * total.ld, of_targets);
    }
}

} /* namespace */

void cuda_sigmoid_loss(struct dev_stream *s, struct mat loss, struct mat dlogits,
                       struct mat logits, struct mat targets, double scale)
{
    loss_of l = {};

    l.dlogits = view_of(dlogits);
    l.logits  = view_of(logits);
    l.targets = view_of(targets);
    l.scale   = (float)scale;
    all_losses<false>(s, loss, l, scale);
}

void cuda_softmax_largest(struct dev_stream *s, struct mat largest, struct mat logits)
{
    if (logits.rows == 0)
        return;
    launch(s, "softmax_largest", softmax_largest,
           (unsigned)blocks_for(logits.rows, WARPS), dim3(LANES_OF_WARP, WARPS), 0,
           view_of(largest), view_of(logits));
}

void cuda_softmax_sum(struct dev_stream *s, struct mat sum, struct mat total,
                      struct mat logits, struct mat targets, struct mat largest)
{
    if (logits.rows == 0)
        return;
    launch(s, "softmax_sum", softmax_sum, (unsigned)blocks_for(logits.rows, WARPS),
           dim3(LANES_OF_WARP, WARPS), 0, view_of(sum), view_of(total), view_of(logits),
           view_of(targets), view_of(largest));
}

void cuda_softmax_loss(struct dev_stream *s, struct mat loss, struct mat dlogits,
                       struct mat logits, struct mat targets, struct mat largest,
                       struct mat sum, struct mat total, double scale)
{
    loss_of l = {};

    l.dlogits = view_of(dlogits);
    l.logits  = view_of(logits);
    l.targets = view_of(targets);
    l.largest = view_of(largest);
    l.sum     = view_of(sum);
    l.total   = view_of(total);
    l.scale   = (float)scale;
    all_losses<true>(s, loss, l, scale);
}
