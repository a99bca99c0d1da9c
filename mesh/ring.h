/* SPDX-License-Identifier: BSD-3-Clause */
/* Neighbour exchange over the model axis, double buffered: while one slice is used the
 * next one travels.
 *
 *   gather:   the slice in hand goes to m + 1, the next one comes from m - 1; after M
 *             turns every rank has held every slice once, its own first.
 *   scatter:  partial sums go to m - 1 and come from m + 1, starting with the slice
 *             that is farthest from home; the last one in hand is the rank's own.
 */
#ifndef MESH_RING_H
#define MESH_RING_H

#include "mesh/progress.h"
#include "src/dev/dev.h"

struct ring {
    struct mesh *mesh;
    struct dev *dev;
    enum traffic kind;
    int turn; /* 0 .. M - 1 */
    int64_t rows;
    const int64_t *cols; /* [M] columns of each slice, borrowed */
    struct buf *room;    /* two slices of the largest size, borrowed */
    struct mat own;      /* gather: the first slice; scatter: where the last one goes */
    struct wire send, recv;
};

/* The number of the slice in hand in this turn. */
int gather_owner(const struct ring *r);
int scatter_owner(const struct ring *r);

/* A gather: each turn: the slice in hand (packed), start, [use it], finish. */
void gather_open(struct ring *r, struct mesh *mesh, struct dev *dev, enum traffic kind,
                 struct mat own, int64_t rows, const int64_t *cols, struct buf room[2]);
struct mat gather_slice(const struct ring *r);
void gather_start(struct ring *r);
void gather_finish(struct ring *r); /* and on to the next turn */

/* A scatter: each turn: start (the arriving sum is asked for), fill scatter_partial()
 * with the own contribution to slice scatter_owner(), finish: the arrived sum is added
 * and the result sent on; in the last turn it is left in 'own'.
 */
void scatter_open(struct ring *r, struct mesh *mesh, struct dev *dev, enum traffic kind,
                  struct mat own, int64_t rows, const int64_t *cols,
                  struct buf room[3]);
void scatter_start(struct ring *r);
struct mat scatter_partial(const struct ring *r);
void scatter_finish(struct ring *r, struct dev_stream *s);

#endif
