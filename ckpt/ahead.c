/* SPDX-License-Identifier: BSD-3-Clause */
/* Thing 'i' has the room of thing 'i' - AHEAD_ROOMS, so it may be begun when that
 * one is no longer in use.
 */
#include "config.h"

#include "ckpt/ahead.h"

#include "src/base/mem.h"

#include <pthread.h>

struct ahead {
    struct crew *crew;
    ahead_fetch_fn fetch;
    void *ctx;
    int count;
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t change;
    int begun; /* things, by the threads */
    int taken; /* by the main thread; the last one is in use */
    bool is_there[AHEAD_ROOMS];
    bool is_over; /* nothing is begun any more */
};

/* ---- the threads ----------------------------------------------------------------- */

/* The next thing to fetch, when there is a room for it; -1: none. */
static int begin(struct ahead *a)
{
    int i = -1;

    pthread_mutex_lock(&a->lock);
    while (!a->is_over && a->begun < a->count && a->begun >= a->taken + AHEAD_ROOMS - 1)
        pthread_cond_wait(&a->change, &a->lock);
    if (!a->is_over && a->begun < a->count)
        i = a->begun++;
    pthread_mutex_unlock(&a->lock);
    return i;
}

static void end(struct ahead *a, int i, int rc)
{
    pthread_mutex_lock(&a->lock);
    a->is_there[i % AHEAD_ROOMS] = rc == 0;
    a->is_over                   = a->is_over || rc != 0;
    pthread_cond_broadcast(&a->change);
    pthread_mutex_unlock(&a->lock);
}

static int fetch_all(void *ahead)
{
    struct ahead *a = ahead;
    int i, rc = 0;

    while (rc == 0 && (i = begin(a)) >= 0) {
        rc = a->fetch(a->ctx, i, i % AHEAD_ROOMS);
        end(a, i, rc);
    }
    return rc;
}

/* ---- the main thread ------------------------------------------------------------- */

int ahead_open(struct ahead **ahead, int count, ahead_fetch_fn fetch, void *ctx)
{
    struct ahead *a = mem_new(1, sizeof *a);
    int rc          = crew_open(&a->crew);

    if (rc != 0) {
        mem_free(a);
        return rc;
    }
    a->fetch = fetch;
    a->ctx   = ctx;
    a->count = count;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->change, NULL);
    crew_do(a->crew, fetch_all, a, CREW);
    *ahead = a;
    return 0;
}

static void stop(struct ahead *a)
{
    pthread_mutex_lock(&a->lock);
    a->is_over = true;
    pthread_cond_broadcast(&a->change);
    pthread_mutex_unlock(&a->lock);
}

void ahead_close(struct ahead **ahead)
{
    struct ahead *a = *ahead;

    if (a == NULL)
        return;
    stop(a);
    crew_close(&a->crew);
    pthread_cond_destroy(&a->change);
    pthread_mutex_destroy(&a->lock);
    mem_free(a);
    *ahead = NULL;
}

int ahead_next(struct ahead *a)
{
    bool is_there;

    pthread_mutex_lock(&a->lock);
    if (a->taken > 0)
        a->is_there[(a->taken - 1) % AHEAD_ROOMS] = false;
    a->taken++;
    pthread_cond_broadcast(&a->change);
    while (!a->is_there[(a->taken - 1) % AHEAD_ROOMS] && !a->is_over)
        pthread_cond_wait(&a->change, &a->lock);
    is_there = a->is_there[(a->taken - 1) % AHEAD_ROOMS];
    pthread_mutex_unlock(&a->lock);
    if (is_there)
        return 0;
    while (!crew_wait(a->crew, 1))
        continue;
    return crew_result(a->crew);
}
