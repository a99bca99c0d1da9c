/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages, and who moves them.  Most MPI libraries move large messages only inside MPI
 * calls.  So either a long product is cut into panels and progress_poll() is called
 * between them, or a thread beside the products asks MPI again and again.
 *
 * A wire is one message of any length, cut into chunks that MPI can count.
 */
#ifndef MESH_PROGRESS_H
#define MESH_PROGRESS_H

#include "mesh/guard.h"
#include "mesh/letter.h"

#include <stdatomic.h>

enum { WIRE_REQUESTS = 64 }; /* chunks of a message at most: 64 GiB */

struct wire {
    struct mesh *mesh;
    enum traffic kind;
    int requests;
    MPI_Request request[WIRE_REQUESTS];
    int peer; /* its rank in AXIS_ALL */
    bool is_send;
    double look_s;        /* simulated: seconds from the start to the next look */
    volatile char *place; /* simulated: where its first byte comes, or NULL */
    double idle, moved;   /* simulated: the mesh's when it was posted */
    int64_t order;        /* of the post on this rank */
    bool is_for_task;     /* a task goes on when it is there: set after the start */
    int64_t bytes;
    int group;             /* that it is of: the mesh's when it was posted */
    double start;          /* when it was posted */
    struct berth *berth;   /* what posts it piece by piece, or NULL */
    struct wire *next;     /* in the list of messages under way */
    atomic_bool is_active; /* until it is known to be there (gone) */
};

/* PROGRESS_THREAD: a thread of this process, asleep while nothing is under way.  It
 * needs MPI_THREAD_MULTIPLE; without that, or without a thread, the form becomes
 * PROGRESS_POLL.  Returns the form in use.  No message may be under way.  Local.
 */
enum progress_form { PROGRESS_POLL, PROGRESS_THREAD, PROGRESS_NONE, PROGRESS_FORMS };
extern const char *const progress_name[PROGRESS_FORMS]; /* "poll", .. */
enum progress_form progress_set(struct mesh *mesh, enum progress_form form);

enum progress_form progress_of(const struct mesh *mesh);

/* What separates messages of the same pair that are under way together. */
enum wire_tag {
    TAG_GATHER = 1,
    TAG_SCATTER,
    TAG_GATHER_BACK, /* of a ring that turns the other way */
    TAG_SCATTER_BACK,
    TAG_DIRECT,
    TAG_ALLREDUCE,
    TAG_SUM
};

/* Start to send (receive) 'bytes' at the host address 'at' to (from) rank 'peer' of
 * 'axis'.  The wire must not move, and the memory belongs to it, until wire_wait().
 * Nothing is posted for 0 bytes or for a muted kind.  Dies above WIRE_REQUESTS chunks.
 * Sends are counted.  Local, matched by the peer's opposite.
 */
void wire_send(struct wire *w, struct mesh *mesh, enum traffic kind, enum axis axis,
               int peer, int tag, const void *at, int64_t bytes);
void wire_recv(struct wire *w, struct mesh *mesh, enum traffic kind, enum axis axis,
               int peer, int tag, void *at, int64_t bytes);

/* The same of two stretches of memory, one behind the other in one message. */
void wire_send_two(struct wire *w, struct mesh *mesh, enum traffic kind, enum axis axis,
                   int peer, int tag, const struct stretch part[2]);
void wire_recv_two(struct wire *w, struct mesh *mesh, enum traffic kind, enum axis axis,
                   int peer, int tag, const struct stretch part[2]);

/* The same of a message that 'berth' posts by and by.  The berth belongs to the wire
 * from now on.  The kind must not be muted, nor the message empty.
 */
void wire_board(struct wire *w, struct mesh *mesh, enum traffic kind,
                struct berth *berth);

/* Wait until the message is there (gone); an inactive wire returns at once. */
void wire_wait(struct wire *w);

/* The same, with work to do meanwhile: 'step' does a piece of it and returns false when
 * none is left.  In a simulation it is not called.
 */
struct meanwhile {
    bool (*step)(void *ctx); /* NULL: nothing to do */
    void *ctx;
};
void wire_wait_busy(struct wire *w, const struct meanwhile *work);

/* Push everything under way; cheap when nothing is.  With PROGRESS_NONE only what tasks
 * wait for, so that they go on; with PROGRESS_THREAD its thread pushes, and only tasks
 * are left to do here.
 */
void progress_poll(struct mesh *mesh);

/* Work that follows from messages: 'step' is called after each push of what is under
 * way, by polling and by waiting, on the main thread.  It may start wires, not wait.
 */
struct progress_task {
    void (*step)(void *ctx);
    void *ctx;
    struct progress_task *next;
};
void progress_add(struct mesh *mesh, struct progress_task *task); /* borrowed */
void progress_remove(struct mesh *mesh, struct progress_task *task);

/* Push until '*is_busy' is false, in any form of progress; what is waited for is
 * 'kind' along 'axis'.
 */
void progress_until(struct mesh *mesh, enum traffic kind, enum axis axis,
                    const bool *is_busy);

/* For mesh_open() and mesh_close(). */
void progress_open(struct mesh *mesh);
void progress_close(struct mesh *mesh);

#endif
