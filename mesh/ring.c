/* SPDX-License-Identifier: BSD-3-Clause */
/* The lanes of rings.  A room holds the lane's part of one slice.  A gather needs
 * min(2, M - 1) rooms.  A scatter needs as many, or two if its own sum is made in one,
 * and room[2] for the sum that arrives.  In turn t a room is used again that was read
 * last in turn t - 1; what a gather sent from it then is waited for.  With two lanes
 * each always needs two rooms for a gather: its half of the own slice is not packed,
 * and is copied to the room that the first turn leaves free.
 *
 * A message is posted when the compute stream has reached the place where it was asked
 * for: what is sent has then been written, and what is received over has been read.
 * The host waits only for messages; work that was put on the stream goes on meanwhile.
 */
#include "config.h"

#include "mesh/ring.h"

#include "mesh/coll.h"
#include "src/base/err.h"

int ring_events_open(struct ring_events *e, int lanes, struct dev *dev)
{
    for (int l = 0; l < lanes; l++) {
        for (int k = 0; k < 2; k++)
            TRY(dev_event_open(&e[l].read[k], dev));
        for (int k = 0; k < CMM_PIECES; k++)
            TRY(dev_event_open(&e[l].made[k], dev));
    }
    return 0;
}

void ring_events_close(struct ring_events *e, int lanes)
{
    for (int l = 0; l < lanes; l++) {
        for (int k = 0; k < 2; k++)
            dev_event_close(&e[l].read[k]);
        for (int k = 0; k < CMM_PIECES; k++)
            dev_event_close(&e[l].made[k]);
    }
}

struct range ring_part(const struct ring *r, int j)
{
    return split_range(r->cols[j], r->lanes, r->lane);
}

static struct mat room_mat(const struct ring *r, int room, int owner)
{
    return mat_of(&r->room[room], r->dtype, r->rows, range_size(ring_part(r, owner)));
}

/* The rank that is 'steps' from this one in the lane's direction. */
static int along(const struct ring *r, int steps)
{
    const int M = r->mesh->M;

    return (r->mesh->m + (r->lane == 0 ? steps : -steps) + 2 * M) % M;
}

static bool is_last_turn(const struct ring *r)
{
    return r->turn == r->mesh->M - 1;
}

static void ring_open(struct ring *r, struct mesh *mesh, struct dev *dev,
                      enum traffic kind, int lane, int lanes, struct mat own,
                      enum dtype dtype, int64_t rows, const int64_t *cols,
                      struct buf *room, struct ring_events *event)
{
    struct range part;

    r->mesh    = mesh;
    r->dev     = dev;
    r->kind    = kind;
    r->lane    = lane;
    r->lanes   = lanes;
    r->turn    = 0;
    r->rows    = rows;
    r->dtype   = dtype;
    r->cols    = cols;
    r->room    = room;
    r->event   = event;
    part       = ring_part(r, mesh->m);
    r->own     = mat_cols(own, part.lo, part.hi);
    r->pieces  = cmm_pieces(rows, mesh->M);
    r->taken   = 0;
    r->is_kept = false;
    r->work    = (struct meanwhile){ 0 };
    for (int k = 0; k < r->pieces; k++)
        r->send[k].is_active = r->recv[k].is_active = false;
}

struct range ring_piece(const struct ring *r, int k)
{
    return split_range(r->rows, r->pieces, k);
}

static struct mat piece_of(const struct ring *r, struct mat slice, int k)
{
    const struct range rows = ring_piece(r, k);

    return mat_rows(slice, rows.lo, rows.hi);
}

/* When all that was put on the compute stream until the turn in hand is done; messages
 * of the turn before may still wait for theirs.
 */
static struct dev_event *is_read(const struct ring *r)
{
    return r->event->read[r->turn % 2];
}

static void mark(const struct ring *r, struct dev_event *e)
{
    dev_event_record(e, dev_stream(r->dev, LANE_COMPUTE));
}

static void wait_sent(struct ring *r)
{
    dev_flush(dev_stream(r->dev, LANE_COMPUTE));
    for (int k = 0; k < r->pieces; k++)
        wire_wait_busy(&r->send[k], &r->work);
}

/* On to the next turn; a pass over several ranks that moved something counts, both
 * lanes of it as one.
 */
static void next_turn(struct ring *r)
{
    r->turn++;
    if (r->turn < r->mesh->M || r->turn == 1 || r->mesh->is_muted[r->kind] ||
        r->is_kept)
        return;
    if (r->lanes == 1)
        r->mesh->rings++;
    else if (r->lane == 0)
        r->mesh->bidirs++;
}

/* ---- gather ---------------------------------------------------------------------- */

static int gather_tag(const struct ring *r)
{
    return r->lane == 0 ? TAG_GATHER : TAG_GATHER_BACK;
}

int gather_owner(const struct ring *r)
{
    return along(r, -r->turn);
}

void gather_open(struct ring *r, struct mesh *mesh, struct dev *dev, enum traffic kind,
                 int lane, int lanes, struct mat own, int64_t rows, const int64_t *cols,
                 struct buf room[GATHER_ROOMS], struct ring_events *event)
{
    ring_open(r, mesh, dev, kind, lane, lanes, own, own.dtype, rows, cols, room, event);
    if (lanes > 1) {
        const struct mat copy = room_mat(r, 1, mesh->m);

        dev_copy(dev_stream(dev, LANE_COMPUTE), copy, r->own);
        r->own = copy;
    }
}

