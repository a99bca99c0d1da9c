/* SPDX-License-Identifier: BSD-3-Clause */
/* .npz: a zip file, stored or compressed, of an entry NAME.npy for every array.  libzip
 * knows zip; it checks the sum of an entry when its last byte is read.
 */
#include "config.h"

#include "src/exchange/foreign_impl.h"

#include "src/base/err.h"

#ifdef HAVE_LIBZIP
#include "ckpt/ckpt.h"
#include "src/base/mem.h"
#include "src/exchange/npy.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

static const char ending[] = ".npy";

/* ---- reading --------------------------------------------------------------------- */

/* An archive and the entry that was read last. */
struct npz {
    zip_t *zip;
    zip_file_t *file; /* NULL: none */
    int64_t entry, at, size;
};

static void close_entry(struct npz *z)
{
    if (z->file != NULL)
        zip_fclose(z->file);
    z->file = NULL;
}

static int open_entry(struct foreign *f, int64_t entry)
{
    struct npz *z = f->own;
    zip_stat_t is;

    close_entry(z);
    if (zip_stat_index(z->zip, (zip_uint64_t)entry, 0, &is) == 0 &&
        (is.valid & ZIP_STAT_SIZE) != 0 && is.size < INT64_MAX)
        z->file = zip_fopen_index(z->zip, (zip_uint64_t)entry, 0);
    if (z->file == NULL)
        return ERR(ERR_DATA, "%s: entry %lld cannot be read: %s", f->path,
                   (long long)entry + 1, zip_strerror(z->zip));
    z->entry = entry;
    z->at    = 0;
    z->size  = (int64_t)is.size;
    return 0;
}

/* The next bytes of the entry; with its last byte the sum of all is compared. */
static int read_on(void *to, struct foreign *f, int64_t bytes)
{
    struct npz *z = f->own;
    char *at      = to, more;

    while (bytes > 0) {
        const zip_int64_t got = zip_fread(z->file, at, (zip_uint64_t)bytes);

        if (got <= 0)
            return ERR(ERR_DATA, "%s: entry %lld is damaged: %s", f->path,
                       (long long)z->entry + 1,
                       got < 0 ? zip_file_strerror(z->file) : "it is too short");
        at += got;
        z->at += got;
        bytes -= got;
    }
    if (z->at == z->size && zip_fread(z->file, &more, 1) != 0)
        return ERR(ERR_DATA, "%s: entry %lld is damaged: %s", f->path,
                   (long long)z->entry + 1, zip_file_strerror(z->file));
    return 0;
}

/* Array number 'entry' of the archive: its name and its header. */
static int list_entry(struct foreign *f, int64_t entry)
{
    struct npz *z    = f->own;
    const char *full = zip_get_name(z->zip, (zip_uint64_t)entry, ZIP_FL_ENC_RAW);
    const size_t n   = full != NULL ? strlen(full) : 0;
    char name[ARRAY_NAME + sizeof ending], header[NPY_MOST];
    struct array *a;
    int64_t size = 0;
    int length;

    if (n < sizeof ending || n >= sizeof name ||
        strcmp(full + n - (sizeof ending - 1), ending) != 0)
        return ERR(ERR_DATA, "%s: entry %lld is no NAME.npy", f->path,
                   (long long)entry + 1);
    snprintf(name, sizeof name, "%.*s", (int)(n - (sizeof ending - 1)), full);
    TRY(foreign_add(&a, f, name));
    TRY(open_entry(f, entry));
    TRY(read_on(header, f, z->size < NPY_START ? z->size : NPY_START));
    length = npy_length(header, z->size);
    if (length < 0 || length > z->size)
        return ERR(ERR_DATA, "%s: the header of '%s' is not NumPy's", f->path, name);
    TRY(read_on(header + NPY_START, f, length - NPY_START));
    TRY(npy_parse(a, &size, f, header, length));
    if (size > 0 && a->elements > (z->size - length) / size)
        return ERR(ERR_DATA, "%s: '%s' is larger than its entry", f->path, name);
    if (size > 0 && a->elements * size != z->size - length)
        return ERR(ERR_DATA, "%s: '%s' is smaller than its entry", f->path, name);
    a->entry  = entry;
    a->offset = length;
    return 0;
}

