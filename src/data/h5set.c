/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading a set.  Nothing that the file says is believed before it was compared with
 * the file's length, since the file may be of another program, cut short, or damaged.
 */
#include "config.h"

#include "src/data/h5set.h"

#include "mesh/guard.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/data/decode_impl.h"
#include "src/data/h5set_impl.h"
#include "src/io/h5.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 1 << 13 /* numbers of a table at a time */ };

/* ---- sizes and digest ------------------------------------------------------------ */

int64_t h5set_item_bytes(const struct h5set_shape *s)
{
    return s->kind == H5SET_IMAGES ? 3 * (int64_t)s->height * s->width
                                   : s->features * (int64_t)sizeof(float);
}

int64_t h5set_label_bytes(const struct h5set_shape *s)
{
    return s->has_many ? s->classes : (int64_t)sizeof(int32_t);
}

uint64_t h5set_hash(const void *bytes, size_t size, int64_t i)
{
    const unsigned char *at = bytes;
    uint64_t hash           = rng_mix((uint64_t)i) ^ size;
    uint64_t word           = 0;

    for (; size >= sizeof word; size -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    word = 0;
    if (size > 0) /* an empty item may be nowhere */
        memcpy(&word, at, size);
    return rng_mix(hash ^ word);
}

/* ---- bytes ----------------------------------------------------------------------- */

static int read_at(void *to, const struct h5set *set, int64_t bytes, int64_t at)
{
    char *next = to;

    while (bytes > 0) {
        const ssize_t got = pread(set->fd, next, (size_t)bytes, at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ERR(ERR_IO, "%s cannot be read: %s", set->path, strerror(errno));
        if (got == 0)
            return ERR(ERR_IO, "%s has become shorter", set->path);
        next += got;
        bytes -= got;
        at += got;
    }
    return 0;
}

/* ---- what the file says ---------------------------------------------------------- */

/* The place of the dataset 'name' of 'type' and 'dims' dimensions, all of which must
 * lie in the file's 'length' bytes.
 */
static int find(struct h5_shape *shape, int64_t *at, const struct h5 *file,
                const char *path, const char *name, enum h5_type type, int dims,
                int64_t length)
{
    static const int64_t bytes_of[H5_TYPES] = {
        [H5_TYPE_U8] = 1,  [H5_TYPE_I32] = 4, [H5_TYPE_I64] = 8,
        [H5_TYPE_F32] = 4, [H5_TYPE_F64] = 8,
    };
    int64_t bytes = bytes_of[type];

    TRY(h5_shape(shape, file, name));
    if (shape->type != type || shape->dims != dims)
        return ERR(ERR_DATA, "%s: '%s' has another type or shape than that of a set",
                   path, name);
    for (int i = 0; i < dims; i++) {
        if (shape->size[i] < 1 || shape->size[i] > length / bytes)
            return ERR(ERR_DATA, "%s: '%s' is empty, or larger than the file", path,
                       name);
        bytes *= shape->size[i];
    }
    TRY(h5_offset(at, file, name));
    if (*at < 0 || *at > length - bytes)
        return ERR(ERR_DATA, "%s: the file is cut off: '%s' is not all in it", path,
                   name);
    return 0;
}

/* 'rc' of reading what sets that others make need not say. */
static int may_lack(int rc)
{
    if (rc != ERR_DATA)
        return rc;
    err_forget();
    return 0;
}

static int check_format(const struct h5set *set, const struct h5 *file)
{
    char format[64] = "";

    TRY(may_lack(h5_get_text(format, sizeof format, file, "/", "format")));
    if (strncmp(format, H5SET_FORMAT, strcspn(H5SET_FORMAT, "0123456789")) == 0 &&
        strcmp(format, H5SET_FORMAT) != 0)
        return ERR(ERR_DATA,
                   "%s is a '%s', which another vitbench writes; this one knows '%s'",
                   set->path, format, H5SET_FORMAT);
    return 0;
}

static int find_items(struct h5set *set, const struct h5 *file, int64_t length)
{
    struct h5set_shape *s = &set->shape;
    struct h5_shape shape;
    bool is_there;

    TRY(h5_has(&is_there, file, "/bytes"));
    if (is_there) {
        s->kind = H5SET_ENCODED;
        TRY(find(&shape, &set->items_at, file, set->path, "/bytes", H5_TYPE_U8, 1,
                 length));
        s->bytes = shape.size[0];
        TRY(find(&shape, &set->offset_at, file, set->path, "/offset", H5_TYPE_I64, 1,
                 length));
        s->count = shape.size[0] - 1;
        return s->count > 0 ? 0 : ERR(ERR_DATA, "%s holds no image", set->path);
    }
    TRY(h5_has(&is_there, file, "/images"));
    if (is_there) {
        s->kind = H5SET_IMAGES;
        TRY(find(&shape, &set->items_at, file, set->path, "/images", H5_TYPE_U8, 4,
                 length));
        if (shape.size[3] != 3 || shape.size[1] > DECODE_SIDE_MOST ||
            shape.size[2] > DECODE_SIDE_MOST)
            return ERR(ERR_DATA, "%s: '/images' is not [n, height, width, 3]",
                       set->path);
        s->height = (int)shape.size[1];
        s->width  = (int)shape.size[2];
        s->count  = shape.size[0];
        return 0;
    }
    TRY(h5_has(&is_there, file, "/features"));
    if (is_there) {
        s->kind = H5SET_FEATURES;
        TRY(find(&shape, &set->items_at, file, set->path, "/features", H5_TYPE_F32, 2,
                 length));
        s->features = shape.size[1];
        s->count    = shape.size[0];
        return 0;
    }
    return ERR(ERR_DATA,
               "%s is no set of images: it has no 'bytes', 'images' or "
               "'features'",
               set->path);
}

/* Labels and classes; where the file does not say how many classes there are, 0. */
static int find_labels(struct h5set *set, const struct h5 *file, int64_t length)
{
    struct h5set_shape *s = &set->shape;
    struct h5_shape shape;

    TRY(h5_shape(&shape, file, "/labels"));
    s->has_many = shape.dims == 2;
    TRY(find(&shape, &set->labels_at, file, set->path, "/labels",
             s->has_many ? H5_TYPE_U8 : H5_TYPE_I32, shape.dims, length));
    if (shape.dims < 1 || shape.dims > 2 || shape.size[0] != s->count)
        return ERR(ERR_DATA, "%s: there are %lld items, but not as many labels",
                   set->path, (long long)s->count);
    s->classes = s->has_many ? shape.size[1] : 0;
    if (!s->has_many)
        TRY(may_lack(h5_get_int(&s->classes, file, "/", "classes")));
    return may_lack(h5_get_int(&s->digest, file, "/", "digest"));
}

/* ---- tables ---------------------------------------------------------------------- */

/* Where the items 'mine' begin and end. */
static int check_offsets(const struct h5set *set, struct range mine)
{
    int64_t offset[CHUNK], last = 0;

    for (int64_t i = mine.lo; i <= mine.hi; i += CHUNK) {
        const int64_t left = mine.hi + 1 - i, n = left < CHUNK ? left : CHUNK;

        TRY(read_at(offset, set, n * 8, set->offset_at + i * 8));
        for (int64_t j = 0; j < n; last = offset[j++]) {
            if (offset[j] < last || offset[j] > set->shape.bytes ||
                (i + j == 0 && offset[j] != 0))
                return ERR(ERR_DATA, "%s: offset %lld is wrong", set->path,
                           (long long)(i + j));
        }
        guard_alive();
    }
    return 0;
}

/* Labels are within the classes; without a number of classes it is found here, for
 * which all have to be looked at.
 */
static int check_labels(struct h5set *set, struct range mine)
{
    struct h5set_shape *s   = &set->shape;
    const struct range here = s->classes > 0 ? mine : (struct range){ 0, s->count };
    int32_t label[CHUNK], most = 0;

    for (int64_t i = here.lo; !s->has_many && i < here.hi; i += CHUNK) {
        const int64_t left = here.hi - i, n = left < CHUNK ? left : CHUNK;

        TRY(read_at(label, set, n * 4, set->labels_at + i * 4));
        for (int64_t j = 0; j < n; j++) {
            if (label[j] < 0 || (s->classes > 0 && label[j] >= s->classes))
                return ERR(ERR_DATA,
                           "%s: the label of item %lld is %d, of %lld "
                           "classes",
                           set->path, (long long)(i + j), (int)label[j],
                           (long long)s->classes);
            most = label[j] > most ? label[j] : most;
        }
        guard_alive();
    }
    if (s->classes < 1)
        s->classes = (int64_t)most + 1;
    if (s->classes > H5SET_CLASSES_MOST)
        return ERR(ERR_DATA, "%s has %lld classes, and a set may have %d", set->path,
                   (long long)s->classes, H5SET_CLASSES_MOST);
    return 0;
}

/* ---- open and close -------------------------------------------------------------- */

static int open_set(struct h5set *set, int rank, int ranks)
{
    struct h5 *file = NULL;
    struct stat about;
    struct range mine;
    int rc;

    set->fd = open(set->path, O_RDONLY | O_CLOEXEC);
    if (set->fd < 0 || fstat(set->fd, &about) != 0)
        return err_unread(set->path);
    if (S_ISDIR(about.st_mode))
        return ERR(ERR_DATA, "%s is a folder: vitdata pack makes a set of it",
                   set->path);
    rc = h5_open(&file, set->path);
    if (rc == ERR_DATA)
        return ERR(ERR_DATA, "%s is no HDF5 file, or a damaged one", set->path);
    TRY(rc);
    rc = check_format(set, file);
    if (rc == 0)
        rc = find_items(set, file, about.st_size);
    if (rc == 0)
        rc = find_labels(set, file, about.st_size);
    h5_close(&file);
    TRY(rc);
    mine = split_range(set->shape.count, ranks, rank);
    if (set->shape.kind == H5SET_ENCODED)
        TRY(check_offsets(set, mine));
    return check_labels(set, mine);
}

int h5set_open_among(struct h5set **set, const char *path, int rank, int ranks)
{
    struct h5set *made = mem_new(1, sizeof *made);
    int rc;

    made->fd = -1;
    if (strlen(path) >= sizeof made->path)
        rc = ERR(ERR_DATA, "the name %.64s.. is too long", path);
    else {
        strcpy(made->path, path);
        rc = open_set(made, rank, ranks);
    }
    if (rc != 0)
        h5set_close(&made);
    else
        *set = made;
    return rc;
}

int h5set_open(struct h5set **set, const char *path)
{
    return h5set_open_among(set, path, 0, 1);
}

void h5set_close(struct h5set **set)
{
    if (*set == NULL)
        return;
    if ((*set)->fd >= 0)
        close((*set)->fd);
    claim_drop(&(*set)->claim);
    mem_free((*set)->many);
    mem_free(*set);
    *set = NULL;
}

const struct h5set_shape *h5set_shape(const struct h5set *set)
{
    return &set->shape;
}

int h5set_names(char **names, const char *path)
{
    enum { ROOM = 1 << 24 };
    struct h5 *file = NULL;
    int rc;

    *names = mem_new(ROOM, 1);
    TRY(h5_open(&file, path));
    rc = may_lack(h5_get_text(*names, ROOM, file, "/", "names"));
    h5_close(&file);
    return rc;
}

int h5set_same_classes(const char *a, const char *b)
{
    char *names[2] = { NULL };
    const char *x, *y;
    int64_t class = 0;
    int rc        = h5set_names(&names[0], a);

    if (rc == 0)
        rc = h5set_names(&names[1], b);
    x = names[0];
    y = names[1];
    for (; rc == 0 && *x != '\0' && *y != '\0'; class ++) {
        const int n = (int)strcspn(x, "\n"), m = (int)strcspn(y, "\n");

        if (n != m || strncmp(x, y, (size_t)n) != 0)
            rc = ERR(ERR_DATA, "class %lld is %.*s in %s, and %.*s in %s",
                     (long long)class, n, x, a, m, y, b);
        x += n + (x[n] == '\n');
        y += m + (y[m] == '\n');
    }
    mem_free(names[0]);
    mem_free(names[1]);
    return rc;
}

/* ---- items ----------------------------------------------------------------------- */

int h5set_read(struct decode_room *room, size_t *size, const struct h5set *set,
               int64_t i)
{
    int64_t bytes = h5set_item_bytes(&set->shape), first = i * bytes, offset[2];

    if (set->shape.kind == H5SET_ENCODED) {
        TRY(read_at(offset, set, sizeof offset, set->offset_at + i * 8));
        first = offset[0];
        bytes = offset[1] - offset[0];
        if (first < 0 || bytes < 0 || offset[1] > set->shape.bytes)
            return ERR(ERR_DATA, "%s: offset %lld is wrong", set->path, (long long)i);
    }
    TRY(decode_reserve(room, (size_t)bytes));
    TRY(read_at(room->bytes, set, bytes, set->items_at + first));
    *size = (size_t)bytes;
    return 0;
}

int h5set_label(int32_t *label, const struct h5set *set, int64_t i)
{
    return read_at(label, set, sizeof *label, set->labels_at + i * 4);
}

int h5set_target(float *target, const struct h5set *set, struct range k, int64_t i)
{
    uint8_t many[CHUNK];
    int32_t label;

    if (!set->shape.has_many) {
        TRY(h5set_label(&label, set, i));
        for (int64_t j = k.lo; j < k.hi; j++)
            target[j - k.lo] = j == label ? 1 : 0;
        return 0;
    }
    for (int64_t j = k.lo; j < k.hi; j += CHUNK) {
        /* Classes of a model beyond those of the set are no image's. */
        const int64_t most = k.hi < set->shape.classes ? k.hi : set->shape.classes;
        const int64_t left = most > j ? most - j : 0, n = left < CHUNK ? left : CHUNK;

        TRY(read_at(many, set, n, set->labels_at + i * set->shape.classes + j));
        for (int64_t l = 0; l < CHUNK && j + l < k.hi; l++)
            target[j + l - k.lo] = l < n && many[l] != 0 ? 1 : 0;
    }
    return 0;
}

int h5set_verify(const struct h5set *set)
{
    const int64_t bytes     = h5set_label_bytes(&set->shape);
    uint8_t *label          = mem_new((size_t)bytes, 1);
    struct decode_room room = { 0 };
    uint64_t digest         = 0;
    int rc                  = 0;

    for (int64_t i = 0; rc == 0 && i < set->shape.count; i++) {
        size_t size = 0;

        rc = h5set_read(&room, &size, set, i);
        if (rc == 0)
            rc = read_at(label, set, bytes, set->labels_at + i * bytes);
        if (rc == 0)
            digest +=
                h5set_hash(room.bytes, size, i) + h5set_hash(label, (size_t)bytes, ~i);
    }
    if (rc == 0 && digest != (uint64_t)set->shape.digest)
        rc = ERR(ERR_DATA, "%s is damaged: its digest is %016llx, not %016llx",
                 set->path, (unsigned long long)digest,
                 (unsigned long long)set->shape.digest);
    decode_free(&room);
    mem_free(label);
    return rc;
}
