/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads sleep until there is a job, do it, and say how it ended.  An error's sentence
 * belongs to a thread: it is handed to the one that waits.
 */
#include "config.h"

#include "ckpt/writer.h"

#include "ckpt/digest.h"
#include "ckpt/direct.h"
#include "src/base/err.h"
#include "src/base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* While one sums a digest, what the other has is on its way to the disk. */
enum { THREADS = 2 };

struct writer {
    pthread_t thread[THREADS];
    int threads;
    pthread_mutex_t lock; /* of the next nine, and of the sums at 'digest' */
    pthread_cond_t change;
    int wanted;  /* threads that have not begun the job at hand, */
    int working; /* and that have not ended it */
    bool is_closing;
    bool has_all; /* no more parts will be added */
    int next, parts;
    int rc; /* of the last job, and its sentence */
    char sentence[512];

    writer_job_fn job;
    void *ctx;
    const char *path; /* of write_parts(), borrowed */
    const struct writer_part *part;
    uint64_t *digest;
};

/* ---- the threads ------------------------------------------------------------------- */

/* The next part for one of the threads, when there is one; NULL at the end. */
static const struct writer_part *next_part(struct writer *w)
{
    const struct writer_part *part = NULL;

    pthread_mutex_lock(&w->lock);
    while (w->next >= w->parts && !w->has_all)
        pthread_cond_wait(&w->change, &w->lock);
    if (w->next < w->parts)
        part = &w->part[w->next++];
    pthread_mutex_unlock(&w->lock);
    return part;
}

static void add_digest(struct writer *w, int dataset, uint64_t sum)
{
    pthread_mutex_lock(&w->lock);
    w->digest[dataset] += sum;
    pthread_mutex_unlock(&w->lock);
}

/* Parts are taken until the end even when the disk is full. */
static int write_parts(void *ctx)
{
    struct writer *w = ctx;
    const struct writer_part *p;
    struct direct file;
    const int open_error = direct_open(&file, w->path);
    int error            = open_error, close_error;

    while ((p = next_part(w)) != NULL) {
        if (error != 0)
            continue;
        error =
            direct_write(&file, p->at, p->count * (int64_t)sizeof *p->at, p->offset);
        add_digest(w, p->dataset, digest_of(p->at, p->count, p->index));
    }
    close_error = direct_close(&file);
    if (error == 0)
        error = close_error;
    if (error == 0)
        return 0;
    return ERR(ERR_IO, "%s cannot be %s: %s", w->path,
               open_error != 0 ? "opened" : "written", strerror(error));
}

/* Of the threads' results the first that is not 0 stays. */
static void keep_result(struct writer *w, int rc)
{
    if (rc != 0 && w->rc == 0) {
        w->rc = rc;
        snprintf(w->sentence, sizeof w->sentence, "%s", err_sentence());
    }
    err_forget();
}

static void *serve(void *writer)
{
    struct writer *w = writer;

    pthread_mutex_lock(&w->lock);
    for (;;) {
        int rc;

        while (w->wanted == 0 && !w->is_closing)
            pthread_cond_wait(&w->change, &w->lock);
        if (w->wanted == 0)
            break;
        w->wanted--;
        pthread_mutex_unlock(&w->lock);
        rc = w->job(w->ctx);
        pthread_mutex_lock(&w->lock);
        keep_result(w, rc);
        w->working--;
        pthread_cond_broadcast(&w->change);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* ---- the main thread --------------------------------------------------------------- */

/* The end of all threads, which finish their jobs before. */
static void join(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    w->is_closing = true;
    pthread_cond_broadcast(&w->change);
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < w->threads; i++)
        pthread_join(w->thread[i], NULL);
    pthread_cond_destroy(&w->change);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
}

int writer_open(struct writer **writer)
{
    struct writer *w = mem_new(1, sizeof *w);
    pthread_condattr_t attr;
    sigset_t all, before;
    int error = 0;

    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->change, &attr);
    pthread_condattr_destroy(&attr);
    sigfillset(&all); /* signals are for the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (error == 0 && w->threads < THREADS) {
        error = pthread_create(&w->thread[w->threads], NULL, serve, w);
        w->threads += error == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        join(w);
        return ERR(ERR_ENV, "no thread for checkpoints: %s", strerror(error));
    }
    *writer = w;
    return 0;
}

void writer_close(struct writer **writer)
{
    if (*writer != NULL)
        join(*writer);
    *writer = NULL;
}

/* Let 'threads' of the threads do it. */
static void start(struct writer *w, writer_job_fn job, void *ctx, int threads)
{
    pthread_mutex_lock(&w->lock);
    if (w->working > 0)
        die("a checkpoint is written while another one is under way");
    w->job    = job;
    w->ctx    = ctx;
    w->rc     = 0;
    w->wanted = w->working = threads;
    pthread_cond_broadcast(&w->change);
    pthread_mutex_unlock(&w->lock);
}

void writer_do(struct writer *w, writer_job_fn job, void *ctx)
{
    start(w, job, ctx, 1);
}

void writer_start(struct writer *w, const char *path, const struct writer_part *part,
                  uint64_t *digest)
{
    if (!writer_wait(w, 0))
        die("a checkpoint is written while another one is under way");
    w->path    = path;
    w->part    = part;
    w->next    = 0;
    w->parts   = 0;
    w->digest  = digest;
    w->has_all = false;
    start(w, write_parts, w, w->threads);
}

void writer_add(struct writer *w, int parts)
{
    pthread_mutex_lock(&w->lock);
    w->parts += parts;
    pthread_cond_broadcast(&w->change);
    pthread_mutex_unlock(&w->lock);
}

void writer_end(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    w->has_all = true;
    pthread_cond_broadcast(&w->change);
    pthread_mutex_unlock(&w->lock);
}

bool writer_wait(struct writer *w, double seconds)
{
    const int64_t nano = (int64_t)(seconds * 1e9);
    struct timespec until;
    bool is_busy;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)((until.tv_nsec + nano) / 1000000000);
    until.tv_nsec = (long)((until.tv_nsec + nano) % 1000000000);
    pthread_mutex_lock(&w->lock);
    while (w->working > 0 &&
           pthread_cond_timedwait(&w->change, &w->lock, &until) != ETIMEDOUT)
        ;
    is_busy = w->working > 0;
    pthread_mutex_unlock(&w->lock);
    return !is_busy;
}

int writer_result(struct writer *w)
{
    int rc;

    pthread_mutex_lock(&w->lock);
    rc = w->rc;
    if (rc != 0)
        rc = ERR(rc, "%s", w->sentence);
    pthread_mutex_unlock(&w->lock);
    return rc;
}
