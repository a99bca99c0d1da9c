/* SPDX-License-Identifier: BSD-3-Clause */
/* The wait in progress.  Its kind is stored last and loaded first, so that a thread
 * that sees the kind sees the peer or the axis that belongs to it.
 */
#include "config.h"

#include "mesh/await.h"

#include "mesh/guard.h"
#include "mesh/trace.h"
#include "src/base/clock.h"
#include "src/base/mem.h"

#include <stdatomic.h>
#include <stdio.h>

enum { NOTHING = -1, MANY = -1 };

struct await {
    double since;    /* when it began */
    atomic_int kind; /* of the message, or NOTHING */
    atomic_int peer; /* its other end in AXIS_ALL, or MANY */
    atomic_int axis; /* of the many */
    atomic_bool is_send;
};

void await_open(struct mesh *mesh)
{
    mesh->await = mem_new(1, sizeof *mesh->await);
    atomic_store(&mesh->await->kind, NOTHING);
}

void await_close(struct mesh *mesh)
{
    mem_free(mesh->await);
    mesh->await = NULL;
}

/* The ranks of an axis in AXIS_ALL: the first, the last, and how far each is from the
 * next.
 */
struct line {
    int first, last, apart;
};

static struct line line_of(const struct mesh *mesh, enum axis axis)
{
    const int M = mesh->M;

    if (axis == AXIS_DATA)
        return (struct line){ mesh->m, (mesh->D - 1) * M + mesh->m, M };
    if (axis == AXIS_MODEL)
        return (struct line){ mesh->d * M, mesh->d * M + M - 1, 1 };
    return (struct line){ 0, mesh->size - 1, 1 };
}

static void begin(struct mesh *mesh, enum traffic kind, int peer, bool is_send,
                  enum axis axis)
{
    struct await *a = mesh->await;

    clock_settle();
    atomic_store_explicit(&a->axis, (int)axis, memory_order_relaxed);
    atomic_store_explicit(&a->peer, peer, memory_order_relaxed);
    atomic_store_explicit(&a->is_send, is_send, memory_order_relaxed);
    atomic_store_explicit(&a->kind, (int)kind, memory_order_release);
    a->since = clock_now();
}

void await_peer(struct mesh *mesh, enum traffic kind, int peer, bool is_send)
{
    begin(mesh, kind, peer, is_send, AXIS_ALL);
}

void await_axis(struct mesh *mesh, enum traffic kind, enum axis axis)
{
    const struct line line = line_of(mesh, axis);
    const bool is_pair     = mesh_axis_size(mesh, axis) <= 2;

    begin(mesh, kind, is_pair ? line.first + line.last - mesh->rank : MANY, false,
          axis);
}

double await_since(const struct mesh *mesh)
{
    return mesh->await->since;
}

double await_end(struct mesh *mesh)
{
    struct await *a  = mesh->await;
    const double now = clock_now();

    trace_add(mesh, (struct trace_span){ .track = TRACE_COMPUTE,
                                         .name  = "wait",
                                         .what  = traffic_name[atomic_load(&a->kind)],
                                         .group = mesh->group,
                                         .start = a->since,
                                         .end   = now });
    atomic_store_explicit(&a->kind, NOTHING, memory_order_relaxed);
    guard_alive();
    return now - a->since;
}

void await_text(char *text, size_t size, const struct mesh *mesh)
{
    const struct await *a = mesh->await;
    const int kind        = atomic_load_explicit(&a->kind, memory_order_acquire);
    const int peer        = atomic_load_explicit(&a->peer, memory_order_relaxed);
    const bool is_send    = atomic_load_explicit(&a->is_send, memory_order_relaxed);
    const int axis        = atomic_load_explicit(&a->axis, memory_order_relaxed);
    const struct line of  = line_of(mesh, (enum axis)axis);

    if (kind == NOTHING)
        snprintf(text, size, "%s", "");
    else if (peer != MANY)
        snprintf(text, size, "%s %s rank %d", traffic_name[kind],
                 is_send ? "to" : "from", peer);
    else if (of.apart == 1)
        snprintf(text, size, "%s among ranks %d to %d", traffic_name[kind], of.first,
                 of.last);
    else
        snprintf(text, size, "%s among ranks %d, %d to %d", traffic_name[kind],
                 of.first, of.first + of.apart, of.last);
}
