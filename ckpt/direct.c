/* SPDX-License-Identifier: BSD-3-Clause */
/* A file is written through two descriptors, one past the cache and one through it.
 * They never write the same block, so that the system has nothing to reconcile.
 */
#include "config.h"

#include "ckpt/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int direct_pwrite(int fd, const void *data, int64_t bytes, int64_t offset)
{
    const char *at = data;

    while (bytes > 0) {
        const ssize_t n = pwrite(fd, at, (size_t)bytes, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : ENOSPC;
        at += n;
        bytes -= n;
        offset += n;
    }
    return 0;
}

int direct_open(struct direct *d, const char *path)
{
    d->straight = -1;
    d->cached   = open(path, O_WRONLY);
    if (d->cached < 0)
        return errno;
#ifdef O_DIRECT
    d->straight = open(path, O_WRONLY | O_DIRECT);
#endif
    return 0;
}

static void close_straight(struct direct *d)
{
    if (d->straight >= 0)
        close(d->straight);
    d->straight = -1;
}

/* Whole blocks.  A file system that takes none of this kind after all says so with
 * EINVAL, at the first of them.
 */
static int write_blocks(struct direct *d, const char *data, int64_t bytes,
                        int64_t offset)
{
    int error = direct_pwrite(d->straight, data, bytes, offset);

    if (error == EINVAL) {
        close_straight(d);
        error = direct_pwrite(d->cached, data, bytes, offset);
    }
    return error;
}

int direct_write(struct direct *d, const void *data, int64_t bytes, int64_t offset)
{
    const char *from   = data;
    const int64_t head = (DIRECT_BLOCK - offset % DIRECT_BLOCK) % DIRECT_BLOCK;
    const int64_t body = (bytes - head) / DIRECT_BLOCK * DIRECT_BLOCK;
    const int64_t tail = bytes - head - body;
    int error;

    if (d->straight < 0 || bytes < DIRECT_LEAST ||
        ((uintptr_t)from + head) % DIRECT_BLOCK)
        return direct_pwrite(d->cached, from, bytes, offset);
    error = direct_pwrite(d->cached, from, head, offset);
    if (error == 0)
        error = write_blocks(d, from + head, body, offset + head);
    if (error == 0)
        error =
            direct_pwrite(d->cached, from + head + body, tail, offset + head + body);
    return error;
}

/* A flush of one descriptor is a flush of the file. */
int direct_close(struct direct *d)
{
    int error = 0;

    close_straight(d);
    if (d->cached < 0)
        return 0;
    if (fsync(d->cached) != 0)
        error = errno;
    if (close(d->cached) != 0 && error == 0)
        error = errno;
    d->cached = -1;
    return error;
}

int direct_open_read(const char *path)
{
#ifdef O_DIRECT
    return open(path, O_RDONLY | O_DIRECT);
#else
    (void)path;
    return -1;
#endif
}

int direct_read(void **at, void *room, int fd, int64_t bytes, int64_t offset)
{
    const int64_t before = offset % DIRECT_SECTOR, first = offset - before;
    const int64_t sectors = (before + bytes + DIRECT_SECTOR - 1) / DIRECT_SECTOR;
    int64_t got           = 0;

    while (got < before + bytes) {
        const ssize_t n =
            pread(fd, (char *)room + got, (size_t)(sectors * DIRECT_SECTOR - got),
                  (off_t)(first + got));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : -1;
        got += n;
    }
    *at = (char *)room + before;
    return 0;
}
