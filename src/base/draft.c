/* SPDX-License-Identifier: BSD-3-Clause */
/* Written beside, flushed, synced, renamed; then the folder is synced, which keeps the
 * name.
 */
#include "config.h"

#include "src/base/draft.h"

#include "src/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* True for what cannot be replaced by a file beside it: devices, pipes, and what this
 * process has open, for example as /dev/stdout.
 */
static bool is_special(const char *path)
{
    struct stat state;

    return strncmp(path, "/dev/std", 8) == 0 || strncmp(path, "/dev/fd/", 8) == 0 ||
           strncmp(path, "/proc/", 6) == 0 ||
           (stat(path, &state) == 0 && !S_ISREG(state.st_mode));
}

/* The names.  A link stays one: the file it leads to is replaced. */
static int name(struct draft *d, const char *path)
{
    enum { LINKS = 40 };
    char to[DRAFT_PATH];
    size_t n, at = 0;
    const char *base;

    *d = (struct draft){ 0 };
    n  = strlen(path);
    memcpy(to, path, n < sizeof to ? n : 0);
    for (int i = 0; i < LINKS && at + n < sizeof d->path; i++) {
        ssize_t length;

        memcpy(d->path + at, to, n);
        d->path[at + n] = '\0';
        d->is_beside    = !is_special(d->path);
        length          = d->is_beside ? readlink(d->path, to, sizeof to) : -1;
        base            = strrchr(d->path, '/');
        if (length < 0)
            break;
        n  = (size_t)length;
        at = base != NULL && to[0] != '/' ? (size_t)(base + 1 - d->path) : 0;
    }
    if (at + n >= sizeof d->path) {
        errno = ENAMETOOLONG;
        return err_unwritten(path);
    }
    if (d->is_beside)
        snprintf(d->part, sizeof d->part, "%s.%ld.part", d->path, (long)getpid());
    else
        strcpy(d->part, d->path);
    return 0;
}

/* True if both are one file, be it there or not: one name in one folder. */
static bool is_one(const char *a, const char *b)
{
    const char *const path[2] = { a, b };
    struct stat folder[2];
    struct draft d[2];
    char *base[2];

    for (int i = 0; i < 2; i++) {
        if (path[i][0] == '\0' || name(&d[i], path[i]) != 0 || !d[i].is_beside)
            return false;
        strcpy(d[i].part, d[i].path);
        base[i] = basename(d[i].path);
        if (stat(dirname(d[i].part), &folder[i]) != 0)
            return strcmp(a, b) == 0; /* a folder that is still to be made */
    }
    return strcmp(base[0], base[1]) == 0 && folder[0].st_dev == folder[1].st_dev &&
           folder[0].st_ino == folder[1].st_ino;
}

int draft_apart(const char *const *path, int outputs, int inputs)
{
    for (int i = 0; i < outputs + inputs; i++) {
        for (int k = 0; k < i && k < outputs; k++) {
            if (is_one(path[k], path[i]))
                return ERR(ERR_USAGE,
                           i < outputs ? "two outputs would write the same file %s"
                                       : "%s is read, and would be written over",
                           path[i]);
        }
    }
    err_forget(); /* a name that is too long, which whoever opens it says */
    return 0;
}

/* Open the part, among temporary files where 'path' is there, but nothing can be made
 * beside it.
 */
static FILE *open_part(struct draft *d)
{
    FILE *file      = fopen(d->part, d->is_beside ? "w" : "a");
    const int error = errno;
    const char *folder;
    int fd;

    if (file != NULL || !d->is_beside || access(d->path, W_OK) != 0) {
        errno = error;
        return file;
    }
    folder = getenv("TMPDIR");
    snprintf(d->part, sizeof d->part, "%.*s/vitbench-XXXXXX", DRAFT_PATH,
             folder != NULL && folder[0] != '\0' ? folder : "/tmp");
    fd = mkstemp(d->part);
    return fd >= 0 ? fdopen(fd, "w") : NULL;
}

int draft_open(struct draft *d, const char *path)
{
    struct stat there;

    TRY(name(d, path));
    if (access(d->path, W_OK) != 0 && errno != ENOENT)
        return err_unwritten(path);
    d->file = open_part(d);
    if (d->file == NULL)
        return err_unwritten(path);
    if (d->is_beside && stat(d->path, &there) == 0)
        fchmod(fileno(d->file), there.st_mode & 0777);
    return 0;
}

