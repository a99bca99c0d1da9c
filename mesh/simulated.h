/* SPDX-License-Identifier: BSD-3-Clause */
/* What is different about a wire in a simulation (struct mesh_model).  Only its first
 * byte is real, so that a look at memory tells whether the message has come; and the
 * time in which the rank moves the message itself is added to the rank's clock.
 *
 * MPI_Test is called as seldom as possible: every request that it finds done stays in a
 * list of SimGrid's, which is walked at the end of each later message.
 */
#ifndef MESH_SIMULATED_H
#define MESH_SIMULATED_H

#include "mesh/progress.h"

/* Where MPI is to find a message that was to lie at 'at': the sign, or a free place for
 * what is received, which belongs to the wire until simulated_leave().  Longer ones
 * than a chunk stay where they are, as they all do without a simulation.
 */
char *simulated_enter(struct wire *w, char *at);
void simulated_leave(struct wire *w);

/* When to look for the message next.  It cannot be there before its time, and one that
 * is late is looked for less and less often: a look is a step of the simulation.
 */
double simulated_due(struct wire *w);
void simulated_looked(struct wire *w);

/* True if a look at memory shows that it has come. */
bool simulated_has_come(const struct wire *w);

/* A message has come, or gone, for which the rank was waiting for the last 'waited'
 * seconds.  Let the time pass in which it moved the message itself, but for what it
 * could do of that while it waited, for this message or others, since it asked for it.
 */
void simulated_pay(const struct wire *w, double waited);

#endif
