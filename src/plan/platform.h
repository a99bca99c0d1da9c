/* SPDX-License-Identifier: BSD-3-Clause */
/* A machine as SimGrid reads it: a platform file and a list of
 * hosts, one for each rank.
 *
 *            top                         what leaves a group shares 'group_bw'
 *           /    \
 *       group    group                   what leaves a node shares 'node_bw'
 *       /   \      |
 *     net   net   net     node  node
 *     / \   / \   / \     / \   / \      a rank has one link into its node and one out
 *    r   r r   r r   r   r   r r   r     of it, each of 'lanes' messages at full speed
 *
 * So fat trees and dragonflies are trees that become narrower as their files
 * say; inside a switch there is no contention.  The time of a message that is
 * alone is that of plan/cost.h.
 */
#ifndef PLAN_PLATFORM_H
#define PLAN_PLATFORM_H

#include "src/plan/cost.h"

/* Write the platform file 'path' and the host file 'hosts' for the ranks of 'c'.
 * Returns 0 or ERR_IO.
 */
int platform_write(const struct cost_rank *c, const char *path, const char *hosts);

#endif
