/* SPDX-License-Identifier: BSD-3-Clause */
/* Collectives from point-to-point messages, with the additions done by the device.
 *
 * All are collective over one axis, count as 'kind', and wait until they are done.
 * Matrices must be packed (mat_is_packed) and agree on all ranks of the axis but for
 * the sizes that are said to differ.  traffic.h says how many messages each one posts.
 */
#ifndef MESH_COLL_H
#define MESH_COLL_H

#include "mesh/progress.h"
#include "src/dev/dev.h"

/* Start to send or receive a packed matrix; wire_wait() ends it.  It is posted when
 * 'after' is past (NULL: at once): by then what is sent must be written, and what is
 * overwritten must be read.  The event is borrowed until the end of the message.  Only
 * here is it known where a matrix lies: memory that MPI cannot reach is staged
 * (mesh/berth.h).
 */
void coll_send(struct wire *w, struct mesh *mesh, enum traffic kind, enum axis axis,
               int peer, int tag, struct mat a, struct dev_event *after);
void coll_recv(struct wire *w, struct mesh *mesh, enum traffic kind, enum axis axis,
               int peer, int tag, struct mat a, struct dev_event *after);

/* The same for two matrices in one message; either may be empty. */
void coll_send_two(struct wire *w, struct mesh *mesh, enum traffic kind, enum axis axis,
                   int peer, int tag, const struct mat part[2],
                   struct dev_event *after);
void coll_recv_two(struct wire *w, struct mesh *mesh, enum traffic kind, enum axis axis,
                   int peer, int tag, const struct mat part[2],
                   struct dev_event *after);

/* Slices of different sizes in one buffer: slice j is [rows, cols[j]], packed, and
 * starts at element rows * (cols[0] + .. + cols[j-1]).
 */
struct mat slices_at(struct mat all, int64_t rows, const int64_t *cols, int j);

/* all = everyone's slices, rank after rank; 'own' is this rank's [rows, cols[i]], and
 * may be its place in 'all'.  Direct messages to every other rank; of many ranks by
 * doubling (traffic.h says from how many on).
 */
void coll_allgather(struct mesh *mesh, enum axis axis, enum traffic kind,
                    struct dev_stream *s, struct mat all, struct mat own, int64_t rows,
                    const int64_t *cols);

/* own [rows, cols[i]] = the sum over ranks, in rank order, of their slice i of 'all';
 * it may have another format than 'all' and 'work', in which the sum is made.
 * 'work' has room for all other ranks' parts: (ranks - 1) * rows * cols[i] elements.
 * Many ranks halve: sums are added in another fixed order, and 'work' has room for
 * ranks / 2 of the largest slices, rounded up.  'all' is spoilt.
 */
void coll_reduce_scatter(struct mesh *mesh, enum axis axis, enum traffic kind,
                         struct dev_stream *s, struct mat own, struct mat all,
                         struct mat work, int64_t rows, const int64_t *cols);

/* x [1, n] = the sum over ranks, the same bits on all: scatter then gather, round a
 * ring, or by halving and doubling where there are many ranks or few bytes.  'work' has
 * room for traffic_allreduce_room() elements.
 */
void coll_allreduce(struct mesh *mesh, enum axis axis, enum traffic kind,
                    struct dev_stream *s, struct mat x, struct mat work);

/* Make each of 'n' doubles on the host the largest of all ranks'. */
void coll_largest_of(struct mesh *mesh, enum axis axis, double *x, int n);

/* Sum 'n' doubles on the host over the ranks of 'axis', in rank order: the same bits on
 * all.  A call of MPI_Allgather, which counts as REDUCE, for so many as all ranks have
 * room for, none with one rank.  coll_host_gather() only collects, in one call: all
 * [ranks * n].  When muted, every rank takes its own numbers for the others'.
 */
enum { COLL_SUM_ROOM = 1 << 18 /* numbers of all ranks */ };
void coll_host_sum(struct mesh *mesh, enum axis axis, double *x, int n);
void coll_host_gather(struct mesh *mesh, enum axis axis, double *all, const double *x,
                      int n);

/* Sum, largest and smallest of small host values outside steps; not counted. */
double coll_sum(struct mesh *mesh, enum axis axis, double x);
double coll_largest(struct mesh *mesh, enum axis axis, double x);
double coll_smallest(struct mesh *mesh, enum axis axis, double x);
void coll_barrier(struct mesh *mesh);

/* True on all ranks if any of them has been told to end (base/told.h); a barrier,
 * too.  False where messages are simulated, which a signal never ends.
 */
bool coll_is_told(struct mesh *mesh);

/* Bytes from one rank to all. */
void coll_broadcast(struct mesh *mesh, enum axis axis, int root, void *at,
                    int64_t bytes);

#endif
