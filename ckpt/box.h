/* SPDX-License-Identifier: BSD-3-Clause */
/* A box of a tensor, and where its elements lie among the tensor's: pure arithmetic.
 *
 * Elements are numbered in row-major order, those of the tensor and those of the box.
 * Both orders agree, so that elements p .. q of the box ascend in the tensor.
 */
#ifndef CKPT_BOX_H
#define CKPT_BOX_H

#include "ckpt/ckpt.h"

struct box {
    int dims; /* at least 1 */
    int64_t dim[CKPT_DIMS], lo[CKPT_DIMS], hi[CKPT_DIMS];
};

int64_t box_size(const struct box *b);

/* How many elements of the box have numbers below 'x' in the tensor. */
int64_t box_below(const struct box *b, int64_t x);

/* The neighbours in the tensor that begin with element 'p' of the box, up to its
 * element 'end' at most: the number of the first in the tensor, and how many.
 */
struct run {
    int64_t start, count;
};
struct run box_run(const struct box *b, int64_t p, int64_t end);

#endif
