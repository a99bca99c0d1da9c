/* SPDX-License-Identifier: BSD-3-Clause */
/* Two threads that read and write while the main thread does something else.  While one
 * waits for the disk the other sums digests.  They call neither HDF5 nor MPI.
 */
#ifndef CKPT_CREW_H
#define CKPT_CREW_H

#include <stdbool.h>

enum { CREW = 2 };

struct crew;

/* What a thread does: 0, or a code with its sentence. */
typedef int (*crew_job_fn)(void *ctx);

/* Start the threads: 0 or ERR_ENV.  Closing waits for what is under way. */
int crew_open(struct crew **c);
void crew_close(struct crew **c);

/* Let 'threads' of them, at most CREW, do 'job' with 'ctx'.  Nothing
 * may be under way.
 */
void crew_do(struct crew *c, crew_job_fn job, void *ctx, int threads);

/* Wait at most this long; true if nothing is under way any more. */
bool crew_wait(struct crew *c, double seconds);

/* How the last job ended: 0, or the first code that is not, with its sentence. */
int crew_result(struct crew *c);

#endif
