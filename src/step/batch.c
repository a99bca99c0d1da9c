/* SPDX-License-Identifier: BSD-3-Clause */
/* Batches, from the feed to the device.
 *
 * Usually the cores make the images and copy them to the device.  A device whose memory
 * is apart makes them itself where it can: from pictures, where the source has them, of
 * which only the bytes are sent (through one room on either side, which all lanes and
 * micro-batches use in turn); or, where images are noise, from nothing.
 */
#include "config.h"

#include "src/step/batch.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/data/feed.h"
#include "src/dev/picture.h"
#include "src/plan/act.h"

/* A micro-batch on the device. */
struct batch {
    struct buf memory;
    struct act_table act; /* its places */
    int64_t step;         /* whose it is, sent ahead; -1: nobody's */
    int micro;
    struct dev_event *is_here; /* of what is sent ahead */
    struct dev_event *is_read; /* of what a pass has read */
};

/* How the images of a source come to the device. */
enum way { WAY_IMAGES, WAY_PICTURES, WAY_DRAWN };

struct batches {
    struct vit *vit; /* borrowed, as is the next */
    const struct data *data;
    struct feed *feed;

    struct local row;          /* of this rank's images, in all micro-batches */
    struct act_table host_act; /* of all of them */
    bool is_ahead;             /* the next micro-batch is sent while one computes */
    struct batch batch[2];     /* at hand, and ahead */
    int at;                    /* the one at hand */
    char *host;                /* of the row's batch as the source gives it */
    int64_t row_step;          /* whose that is, and the pictures; -1: nobody's */

    struct pictures {
        void *host;                /* the row's list and bytes; NULL: none are sent */
        struct buf there;          /* a micro-batch's */
        double share;              /* of a picture in its image */
        struct dev_event *is_seen; /* of what was sent last */
    } pictures;
};

_Static_assert((int)ACT_PICTURE == (int)PICTURE_NUMBERS, "the room of a picture");

/* ---- open and close -------------------------------------------------------------- */

/* The first image of micro-batch 'micro' in the row's, and places for it in 'b'. */
static int64_t place_batch(struct batch *b, struct batches *all, int micro)
{
    const struct act_form form = { .dtype = dev_dtype(vit_dev(all->vit)) };
    struct local l             = all->row;

    spec_micro(&l, vit_spec(all->vit), vit_micros(all->vit), micro);
    act_make(&b->act, vit_spec(all->vit), &l, &form);
    return l.b.lo - all->row.b.lo;
}

/* A device whose memory is apart leaves the host free to bring the next
 * images there.
 */
static int open_places(struct batches *all)
{
    struct dev *dev = vit_dev(all->vit);

    all->is_ahead = !dev_is_host(dev) && !dev_is_hollow(dev);
    for (int i = 0; i < 1 + all->is_ahead; i++) {
        struct batch *b = &all->batch[i];

        place_batch(b, all, 0); /* the largest */
        b->step = -1;
        TRY(dev_alloc(&b->memory, dev, (size_t)b->act.bytes[ACT_BATCH]));
        TRY(dev_event_open(&b->is_here, dev));
        TRY(dev_event_open(&b->is_read, dev));
    }
    return 0;
}

/* Mixed noise is the cores': it is no benchmark's. */
static enum way way_of(const struct batches *all, const struct data *data)
{
    if (all->is_ahead && data->ops->picture != NULL)
        return WAY_PICTURES;
    return all->is_ahead && data->ops->is_normal && data->mixup <= 0 ? WAY_DRAWN
                                                                     : WAY_IMAGES;
}

static enum feed_form form_of(const struct batches *all, enum way way)
{
    if (way == WAY_IMAGES)
        return all->is_ahead ? FEED_IMAGES_AHEAD : FEED_IMAGES;
    return way == WAY_PICTURES ? FEED_PICTURES : FEED_TARGETS;
}

static int open_pictures(struct batches *all)
{
    struct dev *dev    = vit_dev(all->vit);
    struct pictures *p = &all->pictures;
    struct batch largest;

    place_batch(&largest, all, 0);
    TRY(dev_alloc(&p->there, dev, (size_t)largest.act.bytes[ACT_PICTURES]));
    TRY(dev_event_open(&p->is_seen, dev));
    return dev_pin(&p->host, dev, (size_t)all->host_act.bytes[ACT_PICTURES]);
}

