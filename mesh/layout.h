/* SPDX-License-Identifier: BSD-3-Clause */
/* Where every tensor of the model lies in a rank's memory.
 *
 * A group (embedding, a block, the head, the replicated rest) is one flat buffer.  In
 * it lie the slots, each a packed matrix that starts at a multiple of 16 elements; a
 * slot holds the tensors that are multiplied together, side by side or one above the
 * other.  An item is one tensor's part on this rank: a view into its group's buffer,
 * and the box of the logical tensor that it is.
 */
#ifndef MESH_LAYOUT_H
#define MESH_LAYOUT_H

#include "mesh/mesh.h"
#include "src/plan/param.h"

struct item {
    const struct param *param; /* borrowed from the layout's table */
    int group;
    enum slot slot;
    int64_t offset;         /* elements from the group's start to the first one */
    int64_t rows, cols, ld; /* the part as a matrix in the slot */
    struct range part;      /* of the split dimension; the whole if replicated */
    bool is_replicated;     /* every rank of the model axis holds it whole */
};

struct slot_place {
    int64_t offset, rows, cols; /* 0 rows: the group has no such slot */
};

struct layout {
    struct params params;
    struct item *item; /* params.count, in the table's order */
    int groups;
    int64_t *size;            /* elements of each group's buffer */
    struct slot_place *place; /* [groups - 1 + L][SLOT_COUNT], a table for every block
                                  in the replicated group: use layout_slot() */
    int64_t blocks;
    int D, M, d, m;
};

/* Lay the model 's' out for rank (d, m) of a D x M mesh.  Pure arithmetic. */
void layout_make(struct layout *l, const struct spec *s, enum head_init head, int D,
                 int M, int d, int m);
void layout_free(struct layout *l);

/* The place of a slot in its group's buffer; in the replicated group, of block 'block'
 * (0 for SLOT_MAP_PROBE).
 */
struct slot_place layout_slot(const struct layout *l, int group, enum slot slot,
                              int block);

/* The logical (row-major) index of element (r, c) of an item's part. */
int64_t item_index(const struct item *it, int64_t r, int64_t c);

/* The boxes of the logical tensor that rank (d, m) owns: 'lo' and 'hi' by dimension,
 * where its first element lies in what the rank owns of the group, and whether this rank
 * is the first of the replicas.  Optimizer and sharding use all pieces; norms, digests,
 * writes and counting only the first ones, which tile every tensor exactly once.  Returns
 * how many (0 or 1 while parameters are not sharded over the data axis).
 */
struct piece {
    int64_t lo[PARAM_DIMS], hi[PARAM_DIMS];
    int64_t offset, rows, cols, ld;
    bool is_first;
};
enum { LAYOUT_PIECES = 1 };
int layout_pieces(struct piece piece[LAYOUT_PIECES], const struct layout *l,
                  const struct item *it, int d, int m);

#endif
