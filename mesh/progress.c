/* SPDX-License-Identifier: BSD-3-Clause */
/* Wires, and the list of those under way that polling walks. */
#include "config.h"

#include "mesh/progress.h"

#include "src/base/err.h"
#include "src/base/mem.h"

#include <stdatomic.h>
#include <stdio.h>

/* What the main thread waits for, as the guard's thread may read it. */
enum { AWAIT_NOTHING = -1, AWAIT_ALL = -1 };

struct progress {
    enum progress_form form;
    struct wire *first; /* of the messages under way */
    struct progress_task *task;
    double since;    /* when the wait in progress began */
    atomic_int kind; /* of the message that is waited for, or AWAIT_NOTHING */
    atomic_int peer; /* its other end in AXIS_ALL, or AWAIT_ALL */
    atomic_bool is_send;
};

void progress_open(struct mesh *mesh)
{
    mesh->progress = mem_new(1, sizeof *mesh->progress);
    atomic_store(&mesh->progress->kind, AWAIT_NOTHING);
}

void progress_close(struct mesh *mesh)
{
    if (mesh->progress->first != NULL)
        die("a message of kind %s is under way while the mesh closes",
            traffic_name[mesh->progress->first->kind]);
    mem_free(mesh->progress);
    mesh->progress = NULL;
}

void progress_set(struct mesh *mesh, enum progress_form form)
{
    mesh->progress->form = form;
}

/* ---- waiting --------------------------------------------------------------------- */

static void wait_begins(struct mesh *mesh, enum traffic kind, int peer, bool is_send)
{
    struct progress *p = mesh->progress;

    atomic_store_explicit(&p->peer, peer, memory_order_relaxed);
    atomic_store_explicit(&p->is_send, is_send, memory_order_relaxed);
    atomic_store_explicit(&p->kind, (int)kind, memory_order_release);
    p->since = MPI_Wtime();
}

void progress_waits(struct mesh *mesh, enum traffic kind)
{
    wait_begins(mesh, kind, AWAIT_ALL, false);
}

double progress_waited(struct mesh *mesh)
{
    atomic_store_explicit(&mesh->progress->kind, AWAIT_NOTHING, memory_order_relaxed);
    guard_alive();
    return MPI_Wtime() - mesh->progress->since;
}

void progress_state(const struct mesh *mesh, char *text, size_t size)
{
    const struct progress *p = mesh->progress;
    const int kind           = atomic_load_explicit(&p->kind, memory_order_acquire);
    const int peer           = atomic_load_explicit(&p->peer, memory_order_relaxed);
    const bool is_send       = atomic_load_explicit(&p->is_send, memory_order_relaxed);

    if (kind == AWAIT_NOTHING)
        snprintf(text, size, "%s", "");
    else if (peer == AWAIT_ALL)
        snprintf(text, size, "%s among ranks", traffic_name[kind]);
    else
        snprintf(text, size, "%s %s rank %d", traffic_name[kind],
                 is_send ? "to" : "from", peer);
}

/* ---- wires ----------------------------------------------------------------------- */

/* The rank in AXIS_ALL of rank 'peer' of an axis. */
static int rank_of(const struct mesh *mesh, enum axis axis, int peer)
{
    switch (axis) {
    case AXIS_DATA:
        return peer * mesh->M + mesh->m;
    case AXIS_MODEL:
        return mesh->d * mesh->M + peer;
    default:
        return peer;
    }
}

/* Set the wire up for 'bytes' and put it into the list; false if there is nothing to
 * post.
 */
static bool wire_open(struct wire *w, struct mesh *mesh, enum traffic kind,
                      enum axis axis, int peer, bool is_send, int64_t bytes)
{
    w->mesh      = mesh;
    w->kind      = kind;
    w->requests  = 0;
    w->is_active = false;
    if (bytes == 0 || mesh->is_muted[kind])
        return false;
    if (bytes < 0 || bytes > WIRE_REQUESTS * WIRE_CHUNK)
        die("a message of %lld bytes; the longest has %d times %lld", (long long)bytes,
            WIRE_REQUESTS, (long long)WIRE_CHUNK);
    w->peer               = rank_of(mesh, axis, peer);
    w->is_send            = is_send;
    w->is_active          = true;
    w->next               = mesh->progress->first;
    mesh->progress->first = w;
    guard_alive();
    return true;
}

