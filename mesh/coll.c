/* SPDX-License-Identifier: BSD-3-Clause */
/* Collectives made of wires.  A message is posted once an event is past that was
 * recorded when it was asked for.  So the stream has by then written what is sent, and
 * read what a receive overwrites.  The host waits only for messages.
 */
#include "config.h"

#include "mesh/coll.h"

#include "mesh/await.h"
#include "mesh/berth.h"
#include "mesh/doubling.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/told.h"

#include <string.h>

/* ---- matrices on wires ----------------------------------------------------------- */

/* Either of two parts may be empty. */
static struct stretch stretch_of(struct mat a)
{
    if (mat_size(a) == 0)
        return (struct stretch){ NULL, 0 };
    if (!mat_is_packed(a))
        die("a matrix of %lld columns travels with rows of %lld", (long long)a.cols,
            (long long)a.ld);
    return (struct stretch){ mat_ptr(a), mat_bytes(a) };
}

/* True if the host's memory is the device's, and what was put there is done. */
static bool is_plain(const struct mat part[2])
{
    for (int i = 0; i < 2; i++)
        if (mat_size(part[i]) > 0 && !dev_is_host(part[i].buf->dev))
            return false;
    return true;
}

/* Start the message 'l' of these parts, whose memory is yet to be found. */
static void start(struct wire *w, struct mesh *mesh, enum traffic kind,
                  struct letter *l, const struct mat part[2], struct dev_event *after)
{
    l->part[0] = stretch_of(part[0]);
    l->part[1] = stretch_of(part[1]);
    if (l->part[0].bytes > 0 && dev_is_hollow(part[0].buf->dev)) {
        l->part[0].bytes +=
            l->part[1].bytes; /* it holds nothing: sent from one place */
        l->part[1].bytes = 0;
    }
    if (!is_plain(part) && !mesh->is_muted[kind])
        wire_board(w, mesh, kind, berth_take(mesh, l, part, after));
    else if (l->is_send)
        wire_send_two(w, mesh, kind, l->axis, l->peer, l->tag, l->part);
    else
        wire_recv_two(w, mesh, kind, l->axis, l->peer, l->tag, l->part);
}

void coll_send_two(struct wire *w, struct mesh *mesh, enum traffic kind, enum axis axis,
                   int peer, int tag, const struct mat part[2], struct dev_event *after)
{
    start(w, mesh, kind,
          &(struct letter){ .is_send = true, .axis = axis, .peer = peer, .tag = tag },
          part, after);
}

void coll_recv_two(struct wire *w, struct mesh *mesh, enum traffic kind, enum axis axis,
                   int peer, int tag, const struct mat part[2], struct dev_event *after)
{
    start(w, mesh, kind, &(struct letter){ .axis = axis, .peer = peer, .tag = tag },
          part, after);
}

void coll_send(struct wire *w, struct mesh *mesh, enum traffic kind, enum axis axis,
               int peer, int tag, struct mat a, struct dev_event *after)
{
    start(w, mesh, kind,
          &(struct letter){ .is_send = true, .axis = axis, .peer = peer, .tag = tag },
          (struct mat[2]){ a, mat_none() }, after);
}

void coll_recv(struct wire *w, struct mesh *mesh, enum traffic kind, enum axis axis,
               int peer, int tag, struct mat a, struct dev_event *after)
{
    start(w, mesh, kind, &(struct letter){ .axis = axis, .peer = peer, .tag = tag },
          (struct mat[2]){ a, mat_none() }, after);
}

/* ---- slices ---------------------------------------------------------------------- */

struct mat slices_at(struct mat all, int64_t rows, const int64_t *cols, int j)
{
    int64_t before = 0;

    for (int k = 0; k < j; k++)
        before += cols[k];
    return mat_at(all.buf, all.dtype, all.offset + rows * before, rows, cols[j]);
}

/* Where rank 'from' 's part of this rank's slice is received: 'work' holds them rank
 * after rank, this rank left out.
 */
static struct mat part_from(struct mat work, struct mat own, int from, int i)
{
    const int place = from < i ? from : from - 1;

    return mat_at(work.buf, work.dtype, work.offset + place * mat_size(own), own.rows,
                  own.cols);
}

/* Everyone sends one matrix to everyone else, in the rounds of traffic.h. */
struct exchange {
    struct mesh *mesh;
    enum axis axis;
    enum traffic kind;
    int ranks, i;
    struct dev_event *after; /* of what is there before all rounds */
    struct wire send[TRAFFIC_ROUNDS], recv[TRAFFIC_ROUNDS];
};

static void exchange_open(struct exchange *x, struct mesh *mesh, enum axis axis,
                          enum traffic kind)
{
    x->mesh  = mesh;
    x->axis  = axis;
    x->kind  = kind;
    x->ranks = mesh_axis_size(mesh, axis);
    x->i     = mesh_axis_rank(mesh, axis);
}

static int exchange_to(const struct exchange *x, int round)
{
    return (x->i + round) % x->ranks;
}

