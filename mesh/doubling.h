/* SPDX-License-Identifier: BSD-3-Clause */
/* Gathering by doubling and summing by halving: each rank sends log2(ranks) messages,
 * rounded up, whatever the number of ranks is (Bruck's order).
 *
 *   gather    round d = 1, 2, 4, ..: of the slices i .. i + d - 1 that rank i has by
 *             now, as many as are missing there go to rank i - d
 *   scatter   the same backwards: sums of slices i + d .. go to rank i + d, which adds
 *             them to its own
 *
 * Slices are counted round the circle, so that what a round sends lies in one stretch
 * of memory or in two.
 */
#ifndef MESH_DOUBLING_H
#define MESH_DOUBLING_H

#include "mesh/progress.h"
#include "src/dev/dev.h"

/* Slices of all ranks of an axis in one packed matrix: of rows * cols[j] elements, or
 * nearly equal parts if 'cols' is NULL.
 */
struct slices {
    struct mat all;
    int64_t rows;
    const int64_t *cols;
};

/* Complete 'x', of which this rank's slice is there.  Collective over
 * the axis, as is the next.
 */
void doubling_gather(struct mesh *mesh, enum axis axis, enum traffic kind, int tag,
                     struct dev_stream *s, const struct slices *x);

/* Make of this rank's slice the sum over ranks; the others are spoilt.  'work' has room
 * for the slices of the largest round, traffic_round().  Sums are added in an order
 * that depends on the number of ranks alone.
 */
void halving_scatter(struct mesh *mesh, enum axis axis, enum traffic kind, int tag,
                     struct dev_stream *s, const struct slices *x, struct mat work);

#endif