/* Some file systems sync no folders. */
static int sync_folder(const char *path)
{
    char folder[DRAFT_PATH];
    int fd, rc;

    strcpy(folder, path);
    fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return 0; /* one may write into a folder that one may not read */
    rc = fsync(fd) == 0 || errno == EINVAL ? 0 : -1;
    close(fd);
    return rc;
}

int draft_rename(const char *path, const char *from)
{
    const bool is_new = access(path, F_OK) != 0;
    int error;

    if (rename(from, path) != 0)
        return err_unwritten(path);
    if (sync_folder(path) == 0)
        return 0;
    error = errno;
    if (is_new)
        rename(path, from);
    errno = error;
    return err_unwritten(path);
}

/* Write the part over the file: one that may be written, but not replaced, as in a
 * folder of somebody else, or where something is mounted.  The part stays if that
 * fails, for the file may be spoilt then.
 */
static int write_over(struct draft *d)
{
    FILE *from   = fopen(d->part, "r");
    const int fd = from != NULL ? open(d->path, O_WRONLY | O_TRUNC | O_CLOEXEC) : -1;
    FILE *to     = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool is_bad  = from == NULL || to == NULL;
    int letter;

    while (!is_bad && (letter = getc(from)) != EOF)
        is_bad = putc(letter, to) == EOF;
    if (is_bad || ferror(from) != 0 || fflush(to) != 0 ||
        (fsync(fd) != 0 && errno != EINVAL)) {
        const int error = errno;

        if (from != NULL)
            fclose(from);
        if (to != NULL)
            fclose(to);
        d->is_beside = false;
        return ERR(ERR_IO, "%s cannot be written: %s; all of it is in %s", d->path,
                   strerror(error), d->part);
    }
    fclose(from);
    unlink(d->part);
    fclose(d->file);
    d->file = to;
    return 0;
}

/* Give the part its name. */
static int replace(struct draft *d)
{
    int error;

    if (rename(d->part, d->path) == 0)
        return sync_folder(d->path) == 0 ? 0 : err_unwritten(d->path);
    error = errno;
    if (access(d->path, W_OK) == 0)
        return write_over(d);
    errno = error;
    return err_unwritten(d->path);
}

int draft_publish(struct draft *d)
{
    const bool is_bad =
        ferror(d->file) != 0 || fflush(d->file) != 0 ||
        (d->is_beside && fsync(fileno(d->file)) != 0 && errno != EINVAL);
    int rc = 0;

    if (is_bad)
        rc = err_unwritten(d->path);
    else if (d->is_beside)
        rc = replace(d);
    if (rc != 0)
        draft_drop(d);
    return rc;
}

int draft_finish(struct draft *d)
{
    FILE *file;

    TRY(draft_publish(d));
    file    = d->file;
    d->file = NULL;
    return fclose(file) == 0 ? 0 : err_unwritten(d->path);
}

void draft_drop(struct draft *d)
{
    if (d->file != NULL)
        fclose(d->file);
    if (d->file != NULL && d->is_beside)
        unlink(d->part);
    d->file = NULL;
}

int draft_probe(const char *path, size_t room)
{
    struct draft d;
    struct stat state;
    bool is_bad = false;
    int rc;

    if (path[0] == '\0')
        return 0;
    /* who reads a pipe takes it for done when it is closed */
    if (stat(path, &state) == 0 && S_ISFIFO(state.st_mode))
        return access(path, W_OK) == 0 ? 0 : err_unwritten(path);
    TRY(draft_open(&d, path));
    for (size_t i = 0; i < room && d.is_beside; i++)
        is_bad |= fputc('\n', d.file) == EOF;
    is_bad |= fflush(d.file) != 0;
    rc = is_bad ? err_unwritten(path) : 0;
    draft_drop(&d);
    return rc;
}

int draft_json(const json_t *json, size_t form, const char *path)
{
    struct draft d;

    TRY(draft_open(&d, path));
    if (json_dumpf(json, d.file, form) == 0 || ferror(d.file) != 0) {
        fputc('\n', d.file);
        return draft_finish(&d);
    }
    draft_drop(&d);
    return ERR(ERR_DATA, "%s cannot be written: a text is not UTF-8", path);
}
