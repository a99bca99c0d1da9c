/* SPDX-License-Identifier: BSD-3-Clause */
/* What a training step needs, opened and closed together: model, optimizer, images.
 * The work of every benchmark: a classifier that starts from a normal kernel, images of
 * normal noise, and a learning rate so low that any length of run stays finite.
 */
#ifndef BENCH_SETUP_H
#define BENCH_SETUP_H

#include "bench/case.h"

struct setup {
    struct vit *vit;
    struct optim *optim;
    struct data *data;
    struct step *step;
};

/* Open all for a batch of 'B' images in the form of the run, in as many of its
 * micro-batches as have an image; 'seed' makes parameters and images.  Returns 0 or a
 * code, the same on all ranks.  Collective over the mesh.
 */
int setup_open(struct setup *setup, struct bench *b, const struct spec *spec, int64_t B,
               uint64_t seed);
void setup_close(struct setup *setup);

#endif
