/* SPDX-License-Identifier: BSD-3-Clause */
/* A file of so many bytes, written and read by all ranks in blocks and nothing else:
 * what the disk can do.  Local; returns 0 or ERR_IO.
 */
#ifndef BENCH_PLAIN_H
#define BENCH_PLAIN_H

#include "src/base/split.h"

struct plain {
    char path[1024];
    struct range share; /* of the file's bytes: this rank's */
    char *block;        /* [PLAIN_BLOCK] */
};

enum { PLAIN_BLOCK = 4 << 20 };

/* Write this rank's share and wait until it is on the disk; read it. */
int plain_write(const struct plain *p);
int plain_read(const struct plain *p);

/* Let the system forget what it has in memory of a file that is on the disk. */
void plain_drop(const char *path);

#endif
