/* SPDX-License-Identifier: BSD-3-Clause */
/* What a checkpoint says about itself besides its tensors: attributes of /meta. */
#ifndef CKPT_META_H
#define CKPT_META_H

#include "src/io/h5.h"

#include <jansson.h>

/* What the options call the digests of the images that a run is trained on, and of
 * those that --holdout=FILE holds: no options are called so.
 */
#define META_SET      "set"
#define META_HELD_SET "holdout-set"

struct ckpt_meta {
    int64_t step;     /* updates that are in the parameters */
    int64_t examples; /* images that were seen */
    int64_t position; /* where the image source goes on */
    json_t *options;  /* an object: texts by name; NULL: none */
    json_t *tuned;    /* where, and what was chosen by timing; NULL: none */
    char version[64]; /* that wrote the file: meta_write() takes this program's */
};

/* Put 'meta' into the group /meta, which is there.  Returns 0 or ERR_IO. */
int meta_write(struct h5 *file, const struct ckpt_meta *meta);

/* Read it; meta_free() drops the references to options and tuned choices.  Returns 0,
 * ERR_IO or ERR_DATA with a sentence.
 */
int meta_read(struct ckpt_meta *meta, const struct h5 *file);
void meta_free(struct ckpt_meta *meta);

#endif