/* All of it is there. */
static void wire_close(struct wire *w)
{
    struct wire **at = &w->mesh->progress->first;

    while (*at != w)
        at = &(*at)->next;
    *at          = w->next;
    w->is_active = false;
    guard_alive();
}

static int chunk_at(int64_t bytes, int64_t from)
{
    return (int)(bytes - from < WIRE_CHUNK ? bytes - from : WIRE_CHUNK);
}

void wire_send(struct wire *w, struct mesh *mesh, enum traffic kind, enum axis axis,
               int peer, int tag, const void *at, int64_t bytes)
{
    if (!wire_open(w, mesh, kind, axis, peer, true, bytes))
        return;
    for (int64_t from = 0; from < bytes; from += WIRE_CHUNK)
        TRY_MPI(MPI_Isend((const char *)at + from, chunk_at(bytes, from), MPI_BYTE,
                          peer, tag, mesh->comm[axis], &w->request[w->requests++]));
    mesh->sent[kind].messages += w->requests;
    mesh->sent[kind].bytes += bytes;
}

void wire_recv(struct wire *w, struct mesh *mesh, enum traffic kind, enum axis axis,
               int peer, int tag, void *at, int64_t bytes)
{
    if (!wire_open(w, mesh, kind, axis, peer, false, bytes))
        return;
    for (int64_t from = 0; from < bytes; from += WIRE_CHUNK)
        TRY_MPI(MPI_Irecv((char *)at + from, chunk_at(bytes, from), MPI_BYTE, peer, tag,
                          mesh->comm[axis], &w->request[w->requests++]));
}

/* Test every message, then let those who wait for them go on. */
static void push(struct mesh *mesh)
{
    struct wire *next;

    for (struct wire *w = mesh->progress->first; w != NULL; w = next) {
        int is_done;

        next = w->next;
        TRY_MPI(MPI_Testall(w->requests, w->request, &is_done, MPI_STATUSES_IGNORE));
        if (is_done)
            wire_close(w);
    }
    for (struct progress_task *t = mesh->progress->task; t != NULL; t = t->next)
        t->step(t->ctx);
}

/* Others may need what a task does after a message before they send the one that is
 * waited for here: with tasks there is no waiting for a message alone.
 */
void wire_wait(struct wire *w)
{
    if (!w->is_active)
        return;
    wait_begins(w->mesh, w->kind, w->peer, w->is_send);
    while (w->is_active && w->mesh->progress->task != NULL)
        push(w->mesh);
    if (w->is_active) {
        for (int k = 0; k < w->requests; k++)
            TRY_MPI(MPI_Wait(&w->request[k], MPI_STATUS_IGNORE));
        wire_close(w);
    }
    w->mesh->waited[w->kind] += progress_waited(w->mesh);
}

void progress_poll(struct mesh *mesh)
{
    if (mesh->progress->form != PROGRESS_NONE)
        push(mesh);
}

/* ---- tasks ----------------------------------------------------------------------- */

void progress_add(struct mesh *mesh, struct progress_task *task)
{
    task->next           = mesh->progress->task;
    mesh->progress->task = task;
}

void progress_remove(struct mesh *mesh, struct progress_task *task)
{
    struct progress_task **at = &mesh->progress->task;

    while (*at != task)
        at = &(*at)->next;
    *at = task->next;
}

void progress_until(struct mesh *mesh, enum traffic kind, const bool *is_busy)
{
    progress_waits(mesh, kind);
    while (*is_busy)
        push(mesh);
    mesh->waited[kind] += progress_waited(mesh);
}
