/* SPDX-License-Identifier: BSD-3-Clause */
/* A file written and read block by block, as dd does it, with an fsync at the end. */
#include "config.h"

#include "bench/plain.h"

#include "mesh/guard.h"
#include "src/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static int move_all(const struct plain *p, int fd, bool is_written)
{
    for (int64_t at = p->share.lo; at < p->share.hi;) {
        const int64_t rest = p->share.hi - at;
        const size_t n     = (size_t)(rest < PLAIN_BLOCK ? rest : PLAIN_BLOCK);
        const ssize_t got  = is_written ? pwrite(fd, p->block, n, (off_t)at)
                                        : pread(fd, p->block, n, (off_t)at);

        if (got <= 0)
            return ERR(ERR_IO, "%s: %s", p->path, got < 0 ? strerror(errno) : "ends");
        at += got;
        guard_alive();
    }
    return 0;
}

int plain_write(const struct plain *p)
{
    const int fd = open(p->path, O_WRONLY | O_CREAT, 0666);
    int rc;

    if (fd < 0)
        return ERR(ERR_IO, "%s cannot be made: %s", p->path, strerror(errno));
    rc = move_all(p, fd, true);
    if (rc == 0 && fsync(fd) != 0)
        rc = ERR(ERR_IO, "%s: %s", p->path, strerror(errno));
    close(fd);
    return rc;
}

int plain_read(const struct plain *p)
{
    const int fd = open(p->path, O_RDONLY);
    int rc;

    if (fd < 0)
        return ERR(ERR_IO, "%s cannot be read: %s", p->path, strerror(errno));
    rc = move_all(p, fd, false);
    close(fd);
    return rc;
}

void plain_drop(const char *path)
{
    const int fd = open(path, O_RDONLY);

    if (fd < 0)
        return;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}