static int exchange_from(const struct exchange *x, int round)
{
    return (x->i - round + x->ranks) % x->ranks;
}

static void exchange_wait(struct exchange *x, int rounds)
{
    for (int k = 0; k < rounds; k++)
        wire_wait(&x->recv[k]);
    for (int k = 0; k < rounds; k++)
        wire_wait(&x->send[k]);
}

/* Round 'round' (from 1 on): 'out' goes to exchange_to(), 'in' comes from
 * exchange_from().
 */
static void exchange_round(struct exchange *x, int round, struct mat out, struct mat in)
{
    const int k = (round - 1) % TRAFFIC_ROUNDS;

    coll_recv(&x->recv[k], x->mesh, x->kind, x->axis, exchange_from(x, round),
              TAG_DIRECT, in, x->after);
    coll_send(&x->send[k], x->mesh, x->kind, x->axis, exchange_to(x, round), TAG_DIRECT,
              out, x->after);
    if (k == TRAFFIC_ROUNDS - 1 || round == x->ranks - 1)
        exchange_wait(x, k + 1);
}

void coll_allgather(struct mesh *mesh, enum axis axis, enum traffic kind,
                    struct dev_stream *s, struct mat all, struct mat own, int64_t rows,
                    const int64_t *cols)
{
    struct exchange x;
    struct mat mine;

    exchange_open(&x, mesh, axis, kind);
    mine = slices_at(all, rows, cols, x.i);
    if (mat_size(own) > 0 && !mat_is_same_place(mine, own))
        dev_copy(s, mine, own);
    if (traffic_is_doubled(x.ranks)) {
        doubling_gather(mesh, axis, kind, TAG_DIRECT, s,
                        &(struct slices){ all, rows, cols });
        return;
    }
    x.after = dev_mark(s);
    for (int round = 1; round < x.ranks; round++)
        exchange_round(&x, round, mine,
                       slices_at(all, rows, cols, exchange_from(&x, round)));
}

void coll_reduce_scatter(struct mesh *mesh, enum axis axis, enum traffic kind,
                         struct dev_stream *s, struct mat own, struct mat all,
                         struct mat work, int64_t rows, const int64_t *cols)
{
    struct exchange x;
    struct mat sum = mat_none();

    exchange_open(&x, mesh, axis, kind);
    if (traffic_is_doubled(x.ranks)) {
        halving_scatter(mesh, axis, kind, TAG_DIRECT, s,
                        &(struct slices){ all, rows, cols }, work);
        dev_copy(s, own, slices_at(all, rows, cols, x.i));
        return;
    }
    x.after = dev_mark(s);
    for (int round = 1; round < x.ranks; round++)
        exchange_round(&x, round, slices_at(all, rows, cols, exchange_to(&x, round)),
                       part_from(work, own, exchange_from(&x, round), x.i));
    for (int j = 0; j < x.ranks; j++) {
        const struct mat part =
            j == x.i ? slices_at(all, rows, cols, j) : part_from(work, own, j, x.i);

        if (j == 0)
            sum = part;
        else
            dev_add(s, sum, part);
    }
    dev_copy(s, own, sum);
}

/* ---- all-reduce ------------------------------------------------------------------ */

static struct mat part_of(struct mat x, int ranks, int j)
{
    const struct range part = split_range(x.cols, ranks, j);

    return mat_cols(x, part.lo, part.hi);
}

/* Sums go down, beginning with the part that is farthest from home; a rank's own part
 * is complete in the last turn.  Then the sums go up.
 */
static void ring_allreduce(struct mesh *mesh, enum axis axis, enum traffic kind,
                           struct dev_stream *s, struct mat x, struct mat work)
{
    const int ranks = mesh_axis_size(mesh, axis), i = mesh_axis_rank(mesh, axis);
    const int up = (i + 1) % ranks, down = (i + ranks - 1) % ranks;
    struct dev_event *after = dev_mark(s); /* of the part that leaves next */
    struct wire send        = { 0 }, recv;

    for (int turn = 0; turn < ranks; turn++) {
        const struct mat part = part_of(x, ranks, (up + turn) % ranks);

        if (turn > 0) {
            const struct mat arrived = mat_cols(work, 0, part.cols);

            coll_recv(&recv, mesh, kind, axis, up, TAG_ALLREDUCE, arrived, after);
            wire_wait(&recv);
            dev_add(s, part, arrived);
            wire_wait(&send);
            after = dev_mark(s);
        }
        if (turn < ranks - 1)
            coll_send(&send, mesh, kind, axis, down, TAG_ALLREDUCE, part, after);
    }
    for (int turn = 0; turn < ranks - 1; turn++) {
        const int j = (i - turn + ranks) % ranks;

        coll_recv(&recv, mesh, kind, axis, down, TAG_ALLREDUCE,
                  part_of(x, ranks, (j + ranks - 1) % ranks), after);
        coll_send(&send, mesh, kind, axis, up, TAG_ALLREDUCE, part_of(x, ranks, j),
                  after);
        wire_wait(&recv);
        wire_wait(&send);
    }
}

