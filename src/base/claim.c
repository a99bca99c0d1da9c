/* SPDX-License-Identifier: BSD-3-Clause */
/* Locks of fcntl(), which also file systems of clusters have. */
#include "config.h"

#include "src/base/claim.h"

#include "src/base/err.h"
#include "src/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Seconds after which a server has let go of the locks of a host that is lost. */
enum { LEASE = 120 };

/* The process of this host that has the file locked; 0: one elsewhere, or none. */
static long holder(int fd)
{
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    const bool is_held = fcntl(fd, F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK &&
                         whole.l_pid > 0 &&
                         (kill(whole.l_pid, 0) == 0 || errno == EPERM);

    return is_held ? (long)whole.l_pid : 0;
}

/* Try for as long as a lock may be that of a lost host. */
static int wait_for(int fd, const char *path)
{
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    for (int second = 0; second <= LEASE; second++) {
        long process;

        if (fcntl(fd, F_SETLK, &whole) == 0 || (errno != EAGAIN && errno != EACCES))
            return 0;
        process = holder(fd);
        if (process > 0)
            return ERR(ERR_IO, "%s is being written by another program, process %ld",
                       path, process);
        if (second == 0)
            WARN("%s is locked from elsewhere; waiting up to %d s", path, LEASE);
        sleep(1);
    }
    return ERR(ERR_IO, "%s is being written by another program", path);
}

/* Lock the open file.  '*is_gone' if it has lost its name since it was opened: who had
 * it has dropped it meanwhile.
 */
static int lock(bool *is_gone, int fd, const char *path)
{
    struct stat state;

    TRY(wait_for(fd, path));
    if (fstat(fd, &state) != 0)
        return err_unwritten(path);
    *is_gone = state.st_nlink == 0;
    return 0;
}

/* Another user may have left the lock's file; else nothing can be made here. */
static int not_opened(const char *lock_path, const char *path)
{
    const int error    = errno;
    const bool is_left = access(lock_path, F_OK) == 0;

    errno = error;
    return err_unwritten(is_left ? lock_path : path);
}

/* In a folder with the sticky bit, as /tmp has it, files are replaced by their owners
 * alone.
 */
static bool is_kept(const char *path, const struct stat *file)
{
    char folder[CLAIM_PATH];
    struct stat state;

    strcpy(folder, path);
    return geteuid() != 0 && file->st_uid != geteuid() &&
           stat(dirname(folder), &state) == 0 && (state.st_mode & S_ISVTX) != 0 &&
           state.st_uid != geteuid();
}

/* What takes long to write will take the place of a file that is there. */
static int check_old(const char *path)
{
    struct stat file;

    if (lstat(path, &file) != 0)
        return 0;
    if (S_ISREG(file.st_mode) && access(path, W_OK) != 0)
        return err_unwritten(path);
    if (is_kept(path, &file)) {
        errno = EPERM;
        return err_unwritten(path);
    }
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
        return err_unwritten(path);
    }
    if (!is_folder)
        TRY(check_old(path));
    while (is_gone) {
        const int fd = open(c->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        int rc;

        if (fd < 0)
            return not_opened(c->path, path);
        rc = lock(&is_gone, fd, path);
        if (rc != 0 || is_gone)
            close(fd);
        TRY(rc);
        c->fd = fd;
    }
    c->is_held = true;
    return 0;
}

void claim_drop(struct claim *c)
{
    if (!c->is_held)
        return;
    unlink(c->path);
    close(c->fd);
    c->is_held = false;
}
