/* SPDX-License-Identifier: BSD-3-Clause */
/* One step of every rank as a time line, in the JSON that Chrome's tracing and Perfetto
 * open.  A rank is a process; its computation is one track, the messages that are under
 * way meanwhile are others.
 */
#ifndef STEP_TIMELINE_H
#define STEP_TIMELINE_H

#include "src/step/step.h"

/* Run the next step of 'step', as step_run() does, and write what every rank did to
 * 'path' (rank 0 opens it).  The ranks' clocks are aligned to that of rank 0.  Rank 0
 * takes one rank's part at a time, piece by piece, straight to the file.  Returns 0 or
 * ERR_IO on all ranks; 'result' is set in either case.
 * Collective over the mesh.
 */
int timeline_step(struct step *step, double schedule, struct step_result *result,
                  const char *path);

/* Seconds to add to this rank's clock to have that of rank 0, to about half of the
 * quickest round trip; found along a tree, log2(ranks) exchanges for each rank at most.
 * Collective over the mesh.
 */
double timeline_clock_offset(struct mesh *mesh);

#endif
