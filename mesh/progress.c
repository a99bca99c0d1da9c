/* SPDX-License-Identifier: BSD-3-Clause */
/* Wires, and the list of those under way.  To push them is to walk the list and ask MPI
 * about each; the thread that computes does so, or one beside it.  The list and the
 * requests in it belong to whoever has the lock.  A wire that is waited for is taken
 * out of the list first, so that two threads never use one request.
 */
#include "config.h"

#include "mesh/progress.h"

#include "mesh/await.h"
#include "mesh/berth.h"
#include "mesh/simulated.h"
#include "mesh/trace.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/mem.h"

#include <pthread.h>
#include <time.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

const char *const progress_name[PROGRESS_FORMS] = {
    [PROGRESS_POLL]   = "poll",
    [PROGRESS_THREAD] = "thread",
    [PROGRESS_NONE]   = "none",
};

enum { AWAITED = 64 }; /* messages under way at a time, at most */

struct progress {
    enum progress_form form;
    pthread_mutex_t lock;
    struct wire *first;         /* of the messages under way */
    struct progress_task *task; /* of the main thread alone */
    pthread_t thread;           /* with PROGRESS_THREAD */
    pthread_cond_t is_needed;   /* there is a first message, or the thread is to end */
    bool is_ending;
};

void progress_open(struct mesh *mesh)
{
    mesh->progress = mem_new(1, sizeof *mesh->progress);
    pthread_mutex_init(&mesh->progress->lock, NULL);
    pthread_cond_init(&mesh->progress->is_needed, NULL);
}

