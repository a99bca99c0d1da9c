/* SPDX-License-Identifier: BSD-3-Clause */
/* A collective that is under way while the rank computes: started, moved on by every
 * progress_poll() and by whatever waits for messages, finished when its result is
 * needed.
 *
 * It works on one flat buffer x of 'ranks' parts, in hops from neighbour to neighbour:
 *
 *   gather    every rank brings its own part, in its place; all parts go round upwards
 *   scatter   every rank brings all parts; sums go round downwards, growing on the way,
 *             and end at home; what is left of the other parts is of no use
 *   sum       scatter, then gather: all parts are the sums, everywhere
 *
 * Messages: all parts but one to a neighbour, twice in a sum (plan/traffic.h).
 */
#ifndef MESH_FLIGHT_H
#define MESH_FLIGHT_H

#include "mesh/progress.h"
#include "src/dev/dev.h"

enum flight_form { FLIGHT_GATHER, FLIGHT_SCATTER, FLIGHT_SUM };

struct flight_plan {
    struct mesh *mesh;
    enum axis axis;
    enum traffic kind;
    struct dev_stream *stream; /* of the additions, and of who wrote x */
    struct mat x;              /* [1, n] */
    const int64_t *cut; /* [ranks + 1]: part j is elements cut[j] .. cut[j+1] - 1 */
    struct mat work;    /* room for the largest part, where sums are made */
};

struct flight {
    struct flight_plan plan;
    enum flight_form form;
    int hop, hops;
    bool is_active;
    struct wire send, recv;
    struct progress_task task;
};

/* Set out.  What 'plan' names is borrowed, and the flight must not move, until
 * flight_finish().  One gather and one of the other forms may be under way on an axis.
 * Collective over the axis.
 */
void flight_start(struct flight *f, enum flight_form form,
                  const struct flight_plan *plan);

/* Wait until this rank's part in it is done; at once if none is under way. */
void flight_finish(struct flight *f);

#endif
