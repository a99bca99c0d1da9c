/* SPDX-License-Identifier: BSD-3-Clause */
/* A thread that writes parts of a file from memory, sums their digests and fsyncs, while
 * the main thread does something else.  It calls neither HDF5 nor MPI, and sends what it
 * has written on its way to the disk at once, so that little is left for the fsync.
 * What else waits for the disk can be left to it as well.
 */
#ifndef CKPT_WRITER_H
#define CKPT_WRITER_H

#include <stdbool.h>
#include <stdint.h>

/* 'count' numbers from 'at' on, which are the elements from 'index' on of dataset number
 * 'dataset', and lie at byte 'offset' of the file.
 */
struct writer_part {
    const float *at;
    int64_t count, index, offset;
    int dataset;
};

/* Write all of it, however many calls it takes: 0 or an errno. */
int writer_pwrite(int fd, const void *data, int64_t bytes, int64_t offset);

struct writer;

/* What the thread does: 0, or a code with its sentence. */
typedef int (*writer_job_fn)(void *ctx);

/* Start the thread: 0 or ERR_ENV.  Closing waits for what is under way. */
int writer_open(struct writer **w);
void writer_close(struct writer **w);

/* Start to write parts of 'path', a file that exists, and to add their digests to
 * digest[dataset]: those of 'part' as they are added, 'parts' more at a time, until
 * writer_end().  All three are borrowed until writer_wait() is true.  Nothing may be
 * under way.
 */
void writer_start(struct writer *w, const char *path, const struct writer_part *part,
                  uint64_t *digest);
void writer_add(struct writer *w, int parts);
void writer_end(struct writer *w);

/* Start to do 'job' with 'ctx'.  Nothing may be under way. */
void writer_do(struct writer *w, writer_job_fn job, void *ctx);

/* Wait at most this long; true if nothing is under way any more. */
bool writer_wait(struct writer *w, double seconds);

/* How the last job ended: 0, or its code with its sentence. */
int writer_result(struct writer *w);

#endif
