/* SPDX-License-Identifier: BSD-3-Clause */
/* A set of images as a source.
 *
 *   index -> pass and place -> the pass's shuffle -> the images not held out -> item
 *
 * All of it is arithmetic, so that a rank reads only what it needs and nobody keeps a
 * table of images, but for the list of those that are not held out.
 *
 * An image that cannot be decoded is grey, named once and counted: a run of many days
 * does not end for one bit.  A file that cannot be read ends it.
 */
#include "config.h"

#include "src/data/data.h"

#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/data/h5set.h"

#include <pthread.h>
#include <string.h>

/* Memory of one thread at work. */
struct desk {
    struct decode_room file, picture;
    struct desk *next;
};

struct file {
    struct data base;
    struct h5set *set;
    enum augment augment;
    enum order order;
    struct order_part part;

    pthread_mutex_t *lock; /* of what follows: get() may change these */
    struct state {
        struct desk *idle;
        int64_t damaged;
        int rc; /* of the first failure, and its sentence */
        char sentence[512];
    } * state;
};

/* ---- which image ----------------------------------------------------------------- */

static int64_t item_of(const struct file *f, int64_t index)
{
    const int64_t n = f->base.count, pass = index / n;
    int64_t place = index % n;

    if (f->order == ORDER_SHUFFLE)
        place = order_shuffled(n, f->base.seed, RNG_ORDER, (uint64_t)pass, place);
    return order_part_item(&f->part, place);
}

/* ---- one image ------------------------------------------------------------------- */

static struct desk *desk_take(const struct file *f)
{
    struct desk *b;

    pthread_mutex_lock(f->lock);
    b = f->state->idle;
    if (b != NULL)
        f->state->idle = b->next;
    pthread_mutex_unlock(f->lock);
    return b != NULL ? b : mem_new(1, sizeof *b);
}

static void desk_give(const struct file *f, struct desk *b)
{
    pthread_mutex_lock(f->lock);
    b->next        = f->state->idle;
    f->state->idle = b;
    pthread_mutex_unlock(f->lock);
}

static void note_failure(const struct file *f, int rc, int64_t item)
{
    enum { NAMED = 3 };
    struct state *s = f->state;
    int64_t damaged = 0;

    pthread_mutex_lock(f->lock);
    if (rc == ERR_DATA) {
        damaged = ++s->damaged;
    } else if (s->rc == 0) {
        s->rc = rc;
        snprintf(s->sentence, sizeof s->sentence, "%s", err_sentence());
    }
    pthread_mutex_unlock(f->lock);
    if (damaged > 0 && damaged <= NAMED)
        WARN("image %lld of the set is grey: %s", (long long)item, err_sentence());
    err_forget();
}

/* The image or, if 'picture' is given, its picture. */
static int get_image(const struct file *f, void *image, struct dev_picture *picture,
                     int64_t index, int64_t item, struct desk *b)
{
    const struct h5set_shape *s = h5set_shape(f->set);
    const int size              = f->base.image;
    struct pixels p             = { .height = s->height, .width = s->width };
    struct view view;
    size_t bytes;
    int first = 0;

    TRY(h5set_read(&b->file, &bytes, f->set, item));
    if (s->kind == H5SET_ENCODED)
        TRY(decode_size(&p.height, &p.width, b->file.bytes, bytes));
    view = augment_view(p.height, p.width, size, f->augment, f->base.seed, index);
    if (s->kind == H5SET_ENCODED) {
        first = view.from.y;
        TRY(decode_rows(&p, &b->picture, b->file.bytes, bytes, first,
                        first + view.from.height));
    } else {
        p.rgb = b->file.bytes;
    }
    if (picture != NULL)
        augment_cut(picture, image, p, first, &view);
    else
        augment_apply(image, p, first, &view);
    return 0;
}

/* Likewise; grey if there is none. */
static void make_image(const struct file *f, void *image, struct dev_picture *picture,
                       int64_t index)
{
    const int64_t item = item_of(f, index);
    const int size     = f->base.image;
    struct desk *b     = desk_take(f);
    const int rc       = get_image(f, image, picture, index, item, b);

    desk_give(f, b);
    if (rc == 0)
        return;
    note_failure(f, rc, item);
    memset(image, 0, 3 * sizeof(float) * (size_t)size * (size_t)size);
    if (picture != NULL)
        *picture = dev_picture_image(size);
}

