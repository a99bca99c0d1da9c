/* SPDX-License-Identifier: BSD-3-Clause */
/* Normal numbers, the same bits as the host's: its arithmetic in f64, of which nothing
 * is fused (this file is compiled so).  A thread makes a pair, of which some hundred
 * instructions are the price: of 128 images of 224 pixels, 10 million pairs, about 0.1
 * ms of an H100, on a stream beside the model's.  Numbers are few bytes beside what
 * travelling from the host would be, and no core is needed.
 */
#include "config.h"

#include "src/base/rng_draw.h"
#include "src/dev/cuda_view.cuh"

namespace {

/* Element i of y has index first + i; 'pairs' begin with that of the first element. */
static __global__ void normals(view y, uint64_t start, uint64_t first, int64_t pairs)
{
    const int64_t p = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    const int64_t i = 2 * p - (int64_t)(first % 2);
    double even, odd;

    if (p >= pairs)
        return;
    draw_normal_pair(&even, &odd, start, first / 2 + (uint64_t)p);
    if (i >= 0)
        put_one(y, i, (float)even);
    if (i + 1 < y.cols)
        put_one(y, i + 1, (float)odd);
}

} /* namespace */

void cuda_normals(struct dev_stream *s, struct mat y, uint64_t seed, uint64_t stream,
                  uint64_t first)
{
    view to = view_of(y);
    int64_t pairs;

    flatten(&to);
    pairs = (to.cols + (int64_t)(first % 2) + 1) / 2;
    if (to.cols > 0)
        launch(s, "normals", normals, dim3((unsigned)blocks_for(pairs, BLOCK_THREADS)),
               dim3(BLOCK_THREADS), 0, to, draw_start_of(seed, stream), first, pairs);
}