static int open_all(struct batches *all, const struct data *data)
{
    struct dev *dev            = vit_dev(all->vit);
    struct mesh *mesh          = vit_mesh(all->vit);
    const struct local *l      = &all->row;
    const struct act_form form = { .dtype = dev_dtype(dev) };
    void *host;

    vit_micro(all->vit, 0);
    spec_local(&all->row, vit_spec(all->vit), vit_batch(all->vit), mesh->D, mesh->M,
               mesh->d, mesh->m);
    act_make(&all->host_act, vit_spec(all->vit), l, &form);
    TRY(open_places(all));
    TRY(mem_alloc(&host, (size_t)all->host_act.bytes[ACT_HOST]));
    all->host = host;
    if (way_of(all, data) == WAY_PICTURES)
        TRY(open_pictures(all));
    return feed_open(&all->feed, data, mesh, vit_batch(all->vit), l->b, l->k,
                     dev_threads(dev), form_of(all, way_of(all, data)));
}

int batches_open(struct batches **batches, struct vit *vit, const struct data *data)
{
    struct batches *made = mem_new(1, sizeof *made);
    int rc;

    made->vit      = vit;
    made->data     = data;
    made->row_step = -1;
    rc             = open_all(made, data);
    if (rc != 0)
        batches_close(&made);
    else
        *batches = made;
    return rc;
}

void batches_close(struct batches **batches)
{
    struct batches *all = *batches;

    if (all == NULL)
        return;
    feed_close(&all->feed);
    for (int i = 0; i < 2; i++) {
        dev_event_close(&all->batch[i].is_here);
        dev_event_close(&all->batch[i].is_read);
        dev_free(&all->batch[i].memory);
    }
    if (all->pictures.host != NULL) {
        dev_event_sync(all->pictures.is_seen);
        dev_unpin(&all->pictures.host, vit_dev(all->vit));
    }
    dev_event_close(&all->pictures.is_seen);
    dev_free(&all->pictures.there);
    mem_free(all->host);
    mem_free(all);
    *batches = NULL;
}

/* ---- places ---------------------------------------------------------------------- */

static struct mat batch_mat(struct batch *b, enum act which)
{
    const struct act_place *p = &b->act.place[which];

    return mat_at(&b->memory, p->dtype, p->offset / (int64_t)dtype_size(p->dtype),
                  p->rows, p->cols);
}

int batches_at(const struct batches *b)
{
    return b->at;
}

struct mat batches_images(struct batches *b, int at)
{
    return batch_mat(&b->batch[at], BATCH_IMAGES);
}

struct mat batches_targets(struct batches *b, int at)
{
    return batch_mat(&b->batch[at], BATCH_TARGETS);
}

/* The host's images or targets, of the row's image 'first' on. */
static float *host_part(struct batches *b, enum act which, int64_t first)
{
    const struct act_place *p = &b->host_act.place[which];

    return (float *)(void *)(b->host + p->offset) + first * p->cols;
}

/* ---- from the host to the device ------------------------------------------------- */

/* Host f32 to 'b', by way of f32 there if the run accumulates in something else. */
static void put(struct dev_stream *stream, struct batch *b, enum act which,
                const float *from)
{
    const struct mat to = batch_mat(b, which);

    if (to.dtype == DTYPE_F32) {
        dev_put(stream, to, from);
    } else {
        struct mat staged = batch_mat(b, BATCH_STAGED);

        staged.cols = staged.ld = to.cols;
        dev_put(stream, staged, from);
        dev_copy(stream, to, staged);
    }
}

/* The list of the row's pictures, one of which is before its first
 * image; their bytes.
 */
static struct dev_picture *list_of(const struct batches *all)
{
    return all->pictures.host;
}

static char *bytes_of(const struct batches *all)
{
    return (char *)all->pictures.host + dev_picture_list(1 + range_size(all->row.b));
}

/* Images of 'b' made of the row's pictures from 'first' on. */
static void put_pictures(struct batches *all, struct dev_stream *stream,
                         struct batch *b, int64_t first)
{
    struct pictures *p            = &all->pictures;
    const struct act_place *place = &b->act.place[ALL_PICTURES];
    const struct mat there  = mat_of(&p->there, DTYPE_F32, place->rows, place->cols);
    const struct mat images = batch_mat(b, BATCH_IMAGES);
    const bool is_mixed     = p->share < 1;
    const struct dev_picture *list = list_of(all) + first + !is_mixed;
    const int64_t count            = images.rows + is_mixed;

    dev_event_wait(stream, p->is_seen);
    dev_send_pictures(stream, there, list, count, bytes_of(all));
    dev_view_pictures(stream, images, there, list, count, vit_spec(all->vit)->image,
                      p->share);
    dev_event_record(p->is_seen, stream);
}

/* Images of 'b', which are those of 'step' from the row's image
 * 'first' on, drawn there.
 */
