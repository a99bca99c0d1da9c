/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading and writing past the system's page cache (O_DIRECT), where the file system
 * can do that: nobody would read a checkpoint's pages again, and no data is left
 * that the fsync would have to move.
 *
 * Only whole blocks can be written that way, and only from memory whose address has the
 * same place within a block as the data has in the file:
 *
 *      |  .. ends | whole blocks: straight | begins .. |
 *
 * What is before and behind them, and data that lie otherwise, go through the cache.
 */
#ifndef CKPT_DIRECT_H
#define CKPT_DIRECT_H

#include <stdint.h>

/* ---- writing --------------------------------------------------------------------- */

/* Any disk's blocks divide it, and any system's pages: none is half in the cache.  Less
 * than DIRECT_LEAST bytes are not worth it.
 */
enum { DIRECT_BLOCK = 1 << 16, DIRECT_LEAST = 4 * DIRECT_BLOCK };

struct direct {
    int cached, straight; /* descriptors; 'straight' is -1 where it is not to be had */
};

/* Open 'path', which exists, for writing.  These return 0 or an errno.  Local. */
int direct_open(struct direct *d, const char *path);
int direct_write(struct direct *d, const void *data, int64_t bytes, int64_t offset);

/* Wait until all that was written is on the disk, and close; '*d' may be closed
 * already.
 */
int direct_close(struct direct *d);

/* Write all of it, however many calls it takes. */
int direct_pwrite(int fd, const void *data, int64_t bytes, int64_t offset);

/* ---- reading --------------------------------------------------------------------- */

/* Reading may take more than is wanted: whole sectors. */
enum { DIRECT_SECTOR = 4096 };

/* A descriptor to read 'path' past the cache, or -1 where that is not to be had. */
int direct_open_read(const char *path);

/* What a room for 'bytes' takes: whole sectors, and both ends may lie inside one. */
static inline int64_t direct_room(int64_t bytes)
{
    return (bytes / DIRECT_SECTOR + 2) * DIRECT_SECTOR;
}

/* Read 'bytes' from byte 'offset' on into 'room', which begins at a multiple of
 * DIRECT_SECTOR, however many calls it takes; '*at': where they begin in it.  Returns 0
 * or an errno; -1: the file ends before.
 */
int direct_read(void **at, void *room, int fd, int64_t bytes, int64_t offset);

#endif
