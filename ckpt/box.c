/* SPDX-License-Identifier: BSD-3-Clause */
/* An element's number is taken apart into its positions, from the last dimension on,
 * and put together again in the other array's shape.
 */
#include "config.h"

#include "ckpt/box.h"

static int64_t side(const struct box *b, int i)
{
    return b->hi[i] - b->lo[i];
}

int64_t box_size(const struct box *b)
{
    int64_t size = 1;

    for (int i = 0; i < b->dims; i++)
        size *= side(b, i);
    return size;
}

int64_t box_below(const struct box *b, int64_t x)
{
    int64_t stride = 1, inner = box_size(b), below = 0;

    for (int i = 0; i < b->dims; i++)
        stride *= b->dim[i];
    if (x >= stride)
        return inner;
    for (int i = 0; i < b->dims; i++) {
        int64_t at;

        if (inner == 0)
            return 0;
        stride /= b->dim[i];
        inner /= side(b, i);
        at = x / stride;
        x %= stride;
        if (at < b->lo[i])
            return below;
        if (at >= b->hi[i])
            return below + side(b, i) * inner;
        below += (at - b->lo[i]) * inner;
    }
    return below;
}

struct run box_run(const struct box *b, int64_t p, int64_t end)
{
    int i          = b->dims - 1;
    int64_t stride = 1, block = side(b, i);
    struct run run;

    /* As many dimensions as are whole, and one more, lie together. */
    while (i > 0 && side(b, i) == b->dim[i]) {
        stride *= b->dim[i];
        block *= side(b, --i);
    }
    run.count = block - p % block;
    if (run.count > end - p)
        run.count = end - p;
    run.start = b->lo[i] * stride + p % block;
    for (p /= block; i > 0; i--) {
        stride *= b->dim[i];
        run.start += (b->lo[i - 1] + p % side(b, i - 1)) * stride;
        p /= side(b, i - 1);
    }
    return run;
}
