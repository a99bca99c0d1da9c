/* SPDX-License-Identifier: BSD-3-Clause */
/* The thread sleeps until there is a job, does it, and says how it ended.  An error's
 * sentence belongs to a thread: it is handed to the one that waits.
 */
#include "config.h"

#include "ckpt/writer.h"

#include "ckpt/digest.h"
#include "src/base/err.h"
#include "src/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 1 << 20 }; /* elements that are read twice, the second time from cache */

struct writer {
    pthread_t thread;
    pthread_mutex_t lock; /* of the next seven */
    pthread_cond_t change;
    bool is_busy, is_closing;
    bool has_all; /* no more parts will be added */
    int parts;
    int rc; /* of the last job, and its sentence */
    char sentence[512];

    writer_job_fn job;
    void *ctx;
    const char *path; /* of write_parts(), borrowed */
    const struct writer_part *part;
    uint64_t *digest;
};

/* ---- the thread -------------------------------------------------------------------- */

int writer_pwrite(int fd, const void *data, int64_t bytes, int64_t offset)
{
    const char *at = data;

    while (bytes > 0) {
        const ssize_t n = pwrite(fd, at, (size_t)bytes, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : ENOSPC;
        at += n;
        bytes -= n;
        offset += n;
    }
    return 0;
}

/* Let the system start to move these bytes to the disk, without waiting. */
static void push(int fd, int64_t offset, int64_t bytes)
{
#ifdef HAVE_SYNC_FILE_RANGE
    (void)sync_file_range(fd, offset, bytes, SYNC_FILE_RANGE_WRITE);
#else
    (void)fd;
    (void)offset;
    (void)bytes;
#endif
}

static int write_part(int fd, const struct writer_part *p, uint64_t *digest)
{
    for (int64_t lo = 0; lo < p->count; lo += BLOCK) {
        const int64_t n      = p->count - lo < BLOCK ? p->count - lo : BLOCK;
        const int64_t bytes  = n * (int64_t)sizeof(float);
        const int64_t offset = p->offset + lo * (int64_t)sizeof(float);
        int error;

        digest[p->dataset] += digest_of(p->at + lo, n, p->index + lo);
        error = writer_pwrite(fd, p->at + lo, bytes, offset);
        if (error != 0)
            return error;
        push(fd, offset, bytes);
    }
    return 0;
}

/* Wait for part number 'i'; false if there is none. */
static bool has_part(struct writer *w, int i)
{
    bool has;

    pthread_mutex_lock(&w->lock);
    while (i >= w->parts && !w->has_all)
        pthread_cond_wait(&w->change, &w->lock);
    has = i < w->parts;
    pthread_mutex_unlock(&w->lock);
    return has;
}

static int write_parts(void *ctx)
{
    struct writer *w = ctx;
    const int fd     = open(w->path, O_WRONLY);
    int error        = fd < 0 ? errno : 0;

    for (int i = 0; has_part(w, i); i++) {
        if (error == 0)
            error = write_part(fd, &w->part[i], w->digest);
    }
    if (error == 0 && fsync(fd) != 0)
        error = errno;
    if (fd >= 0 && close(fd) != 0 && error == 0)
        error = errno;
    if (error == 0)
        return 0;
    return ERR(ERR_IO, "%s cannot be %s: %s", w->path, fd < 0 ? "opened" : "written",
               strerror(error));
}

static void *serve(void *writer)
{
    struct writer *w = writer;

    pthread_mutex_lock(&w->lock);
    for (;;) {
        int rc;

        while (!w->is_busy && !w->is_closing)
            pthread_cond_wait(&w->change, &w->lock);
        if (!w->is_busy)
            break;
        pthread_mutex_unlock(&w->lock);
        rc = w->job(w->ctx);
        pthread_mutex_lock(&w->lock);
        w->rc = rc;
        if (rc != 0)
            snprintf(w->sentence, sizeof w->sentence, "%s", err_sentence());
        err_forget();
        w->is_busy = false;
        pthread_cond_broadcast(&w->change);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* ---- the main thread --------------------------------------------------------------- */

int writer_open(struct writer **writer)
{
    struct writer *w = mem_new(1, sizeof *w);
    pthread_condattr_t attr;
    sigset_t all, before;
    int error;

    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->change, &attr);
    pthread_condattr_destroy(&attr);
    sigfillset(&all); /* signals are for the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&w->thread, NULL, serve, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        pthread_cond_destroy(&w->change);
        pthread_mutex_destroy(&w->lock);
        mem_free(w);
        return ERR(ERR_ENV, "no thread for checkpoints: %s", strerror(error));
    }
    *writer = w;
    return 0;
}

void writer_close(struct writer **writer)
{
    struct writer *w = *writer;

    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->is_closing = true;
    pthread_cond_broadcast(&w->change);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->change);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
    *writer = NULL;
}

void writer_do(struct writer *w, writer_job_fn job, void *ctx)
{
    pthread_mutex_lock(&w->lock);
    if (w->is_busy)
        die("a checkpoint is written while another one is under way");
    w->job     = job;
    w->ctx     = ctx;
    w->is_busy = true;
    pthread_cond_broadcast(&w->change);
    pthread_mutex_unlock(&w->lock);
}

void writer_start(struct writer *w, const char *path, const struct writer_part *part,
                  uint64_t *digest)
{
    if (!writer_wait(w, 0))
        die("a checkpoint is written while another one is under way");
    w->path    = path;
    w->part    = part;
    w->parts   = 0;
    w->digest  = digest;
    w->has_all = false;
    writer_do(w, write_parts, w);
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
    while (w->is_busy &&
           pthread_cond_timedwait(&w->change, &w->lock, &until) != ETIMEDOUT)
        ;
    is_busy = w->is_busy;
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
