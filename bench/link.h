/* SPDX-License-Identifier: BSD-3-Clause */
/* How fast messages go between two ranks, for each distance between them (on a package,
 * on a node, between nodes): a message takes alpha + beta bytes.
 */
#ifndef BENCH_LINK_H
#define BENCH_LINK_H

#include "mesh/mesh.h"
#include "src/dev/dev.h"
#include "src/plan/machine.h"

/* Measure, and how much of a message the cores must move ('dev' computes meanwhile), of
 * the first pair of ranks of each level that this mesh has, others waiting:
 *
 *   core      on one processor package
 *   node      on two packages that share memory
 *   network   on two nodes
 *
 * Returns how many, in 'link' on all ranks; '*wrong' is the number of bytes that did
 * not arrive as they were sent.  Collective.
 */
int link_measure(struct machine_link link[MACHINE_LINKS], int64_t *wrong,
                 struct mesh *mesh, struct dev *dev);

#endif
