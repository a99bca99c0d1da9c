/* SPDX-License-Identifier: BSD-3-Clause */
/* The lanes of rings.  A gather needs min(2, M - 1) rooms and a scatter as many (two if its
 * own sum is made there, too), and one for what arrives (room[2]); in turn t a room is used
 * again that was free since the end of turn t - 1.  Of two lanes each needs two rooms for a
 * gather always: half of the own slice is not packed, and is copied to the room that the
 * first turn leaves free.
 *
 * The host waits for the compute stream before it starts messages: whatever was put
 * there has then read what is received over and written what is sent.  At that point
 * the stream holds nothing that the turn to come could hide.
 */
#include "config.h"

#include "mesh/ring.h"

#include "mesh/coll.h"

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
                      struct buf *room)
{
    struct range part;

    r->mesh   = mesh;
    r->dev    = dev;
    r->kind   = kind;
    r->lane   = lane;
    r->lanes  = lanes;
    r->turn   = 0;
    r->rows   = rows;
    r->dtype  = dtype;
    r->cols   = cols;
    r->room   = room;
    part      = ring_part(r, mesh->m);
    r->own    = mat_cols(own, part.lo, part.hi);
    r->pieces = cmm_pieces(rows, mesh->M);
    r->taken  = 0;
    r->is_kept = false;
    r->work   = (struct meanwhile){ NULL };
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

static void wait_sent(struct ring *r)
{
    for (int k = 0; k < r->pieces; k++)
        wire_wait_busy(&r->send[k], &r->work);
}

/* On to the next turn; a pass over several ranks that moved something counts, both lanes
 * of it as one.
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
                 struct buf room[GATHER_ROOMS])
{
    ring_open(r, mesh, dev, kind, lane, lanes, own, own.dtype, rows, cols, room);
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

/* Send piece 'k' of the slice in hand, ask for that of the next one. */
static void pass_on(struct ring *r, int k)
{
    const struct mat next = room_mat(r, r->turn % 2, along(r, -r->turn - 1));

    if (is_last_turn(r) || r->is_kept)
        return;
    wire_wait(&r->send[k]); /* of the turn before, before its room is filled again */
    coll_recv(&r->recv[k], r->mesh, r->kind, AXIS_MODEL, along(r, -1), gather_tag(r),
              piece_of(r, next, k), NULL);
    coll_send(&r->send[k], r->mesh, r->kind, AXIS_MODEL, along(r, 1), gather_tag(r),
              piece_of(r, gather_slice(r), k), NULL);
}

void gather_start(struct ring *r)
{
    if (is_last_turn(r))
        return;
    dev_sync(dev_stream(r->dev, LANE_COMPUTE));
    gather_take(r, r->pieces);
}

void gather_take(struct ring *r, int pieces)
{
    if (r->taken == 0 && r->turn > 0 && !is_last_turn(r))
        dev_sync(dev_stream(r->dev, LANE_COMPUTE));
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
                  const int64_t *cols, struct buf room[SCATTER_ROOMS])
{
    ring_open(r, mesh, dev, kind, lane, lanes, own, dtype, rows, cols, room);
}

/* Ask for the sum that arrives in a turn. */
static void ask_for(struct ring *r, int turn)
{
    const struct mat sum = room_mat(r, ARRIVING, along(r, turn + 1));

    for (int k = 0; k < r->pieces; k++)
        coll_recv(&r->recv[k], r->mesh, r->kind, AXIS_MODEL, along(r, 1),
                  scatter_tag(r), piece_of(r, sum, k), NULL);
}

/* The first sum to arrive is asked for a turn ahead, as its room is free by then: what
 * comes unasked is copied once more.  A device that runs behind the host would have to be
 * waited for; it is not.
 */
void scatter_start(struct ring *r)
{
    const bool is_early = dev_is_host(r->dev);

    if (is_early && r->turn == 0 && r->mesh->M > 1) {
        dev_sync(dev_stream(r->dev, LANE_COMPUTE));
        ask_for(r, 1);
    }
    if (r->turn > is_early)
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
    wire_wait_busy(&r->recv[k], &r->work);
    dev_add(s, piece_of(r, scatter_partial(r), k),
            piece_of(r, room_mat(r, ARRIVING, scatter_owner(r)), k));
}

void scatter_send(struct ring *r, int piece, struct dev_stream *s)
{
    add_arrival(r, piece, s);
    wire_wait(&r->send[piece]); /* of the turn before */
    dev_sync(s);
    coll_send(&r->send[piece], r->mesh, r->kind, AXIS_MODEL, along(r, -1),
              scatter_tag(r), piece_of(r, scatter_partial(r), piece), NULL);
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