static void file_get(const struct data *data, float *image, float *target,
                     struct range k, int64_t index)
{
    const struct file *f = (const struct file *)data;
    const int64_t item   = item_of(f, index);
    int rc               = 0;

    if (target != NULL)
        rc = h5set_target(target, f->set, k, item);
    if (rc != 0)
        note_failure(f, rc, item);
    if (image != NULL)
        make_image(f, image, NULL, index);
}

static void file_picture(const struct data *data, struct dev_picture *picture,
                         void *room, int64_t index)
{
    make_image((const struct file *)data, room, picture, index);
}

static int file_failure(const struct data *data)
{
    const struct file *f = (const struct file *)data;
    int rc;

    pthread_mutex_lock(f->lock);
    rc = f->state->rc;
    if (rc != 0)
        rc = ERR(rc, "%s", f->state->sentence);
    pthread_mutex_unlock(f->lock);
    return rc;
}

/* ---- open and close -------------------------------------------------------------- */

static void file_close(struct data *data)
{
    struct file *f = (struct file *)data;

    if (f->state != NULL && f->state->damaged > 0)
        WARN("%lld times an image was grey because it could not be decoded",
             (long long)f->state->damaged);
    while (f->state != NULL && f->state->idle != NULL) {
        struct desk *b = f->state->idle;

        f->state->idle = b->next;
        decode_free(&b->file);
        decode_free(&b->picture);
        mem_free(b);
    }
    if (f->lock != NULL)
        pthread_mutex_destroy(f->lock);
    mem_free(f->lock);
    mem_free(f->state);
    order_part_close(&f->part);
    h5set_close(&f->set);
    mem_free(f);
}

static const struct data_ops file_ops = {
    .name      = "file",
    .get       = file_get,
    .picture   = file_picture,
    .close     = file_close,
    .is_shared = true,
    .failure   = file_failure,
};

static int choose_items(struct file *f, const struct data_options *o)
{
    const int64_t n   = h5set_shape(f->set)->count;
    const bool is_any = o->holdout >= 0 && o->holdout <= 1;

    if (o->held_most > 0 && o->holdout * (double)n > (double)o->held_most)
        return ERR(ERR_USAGE,
                   "of %lld images a share of %g is too many to hold out unasked: give "
                   "--holdout a share, or a set",
                   (long long)n, o->holdout);
    if (is_any)
        order_part_open(&f->part, n, o->holdout, o->is_held_out);
    f->base.count = f->part.count;
    if (f->base.count == 0)
        return ERR(ERR_USAGE, "of %lld images a share of %g is held out: nothing is %s",
                   (long long)n, o->holdout, o->is_held_out ? "in it" : "left");
    return 0;
}

static int open_file(struct file *f, const char *path, const struct data_options *o)
{
    const struct h5set_shape *s;

    TRY(h5set_open_among(&f->set, path, o->rank, o->ranks > 0 ? o->ranks : 1));
    s = h5set_shape(f->set);
    if (s->kind == H5SET_FEATURES)
        return ERR(ERR_DATA, "%s holds features, not images", path);
    if (o->classes > 0 && o->classes < s->classes)
        return ERR(ERR_DATA, "%s has %lld classes, more than %lld", path,
                   (long long)s->classes, (long long)o->classes);
    f->base    = (struct data){ .ops       = &file_ops,
                                .image     = o->image,
                                .classes   = o->classes > 0 ? o->classes : s->classes,
                                .seed      = o->seed,
                                .identity  = (uint64_t)s->digest,
                                .mixup     = o->mixup,
                                .smoothing = o->smoothing };
    f->augment = o->augment;
    f->order   = o->is_held_out ? ORDER_FILE : o->order;
    f->lock    = mem_new(1, sizeof *f->lock);
    f->state   = mem_new(1, sizeof *f->state);
    if (pthread_mutex_init(f->lock, NULL) != 0)
        return ERR(ERR_ENV, "no lock");
    return choose_items(f, o);
}

int data_open_file(struct data **data, const char *path, const struct data_options *o)
{
    struct file *f = mem_new(1, sizeof *f);
    const int rc   = open_file(f, path, o);

    if (rc != 0)
        file_close(&f->base);
    else
        *data = &f->base;
    return rc;
}