static void draw_images(struct batches *all, struct dev_stream *stream, struct batch *b,
                        const struct data *data, int64_t step, int64_t first)
{
    const struct mat images = batch_mat(b, BATCH_IMAGES);
    const int64_t index     = step * vit_batch(all->vit) + all->row.b.lo + first;

    dev_normals(stream, images, data->seed, RNG_IMAGE, (uint64_t)(index * images.cols));
}

/* Micro-batch 'micro' of 'step' to the device, after feed_row(). */
static void to_device(struct batches *all, struct batch *b, const struct data *data,
                      int64_t step, int micro, enum dev_lane lane, enum way way)
{
    struct dev_stream *stream = dev_stream(vit_dev(all->vit), lane);
    const int64_t first       = place_batch(b, all, micro);

    if (way == WAY_PICTURES)
        put_pictures(all, stream, b, first);
    else if (way == WAY_DRAWN)
        draw_images(all, stream, b, data, step, first);
    else
        put(stream, b, BATCH_IMAGES, host_part(all, HOST_IMAGES, first));
    put(stream, b, BATCH_TARGETS, host_part(all, HOST_TARGETS, first));
}

/* What the host has a part in of the row's batch of 'step', to its memory. */
static void feed_row(struct batches *all, struct feed *feed, int64_t step, enum way way)
{
    float *targets = host_part(all, HOST_TARGETS, 0);

    if (way == WAY_PICTURES) {
        dev_event_sync(all->pictures.is_seen);
        all->pictures.share =
            feed_pictures(feed, list_of(all), bytes_of(all), targets, step);
    } else if (way == WAY_DRAWN) {
        feed_targets(feed, targets, step);
    } else {
        feed_batch(feed, host_part(all, HOST_IMAGES, 0), targets, step);
    }
}

/* Micro-batch 'micro' of 'step'; the first one has the row's images made, and so does
 * one that finds another source's in their place.
 */
static void make_batch(struct batches *all, struct batch *b, int64_t step, int micro,
                       enum dev_lane lane)
{
    const enum way way = way_of(all, all->data);

    if (micro == 0 || all->row_step != step)
        feed_row(all, all->feed, step, way);
    all->row_step = step;
    to_device(all, b, all->data, step, micro, lane, way);
}

void batches_next(struct batches *b, int64_t step, int micro)
{
    struct dev_stream *stream = dev_stream(vit_dev(b->vit), LANE_COMPUTE);
    struct batch *ahead       = &b->batch[1 - b->at];

    if (b->is_ahead && ahead->step == step && ahead->micro == micro) {
        dev_event_wait(stream, ahead->is_here);
        ahead->step = -1;
        b->at       = 1 - b->at;
    } else {
        make_batch(b, &b->batch[b->at], step, micro, LANE_COMPUTE);
    }
}

void batches_ahead(struct batches *b, int64_t step, int micro)
{
    struct dev *dev     = vit_dev(b->vit);
    struct batch *ahead = &b->batch[1 - b->at];
    const bool is_last  = micro == vit_micros(b->vit) - 1;

    if (!b->is_ahead)
        return;
    dev_event_record(b->batch[b->at].is_read, dev_stream(dev, LANE_COMPUTE));
    dev_event_wait(dev_stream(dev, LANE_GATHER), ahead->is_read);
    ahead->step  = step + is_last;
    ahead->micro = is_last ? 0 : micro + 1;
    make_batch(b, ahead, ahead->step, ahead->micro, LANE_GATHER);
    dev_event_record(ahead->is_here, dev_stream(dev, LANE_GATHER));
}

/* The row's batch of 'step' of another source, for once. */
static void feed_other(struct batches *b, const struct data *data, int64_t step,
                       enum way way)
{
    const struct mesh *mesh = vit_mesh(b->vit);
    const struct local *l   = &b->row;
    const int64_t B         = vit_batch(b->vit);
    const int threads       = dev_threads(vit_dev(b->vit));
    struct feed *feed       = NULL;
    int rc;

    if (way == WAY_IMAGES) {
        feed_once(data, mesh, B, l->b, l->k, threads, host_part(b, HOST_IMAGES, 0),
                  host_part(b, HOST_TARGETS, 0), step);
        return;
    }
    rc = feed_open(&feed, data, mesh, B, l->b, l->k, threads, form_of(b, way));
    if (rc != 0)
        err_end(rc);
    feed_last(feed);
    feed_row(b, feed, step, way);
    feed_close(&feed);
}

void batches_other(struct batches *b, const struct data *data, int64_t step, int micro)
{
    enum way way = way_of(b, data);

    if (way == WAY_PICTURES && b->pictures.host == NULL)
        way = WAY_IMAGES; /* there is no room for any */
    if (micro == 0)
        feed_other(b, data, step, way);
    b->row_step = -1;
    to_device(b, &b->batch[b->at], data, step, micro, LANE_COMPUTE, way);
}
