/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads that write parts of a file from memory, sum their digests and fsync, while the
 * main thread does something else.  They call neither HDF5 nor MPI, and what they write
 * goes straight to the disk (ckpt/direct.h), so that next to nothing is left for the
 * fsync.  What else waits for the disk can be left to them as well.
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

struct writer;

/* What a thread does: 0, or a code with its sentence. */
typedef int (*writer_job_fn)(void *ctx);

/* Start the threads: 0 or ERR_ENV.  Closing waits for what is under way. */
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

/* Let one of the threads do 'job' with 'ctx'.  Nothing may be under way. */
void writer_do(struct writer *w, writer_job_fn job, void *ctx);

/* Wait at most this long; true if nothing is under way any more. */
bool writer_wait(struct writer *w, double seconds);

/* How the last job ended: 0, or its code with its sentence. */
int writer_result(struct writer *w);

#endif