struct mat gather_slice(const struct ring *r)
{
    return r->turn == 0 ? r->own : room_mat(r, (r->turn - 1) % 2, gather_owner(r));
}

/* Wait until what comes as piece 'k' may lie in 'next': where the room's last slice is
 * narrower, pieces behind that one lie there, too, and may still be on their way.
 */
static void wait_for_place(struct ring *r, struct mat next, int k)
{
    const int64_t last = range_size(ring_part(r, along(r, 1 - r->turn)));

    for (int j = k; j < (next.cols > last ? r->pieces : k + 1); j++)
        wire_wait(&r->send[j]);
}

/* Send piece 'k' of the slice in hand, ask for that of the next one.  What has arrived
 * is there; the own slice may be in the making.
 */
static void pass_on(struct ring *r, int k)
{
    const struct mat next = room_mat(r, r->turn % 2, along(r, -r->turn - 1));

    if (is_last_turn(r) || r->is_kept)
        return;
    wait_for_place(r, next, k);
    coll_recv(&r->recv[k], r->mesh, r->kind, AXIS_MODEL, along(r, -1), gather_tag(r),
              piece_of(r, next, k), is_read(r));
    coll_send(&r->send[k], r->mesh, r->kind, AXIS_MODEL, along(r, 1), gather_tag(r),
              piece_of(r, gather_slice(r), k), r->turn == 0 ? is_read(r) : NULL);
}

void gather_start(struct ring *r)
{
    if (!is_last_turn(r))
        gather_take(r, r->pieces);
}

void gather_take(struct ring *r, int pieces)
{
    if (r->taken == 0 && !is_last_turn(r))
        mark(r, is_read(r));
    if (r->taken < pieces)
        dev_flush(dev_stream(r->dev, LANE_COMPUTE));
    for (; r->taken < pieces; r->taken++) {
        if (r->turn > 0)
            wire_wait_busy(&r->recv[r->taken], &r->work);
        pass_on(r, r->taken);
    }
}

void gather_next(struct ring *r)
{
    gather_take(r, r->pieces);
    if (is_last_turn(r))
        wait_sent(r);
    r->taken = 0;
    next_turn(r);
}

/* ---- scatter --------------------------------------------------------------------- */

enum { ARRIVING = 2 };

static int scatter_tag(const struct ring *r)
{
    return r->lane == 0 ? TAG_SCATTER : TAG_SCATTER_BACK;
}

int scatter_owner(const struct ring *r)
{
    return along(r, r->turn + 1);
}

void scatter_open(struct ring *r, struct mesh *mesh, struct dev *dev, enum traffic kind,
                  int lane, int lanes, struct mat own, enum dtype dtype, int64_t rows,
                  const int64_t *cols, struct buf room[SCATTER_ROOMS],
                  struct ring_events *event)
{
    ring_open(r, mesh, dev, kind, lane, lanes, own, dtype, rows, cols, room, event);
}

/* Ask for the sum that arrives in a turn. */
static void ask_for(struct ring *r, int turn)
{
    const struct mat sum = room_mat(r, ARRIVING, along(r, turn + 1));

    mark(r, is_read(r));
    for (int k = 0; k < r->pieces; k++)
        coll_recv(&r->recv[k], r->mesh, r->kind, AXIS_MODEL, along(r, 1),
                  scatter_tag(r), piece_of(r, sum, k), is_read(r));
}

/* The first sum to arrive is asked for a turn ahead, as its room is free by then: what
 * comes unasked is copied once more.
 */
void scatter_start(struct ring *r)
{
    if (r->turn == 0 && r->mesh->M > 1)
        ask_for(r, 1);
    else if (r->turn > 1)
        ask_for(r, r->turn);
}

static bool is_made_in_place(const struct ring *r)
{
    return is_last_turn(r) && r->dtype == r->own.dtype;
}

struct mat scatter_partial(const struct ring *r)
{
    return is_made_in_place(r) ? r->own : room_mat(r, r->turn % 2, scatter_owner(r));
}

/* Add what arrives of piece 'k'. */
static void add_arrival(struct ring *r, int k, struct dev_stream *s)
{
    if (r->turn == 0)
        return;
    dev_flush(s);
    wire_wait_busy(&r->recv[k], &r->work);
    dev_add(s, piece_of(r, scatter_partial(r), k),
            piece_of(r, room_mat(r, ARRIVING, scatter_owner(r)), k));
}

void scatter_send(struct ring *r, int piece, struct dev_stream *s)
{
    wire_wait(&r->send[piece]); /* of the turn before */
    add_arrival(r, piece, s);
    dev_event_record(r->event->made[piece], s);
    coll_send(&r->send[piece], r->mesh, r->kind, AXIS_MODEL, along(r, -1),
              scatter_tag(r), piece_of(r, scatter_partial(r), piece),
              r->event->made[piece]);
}

void scatter_next(struct ring *r, struct dev_stream *s)
{
    for (int k = 0; k < r->pieces && is_last_turn(r); k++)
        add_arrival(r, k, s);
    if (is_last_turn(r) && !is_made_in_place(r))
        dev_copy(s, r->own, scatter_partial(r));
    if (is_last_turn(r))
        wait_sent(r);
    next_turn(r);
}
