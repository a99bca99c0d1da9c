/* SPDX-License-Identifier: BSD-3-Clause */
/* What follows a product where cuBLASLt does not do it within the product. */
#include "config.h"

#include "src/dev/cuda_math.h"
#include "src/dev/cuda_view.cuh"

namespace {

struct finish_op {
    view y, bias, act, pre;
    int kind, is_exact;
    template <int V> __device__ void at(int64_t r, int64_t c) const
    {
        float v[V], other[V];

        load(v, y, r, c);
        if (kind == EPI_DGELU) {
            load(other, pre, r, c);
#pragma unroll
            for (int k = 0; k < V; k++)
                v[k] *= math_gelu_slope(other[k], is_exact);
        } else if (bias.at != NULL) {
            load(other, bias, 0, c);
#pragma unroll
            for (int k = 0; k < V; k++)
                v[k] += other[k];
        }
        if (kind != EPI_GELU || bias.at != NULL)
            store(y, r, c, v);
        if (kind == EPI_GELU) {
#pragma unroll
            for (int k = 0; k < V; k++)
                v[k] = math_gelu(v[k], is_exact);
            store(act, r, c, v);
        }
    }
};

} /* namespace */

void cuda_finish(struct dev_stream *s, struct mat y, const struct epilogue *e)
{
    finish_op op = {};

    if (e == NULL || e->kind == EPI_NONE)
        return;
    op.y        = view_of(y);
    op.bias     = view_of(e->bias);
    op.act      = view_of(e->act);
    op.pre      = view_of(e->pre);
    op.kind     = e->kind;
    op.is_exact = e->gelu == GELU_EXACT;
    launch_cells(s, op, op.y.rows, op.y.cols,
                 is_wide(op.y) && is_wide(op.bias) && is_wide(op.act) &&
                     is_wide(op.pre));
}
