/* SPDX-License-Identifier: BSD-3-Clause */
/* The record of a trace: an array of spans, which threads fill in the order in which
 * they come.
 */
#include "config.h"

#include "mesh/trace.h"

#include "src/base/clock.h"
#include "src/base/mem.h"

void trace_start(struct mesh *mesh, int room)
{
    struct trace *t = mem_new(1, sizeof *t + (size_t)room * sizeof t->span[0]);

    t->room = room;
    atomic_init(&t->count, 0);
    mesh->trace = t;
}

struct trace *trace_stop(struct mesh *mesh)
{
    struct trace *t = mesh->trace;

    mesh->trace = NULL;
    return t;
}

void trace_add(struct mesh *mesh, struct trace_span span)
{
    struct trace *t = mesh->trace;
    int place;

    if (t == NULL)
        return;
    place = atomic_fetch_add_explicit(&t->count, 1, memory_order_relaxed);
    if (place < t->room)
        t->span[place] = span;
}

double trace_passed(struct mesh *mesh, const char *name, int group, double start)
{
    const double now = clock_now();

    trace_add(mesh, (struct trace_span){ .track = TRACE_COMPUTE,
                                         .name  = name,
                                         .group = group,
                                         .start = start,
                                         .end   = now });
    return now;
}

int trace_count(const struct trace *t)
{
    const int count = atomic_load(&t->count);

    return count < t->room ? count : t->room;
}
