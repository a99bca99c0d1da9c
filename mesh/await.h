/* SPDX-License-Identifier: BSD-3-Clause */
/* What this rank waits for: the main thread says so around each wait, and the hang
 * guard reads it from its own thread.
 */
#ifndef MESH_AWAIT_H
#define MESH_AWAIT_H

#include "mesh/mesh.h"

/* Begin to wait: for a message of 'kind' to or from rank 'peer' of AXIS_ALL, or, around
 * what many ranks do together, for those of an axis.  Local.
 */
void await_peer(struct mesh *mesh, enum traffic kind, int peer, bool is_send);
void await_axis(struct mesh *mesh, enum traffic kind, enum axis axis);

/* On clock_now(), when the wait in progress began.  Local. */
double await_since(const struct mesh *mesh);

/* The wait is over, which is a sign of life and a span of the trace; returns its
 * seconds.  Local.
 */
double await_end(struct mesh *mesh);

/* What is being waited for, as "act_gather from rank 3" or "reduce among ranks 4 to 7"
 * (of a column of ranks, "1, 5 to 29": each fourth), in 'text'; empty when nothing is.
 * May be called from any thread.  Local.
 */
void await_text(char *text, size_t size, const struct mesh *mesh);

/* For mesh_open() and mesh_close(). */
void await_open(struct mesh *mesh);
void await_close(struct mesh *mesh);

#endif
