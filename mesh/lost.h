/* SPDX-License-Identifier: BSD-3-Clause */
/* Hosts that are lost: no power, no cable, no kernel that answers.
 *
 * MPI cannot be relied on to notice.  One that waits for a message, and has none to
 * send, waits for ever when TCP gives the connection up; and launchers ask their other
 * daemons whether they live every five minutes.  But kernels know: what a rank has sent
 * comes back acknowledged, by the kernel there, whatever the rank there does, and where
 * nothing was sent a kernel can be made to ask.  So this looks at the connections of
 * this process, which are MPI's, and at what its kernel has found out about each.
 *
 * A rank that is stopped, slow, or busy elsewhere for minutes is not lost: its kernel
 * answers.  Nor is a process that ended: its kernel says so, and the launcher knows.
 * Networks that are not TCP have means of their own.
 */
#ifndef MESH_LOST_H
#define MESH_LOST_H

#include <stdbool.h>

/* Start with no connection known; those of the process are found by lost_look().  A
 * host is lost 'early' seconds before TCP gives it up, so that there is time to say so.
 */
struct lost;
void lost_open(struct lost **lost, double early);
void lost_close(struct lost **lost);

/* Look at all connections; 'now' in seconds.  To be called about every second.  Returns
 * the address of a host that is lost, borrowed, valid until the next call; or NULL.
 * '*seconds' is for how long it has not answered.  No MPI in it.  Local.
 */
const char *lost_look(double *seconds, struct lost *lost, double now);

/* A process that answered has ended in the last seconds before the last look: whoever
 * starts such processes knows.  Local.
 */
bool lost_has_ended(const struct lost *lost, double now);

#endif
