/* SPDX-License-Identifier: BSD-3-Clause */
/* What is different with a wire in a simulation (struct mesh_model): its first byte
 * alone is real, so that a look at memory tells that a message has come; and the rank
 * pays for the time in which it moved the message itself.
 *
 * SimGrid is not asked by MPI_Test where it can be helped: what was found by it stays
 * in a list of the rank, which is walked at the end of every later message.
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

/* Let the time pass in which this rank moved the message itself, but for the seconds
 * that it was waiting for it anyway.
 */
void simulated_pay(const struct wire *w, double waited);

#endif
