/* SPDX-License-Identifier: BSD-3-Clause */
/* Each thread of the crew takes the next part of the file until none is left. */
#include "config.h"

#include "ckpt/writer.h"

#include "ckpt/digest.h"
#include "ckpt/direct.h"
#include "src/base/err.h"
#include "src/base/mem.h"

#include <pthread.h>
#include <string.h>

struct writer {
    struct crew *crew; /* borrowed, as are the next two */
    const char *path;
    const struct writer_part *part;
    int parts;
    pthread_mutex_t lock; /* of all that follows */
    int next;
    uint64_t *digest;
};

/* ---- the threads ----------------------------------------------------------------- */

/* The next part for one of the threads; NULL at the end. */
static const struct writer_part *next_part(struct writer *w)
{
    const struct writer_part *part = NULL;

    pthread_mutex_lock(&w->lock);
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

static int write_parts(void *ctx)
{
    struct writer *w = ctx;
    const struct writer_part *p;
    struct direct file;
    const int open_error = direct_open(&file, w->path);
    int error            = open_error, close_error;

    while (error == 0 && (p = next_part(w)) != NULL) {
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

/* ---- the main thread ------------------------------------------------------------- */

struct writer *writer_open(struct crew *crew)
{
    struct writer *w = mem_new(1, sizeof *w);

    w->crew = crew;
    pthread_mutex_init(&w->lock, NULL);
    return w;
}

void writer_close(struct writer **writer)
{
    struct writer *w = *writer;

    if (w == NULL)
        return;
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
    *writer = NULL;
}

void writer_start(struct writer *w, const char *path, const struct writer_part *part,
                  int parts, uint64_t *digest)
{
    if (!crew_wait(w->crew, 0))
        die("a checkpoint is written while another one is under way");
    w->path   = path;
    w->part   = part;
    w->parts  = parts;
    w->next   = 0;
    w->digest = digest;
    crew_do(w->crew, write_parts, w, CREW);
}
