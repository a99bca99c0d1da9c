/* SPDX-License-Identifier: BSD-3-Clause */
/* Berths: messages wait here that cannot be posted at once, because their matrices are
 * on a device that runs behind the host, or in memory that MPI cannot reach.  They are
 * moved on by whoever pushes messages, so that nobody waits for the device.
 *
 * A message is posted when an event of the device is past: then what it sends has been
 * written, or what it overwrites has been read.  Where MPI cannot reach the device's
 * memory, a message passes in pieces through a dock on the host (src/dev/dock.h):
 *
 *   to be sent    | copied to the host | sent      |         while a piece is sent the
 *                      | copied        | sent      |         next ones are copied; so
 *                                                            they are when they come
 *
 * With t the time of the message on the link or between host and device, whichever
 * is longer, and p pieces it takes about t (1 + 2 / p), not three times t, and no
 * more memory of the host than the places of a dock.  Pieces of BERTH_PIECE bytes
 * take 20 to 80 microseconds at 12 to 50 GB/s, a few times what it costs to start
 * them; both ends must cut alike.
 */
#ifndef MESH_BERTH_H
#define MESH_BERTH_H

#include "mesh/letter.h"
#include "src/dev/dev.h"

#define BERTH_PIECE ((int64_t)1 << 20)

struct berth;

/* Whether this MPI was built for CUDA, says so, and has it on. */
bool berth_mpi_reaches_gpus(void);

/* False if MPI has a variable of this name, a number or a truth, and it is 0. */
bool berth_mpi_is_on(const char *variable);

/* A berth for a message of these two packed matrices, either of which may be empty.  It
 * leaves, or comes in, when 'after' (borrowed, NULL: nothing) is past.
 */
struct berth *berth_take(struct mesh *mesh, const struct letter *l,
                         const struct mat part[2], struct dev_event *after);

/* Where it goes, and how long it is. */
struct letter berth_letter(const struct berth *b);

/* Move on what can be; true when all of it is there (gone).  Messages of the same axis
 * and tag to (from) the same rank are posted in the order in which they took berths.
 */
bool berth_push(struct berth *b);

/* It is there (gone), and somebody else's turn. */
void berth_leave(struct berth *b);

void berths_close(struct mesh *mesh);

#endif
