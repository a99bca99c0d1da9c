/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory for groups of sharded parameters or gradients while they are whole: two rooms,
 * for the group in use and for its neighbour, which is being gathered or scattered.
 * Groups are used in order, up or down, so all even ones share a room and all odd ones
 * the other, and the place of a group never changes.
 */
#ifndef MESH_ARENA_H
#define MESH_ARENA_H

#include "src/dev/dev.h"

enum { ARENA_ROOMS = 2, ARENA_FREE = -1 };

struct arena {
    struct dev_stream *stream; /* borrowed */
    enum dtype dtype;
    struct buf room[ARENA_ROOMS];
    int group[ARENA_ROOMS]; /* whose room it is, or ARENA_FREE */
    int held, most;         /* rooms in use; the most that ever were */
    bool is_poisoned;
};

/* Allocate the rooms for groups of 'size[g]' elements, 'groups' of them.  With
 * 'is_poisoned' (always in builds without optimisation) a room is full of NaN whenever
 * it has no owner, so that whoever reads what was given back is found out; else it
 * starts as zeros.  Returns 0 or ERR_MEMORY.
 */
int arena_open(struct arena *a, struct dev *dev, enum dtype dtype, const int64_t *size,
               int groups, bool is_poisoned);
void arena_close(struct arena *a);

/* Give 'group' its room; false if it has it already.  Dies if another group is there:
 * the third one that wants to be whole.
 */
bool arena_take(struct arena *a, int group);

/* Take the room of 'group' back, if it has it. */
void arena_drop(struct arena *a, int group);
void arena_drop_all(struct arena *a);

bool arena_has(const struct arena *a, int group);
struct buf *arena_room(struct arena *a, int group);

#endif
