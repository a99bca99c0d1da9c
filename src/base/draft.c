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

static int failed(const char *path)
{
    return ERR(ERR_IO, "%s cannot be written: %s", path, strerror(errno));
}

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
    char *whole;

    *d           = (struct draft){ 0 };
    d->is_beside = !is_special(path);
    whole        = d->is_beside ? realpath(path, NULL) : NULL;
    if (strlen(whole != NULL ? whole : path) >= sizeof d->path) {
        free(whole);
        errno = ENAMETOOLONG;
        return failed(path);
    }
    strcpy(d->path, whole != NULL ? whole : path);
    free(whole);
    if (d->is_beside)
        snprintf(d->part, sizeof d->part, "%s.%ld.part", d->path, (long)getpid());
    else
        strcpy(d->part, d->path);
    return 0;
}

int draft_apart(const char *const *path, int count)
{
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < i; k++) {
            if (path[i][0] != '\0' && strcmp(path[k], path[i]) == 0 &&
                !is_special(path[i]))
                return ERR(ERR_USAGE, "two outputs would write the same file %s",
                           path[i]);
        }
    }
    return 0;
}

int draft_open(struct draft *d, const char *path)
{
    TRY(name(d, path));
    if (access(d->path, W_OK) != 0 && errno != ENOENT)
        return failed(path);
    d->file = fopen(d->part, d->is_beside ? "w" : "a");
    return d->file != NULL ? 0 : failed(path);
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

int draft_publish(struct draft *d)
{
    int rc = ferror(d->file) != 0 ? -1 : 0;

    rc |= fflush(d->file);
    if (rc == 0 && d->is_beside && fsync(fileno(d->file)) != 0 && errno != EINVAL)
        rc = -1;
    if (rc == 0 && d->is_beside)
        rc = rename(d->part, d->path);
    if (rc == 0 && d->is_beside)
        rc = sync_folder(d->path);
    if (rc == 0)
        return 0;
    rc = failed(d->path);
    draft_drop(d);
    return rc;
}

int draft_finish(struct draft *d)
{
    FILE *file;

    TRY(draft_publish(d));
    file    = d->file;
    d->file = NULL;
    return fclose(file) == 0 ? 0 : failed(d->path);
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
    bool is_bad = false;
    int rc;

    TRY(draft_open(&d, path));
    for (size_t i = 0; i < room && d.is_beside; i++)
        is_bad |= fputc('\n', d.file) == EOF;
    is_bad |= fflush(d.file) != 0;
    rc = is_bad ? failed(path) : 0;
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
