/* SPDX-License-Identifier: BSD-3-Clause */
/* Tensors of every form that a checkpoint knows, laid out over a mesh in one of two
 * ways, with elements that tell their places.
 */
#ifndef TESTS_TENSORS_H
#define TESTS_TENSORS_H

#include "ckpt/ckpt.h"

/* Every data row holds all of it, or each its own rows, down to single ones. */
enum tensors_way { TENSORS_WHOLE, TENSORS_CUT };

struct tensors {
    struct ckpt_list list;
    struct dev *dev;
    struct buf memory;
};

/* 'scale' makes them larger. */
void tensors_open(struct tensors *t, struct mesh *mesh, struct dev *dev,
                  enum tensors_way way, int scale);
void tensors_close(struct tensors *t);

/* Set all elements to what 'seed' says, or to something else; count those that are
 * wrong, bit for bit.
 */
void tensors_fill(struct tensors *t, int64_t seed);
void tensors_spoil(struct tensors *t);
int64_t tensors_wrong(const struct tensors *t, int64_t seed);

/* Element 'i' of a dataset. */
float tensors_value(const char *dataset, int64_t seed, int64_t i);

#endif
