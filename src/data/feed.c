/* SPDX-License-Identifier: BSD-3-Clause */
/* A job is a step's part: images 0 .. n of the buffer, of which the one at 0 is the one
 * before the part, for mixup alone.  Threads take the next image under the lock and make
 * it outside; the last to end says so.
 */
#include "config.h"

#include "src/data/feed.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "mesh/guard.h"

#include <pthread.h>
#include <string.h>

struct feed {
    const struct data *data; /* borrowed, as is the next */
    const struct mesh *mesh;
    int64_t B;
    struct range b, k;
    int threads;

    /* images that are made ahead alone */
    bool is_ahead;
    struct range part; /* of b: those that this rank makes */
    int64_t pixels;    /* numbers of an image */
    float *made;       /* [1 + part, pixels] */
    pthread_t *thread;
    int running;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t work, done;
    int64_t step;       /* whose images are made; -1: none yet */
    int64_t next, left; /* image to be taken; images not yet made */
    bool is_ending;
};

/* ---- threads ----------------------------------------------------------------------- */

/* Image 'i' of the buffer. */
static void make_image(struct feed *f, int64_t i)
{
    const int64_t first = f->step * f->B + f->part.lo;
    const int64_t index = i > 0 ? first + i - 1 : data_before(f->B, f->step, f->part);

    f->data->ops->get(f->data, f->made + i * f->pixels, NULL, f->k, index);
}

