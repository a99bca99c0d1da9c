/* SPDX-License-Identifier: BSD-3-Clause */
/* A collective that is under way while the rank computes.  It is started, moved on by
 * every progress_poll() and by whatever waits for messages, and finished when its
 * result is needed.
 *
 * It works on one flat buffer x of 'ranks' parts, in the hops of plan/hops.h, which
 * says whose part is which, too:
 *
 *   HOPS_GATHER    every rank brings its own part, in its place, and gets all
 *   HOPS_SCATTER   every rank brings all parts, and gets the sum of its own; what is
 *                  left of the others is of no use
 *   HOPS_SUM       all parts become the sums, everywhere
 *
 * Sums may travel in a shorter format than x has: each is rounded before it
 * is sent, in every hop, and added in the format of x; what all get is the
 * same, rounded, everywhere.
 */
#ifndef MESH_FLIGHT_H
#define MESH_FLIGHT_H

#include "mesh/progress.h"
#include "src/dev/dev.h"
#include "src/plan/hops.h"

struct flight_plan {
    struct mesh *mesh;
    enum axis axis;
    enum traffic kind;
    int group;                 /* of parameters, for a trace: from 1 on; 0: none */
    struct dev_stream *stream; /* of the additions, and of who wrote x */
    /* Borrowed: a hop's messages are posted when the stream has come so far; NULL: the
     * host waits for it.
     */
    struct dev_event *ready;
    struct mat x;       /* [1, n] */
    const int64_t *cut; /* [ranks + 1]: part j is elements cut[j] .. cut[j+1] - 1 */
    /* [1, hops_room()] for what comes to be added; of another format than x, in which
     * sums travel then, [1, 2 hops_room()]: behind it lies what is sent.
     */
    struct mat work;
    int near;      /* ranks in a row that share a node: 0 as 1 */
    int ring_most; /* a ring up to so many ranks: HOPS_RING */
};

struct flight {
    struct flight_plan plan;
    struct hops hops;
    int hop;
    bool is_active;
    struct mat out; /* of the hop at hand, as it travels */
    struct wire send, recv;
    struct progress_task task;
};

/* Set out.  What 'plan' names is borrowed, and the flight must not move, until
 * flight_finish().  One gather and one of the other forms may be under way on an axis.
 * Collective over the axis.
 */
void flight_start(struct flight *f, enum hops_form form,
                  const struct flight_plan *plan);

/* Wait until this rank's part in it is done; at once if none is under way. */
void flight_finish(struct flight *f);

#endif
