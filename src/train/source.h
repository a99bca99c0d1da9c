/* SPDX-License-Identifier: BSD-3-Clause */
/* The images of a run: those that it is trained on, and those held out. */
#ifndef TRAIN_SOURCE_H
#define TRAIN_SOURCE_H

#include "mesh/mesh.h"
#include "src/data/data.h"
#include "src/train/options.h"

struct source {
    struct data *train;
    struct data *held;  /* NULL: none */
    int64_t held_count; /* images to look at */
};

/* Open both as the options say; without --classes there are as many as a set has:
 * s->train->classes.  Returns 0 or a code with a sentence, on one rank perhaps: each
 * looks at its share of a set's tables.  Local.
 */
int source_open(struct source *s, const struct train_plan *p,
                const struct train_options *o, const struct mesh *mesh);
void source_close(struct source *s);

#endif
