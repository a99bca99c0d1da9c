/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that are being made end in .h5.part, so that a name tells what is complete. */
#include "config.h"

#include "ckpt/folder.h"

#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

void folder_path(char path[CKPT_PATH], const char *dir, int64_t step)
{
    snprintf(path, CKPT_PATH, "%s/ckpt-%08" PRId64 ".h5", dir, step);
}

/* The step in a name "ckpt-STEP" followed by 'end', or -1. */
static int64_t step_of(const char *name, const char *end)
{
    static const char start[] = "ckpt-";
    char *after;
    int64_t step;

    if (strncmp(name, start, sizeof start - 1) != 0)
        return -1;
    name += sizeof start - 1;
    if (*name < '0' || *name > '9')
        return -1;
    step = strtoll(name, &after, 10);
    return strcmp(after, end) == 0 ? step : -1;
}

int folder_check(const char *dir)
{
    enum { FILES = 64 }; /* letters for the names of files in it */

    if (strlen(dir) > CKPT_PATH - FILES)
        return ERR(ERR_USAGE, "the name of the folder %s is too long", dir);
    return 0;
}

static int make(const char *dir)
{
    char path[CKPT_PATH];

    TRY(folder_check(dir));
    snprintf(path, sizeof path, "%s", dir);
    for (char *at = path + 1;; at++) {
        const char here = *at;

        if (here != '/' && here != '\0')
            continue;
        *at = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            return ERR(ERR_IO, "the folder %s cannot be made: %s", path,
                       strerror(errno));
        *at = here;
        if (here == '\0')
            return 0;
    }
}

static void remove_file(const char *path)
{
    if (unlink(path) != 0 && errno != ENOENT)
        WARN("%s cannot be removed: %s", path, strerror(errno));
}

void folder_drop(const char *path)
{
    if (truncate(path, 0) == 0 || errno != ENOENT)
        remove_file(path);
}

static void remove_unfinished(const char *dir, DIR *folder)
{
    const struct dirent *e;
    char path[2 * CKPT_PATH];

    while ((e = readdir(folder)) != NULL) {
        if (step_of(e->d_name, ".h5.part") < 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        remove_file(path);
    }
}

int folder_open(struct claim *claim, const char *dir)
{
    DIR *folder;
    int rc;

    TRY(make(dir));
    folder = opendir(dir);
    if (folder == NULL)
        return ERR(ERR_IO, "the folder %s cannot be read: %s", dir, strerror(errno));
    rc = claim_take(claim, dir);
    if (rc == 0)
        remove_unfinished(dir, folder);
    closedir(folder);
    return rc;
}

static int newest_first(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return a > b ? -1 : a < b;
}

static int unread(const char *dir, int error)
{
    return ERR(ERR_IO, "the folder %s cannot be read: %s", dir, strerror(error));
}

/* The next entry; at the end NULL, with errno set where there may be more. */
static const struct dirent *next_entry(DIR *folder)
{
    errno = 0;
    return readdir(folder);
}

int folder_steps(int64_t **steps, const char *dir)
{
    DIR *folder = opendir(dir);
    const struct dirent *e;
    int64_t *found;
    int count = 0, room = 64, error = 0;

    if (folder == NULL && errno != ENOENT)
        return unread(dir, errno);
    found = mem_new((size_t)room, sizeof *found);
    while (folder != NULL && (e = next_entry(folder)) != NULL) {
        const int64_t step = step_of(e->d_name, ".h5");

        if (step < 0)
            continue;
        if (count == room) {
            room *= 2;
            found = mem_grow(found, (size_t)count, (size_t)room, sizeof *found);
        }
        found[count++] = step;
    }
    if (folder != NULL) {
        error = errno;
        closedir(folder);
    }
    if (error != 0) {
        mem_free(found);
        return unread(dir, error);
    }
    qsort(found, (size_t)count, sizeof *found, newest_first);
    *steps = found;
    return count;
}

int folder_has_room(const char *dir, int64_t bytes)
{
    struct statvfs disk;
    double room;

    if (statvfs(dir, &disk) != 0)
        return ERR(ERR_IO, "%s: %s", dir, strerror(errno));
    room = (double)disk.f_bavail * (double)disk.f_frsize;
    if (room < (double)bytes)
        return ERR(ERR_IO, "%s has room for %.1f MB, and a checkpoint takes %.1f MB",
                   dir, room / 1e6, (double)bytes / 1e6);
    return 0;
}

void folder_keep(const char *dir, int keep, int64_t step)
{
    int64_t *steps = NULL;
    const int n    = keep > 0 ? folder_steps(&steps, dir) : 0;
    int later      = 0;
    char path[CKPT_PATH];

    while (later < n && steps[later] > step)
        later++;
    for (int i = later + keep; i < n; i++) {
        folder_path(path, dir, steps[i]);
        if (steps[i] != step)
            remove_file(path);
    }
    err_forget();
    mem_free(steps);
}
