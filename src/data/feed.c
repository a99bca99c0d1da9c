/* SPDX-License-Identifier: BSD-3-Clause */
/* A job is a step's part: images 0 .. n of the buffer, of which the one at 0 is the one
 * before the part, for mixup alone.  Threads take the next image under the lock and
 * make it outside; the last to end says so.
 */
#include "config.h"

#include "src/data/feed.h"

#include "mesh/guard.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/data/pass.h"

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
    bool is_once;      /* the next batch is not begun */
    struct range part; /* of b: those that this rank makes */
    int64_t pixels;    /* numbers of an image */
    int64_t room;      /* of what is made: as many, or a few more of pictures */
    float *made;       /* [1 + part, room] */

    struct dev_picture *picture; /* [1 + part] of what is made; NULL: images are */
    int64_t *start;              /* [M + 1]: bytes of each rank's pictures */

    pthread_t *thread;
    int running;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t work, done;
    int64_t step;       /* whose images are made; -1: none yet */
    int64_t next, left; /* image to be taken; images not yet made */
    bool is_ending;
};

/* ---- threads --------------------------------------------------------------------- */

/* Image 'i' of the buffer. */
static void make_image(struct feed *f, int64_t i)
{
    const int64_t first = f->step * f->B + f->part.lo;
    const int64_t index = i > 0 ? first + i - 1 : data_before(f->B, f->step, f->part);

    float *room = f->made + i * f->room;

    if (f->picture != NULL)
        f->data->ops->picture(f->data, &f->picture[i], room, index);
    else
        f->data->ops->get(f->data, room, NULL, f->k, index);
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

/* Whether the image before the part is wanted: pictures are mixed when
 * the row has all.
 */
static bool has_before(const struct feed *f)
{
    return f->data->mixup > 0 && range_size(f->part) > 0 &&
           (f->picture == NULL || f->part.lo == f->b.lo);
}

/* Let the threads make the part of 'step'; none is under way. */
static void begin(struct feed *f, int64_t step)
{
    const int64_t first = has_before(f) ? 0 : 1;

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

/* ---- open and close -------------------------------------------------------------- */

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

static int open_made(struct feed *f, bool has_pictures)
{
    const size_t most = 1 + (size_t)range_size(f->part);
    void *made;

    f->room = f->pixels + (has_pictures ? PICTURE_NUMBERS : 0);
    f->next = (int64_t)most;
    TRY(mem_alloc(&made, sizeof(float) * most * (size_t)f->room));
    f->made = made;
    if (has_pictures) {
        f->picture = mem_new(most, sizeof *f->picture);
        f->start   = mem_new((size_t)f->mesh->M + 1, sizeof *f->start);
        memset(made, 0, sizeof(float) * most * (size_t)f->room); /* gaps travel, too */
    }
    return start_threads(f);
}

int feed_open(struct feed **feed, const struct data *data, const struct mesh *mesh,
              int64_t B, struct range b, struct range k, int threads,
              enum feed_form form)
{
    struct feed *f = mem_new(1, sizeof *f);
    int rc         = 0;

    f->data     = data;
    f->mesh     = mesh;
    f->B        = B;
    f->b        = b;
    f->k        = k;
    f->threads  = threads;
    f->step     = -1;
    f->pixels   = 3 * (int64_t)data->image * data->image;
    f->is_ahead = form != FEED_TARGETS && (data->ops->is_shared || form != FEED_IMAGES);
    if (f->is_ahead) {
        f->part = own_part(f);
        rc      = open_made(f, form == FEED_PICTURES);
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
    mem_free(f->start);
    mem_free(f->picture);
    mem_free(f->made);
    mem_free(f);
    *feed = NULL;
}

/* ---- batches --------------------------------------------------------------------- */

/* Whether ranks of the row have parts to pass on. */
static bool is_passed(const struct feed *f)
{
    return f->mesh->M > 1 && f->data->ops->is_shared;
}

/* Have the part of 'step' made. */
static void have_part(struct feed *f, int64_t step)
{
    await(f);
    if (f->step != step) {
        begin(f, step);
        await(f);
    }
}

void feed_targets(struct feed *f, float *targets, int64_t step)
{
    data_targets(f->data, targets, f->B, step, f->b, f->k);
    if (data_failure(f->data) != 0)
        err_end(data_failure(f->data));
    guard_alive();
}

/* What was made has been taken: go on with the next step's, and see to the targets. */
static void took_part(struct feed *f, float *targets, int64_t step)
{
    if (!f->is_once)
        begin(f, step + 1);
    feed_targets(f, targets, step);
}

void feed_batch(struct feed *f, float *images, float *targets, int64_t step)
{
    const int64_t n = range_size(f->part);
    float *own      = images + (f->part.lo - f->b.lo) * f->pixels;

    if (!f->is_ahead) {
        data_batch(f->data, images, targets, f->B, step, f->b, f->k, f->threads);
        return;
    }
    have_part(f, step);
    if (f->data->mixup > 0)
        data_mix(f->made + f->pixels, n, f->pixels, f->made, data_share(f->data, step));
    memcpy(own, f->made + f->pixels, sizeof *own * (size_t)(n * f->pixels));
    took_part(f, targets, step);
    if (is_passed(f))
        pass_images(images, range_size(f->b), f->pixels, f->mesh);
    guard_alive();
}

void feed_once(const struct data *data, const struct mesh *mesh, int64_t B,
               struct range b, struct range k, int threads, float *images,
               float *targets, int64_t step)
{
    const int64_t pixels = 3 * (int64_t)data->image * data->image;
    struct feed f        = { .data = data, .mesh = mesh, .B = B, .b = b, .k = k };

    f.part = own_part(&f);
    data_images(data, images + (f.part.lo - b.lo) * pixels, B, step, f.part, threads);
    feed_targets(&f, targets, step);
    if (is_passed(&f))
        pass_images(images, range_size(b), pixels, mesh);
    guard_alive();
}

/* The part's pictures, one behind the other from 'at' on. */
static void pack(const struct feed *f, struct dev_picture *list, char *bytes,
                 int64_t at)
{
    for (int64_t i = has_before(f) ? 0 : 1; i <= range_size(f->part); i++) {
        struct dev_picture *p = &list[f->part.lo - f->b.lo + i];
        const int64_t size    = dev_picture_bytes(&f->picture[i]);

        *p       = f->picture[i];
        p->first = at;
        memcpy(bytes + at, f->made + i * f->room, (size_t)size);
        at += size;
    }
}

double feed_pictures(struct feed *f, struct dev_picture *list, char *bytes,
                     float *targets, int64_t step)
{
    int64_t size = 0;

    list[0] = (struct dev_picture){ 0 };
    have_part(f, step);
    for (int64_t i = has_before(f) ? 0 : 1; i <= range_size(f->part); i++)
        size += dev_picture_bytes(&f->picture[i]);
    if (is_passed(f))
        pass_sizes(f->start, size, f->mesh);
    pack(f, list, bytes, is_passed(f) ? f->start[f->mesh->m] : 0);
    took_part(f, targets, step);
    if (is_passed(f))
        pass_pictures(list, bytes, range_size(f->b), f->start, f->mesh);
    guard_alive();
    return data_share(f->data, step);
}

void feed_last(struct feed *f)
{
    f->is_once = true;
}
