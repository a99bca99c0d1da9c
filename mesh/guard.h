/* SPDX-License-Identifier: BSD-3-Clause */
/* The hang guard: a thread that ends the process when nothing has moved for some time,
 * so that a lost or stopped rank cannot hold a whole job until its time is up.
 *
 * A sign of life is a message that was posted or has arrived, or the beginning of a new
 * phase.  A host that does not answer any more is found sooner (lost.h).
 */
#ifndef MESH_GUARD_H
#define MESH_GUARD_H

struct mesh;

/* Watch this process: after 'seconds' without a sign of life the thread writes host,
 * phase and the awaited peer on stderr, waits two seconds, so that other ranks can
 * speak too, and calls _exit(3); there is no MPI in it.  A host that is lost it names
 * in the same way, when it is this rank's turn and nobody else has ended the job by
 * then: all ranks have theirs within 16 seconds.  0 seconds: no guard.  'mesh' is
 * borrowed, and may be NULL.  There is one guard in a process: a second start replaces
 * the first.  Stopped by guard_stop() or mesh_close() of the same mesh.
 * Returns 0 or ERR_ENV.  Local.
 */
int guard_start(struct mesh *mesh, double seconds);
void guard_stop(struct mesh *mesh);

/* Say what is being done from here on ("warm-up"); 'phase' is kept by reference and
 * must be static.  Counts as a sign of life.  For tests, VITBENCH_FAULT=told:PHASE:RANK
 * sends this rank SIGTERM as that phase begins.
 */
void guard_phase(const char *phase);

/* A sign of life. */
void guard_alive(void);

/* Note the signals that ask this process to end (base/told.h) from here on; before
 * threads compute.  Returns what told_by_signals() does.
 */
int guard_catch_signals(void);

#endif
