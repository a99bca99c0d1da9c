/* SPDX-License-Identifier: BSD-3-Clause */
/* The two rooms, and which group has each. */
#include "config.h"

#include "mesh/arena.h"

#include "src/base/err.h"

#include <math.h>

#ifdef __OPTIMIZE__
enum { ALWAYS_POISONED = false };
#else
enum { ALWAYS_POISONED = true };
#endif

static void clear(struct arena *a, int i)
{
    const int64_t size = (int64_t)(a->room[i].bytes / dtype_size(a->dtype));

    dev_fill(a->stream, mat_of(&a->room[i], a->dtype, 1, size),
             a->is_poisoned ? NAN : 0);
}

int arena_open(struct arena *a, struct dev *dev, enum dtype dtype, const int64_t *size,
               int groups, bool is_poisoned)
{
    int64_t most[ARENA_ROOMS] = { 0 };

    *a = (struct arena){ .stream      = dev_stream(dev, LANE_COMPUTE),
                         .dtype       = dtype,
                         .group       = { ARENA_FREE, ARENA_FREE },
                         .is_poisoned = is_poisoned || ALWAYS_POISONED };
    for (int g = 0; g < groups; g++) {
        if (size[g] > most[g % ARENA_ROOMS])
            most[g % ARENA_ROOMS] = size[g];
    }
    for (int i = 0; i < ARENA_ROOMS; i++) {
        TRY(dev_alloc(&a->room[i], dev, (size_t)most[i] * dtype_size(dtype)));
        clear(a, i);
    }
    return 0;
}

void arena_close(struct arena *a)
{
    for (int i = 0; i < ARENA_ROOMS; i++)
        dev_free(&a->room[i]);
}

bool arena_take(struct arena *a, int group)
{
    int *in = &a->group[group % ARENA_ROOMS];

    if (*in == group)
        return false;
    if (*in != ARENA_FREE)
        die("group %d wants to be whole while %d is", group, *in);
    *in = group;
    a->held++;
    if (a->held > a->most)
        a->most = a->held;
    return true;
}

void arena_drop(struct arena *a, int group)
{
    const int i = group % ARENA_ROOMS;

    if (!arena_has(a, group))
        return;
    a->group[i] = ARENA_FREE;
    a->held--;
    if (a->is_poisoned)
        clear(a, i);
}

void arena_drop_all(struct arena *a)
{
    for (int i = 0; i < ARENA_ROOMS; i++) {
        if (a->group[i] != ARENA_FREE)
            arena_drop(a, a->group[i]);
    }
}

bool arena_has(const struct arena *a, int group)
{
    return a->group[group % ARENA_ROOMS] == group;
}

struct buf *arena_room(struct arena *a, int group)
{
    return &a->room[group % ARENA_ROOMS];
}
