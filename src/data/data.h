/* SPDX-License-Identifier: BSD-3-Clause */
/* A source of images: the one of index i is the same whoever asks, whenever.
 *
 * The batch of step s holds the indices s * B .. s * B + B - 1.  A set with an end is
 * passed through again and again; an index tells the pass too.
 */
#ifndef DATA_DATA_H
#define DATA_DATA_H

#include "src/data/augment.h"
#include "src/data/order.h"
#include "src/plan/spec.h"

struct data;

struct data_ops {
    const char *name;
    /* image [image * image * 3], values about -1 .. 1, and its target's classes 'k' of
     * K, target [k].  Either may be NULL: it is not asked for.  Called by several
     * threads at once.
     */
    void (*get)(const struct data *data, float *image, float *target, struct range k,
                int64_t index);
    /* The same image for a device to make: 'picture', its 'first' aside, and what
     * belongs to it in 'room', which is that of 'image' and PICTURE_ALIGN bytes
     * (src/dev/picture.h).  NULL: there are no pictures.
     */
    void (*picture)(const struct data *data, struct dev_picture *picture, void *room,
                    int64_t index);
    void (*close)(struct data *data);
    bool is_shared; /* an image costs more to make than to send: see feed.h */
    /* The numbers of the image of index i are the normal ones of (seed, RNG_IMAGE) from
     * index i * image * image * 3 on: a device may draw them itself.
     */
    bool is_normal;
    /* 0, or the code and sentence of what get() met and could not return.  NULL: it
     * meets nothing.
     */
    int (*failure)(const struct data *data);
};

struct data {
    const struct data_ops *ops;
    int image;
    int64_t classes;
    uint64_t seed;
    int64_t count;     /* images of a pass; 0: there is no end */
    uint64_t identity; /* of a set: the digest of its items in their order; 0: none */
    /* These two may be set until the first batch. */
    double mixup;     /* 0: none, else p: a step's share a is drawn from Beta(p, p) */
    double smoothing; /* this part of a target is spread evenly over all classes */
};

/* What the sources have in common. */
struct data_options {
    int image;
    int64_t classes; /* of a file 0: as many as it has */
    uint64_t seed;
    enum augment augment;
    enum order order;  /* of a file */
    double holdout;    /* of a file: the share of its images that is kept apart, */
    int64_t held_most; /* and how many that may be; 0: any number */
    bool is_held_out;  /* give the images kept apart, in their order, not the others */
    int rank, ranks;   /* of those who open a file together; 0: this one alone */
    double mixup, smoothing;
};

/* Normal-distributed images and one random class each: for benchmarks. */
int data_open_noise(struct data **data, int image, int64_t classes, uint64_t seed);

/* Nothing at all: images and targets stay as they are.  For devices that hold nothing
 * (dev_is_hollow()).
 */
int data_open_nothing(struct data **data, int image, int64_t classes);

/* Pictures of iterated function systems (fractal.h), without end.  Those held out share
 * no index with the others.  Returns 0 or ERR_USAGE.
 */
int data_open_fractal(struct data **data, const struct data_options *o);

/* The set 'path' (h5set.h); in libvith5.  Which images are held out depends on their
 * number and the share alone.  Returns 0; ERR_IO; ERR_DATA for a file that is no set of
 * images, is damaged, or has more classes than 'classes'; ERR_USAGE where nothing is
 * left; or ERR_ENV.  Where several open it, one may fail alone.
 */
int data_open_file(struct data **data, const char *path, const struct data_options *o);

void data_close(struct data **data);

/* 0, or the code and sentence of a source that cannot go on. */
int data_failure(const struct data *data);

/* The images 'b' of the batch of step 's': global indices s * B + b.lo .. into
 * images [B_l, image*image*3] and targets [B_l, k] for classes 'k'; host arrays.
 * 'threads' share the work.
 *
 * With mixup, image j of the batch is a x_j + (1 - a) x_(j-1), the one before the first
 * being the last, and so is its target; a is at least 1/2, one number a step.
 */
void data_batch(const struct data *data, float *images, float *targets, int64_t B,
                int64_t step, struct range b, struct range k, int threads);

/* The same in parts: the images; the targets; the index of the image before the first
 * of 'b'; the share a, 1 without mixup; and x[j] = a x[j] + (1 - a) x[j-1] in place,
 * for 'n' rows of 'size' numbers, of which 'before' stands before the first.
 */
void data_images(const struct data *data, float *images, int64_t B, int64_t step,
                 struct range b, int threads);
void data_targets(const struct data *data, float *targets, int64_t B, int64_t step,
                  struct range b, struct range k);
int64_t data_before(int64_t B, int64_t step, struct range b);
double data_share(const struct data *data, int64_t step);
void data_mix(float *x, int64_t n, int64_t size, const float *before, double a);

#endif
