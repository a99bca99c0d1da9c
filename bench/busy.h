/* SPDX-License-Identifier: BSD-3-Clause */
/* How much of a message's time a core must spend on it itself, where messages are moved
 * by polling while products run.
 */
#ifndef BENCH_BUSY_H
#define BENCH_BUSY_H

#include "mesh/mesh.h"
#include "src/dev/dev.h"

/* Exchange messages of 'bytes', each 'seconds' on its way, with 'peer' while computing
 * twice as long: the share of 'seconds', 0 to 1, by which the computing takes longer.
 * Median of a few.  Collective over this rank and 'peer'.
 */
double busy_measure(struct mesh *mesh, struct dev *dev, int peer, int bytes,
                    double seconds);

#endif
