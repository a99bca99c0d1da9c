/* SPDX-License-Identifier: BSD-3-Clause */
/* A record of who did what when: what the device computed, what was waited for, and
 * which messages were under way meanwhile.  Off (NULL in the mesh) but for the step
 * that --trace shows.
 */
#ifndef MESH_TRACE_H
#define MESH_TRACE_H

#include "mesh/mesh.h"

#include <stdatomic.h>

/* A span of time on one of two tracks; on TRACE_COMPUTE spans lie side by side or one
 * within the other, on TRACE_MESSAGES they overlap.  Texts are kept by reference, and
 * must be static.
 */
enum trace_track { TRACE_COMPUTE, TRACE_MESSAGES };

struct trace_span {
    enum trace_track track;
    const char *name;  /* "gemm", "wait", "act_gather" */
    const char *what;  /* "in", or NULL */
    int group;         /* of parameters that it is about, from 1 on; 0: none */
    double start, end; /* clock_now() of this rank */
    int64_t bytes;     /* of a message */
    int peer;          /* its other end in AXIS_ALL */
    int64_t order;     /* among all that this rank posted */
    bool is_send;
};

struct trace {
    int room;
    atomic_int count; /* may exceed 'room': spans that were lost */
    struct trace_span span[];
};

/* Record from now on, up to 'room' spans / stop, and leave the record to the caller,
 * who frees it with mem_free().  Local.
 */
void trace_start(struct mesh *mesh, int room);
struct trace *trace_stop(struct mesh *mesh);

/* Add a span if there is a record; from any thread. */
void trace_add(struct mesh *mesh, struct trace_span span);

/* This rank was at 'name', about 'group', from 'start' until now: returns that. */
double trace_passed(struct mesh *mesh, const char *name, int group, double start);

/* Spans that the record holds. */
int trace_count(const struct trace *t);

#endif
