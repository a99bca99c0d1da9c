/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing a set.  HDF5 lays out the datasets, whose sizes are known beforehand, and
 * tells where they are; the bytes go there with pwrite().  The file is sparse at first,
 * so a full disk shows when bytes are written or, at the latest, synchronised.
 */
#include "config.h"

#include "src/data/h5set.h"

#include "src/base/draft.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/data/h5set_impl.h"
#include "src/io/h5.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(const struct h5set *set)
{
    return err_unwritten(set->path);
}

static int write_at(const struct h5set *set, const void *from, int64_t bytes,
                    int64_t at)
{
    const char *next = from;

    while (bytes > 0) {
        const ssize_t put = pwrite(set->fd, next, (size_t)bytes, at);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return failed(set);
        next += put;
        bytes -= put;
        at += put;
    }
    return 0;
}

/* ---- the file -------------------------------------------------------------------- */

static const char *items_name(enum h5set_kind kind)
{
    static const char *const name[] = { [H5SET_ENCODED]  = "/bytes",
                                        [H5SET_IMAGES]   = "/images",
                                        [H5SET_FEATURES] = "/features" };

    return name[kind];
}

static int lay_out(struct h5set *set, struct h5 *file, const char *names)
{
    const struct h5set_shape *s   = &set->shape;
    const struct h5_shape items[] = {
        [H5SET_ENCODED]  = { H5_TYPE_U8, 1, { s->bytes } },
        [H5SET_IMAGES]   = { H5_TYPE_U8, 4, { s->count, s->height, s->width, 3 } },
        [H5SET_FEATURES] = { H5_TYPE_F32, 2, { s->count, s->features } },
    };
    const struct h5_shape offset = { H5_TYPE_I64, 1, { s->count + 1 } };
    const struct h5_shape labels = { s->has_many ? H5_TYPE_U8 : H5_TYPE_I32,
                                     s->has_many ? 2 : 1,
                                     { s->count, s->classes } };

    TRY(h5_dataset(file, items_name(s->kind), &items[s->kind]));
    TRY(h5_offset(&set->items_at, file, items_name(s->kind)));
    if (s->kind == H5SET_ENCODED) {
        TRY(h5_dataset(file, "/offset", &offset));
        TRY(h5_offset(&set->offset_at, file, "/offset"));
    }
    TRY(h5_dataset(file, "/labels", &labels));
    TRY(h5_offset(&set->labels_at, file, "/labels"));
    TRY(h5_set_text(file, "/", "format", H5SET_FORMAT));
    TRY(h5_set_int(file, "/", "classes", s->classes));
    TRY(h5_set_int(file, "/", "digest", 0));
    return names[0] != '\0' ? h5_set_text(file, "/", "names", names) : 0;
}

/* Nobody else writes it; HDF5 would not say why it cannot; and a device would be
 * replaced by a file.
 */
static int check_place(struct h5set *set)
{
    struct stat there;
    int fd;

    if (stat(set->path, &there) == 0 && !S_ISREG(there.st_mode))
        return ERR(ERR_IO, "%s cannot be written: it is not a file", set->path);
    TRY(claim_take(&set->claim, set->path));
    fd = open(set->part, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return failed(set);
    close(fd);
    return 0;
}

static int create(struct h5set *set, const char *names)
{
    struct h5 *file = NULL;
    int rc, closed;

    TRY(check_place(set));
    TRY(h5_create(&file, set->part));
    rc     = lay_out(set, file, names);
    closed = h5_close(&file);
    TRY(rc != 0 ? rc : closed);
    set->fd = open(set->part, O_RDWR | O_CLOEXEC);
    if (set->fd < 0)
        return failed(set);
    if (set->shape.kind == H5SET_ENCODED)
        return write_at(set, &set->end, sizeof set->end, set->offset_at);
    return 0;
}

/* The names of a set to be. */
static int name(struct h5set *set, const char *path)
{
    if (strlen(path) >= sizeof set->path)
        return ERR(ERR_IO, "the name %.64s.. is too long", path);
    strcpy(set->path, path);
    snprintf(set->part, sizeof set->part, "%s.part", path);
    return 0;
}

int h5set_check(const char *path)
{
    struct h5set *set = mem_new(1, sizeof *set);
    int rc            = name(set, path);

    if (rc == 0)
        rc = check_place(set);
    set->fd = -1;
    h5set_drop(&set);
    return rc;
}

int h5set_create(struct h5set **set, const char *path, const struct h5set_shape *shape,
                 const char *names)
{
    struct h5set *made = mem_new(1, sizeof *made);
    int rc;

    made->shape = *shape;
    made->fd    = -1;
    made->many  = mem_new((size_t)shape->classes, 1);
    rc          = name(made, path);
    if (rc == 0)
        rc = h5_made(create(made, names));
    if (rc != 0)
        h5set_drop(&made);
    else
        *set = made;
    return rc;
}

/* ---- items ----------------------------------------------------------------------- */

static int write_label(struct h5set *set, const int32_t *label, int labels)
{
    const int64_t bytes = h5set_label_bytes(&set->shape);
    const void *row     = label;

    for (int i = 0; i < labels; i++) {
        if (label[i] < 0 || label[i] >= set->shape.classes)
            die("label %d of %lld classes", label[i], (long long)set->shape.classes);
    }
    if (set->shape.has_many) {
        memset(set->many, 0, (size_t)bytes);
        for (int i = 0; i < labels; i++)
            set->many[label[i]] = 1;
        row = set->many;
    }
    set->digest += h5set_hash(row, (size_t)bytes, ~set->next);
    return write_at(set, row, bytes, set->labels_at + set->next * bytes);
}

int h5set_append(struct h5set *set, const void *item, size_t size, const int32_t *label,
                 int labels)
{
    const int64_t end = set->end + (int64_t)size;

    if (set->next == set->shape.count ||
        (set->shape.kind == H5SET_ENCODED
             ? end > set->shape.bytes
             : size != (size_t)h5set_item_bytes(&set->shape)))
        die("item %lld of %zu bytes has no place in %s", (long long)set->next, size,
            set->path);
    TRY(write_at(set, item, (int64_t)size, set->items_at + set->end));
    TRY(write_label(set, label, labels));
    set->digest += h5set_hash(item, size, set->next);
    set->end = end;
    set->next++;
    if (set->shape.kind == H5SET_ENCODED)
        return write_at(set, &end, sizeof end, set->offset_at + 8 * set->next);
    return 0;
}

/* ---- the end --------------------------------------------------------------------- */

static int write_digest(const struct h5set *set)
{
    struct h5 *file = NULL;
    int rc, closed;

    TRY(h5_change(&file, set->part));
    rc     = h5_set_int(file, "/", "digest", (int64_t)set->digest);
    closed = h5_close(&file);
    return rc != 0 ? rc : closed;
}

static int finish(struct h5set *set)
{
    if (set->next != set->shape.count)
        die("%s has %lld items of %lld", set->path, (long long)set->next,
            (long long)set->shape.count);
    TRY(write_digest(set));
    if (fsync(set->fd) != 0)
        return failed(set);
    return draft_rename(set->path, set->part);
}

int h5set_finish(struct h5set **set)
{
    const int rc = h5_made(finish(*set));

    if (rc != 0)
        h5set_drop(set);
    else
        h5set_close(set);
    return rc;
}

void h5set_drop(struct h5set **set)
{
    if (*set == NULL)
        return;
    if ((*set)->claim.is_held) /* else it is another's */
        unlink((*set)->part);
    h5set_close(set);
}