void progress_close(struct mesh *mesh)
{
    progress_set(mesh, PROGRESS_NONE);
    if (mesh->progress->first != NULL)
        die("a message of kind %s is under way while the mesh closes",
            traffic_name[mesh->progress->first->kind]);
    pthread_cond_destroy(&mesh->progress->is_needed);
    pthread_mutex_destroy(&mesh->progress->lock);
    mem_free(mesh->progress);
    mesh->progress = NULL;
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

/* Begin to post 'l': all at once, or as 'berth' has it. */
static void wire_start(struct wire *w, struct mesh *mesh, enum traffic kind,
                       struct letter l, struct berth *berth)
{
    struct progress *p  = mesh->progress;
    const int64_t bytes = l.part[0].bytes + l.part[1].bytes;
    int chunks          = 0;

    w->mesh      = mesh;
    w->kind      = kind;
    w->berth     = berth;
    w->requests  = 0;
    w->is_active = false;
    if (bytes == 0 || mesh->is_muted[kind])
        return;
    if (bytes < 0 || bytes > WIRE_REQUESTS * WIRE_CHUNK)
        die("a message of %lld bytes; the longest has %d times %lld", (long long)bytes,
            WIRE_REQUESTS, (long long)WIRE_CHUNK);
    clock_settle();
    w->peer        = rank_of(mesh, l.axis, l.peer);
    w->is_send     = l.is_send;
    w->is_for_task = false;
    w->look_s      = 0;
    w->order       = mesh->posted++;
    w->bytes       = bytes;
    w->group       = mesh->group;
    w->start       = clock_now();
    w->is_active   = true;
    l.part[0].at   = simulated_enter(w, l.part[0].at);
    pthread_mutex_lock(&p->lock);
    for (int64_t from = 0; from < bytes; from += WIRE_CHUNK, chunks++) {
        const int64_t rest = bytes - from;

        if (berth == NULL)
            letter_post(&l, mesh, from, (int)(rest < WIRE_CHUNK ? rest : WIRE_CHUNK),
                        &w->request[w->requests++]);
    }
    if (berth != NULL)
        berth_push(berth);
    w->next  = p->first;
    p->first = w;
    if (p->form == PROGRESS_THREAD)
        pthread_cond_signal(&p->is_needed);
    pthread_mutex_unlock(&p->lock);
    if (l.is_send) {
        mesh->sent[kind].messages += chunks;
        mesh->sent[kind].bytes += bytes;
    }
    guard_alive();
}

void wire_board(struct wire *w, struct mesh *mesh, enum traffic kind,
                struct berth *berth)
{
    wire_start(w, mesh, kind, berth_letter(berth), berth);
}

void wire_send_two(struct wire *w, struct mesh *mesh, enum traffic kind, enum axis axis,
                   int peer, int tag, const struct stretch part[2])
{
    wire_start(w, mesh, kind,
               (struct letter){ true, axis, peer, tag, { part[0], part[1] } }, NULL);
}

void wire_recv_two(struct wire *w, struct mesh *mesh, enum traffic kind, enum axis axis,
                   int peer, int tag, const struct stretch part[2])
{
    wire_start(w, mesh, kind,
               (struct letter){ false, axis, peer, tag, { part[0], part[1] } }, NULL);
}

void wire_send(struct wire *w, struct mesh *mesh, enum traffic kind, enum axis axis,
               int peer, int tag, const void *at, int64_t bytes)
{
    const struct stretch part[2] = { { (char *)at, bytes }, { NULL, 0 } };

    wire_send_two(w, mesh, kind, axis, peer, tag, part);
}

void wire_recv(struct wire *w, struct mesh *mesh, enum traffic kind, enum axis axis,
               int peer, int tag, void *at, int64_t bytes)
{
    const struct stretch part[2] = { { at, bytes }, { NULL, 0 } };

    wire_recv_two(w, mesh, kind, axis, peer, tag, part);
}

/* Take an active wire out of the list; with the lock. */
static void wire_unlink(struct wire *w)
{
    struct wire **at = &w->mesh->progress->first;

    while (*at != w)
        at = &(*at)->next;
    *at          = w->next;
    w->is_active = false;
}

/* All of it is there. */
static void wire_done(struct wire *w)
{
    simulated_leave(w);
    if (w->berth != NULL)
        berth_leave(w->berth);
    trace_add(w->mesh, (struct trace_span){ .track   = TRACE_MESSAGES,
                                            .name    = traffic_name[w->kind],
                                            .group   = w->group,
                                            .start   = w->start,
                                            .end     = clock_now(),
                                            .bytes   = w->bytes,
                                            .peer    = w->peer,
                                            .order   = w->order,
                                            .is_send = w->is_send });
    guard_alive();
}

/* ---- pushing --------------------------------------------------------------------- */

/* Ask MPI for a message; with the lock. */
static void test(struct wire *w)
{
    int is_done;

    if (w->berth != NULL)
        is_done = berth_push(w->berth);
    else
        TRY_MPI(MPI_Testall(w->requests, w->request, &is_done, MPI_STATUSES_IGNORE));
    if (is_done) {
        wire_done(w);
        simulated_pay(w, 0);
        wire_unlink(w); /* from here on it may be used again */
    }
}

/* Test every message, or those that tasks wait for; with the lock. */
static void test_all(struct progress *p, bool is_for_tasks)
{
    struct wire *next;

    for (struct wire *w = p->first; w != NULL; w = next) {
        next = w->next;
        if (!is_for_tasks || w->is_for_task)
            test(w);
    }
}

/* Let those who wait for messages go on. */
static void step_tasks(struct progress *p)
{
    for (struct progress_task *t = p->task; t != NULL; t = t->next)
        t->step(t->ctx);
}

static void push(struct progress *p, bool is_for_tasks)
{
    pthread_mutex_lock(&p->lock);
    test_all(p, is_for_tasks);
    pthread_mutex_unlock(&p->lock);
    step_tasks(p);
}

/* The chunk of a wire that is waited for next; NULL if all have arrived. */
static MPI_Request *next_chunk(struct wire *w)
{
    int k = 0;

    while (k < w->requests && w->request[k] == MPI_REQUEST_NULL)
        k++;
    return k < w->requests ? &w->request[k] : NULL;
}

/* True of what a task sends while it waits for what it receives: it goes on when both
 * are over, and sending seldom is the later one.
 */
static bool is_beside(const struct progress *p, const struct wire *w)
{
    bool is_receiving = false;

    for (const struct wire *v = p->first; v != NULL && w->is_send; v = v->next)
        is_receiving |= v->is_for_task && v->kind == w->kind && !v->is_send;
    return w->is_for_task && is_receiving;
}

/* Sleep in MPI until 'awaited' (NULL: none) moves on, or a message that tasks wait for;
 * then let the tasks go on.  'is_all': look at what tasks send, too, if that is over;
 * it stands before what they receive beside it.
 */
static void push_asleep(struct progress *p, const struct wire *awaited, bool is_all)
{
    clock_settle();

    const double start = clock_now();
    struct wire *wire[AWAITED];
    MPI_Request pending[AWAITED];
    int n = 0, i;

    for (struct wire *w = p->first; w != NULL; w = w->next) {
        if (w != awaited && (!w->is_for_task || (!is_all && is_beside(p, w))))
            continue;
        if (n == AWAITED)
            die("more than %d messages are awaited", AWAITED);
        wire[n]      = w;
        pending[n++] = *next_chunk(w);
    }
    if (n > 0) {
        TRY_MPI(MPI_Waitany(n, pending, &i, MPI_STATUS_IGNORE));
        *next_chunk(wire[i]) = pending[i];
        if (next_chunk(wire[i]) == NULL) {
            wire_done(wire[i]);
            simulated_pay(wire[i], clock_now() - start);
            wire_unlink(wire[i]);
        }
    }
    step_tasks(p);
}

/* The message that tasks wait for and that is to be looked for first; NULL if there is
 * none.  What is sent beside another one is not looked for.
 */
static struct wire *next_due(const struct progress *p)
{
    struct wire *first = NULL;

    for (struct wire *w = p->first; w != NULL; w = w->next) {
        if (w->is_for_task && (w->place != NULL || !is_beside(p, w)) &&
            (first == NULL || simulated_due(w) < simulated_due(first)))
            first = w;
    }
    return first;
}

/* In a simulation, after operations that took some seconds: what comes meanwhile lets
 * tasks go on at once, for devices compute and links move without this thread.  It
 * sleeps in MPI only when there is nothing to sleep for: what that finds is out of
 * SimGrid's lists, as it is not when MPI_Test finds it.
 */
static void push_simulated(struct progress *p)
{
    double rest = clock_take_back();
    struct wire *w;

    while ((w = next_due(p)) != NULL && simulated_due(w) <= clock_now() + rest) {
        const double nap = simulated_due(w) - clock_now();

        if (nap > 0) {
            clock_spend(nap);
            clock_settle();
            rest -= nap;
        }
        simulated_looked(w);
        if (simulated_has_come(w))
            push_asleep(p, NULL, true);
        else if (w->place == NULL)
            test(w);
        step_tasks(p);
        rest += clock_take_back();
    }
    clock_spend(rest);
    step_tasks(p);
}

void progress_poll(struct mesh *mesh)
{
    struct progress *p = mesh->progress;

    if (p->form == PROGRESS_POLL)
        push(p, false);
    else if (p->form == PROGRESS_NONE && p->task != NULL && mesh->model != NULL)
        push_simulated(p);
    else if (p->form == PROGRESS_NONE && p->task != NULL)
        push(p, true);
    else if (p->form == PROGRESS_THREAD)
        step_tasks(p);
}

/* True while a message under way is pushed by more than MPI: then nobody may sleep in
 * MPI.  There is no thread then.
 */
static bool has_berths(const struct progress *p)
{
    const struct wire *w = p->form != PROGRESS_THREAD ? p->first : NULL;

    while (w != NULL && w->berth == NULL)
        w = w->next;
    return w != NULL;
}

/* Push while tasks are to go on, and 'awaited' perhaps.  What is under way belongs to
 * the thread, if there is one.
 */
static void push_on(struct progress *p, const struct wire *awaited)
{
    if (p->form == PROGRESS_THREAD || has_berths(p))
        push(p, false);
    else
        push_asleep(p, awaited, false);
}

/* Take the wire out of the list; false if it is done, for the thread may be faster. */
static bool take(struct wire *w)
{
    struct progress *p = w->mesh->progress;
    bool is_active;

    pthread_mutex_lock(&p->lock);
    is_active = w->is_active;
    if (is_active)
        wire_unlink(w);
    pthread_mutex_unlock(&p->lock);
    return is_active;
}

/* Others may need what a task does after a message before they send the one that is
 * waited for here: with tasks there is no waiting for a message alone.
 */
void wire_wait(struct wire *w)
{
    struct progress *p;

    if (!w->is_active)
        return;
    p = w->mesh->progress;
    await_peer(w->mesh, w->kind, w->peer, w->is_send);
    while (w->is_active && (p->task != NULL || has_berths(p)))
        push_on(p, w);
    if (take(w)) {
        for (int k = 0; k < w->requests; k++)
            TRY_MPI(MPI_Wait(&w->request[k], MPI_STATUS_IGNORE));
        wire_done(w);
        simulated_pay(w, clock_now() - await_since(w->mesh));
    }
    w->mesh->waited[w->kind] += await_end(w->mesh);
}

void wire_wait_busy(struct wire *w, const struct meanwhile *work)
{
    while (w->is_active && work->step != NULL && w->mesh->model == NULL) {
        struct progress *p = w->mesh->progress;

        pthread_mutex_lock(&p->lock);
        if (w->is_active && p->form != PROGRESS_THREAD)
            test(w);
        pthread_mutex_unlock(&p->lock);
        if (!w->is_active || !work->step(work->ctx))
            break;
    }
    wire_wait(w);
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

void progress_until(struct mesh *mesh, enum traffic kind, enum axis axis,
                    const bool *is_busy)
{
    await_axis(mesh, kind, axis);
    while (*is_busy)
        push_on(mesh->progress, NULL);
    mesh->waited[kind] += await_end(mesh);
}

/* ---- the thread ------------------------------------------------------------------ */

enum { LOOK = 50000, SLACK = 1000 /* nanoseconds */ };

/* The thread shares its core with the products: it sleeps between two looks for as long
 * as a message of some ten kilobytes takes, by a timer that does not round this up.
 */
static void *push_always(void *ctx)
{
    const struct timespec nap = { 0, LOOK };
    struct progress *p        = ctx;

#ifdef __linux__
    prctl(PR_SET_TIMERSLACK, SLACK);
#endif
    pthread_mutex_lock(&p->lock);
    while (!p->is_ending) {
        if (p->first == NULL) {
            pthread_cond_wait(&p->is_needed, &p->lock);
            continue;
        }
        test_all(p, false);
        pthread_mutex_unlock(&p->lock);
        nanosleep(&nap, NULL);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static bool thread_start(struct progress *p)
{
    int level;

    TRY_MPI(MPI_Query_thread(&level));
    p->is_ending = false;
    return level == MPI_THREAD_MULTIPLE &&
           pthread_create(&p->thread, NULL, push_always, p) == 0;
}

static void thread_end(struct progress *p)
{
    pthread_mutex_lock(&p->lock);
    p->is_ending = true;
    pthread_cond_signal(&p->is_needed);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
}

enum progress_form progress_of(const struct mesh *mesh)
{
    return mesh->progress->form;
}

enum progress_form progress_set(struct mesh *mesh, enum progress_form form)
{
    struct progress *p = mesh->progress;

    if (form == p->form)
        return form;
    if (p->form == PROGRESS_THREAD)
        thread_end(p);
    if (form == PROGRESS_THREAD && !thread_start(p))
        form = PROGRESS_POLL;
    p->form = form;
    return form;
}
