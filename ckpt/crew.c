/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads sleep until there is a job, do it, and say how it ended.  The sentence of
 * an error is kept by the thread that met it, so it is handed to the thread that waits.
 */
#include "config.h"

#include "ckpt/crew.h"

#include "src/base/err.h"
#include "src/base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct crew {
    pthread_t thread[CREW];
    int threads;
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t change;
    int wanted;  /* threads that have not begun the job at hand, */
    int working; /* and that have not ended it */
    bool is_closing;
    int rc; /* of the last job, and its sentence */
    char sentence[512];
    crew_job_fn job;
    void *ctx;
};

/* ---- the threads ----------------------------------------------------------------- */

/* Of the threads' results the first that is not 0 stays. */
static void keep_result(struct crew *c, int rc)
{
    if (rc != 0 && c->rc == 0) {
        c->rc = rc;
        snprintf(c->sentence, sizeof c->sentence, "%s", err_sentence());
    }
    err_forget();
}

static void *serve(void *crew)
{
    struct crew *c = crew;

    pthread_mutex_lock(&c->lock);
    for (;;) {
        int rc;

        while (c->wanted == 0 && !c->is_closing)
            pthread_cond_wait(&c->change, &c->lock);
        if (c->wanted == 0)
            break;
        c->wanted--;
        pthread_mutex_unlock(&c->lock);
        rc = c->job(c->ctx);
        pthread_mutex_lock(&c->lock);
        keep_result(c, rc);
        c->working--;
        pthread_cond_broadcast(&c->change);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* ---- the main thread ------------------------------------------------------------- */

/* The end of all threads, which finish their jobs before. */
static void join(struct crew *c)
{
    pthread_mutex_lock(&c->lock);
    c->is_closing = true;
    pthread_cond_broadcast(&c->change);
    pthread_mutex_unlock(&c->lock);
    for (int i = 0; i < c->threads; i++)
        pthread_join(c->thread[i], NULL);
    pthread_cond_destroy(&c->change);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

int crew_open(struct crew **crew)
{
    struct crew *c = mem_new(1, sizeof *c);
    pthread_condattr_t attr;
    sigset_t all, before;
    int error = 0;

    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->change, &attr);
    pthread_condattr_destroy(&attr);
    sigfillset(&all); /* signals are for the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (error == 0 && c->threads < CREW) {
        error = pthread_create(&c->thread[c->threads], NULL, serve, c);
        c->threads += error == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        join(c);
        return ERR(ERR_ENV, "no thread for checkpoints: %s", strerror(error));
    }
    *crew = c;
    return 0;
}

void crew_close(struct crew **crew)
{
    if (*crew != NULL)
        join(*crew);
    *crew = NULL;
}

void crew_do(struct crew *c, crew_job_fn job, void *ctx, int threads)
{
    pthread_mutex_lock(&c->lock);
    if (c->working > 0)
        die("a checkpoint is touched while another one is under way");
    c->job    = job;
    c->ctx    = ctx;
    c->rc     = 0;
    c->wanted = c->working = threads;
    pthread_cond_broadcast(&c->change);
    pthread_mutex_unlock(&c->lock);
}

bool crew_wait(struct crew *c, double seconds)
{
    const int64_t nano = (int64_t)(seconds * 1e9);
    struct timespec until;
    bool is_busy;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)((until.tv_nsec + nano) / 1000000000);
    until.tv_nsec = (long)((until.tv_nsec + nano) % 1000000000);
    pthread_mutex_lock(&c->lock);
    while (c->working > 0 &&
           pthread_cond_timedwait(&c->change, &c->lock, &until) != ETIMEDOUT)
        ;
    is_busy = c->working > 0;
    pthread_mutex_unlock(&c->lock);
    return !is_busy;
}

int crew_result(struct crew *c)
{
    int rc;

    pthread_mutex_lock(&c->lock);
    rc = c->rc;
    if (rc != 0)
        rc = ERR(rc, "%s", c->sentence);
    pthread_mutex_unlock(&c->lock);
    return rc;
}