static int open_npz(struct foreign *f)
{
    struct npz *z = mem_new(1, sizeof *z);
    int why       = 0;
    zip_error_t error;

    f->own = z;
    z->zip = zip_open(f->path, ZIP_RDONLY, &why);
    if (z->zip == NULL) {
        zip_error_init_with_code(&error, why);
        why =
            ERR(ERR_DATA, "%s cannot be read: %s", f->path, zip_error_strerror(&error));
        zip_error_fini(&error);
        return why;
    }
    for (int64_t i = 0; i < zip_get_num_entries(z->zip, 0); i++)
        TRY(list_entry(f, i));
    close_entry(z);
    return 0;
}

static int read_npz(void *to, struct foreign *f, const struct array *array, int64_t at,
                    int64_t bytes)
{
    struct npz *z     = f->own;
    const int64_t end = array->offset + at;
    char passed[NPY_MOST];

    if (z->file == NULL || z->entry != array->entry || z->at > end)
        TRY(open_entry(f, array->entry));
    while (z->at < end) {
        const int64_t left = end - z->at;

        TRY(read_on(passed, f, left < NPY_MOST ? left : NPY_MOST));
    }
    return read_on(to, f, bytes);
}

static void close_npz(struct foreign *f)
{
    struct npz *z = f->own;

    if (z == NULL)
        return;
    close_entry(z);
    if (z->zip != NULL)
        zip_discard(z->zip);
    mem_free(z);
    f->own = NULL;
}

/* ---- writing --------------------------------------------------------------------- */

/* libzip asks for the bytes of one entry after the other, when the
 * archive is closed.
 */
struct writing {
    const struct supply *supply;
    int rc; /* of more() */
    struct entry {
        struct writing *all;
        int array;
        int64_t at; /* elements that were given out, of which these are left: */
        const char *next;
        int64_t left; /* bytes */
        char header[NPY_MOST];
        int length;
    } * entry;
};

static zip_int64_t give(struct entry *e, char *to, zip_uint64_t room)
{
    const struct supply *s = e->all->supply;
    zip_uint64_t given     = 0;

    while (given < room && e->all->rc == 0) {
        const zip_uint64_t some =
            (zip_uint64_t)e->left < room - given ? (zip_uint64_t)e->left : room - given;
        const float *x;
        int64_t n;

        memcpy(to + given, e->next, some);
        given += some;
        e->next += some;
        e->left -= (int64_t)some;
        if (e->left > 0 || given == room)
            break;
        if (e->at == s->array[e->array].elements)
            break;
        e->all->rc = s->more(s->ctx, &x, &n, e->array, e->at);
        if (e->all->rc == 0) {
            e->next = (const char *)x;
            e->left = n * (int64_t)sizeof *x;
            e->at += n;
        }
    }
    return e->all->rc == 0 ? (zip_int64_t)given : -1;
}

static zip_int64_t serve(void *entry, void *data, zip_uint64_t bytes,
                         zip_source_cmd_t command)
{
    struct entry *e       = entry;
    const struct array *a = &e->all->supply->array[e->array];
    zip_stat_t *is        = data;
    int *error            = data;

    switch (command) {
    case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ,
                                              ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT,
                                              ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, -1);
    case ZIP_SOURCE_OPEN:
        e->at   = 0;
        e->next = e->header;
        e->left = e->length;
        return 0;
    case ZIP_SOURCE_READ:
        return give(e, data, bytes);
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_FREE:
        return 0;
    case ZIP_SOURCE_STAT:
        zip_stat_init(is);
        is->size  = (zip_uint64_t)(e->length + a->elements * (int64_t)sizeof(float));
        is->valid = ZIP_STAT_SIZE;
        return sizeof *is;
    case ZIP_SOURCE_ERROR:
        error[0] = ZIP_ER_READ;
        error[1] = 0;
        return 2 * sizeof *error;
    default:
        return -1;
    }
}