static void *work(void *arg)
{
    struct feed *f     = arg;
    const int64_t most = 1 + range_size(f->part);

    pthread_mutex_lock(&f->lock);
    while (!f->is_ending) {
        int64_t i;

        if (f->next == most) {
            pthread_cond_wait(&f->work, &f->lock);
            continue;
        }
        i = f->next++;
        pthread_mutex_unlock(&f->lock);
        make_image(f, i);
        pthread_mutex_lock(&f->lock);
        if (--f->left == 0)
            pthread_cond_signal(&f->done);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

/* Let the threads make the part of 'step'; none is under way. */
static void begin(struct feed *f, int64_t step)
{
    const int64_t first = f->data->mixup > 0 && range_size(f->part) > 0 ? 0 : 1;

    pthread_mutex_lock(&f->lock);
    f->step = step;
    f->next = first;
    f->left = 1 + range_size(f->part) - first;
    pthread_cond_broadcast(&f->work);
    pthread_mutex_unlock(&f->lock);
}

static void await(struct feed *f)
{
    pthread_mutex_lock(&f->lock);
    while (f->left > 0)
        pthread_cond_wait(&f->done, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

/* ---- open and close ---------------------------------------------------------------- */

static int start_threads(struct feed *f)
{
    const int64_t n  = range_size(f->part);
    const int wanted = n < f->threads ? (int)n : f->threads;

    if (pthread_mutex_init(&f->lock, NULL) != 0 ||
        pthread_cond_init(&f->work, NULL) != 0 ||
        pthread_cond_init(&f->done, NULL) != 0)
        return ERR(ERR_ENV, "no lock for the threads that make images");
    f->thread = mem_new((size_t)wanted + 1, sizeof *f->thread);
    while (f->running < wanted) {
        if (pthread_create(&f->thread[f->running], NULL, work, f) != 0)
            return ERR(ERR_ENV, "no thread to make images");
        f->running++;
    }
    return 0;
}

/* Those of the row's images that this rank makes. */
static struct range own_part(const struct feed *f)
{
    const bool is_shared = f->data->ops->is_shared;
    const struct range r = split_range(range_size(f->b), is_shared ? f->mesh->M : 1,
                                       is_shared ? f->mesh->m : 0);

    return (struct range){ f->b.lo + r.lo, f->b.lo + r.hi };
}

int feed_open(struct feed **feed, const struct data *data, const struct mesh *mesh,
              int64_t B, struct range b, struct range k, int threads,
              bool has_idle_cores)
{
    struct feed *f = mem_new(1, sizeof *f);
    void *made     = NULL;
    int rc         = 0;

    f->data     = data;
    f->mesh     = mesh;
    f->B        = B;
    f->b        = b;
    f->k        = k;
    f->threads  = threads;
    f->step     = -1;
    f->pixels   = 3 * (int64_t)data->image * data->image;
    f->is_ahead = data->ops->is_shared || has_idle_cores;
    if (f->is_ahead) {
        f->part = own_part(f);
        f->next = 1 + range_size(f->part);
        rc      = mem_alloc(&made, sizeof(float) * (size_t)(f->next * f->pixels));
        f->made = made;
        if (rc == 0)
            rc = start_threads(f);
    }
    if (rc != 0)
        feed_close(&f);
    else
        *feed = f;
    return rc;
}

void feed_close(struct feed **feed)
{
    struct feed *f = *feed;

    if (f == NULL)
        return;
    if (f->thread != NULL) {
        pthread_mutex_lock(&f->lock);
        f->is_ending = true;
        pthread_cond_broadcast(&f->work);
        pthread_mutex_unlock(&f->lock);
        for (int i = 0; i < f->running; i++)
            pthread_join(f->thread[i], NULL);
        pthread_cond_destroy(&f->done);
        pthread_cond_destroy(&f->work);
        pthread_mutex_destroy(&f->lock);
    }
    mem_free(f->thread);
    mem_free(f->made);
    mem_free(f);
    *feed = NULL;
}

/* ---- batches ----------------------------------------------------------------------- */

/* Complete the row's images, of which this rank's part is in its place. */
static void pass_on(struct feed *f, float *images)
{
    const int M = f->mesh->M;
    int *count, *first;
    MPI_Datatype image;

    if (M == 1 || !f->data->ops->is_shared)
        return;
    count = mem_new(2 * (size_t)M, sizeof *count);
    first = count + M;
    for (int m = 0; m < M; m++) {
        const struct range r = split_range(range_size(f->b), M, m);

        count[m] = (int)range_size(r);
        first[m] = (int)r.lo;
    }
    TRY_MPI(MPI_Type_contiguous((int)f->pixels, MPI_FLOAT, &image));
    TRY_MPI(MPI_Type_commit(&image));
    TRY_MPI(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, images, count, first,
                           image, f->mesh->comm[AXIS_MODEL]));
    TRY_MPI(MPI_Type_free(&image));
    mem_free(count);
}

static void take_batch(struct feed *f, float *images, float *targets, int64_t step,
                       bool is_ahead)
{
    const int64_t n = range_size(f->part);
    float *own      = images + (f->part.lo - f->b.lo) * f->pixels;

    if (!f->is_ahead) {
        data_batch(f->data, images, targets, f->B, step, f->b, f->k, f->threads);
        return;
    }
    await(f);
    if (f->step != step) {
        begin(f, step);
        await(f);
    }
    if (f->data->mixup > 0)
        data_mix(f->made + f->pixels, n, f->pixels, f->made, data_share(f->data, step));
    memcpy(own, f->made + f->pixels, sizeof *own * (size_t)(n * f->pixels));
    if (is_ahead)
        begin(f, step + 1);
    data_targets(f->data, targets, f->B, step, f->b, f->k);
    if (data_failure(f->data) != 0)
        die("%s", err_sentence());
    pass_on(f, images);
    guard_alive();
}

void feed_batch(struct feed *f, float *images, float *targets, int64_t step)
{
    take_batch(f, images, targets, step, true);
}

void feed_once(float *images, float *targets, const struct data *data,
               const struct mesh *mesh, int64_t B, int64_t step, struct range b,
               struct range k, int threads)
{
    struct feed *f = NULL;

    if (feed_open(&f, data, mesh, B, b, k, threads, false) != 0)
        die("%s", err_sentence());
    take_batch(f, images, targets, step, false);
    feed_close(&f);
}
