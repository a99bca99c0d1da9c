/* SPDX-License-Identifier: BSD-3-Clause */
/* Locks of fcntl(), which also file systems of clusters have. */
#include "config.h"

#include "src/base/claim.h"

#include "src/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(const char *path)
{
    return ERR(ERR_IO, "%s cannot be written: %s", path, strerror(errno));
}

/* Lock the open file.  '*is_gone' if it has lost its name since it was opened: who had it
 * has dropped it meanwhile.
 */
static int lock(bool *is_gone, int fd, const char *path)
{
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    struct stat state;

    if (fcntl(fd, F_SETLK, &whole) != 0 && (errno == EAGAIN || errno == EACCES)) {
        whole.l_pid = 0;
        if (fcntl(fd, F_GETLK, &whole) != 0 || whole.l_type == F_UNLCK)
            whole.l_pid = 0;
        return whole.l_pid > 0
                   ? ERR(ERR_IO, "%s is being written by another program, process %ld",
                         path, (long)whole.l_pid)
                   : ERR(ERR_IO, "%s is being written by another program", path);
    }
    if (fstat(fd, &state) != 0)
        return failed(path);
    *is_gone = state.st_nlink == 0;
    return 0;
}

int claim_take(struct claim *c, const char *path)
{
    struct stat state;
    const bool is_folder = stat(path, &state) == 0 && S_ISDIR(state.st_mode);
    bool is_gone         = true;

    *c = (struct claim){ 0 };
    if (snprintf(c->path, sizeof c->path, "%s%s", path,
                 is_folder ? "/.lock" : ".lock") >= (int)sizeof c->path) {
        errno = ENAMETOOLONG;
        return failed(path);
    }
    while (is_gone) {
        const int fd = open(c->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        int rc;

        if (fd < 0)
            return failed(path);
        rc = lock(&is_gone, fd, path);
        if (rc != 0 || is_gone)
            close(fd);
        else
            c->fd = fd;
        TRY(rc);
    }
    return 0;
}

void claim_drop(struct claim *c)
{
    if (c->fd <= 0)
        return;
    unlink(c->path);
    close(c->fd);
    c->fd = 0;
}
