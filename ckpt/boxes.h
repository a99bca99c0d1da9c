/* SPDX-License-Identifier: BSD-3-Clause */
/* Boxes on the ranks of a model group, whole rows in a file: the exchange between them.
 *
 * A rank holds boxes of a tensor, often columns of it; on the disk a tensor is one row
 * after the other.  Here the tensors of a list are cut into slabs of rows, and the rows
 * of a slab shared out among the ranks of the model group, so that each writes (or
 * reads) long stretches.  A rank's share of a slab is an array of the elements of its
 * rows that the group holds, in the file's order; where the group does not hold a whole
 * row there are several extents.
 *
 *      rank 0   rank 1                        file
 *      [0 1 2]  [3 4]       boxes_get         0 1 2 3 4 5 6 7 8 9        rank 0
 *      [5 6 7]  [8 9]      ----------->
 *      [..   ]  [.. ]      <-----------       10 11 12 13 14 15 ..       rank 1
 *      [..   ]  [.. ]       boxes_put
 *
 * The elements of a box in their logical order ascend in the file too: those that lie
 * in a stretch of the file are a stretch of the box, and travel as one message.
 */
#ifndef CKPT_BOXES_H
#define CKPT_BOXES_H

#include "ckpt/ckpt.h"

/* Neighbours in the file: 'count' elements of a tensor from 'start' on; the first one
 * is element 'at' of the share.
 */
struct extent {
    int64_t start, count, at;
};

struct slab {
    int tensor;            /* number in the list */
    int64_t lo, hi;        /* elements: whole rows */
    int first, writers;    /* its rows are shared by 'writers' ranks from 'first' on */
    int64_t share;         /* elements of this rank's share */
    struct extent *extent; /* 'extents' of them, of the share */
    int extents;
};

struct boxes;

/* Elements of a rank's share of a slab, about: it stays in the cache from one thing
 * that is done with it to the next.  Fewer ranks share a small slab: less than a
 * PARTS-th of that is not worth a write.
 */
enum { BOXES_SHARE = 1 << 20, BOXES_PARTS = 64 };

/* For saving ('is_first_only') the boxes are first pieces; for loading all of them, of
 * which several may ask for the same element.  'list' is borrowed; 'share' is
 * BOXES_SHARE but in tests.  Returns 0 or ERR_MEMORY, the same on all ranks.
 * Collective over the mesh.
 */
int boxes_open(struct boxes **b, struct mesh *mesh, struct dev *dev,
               const struct ckpt_list *list, bool is_first_only, int64_t share);
void boxes_close(struct boxes **b);

/* The slabs of this rank's model group. */
int boxes_count(const struct boxes *b);
const struct slab *boxes_slab(const struct boxes *b, int i);

/* Fill this rank's share of slab 'i' from the group's boxes, and the boxes from the
 * shares.  Both wait until all is done; 'share' is f32.
 * Collective over the model axis.
 */
void boxes_get(struct boxes *b, int i, float *share);
void boxes_put(struct boxes *b, int i, const float *share);

/* The digest of those elements of the share that are in first pieces: the sum over all
 * ranks counts every element once.  'index': the number of the tensor's first element
 * in its dataset.  Local.
 */
uint64_t boxes_digest(const struct boxes *b, int i, const float *share, int64_t index);

#endif
