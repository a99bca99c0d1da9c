/* SPDX-License-Identifier: BSD-3-Clause */
/* A crew writes parts of a file from memory, sums their digests and fsyncs, while the
 * main thread does something else.  What it writes goes straight to the disk
 * (ckpt/direct.h), so that next to nothing is left for the fsync.
 */
#ifndef CKPT_WRITER_H
#define CKPT_WRITER_H

#include "ckpt/crew.h"

#include <stdint.h>

/* 'count' numbers from 'at' on, which are the elements from 'index' on of dataset
 * number 'dataset', and lie at byte 'offset' of the file.
 */
struct writer_part {
    const float *at;
    int64_t count, index, offset;
    int dataset;
};

struct writer;

/* 'crew' is borrowed, and at work between writer_start() and the true
 * of crew_wait().
 */
struct writer *writer_open(struct crew *crew);
void writer_close(struct writer **w);

/* Start to write 'parts' parts of 'path', a file that exists, and to add their
 * digests to digest[dataset].  All three are borrowed until crew_wait() is true.
 * Nothing may be under way.
 */
void writer_start(struct writer *w, const char *path, const struct writer_part *part,
                  int parts, uint64_t *digest);

#endif
