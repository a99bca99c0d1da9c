/* SPDX-License-Identifier: BSD-3-Clause */
/* This rank's copy of the tensors on the host, from which the threads write while
 * training goes on.  Where memory is short it is taken in several passes, each of which
 * must be written before the next.
 */
#ifndef CKPT_COPY_H
#define CKPT_COPY_H

#include "ckpt/boxes.h"
#include "ckpt/file.h"
#include "ckpt/writer.h"

struct copy {
    struct boxes *boxes; /* borrowed, as are the next two */
    const struct ckpt_list *list;
    const int *dataset; /* of each tensor: its number in the file */
    int passes;         /* 0: not open */
    float *at;          /* room for one pass, 'bytes' */
    size_t bytes;
    struct writer_part *part; /* of the pass at hand, 'parts' of them */
    int parts;
};

/* Make room for passes of at most 'memory' bytes (0: half of what is free on the node,
 * shared evenly), which need not agree; their number is that of the rank with the least
 * room for its share.  Returns 0 or ERR_MEMORY, the same on all ranks, and is not open
 * then.  Collective over 'mesh'.
 */
int copy_open(struct copy *c, struct mesh *mesh, struct boxes *boxes,
              const struct ckpt_list *list, const int *dataset, int64_t memory);
void copy_close(struct copy *c);

/* Take a pass from the device: 'part' is then what is to be written, at the places of
 * the datasets 'entry'.  Waits until all is there.  Collective over the model axis.
 */
void copy_take(struct copy *c, const struct entry *entry, int pass);

#endif
