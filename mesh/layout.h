/* SPDX-License-Identifier: BSD-3-Clause */
/* Where every tensor of the model lies in a rank's memory, and what a rank owns of it.
 *
 *   group   the embedding, a block, the head, or the replicated rest: one flat buffer
 *   slot    a packed matrix in it that starts at a multiple of 16 elements: the tensors
 *           that are multiplied together, side by side or one above the other
 *   item    one tensor's part on this rank: a view into its group's buffer, and the box
 *           of the logical tensor that it holds
 *   piece   the part of an item that a data rank owns and updates
 */
#ifndef MESH_LAYOUT_H
#define MESH_LAYOUT_H

#include "mesh/mesh.h"
#include "src/plan/cut.h"

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
    int64_t *cut[3]; /* [D + 1] of the embedding, of every block, of the head */
    int64_t room;    /* elements that come to be added in a hop, at most */
    int64_t blocks;
    int D, M, d, m;  /* 'd': its part over the data axis */
    int near;        /* data ranks in a row that share a node: plan/hops.h; 0: as 1 */
    bool is_sharded; /* over the data axis: ranks own parts of groups */
};

/* Lay the model 's' out for rank (d, m) of a D x M mesh.  Pure arithmetic. */
void layout_make(struct layout *l, const struct spec *s, enum head_init head,
                 enum param_shard shard, int D, int M, int near, int d, int m);
void layout_free(struct layout *l);

/* The place of a slot in its group's buffer; in the replicated group, of block 'block'
 * (0 for SLOT_MAP_PROBE).
 */
struct slot_place layout_slot(const struct layout *l, int group, enum slot slot,
                              int block);

/* Where the parts of a group that travel over the data axis begin: part d is elements
 * cut[d] .. cut[d + 1] - 1 of its buffer.  If the group is sharded, a data rank owns
 * the part that hops_part() gives it, on whole rows; else parts are nearly equal, and
 * everyone owns all.  The replicated group has no parts.
 */
const int64_t *layout_cut(const struct layout *l, int group);
bool layout_is_sharded(const struct layout *l, int group);

/* Elements that the data rank with part 'd' owns of a group. */
int64_t layout_own_size(const struct layout *l, int group, int d);

/* The logical (row-major) index of element (r, c) of an item's part. */
int64_t item_index(const struct item *it, int64_t r, int64_t c);

/* The boxes of the logical tensor in part d of model rank m: 'lo', 'hi' by dimension,
 * where its first element lies in what the rank owns of the group, and whether this
 * rank is the first of the replicas.  The boxes are rows 'row' .. of the item, in
 * order.  Optimizer and sharding use all pieces; norms, digests, writes and counting
 * only the first ones, which tile every tensor exactly once.  Returns how many: one if
 * the group is not sharded; of a range of rows that are two dimensions at most three.
 */
struct piece {
    int64_t lo[PARAM_DIMS], hi[PARAM_DIMS];
    int64_t offset, row, rows, cols, ld;
    bool is_first;
};
enum { LAYOUT_PIECES = 3 };
int layout_pieces(struct piece piece[LAYOUT_PIECES], const struct layout *l,
                  const struct item *it, int d, int m);

#endif