void coll_allreduce(struct mesh *mesh, enum axis axis, enum traffic kind,
                    struct dev_stream *s, struct mat x, struct mat work)
{
    const struct slices parts = { .all = x };
    const int ranks           = mesh_axis_size(mesh, axis);
    const int64_t room = traffic_allreduce_room(x.cols, dtype_size(x.dtype), ranks);

    if (mat_size(work) < room)
        die("an all-reduce of %lld needs room for %lld, not %lld", (long long)x.cols,
            (long long)room, (long long)mat_size(work));
    if (!traffic_is_doubled_sum(ranks, mat_bytes(x))) {
        ring_allreduce(mesh, axis, kind, s, x, work);
        return;
    }
    halving_scatter(mesh, axis, kind, TAG_ALLREDUCE, s, &parts, work);
    doubling_gather(mesh, axis, kind, TAG_ALLREDUCE, s, &parts);
}

/* ---- numbers on the host --------------------------------------------------------- */

void coll_host_gather(struct mesh *mesh, enum axis axis, double *all, const double *x,
                      int n)
{
    const int ranks = mesh_axis_size(mesh, axis);

    if (ranks == 1 || mesh->is_muted[REDUCE]) {
        for (int j = 0; j < ranks; j++)
            memcpy(all + (size_t)j * (size_t)n, x, (size_t)n * sizeof *x);
        return;
    }
    await_axis(mesh, REDUCE, axis);
    TRY_MPI(MPI_Allgather(x, n, MPI_DOUBLE, all, n, MPI_DOUBLE, mesh->comm[axis]));
    mesh->waited[REDUCE] += await_end(mesh);
    mesh->sent[REDUCE].messages++;
    mesh->sent[REDUCE].bytes += n * (int64_t)sizeof *x;
}

/* In pieces: thousands of ranks' numbers are too many for the memory of each. */
void coll_host_sum(struct mesh *mesh, enum axis axis, double *x, int n)
{
    const int ranks = mesh_axis_size(mesh, axis);
    const int most  = COLL_SUM_ROOM / ranks > 0 ? COLL_SUM_ROOM / ranks : 1;
    const int piece = n < most ? n : most;
    double *all;

    if (ranks == 1 || mesh->is_muted[REDUCE])
        return;
    all = mem_new((size_t)ranks * (size_t)piece, sizeof *all);
    for (int at = 0; at < n; at += piece) {
        const int m = n - at < piece ? n - at : piece;

        coll_host_gather(mesh, axis, all, x + at, m);
        memcpy(x + at, all, (size_t)m * sizeof *x);
        for (int j = 1; j < ranks; j++) {
            for (int k = 0; k < m; k++)
                x[at + k] += all[(int64_t)j * m + k];
        }
    }
    mem_free(all);
}

/* Calls outside steps stand for no kind of traffic; waiting is shown as REDUCE. */
static double reduced(struct mesh *mesh, enum axis axis, double x, MPI_Op op)
{
    double result;

    await_axis(mesh, REDUCE, axis);
    TRY_MPI(MPI_Allreduce(&x, &result, 1, MPI_DOUBLE, op, mesh->comm[axis]));
    await_end(mesh);
    return result;
}

double coll_sum(struct mesh *mesh, enum axis axis, double x)
{
    return reduced(mesh, axis, x, MPI_SUM);
}

double coll_largest(struct mesh *mesh, enum axis axis, double x)
{
    return reduced(mesh, axis, x, MPI_MAX);
}

double coll_smallest(struct mesh *mesh, enum axis axis, double x)
{
    return reduced(mesh, axis, x, MPI_MIN);
}

void coll_largest_of(struct mesh *mesh, enum axis axis, double *x, int n)
{
    await_axis(mesh, REDUCE, axis);
    TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, x, n, MPI_DOUBLE, MPI_MAX, mesh->comm[axis]));
    await_end(mesh);
}

void coll_barrier(struct mesh *mesh)
{
    await_axis(mesh, REDUCE, AXIS_ALL);
    TRY_MPI(MPI_Barrier(mesh->comm[AXIS_ALL]));
    await_end(mesh);
}

bool coll_is_told(struct mesh *mesh)
{
    return mesh->model == NULL && coll_largest(mesh, AXIS_ALL, told_to_end()) > 0;
}

void coll_broadcast(struct mesh *mesh, enum axis axis, int root, void *at,
                    int64_t bytes)
{
    await_axis(mesh, REDUCE, axis);
    for (int64_t from = 0; from < bytes; from += WIRE_CHUNK) {
        const int64_t rest = bytes - from;

        TRY_MPI(MPI_Bcast((char *)at + from,
                          (int)(rest < WIRE_CHUNK ? rest : WIRE_CHUNK), MPI_BYTE, root,
                          mesh->comm[axis]));
    }
    await_end(mesh);
}