/* Uncompressed, and without the time of day: the same arrays are the same file. */
static int add_entry(zip_t *zip, struct entry *e)
{
    enum { FIRST_OF_1980 = 1 << 5 | 1 };
    const struct array *a = &e->all->supply->array[e->array];
    char name[ARRAY_NAME + sizeof ending];
    zip_source_t *source;
    zip_int64_t i;

    e->length = npy_write(e->header, a);
    snprintf(name, sizeof name, "%s%s", a->name, ending);
    source = zip_source_function(zip, serve, e);
    i      = source != NULL ? zip_file_add(zip, name, source, ZIP_FL_ENC_UTF_8) : -1;
    if (i < 0) {
        zip_source_free(source);
        return -1;
    }
    if (zip_set_file_compression(zip, (zip_uint64_t)i, ZIP_CM_STORE, 0) != 0)
        return -1;
    return zip_file_set_dostime(zip, (zip_uint64_t)i, 0, FIRST_OF_1980, 0);
}

static int fill(zip_t *zip, struct writing *w)
{
    for (int i = 0; i < w->supply->count; i++) {
        w->entry[i] = (struct entry){ .all = w, .array = i };
        if (add_entry(zip, &w->entry[i]) != 0)
            return -1;
    }
    return 0;
}

/* libzip writes beside 'path', to a name with a dot and six letters more, which stays
 * when it is killed.
 */
static void remove_left(const char *path)
{
    enum { LETTERS = 7 };
    const char *slash = strrchr(path, '/');
    const char *name  = slash != NULL ? slash + 1 : path;
    const size_t n    = strlen(name);
    char folder[CKPT_PATH];
    const struct dirent *e;
    DIR *dir;

    snprintf(folder, sizeof folder, "%.*s", (int)(name - path), path);
    dir = opendir(slash != NULL ? folder : ".");
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        if (strlen(e->d_name) == n + LETTERS && e->d_name[n] == '.' &&
            strncmp(e->d_name, name, n) == 0)
            unlinkat(dirfd(dir), e->d_name, 0);
    }
    if (dir != NULL)
        closedir(dir);
}

static int write_npz(const char *path, const struct supply *s)
{
    struct writing w = { .supply = s };
    int why          = 0, rc;
    zip_t *zip;
    zip_error_t error;

    remove_left(path);
    zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &why);
    if (zip == NULL) {
        zip_error_init_with_code(&error, why);
        rc = ERR(ERR_IO, "%s cannot be made: %s", path, zip_error_strerror(&error));
        zip_error_fini(&error);
        return rc;
    }
    w.entry = mem_new((size_t)s->count, sizeof *w.entry);
    rc      = fill(zip, &w);
    if (rc == 0)
        rc = zip_close(zip);
    if (rc != 0) {
        rc = w.rc != 0
                 ? w.rc
                 : ERR(ERR_IO, "%s cannot be written: %s", path, zip_strerror(zip));
        zip_discard(zip);
    }
    mem_free(w.entry);
    return rc;
}

#else

static int refuse(const char *path)
{
    return ERR(ERR_ENV,
               "%s: this build reads and writes no .npz: libzip is missing (Debian: "
               "libzip-dev)",
               path);
}

static int open_npz(struct foreign *f)
{
    return refuse(f->path);
}

static int read_npz(void *to, struct foreign *f, const struct array *array, int64_t at,
                    int64_t bytes)
{
    (void)to;
    (void)array;
    (void)at;
    (void)bytes;
    return refuse(f->path);
}

static void close_npz(struct foreign *f)
{
    (void)f;
}

static int write_npz(const char *path, const struct supply *supply)
{
    (void)supply;
    return refuse(path);
}

#endif

const struct foreign_format foreign_npz = {
    .open  = open_npz,
    .read  = read_npz,
    .close = close_npz,
    .write = write_npz,
};
