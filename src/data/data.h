/* SPDX-License-Identifier: BSD-3-Clause */
/* A source of images: the one of index i is the same whoever asks, whenever. */
#ifndef DATA_DATA_H
#define DATA_DATA_H

#include "src/plan/spec.h"

struct data;

struct data_ops {
    const char *name;
    /* image [image * image * 3], values about -1 .. 1, and its target's classes 'k' of
     * K; called by several threads at once
     */
    void (*get)(const struct data *data, float *image, float *target, struct range k,
                int64_t index);
    void (*close)(struct data *data);
};

struct data {
    const struct data_ops *ops;
    int image;
    int64_t classes;
    uint64_t seed;
};

/* Normal-distributed images and one random class each: for benchmarks. */
int data_open_noise(struct data **data, int image, int64_t classes, uint64_t seed);
void data_close(struct data **data);

/* The images 'b' of the batch of step 's': global indices s * B + b.lo .. into
 * images [B_l, image*image*3] and targets [B_l, k] for classes 'k'; host arrays.
 * 'threads' share the work.
 */
void data_batch(struct data *data, float *images, float *targets, int64_t B,
                int64_t step, struct range b, struct range k, int threads);

#endif
