/* SPDX-License-Identifier: BSD-3-Clause */
/* The two rings.  With M ranks a gather needs min(2, M - 1) rooms and a scatter as
 * many, and one for what arrives (room[2]); in turn t a room is used again that was
 * free since the end of turn t - 1.
 *
 * The host waits for the compute stream before it starts messages: whatever was put
 * there has then read what is received over and written what is sent.  At that point
 * the stream holds nothing that the turn to come could hide.
 */
#include "config.h"

#include "mesh/ring.h"

#include "mesh/coll.h"

static struct mat room_mat(const struct ring *r, int room, int owner)
{
    return mat_of(&r->room[room], r->own.dtype, r->rows, r->cols[owner]);
}

static int up(const struct ring *r)
{
    return (r->mesh->m + 1) % r->mesh->M;
}

static int down(const struct ring *r)
{
    return (r->mesh->m + r->mesh->M - 1) % r->mesh->M;
}

static bool is_last_turn(const struct ring *r)
{
    return r->turn == r->mesh->M - 1;
}

static void ring_open(struct ring *r, struct mesh *mesh, struct dev *dev,
                      enum traffic kind, struct mat own, int64_t rows,
                      const int64_t *cols, struct buf *room)
{
    r->mesh           = mesh;
    r->dev            = dev;
    r->kind           = kind;
    r->turn           = 0;
    r->rows           = rows;
    r->cols           = cols;
    r->room           = room;
    r->own            = own;
    r->send.is_active = false;
    r->recv.is_active = false;
}

/* On to the next turn; a pass over several ranks that moved something counts. */
static void next_turn(struct ring *r)
{
    r->turn++;
    if (r->turn == r->mesh->M && r->turn > 1 && !r->mesh->is_muted[r->kind])
        r->mesh->rings++;
}

/* ---- gather ---------------------------------------------------------------------- */

int gather_owner(const struct ring *r)
{
    return (r->mesh->m - r->turn + r->mesh->M) % r->mesh->M;
}

void gather_open(struct ring *r, struct mesh *mesh, struct dev *dev, enum traffic kind,
                 struct mat own, int64_t rows, const int64_t *cols, struct buf room[2])
{
    ring_open(r, mesh, dev, kind, own, rows, cols, room);
}

struct mat gather_slice(const struct ring *r)
{
    return r->turn == 0 ? r->own : room_mat(r, (r->turn - 1) % 2, gather_owner(r));
}

void gather_start(struct ring *r)
{
    const int M = r->mesh->M, next = (gather_owner(r) + M - 1) % M;

    if (is_last_turn(r))
        return;
    dev_sync(dev_stream(r->dev, LANE_COMPUTE));
    coll_recv(&r->recv, r->mesh, r->kind, AXIS_MODEL, down(r), TAG_GATHER,
              room_mat(r, r->turn % 2, next));
    coll_send(&r->send, r->mesh, r->kind, AXIS_MODEL, up(r), TAG_GATHER,
              gather_slice(r));
}

void gather_finish(struct ring *r)
{
    wire_wait(&r->recv);
    wire_wait(&r->send);
    next_turn(r);
}

/* ---- scatter --------------------------------------------------------------------- */

enum { ARRIVING = 2 };

int scatter_owner(const struct ring *r)
{
    return (r->mesh->m + r->turn + 1) % r->mesh->M;
}

void scatter_open(struct ring *r, struct mesh *mesh, struct dev *dev, enum traffic kind,
                  struct mat own, int64_t rows, const int64_t *cols, struct buf room[3])
{
    ring_open(r, mesh, dev, kind, own, rows, cols, room);
}

void scatter_start(struct ring *r)
{
    if (r->turn == 0)
        return;
    coll_recv(&r->recv, r->mesh, r->kind, AXIS_MODEL, up(r), TAG_SCATTER,
              room_mat(r, ARRIVING, scatter_owner(r)));
}

struct mat scatter_partial(const struct ring *r)
{
    return is_last_turn(r) ? r->own : room_mat(r, r->turn % 2, scatter_owner(r));
}

void scatter_finish(struct ring *r, struct dev_stream *s)
{
    const struct mat partial = scatter_partial(r);

    if (r->turn > 0) {
        wire_wait(&r->recv);
        dev_add(s, partial, room_mat(r, ARRIVING, scatter_owner(r)));
        wire_wait(&r->send); /* of the turn before, before its room is filled again */
    }
    if (!is_last_turn(r)) {
        dev_sync(s);
        coll_send(&r->send, r->mesh, r->kind, AXIS_MODEL, down(r), TAG_SCATTER,
                  partial);
    }
    next_turn(r);
}
