/* SPDX-License-Identifier: BSD-3-Clause */
/* Neighbour exchange over the model axis, double buffered: while one slice is used the
 * next one travels.
 *
 *   gather:   the slice in hand goes to m + 1, the next one comes from m - 1; after M
 *             turns every rank has held every slice once, its own first.
 *   scatter:  partial sums go to m - 1 and come from m + 1, starting with the slice
 *             that is farthest from home; the last one in hand is the rank's own.
 *
 * A ring has one lane, or two that turn at the same time in opposite directions, each
 * with one half of every slice's columns, so that both directions of a link are in use.
 * A struct ring is one lane.
 *
 * What a lane carries travels in pieces of some rows, a message each, as many as
 * cmm_pieces() says: a piece is used, or sent, while those behind it are still on the
 * way, or in the making.
 */
#ifndef MESH_RING_H
#define MESH_RING_H

#include "mesh/progress.h"
#include "src/dev/dev.h"
#include "src/plan/traffic.h"

enum { RING_LANES = 2, GATHER_ROOMS = 2, SCATTER_ROOMS = 3 };

/* The events of a lane.  'made[k]' is past when piece k of what is to be sent has been
 * written; 'read', one for this turn and one for the turn before, when the memory that
 * the next slice is received into has been read.
 */
struct ring_events {
    struct dev_event *read[2], *made[CMM_PIECES];
};
int ring_events_open(struct ring_events *e, int lanes, struct dev *dev);
void ring_events_close(struct ring_events *e, int lanes);

struct ring {
    struct mesh *mesh;
    struct dev *dev;
    enum traffic kind;
    int lane, lanes;
    int turn; /* 0 .. M - 1 */
    int64_t rows;
    enum dtype dtype;          /* of what travels */
    const int64_t *cols;       /* [M] columns of each slice, borrowed */
    struct buf *room;          /* of the lane's part of a slice each, borrowed */
    struct ring_events *event; /* borrowed */
    struct mat own; /* gather: the first part; scatter: where the last one goes */
    int pieces;     /* of each part */
    int taken;      /* a gather's pieces that were taken in this turn */
    bool is_kept;   /* a gather's slices are in its rooms already */
    struct meanwhile work; /* for the time in which messages are awaited */
    struct wire send[CMM_PIECES], recv[CMM_PIECES];
};

/* The rows of piece 'k'. */
struct range ring_piece(const struct ring *r, int k);

/* The columns of slice 'j' that this lane carries, counted from the slice's first. */
struct range ring_part(const struct ring *r, int j);

/* The number of the slice in hand in this turn. */
int gather_owner(const struct ring *r);
int scatter_owner(const struct ring *r);

/* A gather: gather_open(), gather_start() (the own slice sets out), then in each turn
 * gather_take(), which waits for the first 'pieces' pieces of the slice in hand and
 * passes them on, [use them], and gather_next().  'own' is this rank's whole slice;
 * with one lane it must be packed.  'is_kept' may be set after gather_open(): then the
 * slices of the gather before are used, and nothing travels.
 */
void gather_open(struct ring *r, struct mesh *mesh, struct dev *dev, enum traffic kind,
                 int lane, int lanes, struct mat own, int64_t rows, const int64_t *cols,
                 struct buf room[GATHER_ROOMS], struct ring_events *event);
struct mat gather_slice(const struct ring *r);
void gather_start(struct ring *r);
void gather_take(struct ring *r, int pieces);
void gather_next(struct ring *r); /* on to the next turn, all pieces taken */

/* A scatter of sums in format 'dtype': scatter_open(), then in each turn
 * scatter_start(), which asks for the sum that is to arrive, [fill scatter_partial()
 * with this rank's contribution to the lane's part of slice scatter_owner()], and
 * scatter_next().  In all turns but the last scatter_send() adds the sum that has
 * arrived to a piece as soon as it is filled, and sends it on; in the last turn
 * scatter_next() adds what arrives and leaves the sum in 'own', rounded to its format.
 */
void scatter_open(struct ring *r, struct mesh *mesh, struct dev *dev, enum traffic kind,
                  int lane, int lanes, struct mat own, enum dtype dtype, int64_t rows,
                  const int64_t *cols, struct buf room[SCATTER_ROOMS],
                  struct ring_events *event);
void scatter_start(struct ring *r);
struct mat scatter_partial(const struct ring *r);
void scatter_send(struct ring *r, int piece, struct dev_stream *s);
void scatter_next(struct ring *r, struct dev_stream *s);

#endif
