/* SPDX-License-Identifier: BSD-3-Clause */
/* Folders are read in the order of their names, so that a set does not depend on the
 * file system.
 */
#include "config.h"

#include "src/data/gather.h"

#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/data/h5set.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEPTH_MOST = 16 };

static char *copy_text(const char *text)
{
    char *copy = mem_new(strlen(text) + 1, 1);

    return strcpy(copy, text);
}

static void add(struct gather *g, const char *path, const int32_t *label, int labels)
{
    struct gather_file *f;

    if (g->count == g->room) {
        g->room = 2 * g->room + 64;
        g->file = mem_grow(g->file, (size_t)g->count, (size_t)g->room, sizeof *g->file);
    }
    f         = &g->file[g->count++];
    f->path   = copy_text(path);
    f->labels = labels;
    f->label  = mem_new((size_t)labels + 1, sizeof *label);
    memcpy(f->label, label, (size_t)labels * sizeof *label);
    g->has_many |= labels != 1;
}

void gather_close(struct gather *g)
{
    for (int64_t i = 0; i < g->count; i++) {
        mem_free(g->file[i].path);
        mem_free(g->file[i].label);
    }
    mem_free(g->file);
    mem_free(g->names);
    *g = (struct gather){ 0 };
}

/* ---- a folder -------------------------------------------------------------------- */

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Names in the order of their bytes, whatever the language. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int join(char path[PATH_MAX], const char *folder, const char *name)
{
    if (snprintf(path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
        return ERR(ERR_IO, "%.128s../%s is too long a name", folder, name);
    return 0;
}

/* All files below 'folder' as 'class'. */
static int walk(struct gather *g, const char *folder, int32_t class, int depth)
{
    struct dirent **entry;
    const int n = scandir(folder, &entry, is_visible, by_name);
    char path[PATH_MAX];
    struct stat about;
    int rc = 0;

    if (n < 0)
        return ERR(ERR_IO, "%s cannot be read: %s", folder, strerror(errno));
    if (depth == DEPTH_MOST)
        rc = ERR(ERR_DATA, "%s: folders in folders, more than %d", folder, DEPTH_MOST);
    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = join(path, folder, entry[i]->d_name);
        if (rc == 0 && stat(path, &about) != 0) {
            WARN("%s is skipped: %s", path, strerror(errno));
            g->bad_lines++;
        } else if (rc == 0 && S_ISDIR(about.st_mode))
            rc = walk(g, path, class, depth + 1);
        else if (rc == 0 && S_ISREG(about.st_mode))
            add(g, path, &class, 1);
        free(entry[i]);
    }
    free(entry);
    return rc;
}

/* The folders in 'from' are the classes; files beside them belong to none. */
static int add_classes(struct gather *g, const char *from, struct dirent **entry, int n)
{
    char path[PATH_MAX];
    size_t used = 0;
    struct stat about;
    bool is_there;

    for (int i = 0; i < n; i++) {
        TRY(join(path, from, entry[i]->d_name));
        is_there = stat(path, &about) == 0;
        if (!is_there && errno != ENOENT && errno != ELOOP)
            return err_unread(path);
        if (!is_there || !S_ISDIR(about.st_mode)) {
            WARN("%s is skipped: it is in no class's folder", path);
            g->bad_lines++;
            continue;
        }
        used += (size_t)sprintf(g->names + used, "%s%s", g->classes > 0 ? "\n" : "",
                                entry[i]->d_name);
        TRY(walk(g, path, (int32_t)g->classes++, 0));
    }
    if (g->classes == 0)
        return ERR(ERR_DATA, "%s has no folders: each class's images belong into one",
                   from);
    return 0;
}

int gather_folder(struct gather *g, const char *from)
{
    struct dirent **entry;
    const int n   = scandir(from, &entry, is_visible, by_name);
    size_t length = 1;
    int rc;

    *g = (struct gather){ 0 };
    if (n < 0)
        return err_unread(from);
    for (int i = 0; i < n; i++)
        length += strlen(entry[i]->d_name) + 1;
    g->names = mem_new(length, 1);
    rc       = add_classes(g, from, entry, n);
    for (int i = 0; i < n; i++)
        free(entry[i]);
    free(entry);
    return rc;
}

/* ---- a list ---------------------------------------------------------------------- */

/* Take the numbers off the end of 'line', which keeps the path; returns how many, or -1
 * for a label that is none.
 */
static int take_labels(int32_t *label, int most, char *line)
{
    int n = 0;

    for (;;) {
        char *end = line + strlen(line), *at;
        long value;

        while (end > line && (isspace((unsigned char)end[-1]) || end[-1] == ','))
            *--end = '\0';
        at = end;
        while (at > line && isdigit((unsigned char)at[-1]))
            at--;
        if (at == end || at == line ||
            (!isspace((unsigned char)at[-1]) && at[-1] != ','))
            return n; /* no number of its own: the path's end */
        value = strtol(at, NULL, 10);
        if (n == most || end - at > 9 || value >= H5SET_CLASSES_MOST)
            return -1;
        label[n++] = (int32_t)value;
        *at        = '\0';
    }
}

static int add_line(struct gather *g, const char *folder, char *line)
{
    enum { LABELS_MOST = 256 };
    int32_t label[LABELS_MOST];
    const int n = take_labels(label, LABELS_MOST, line);
    char path[PATH_MAX];

    if (n < 1)
        return ERR(ERR_DATA, "not a path and labels, whole numbers from 0");
    if (line[0] == '/')
        snprintf(path, sizeof path, "%s", line);
    else
        TRY(join(path, folder, line));
    for (int i = 0; i < n; i++)
        g->classes = label[i] >= g->classes ? label[i] + 1 : g->classes;
    add(g, path, label, n);
    return 0;
}

int gather_list(struct gather *g, const char *from)
{
    FILE *file = fopen(from, "r");
    char folder[PATH_MAX], *line = NULL, *slash;
    size_t room = 0;
    int rc;

    *g = (struct gather){ 0 };
    if (file == NULL)
        return err_unread(from);
    g->names = copy_text("");
    snprintf(folder, sizeof folder, "%s", from);
    slash = strrchr(folder, '/');
    strcpy(slash != NULL ? slash : folder, slash != NULL ? "" : ".");
    for (int64_t i = 1; getline(&line, &room, file) >= 0; i++) {
        if (line[strspn(line, " \t\r\n")] == '\0' || line[0] == '#')
            continue;
        if (add_line(g, folder, line) != 0) {
            WARN("%s, line %lld is skipped: %s", from, (long long)i, err_sentence());
            err_forget();
            g->bad_lines++;
        }
    }
    rc = ferror(file) != 0 ? err_unread(from) : 0;
    free(line);
    fclose(file);
    if (rc == 0 && g->count == 0)
        return ERR(ERR_DATA, "%s lists no image", from);
    return rc;
}
