/* SPDX-License-Identifier: BSD-3-Clause */
/* The format: datasets with an attribute 'number'; /meta/digest, their digests in the
 * order of these numbers; /meta/complete, 1 when all else is written; and attributes of
 * /meta: 'format' and what meta.c adds.
 */
#include "config.h"

#include "ckpt/file.h"

#include "ckpt/direct.h"
#include "src/base/err.h"
#include "src/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FORMAT = 1 };

static const char *const own_name[FILE_OWN] = {
    [FILE_DIGEST]   = "meta/digest",
    [FILE_COMPLETE] = "meta/complete",
};

/* ---- reading --------------------------------------------------------------------- */

/* The size of the file on the disk. */
static int size_of(int64_t *bytes, const char *path)
{
    struct stat stat_of;

    if (stat(path, &stat_of) != 0)
        return err_unread(path);
    if (!S_ISREG(stat_of.st_mode))
        return ERR(ERR_DATA, "%s is not a file", path);
    *bytes = stat_of.st_size;
    return 0;
}

/* What h5_each() fills. */
struct reading {
    struct ckpt_file *file;
    int64_t disk_bytes;
    uint64_t *digest; /* by number, 'digests' of them */
    int64_t digests;
    int room;
};

static struct entry *add_entry(struct reading *r)
{
    struct ckpt_file *f = r->file;

    if (f->entries == r->room) {
        r->room = 2 * r->room + 64;
        f->entry =
            mem_grow(f->entry, (size_t)f->entries, (size_t)r->room, sizeof *f->entry);
    }
    return &f->entry[f->entries];
}

static int read_entry(void *ctx, const struct h5 *h5, const char *name)
{
    struct reading *r  = ctx;
    struct entry *e    = add_entry(r);
    const char *path   = r->file->path;
    struct h5_shape is = { 0 };
    int64_t number     = 0;

    if (strncmp(name, "meta/", 5) == 0)
        return 0;
    if (strlen(name) >= sizeof e->name)
        return ERR(ERR_DATA, "%s: the name '%s' is too long", path, name);
    strcpy(e->name, name);
    TRY(h5_shape(&is, h5, name));
    if (is.type != H5_TYPE_F32)
        return ERR(ERR_DATA, "%s: '%s' is not in f32", path, name);
    e->dims     = is.dims;
    e->elements = 1;
    for (int i = 0; i < is.dims; i++) {
        e->size[i] = is.size[i];
        if (is.size[i] < 0 ||
            (is.size[i] > 0 && e->elements > r->disk_bytes / is.size[i]))
            return ERR(ERR_DATA, "%s: '%s' is larger than its file", path, name);
        e->elements *= is.size[i];
    }
    TRY(h5_offset(&e->offset, h5, name));
    if (e->offset + e->elements * (int64_t)sizeof(float) > r->disk_bytes)
        return ERR(ERR_DATA, "%s is cut off inside '%s'", path, name);
    TRY(h5_get_int(&number, h5, name, "number"));
    if (number < 0 || number >= r->digests)
        return ERR(ERR_DATA, "%s: '%s' has no digest", path, name);
    e->digest = r->digest[number];
    r->file->bytes += e->elements * (int64_t)sizeof(float);
    r->file->entries++;
    return 0;
}

static int read_digests(struct reading *r, const struct h5 *h5)
{
    struct h5_shape shape = { 0 };
    const int64_t start   = 0;

    TRY(h5_shape(&shape, h5, own_name[FILE_DIGEST]));
    if (shape.type != H5_TYPE_I64 || shape.dims != 1 ||
        shape.size[0] > r->disk_bytes / (int64_t)sizeof *r->digest)
        return ERR(ERR_DATA, "%s: '%s' holds no digests", r->file->path,
                   own_name[FILE_DIGEST]);
    r->digests = shape.size[0];
    r->digest  = mem_new((size_t)r->digests, sizeof *r->digest);
    return h5_read(r->digest, H5_TYPE_I64, h5, own_name[FILE_DIGEST], &start,
                   shape.size);
}

static int read_all(struct ckpt_file *f, const struct h5 *h5)
{
    const int64_t start = 0, one = 1;
    struct reading reading = { .file = f };
    struct h5_shape shape  = { 0 };
    int32_t complete       = 0;
    int64_t format;
    bool is_ours;
    int rc;

    TRY(size_of(&reading.disk_bytes, f->path));
    TRY(h5_has(&is_ours, h5, own_name[FILE_COMPLETE]));
    if (!is_ours)
        return ERR(ERR_DATA, "%s is an HDF5 file, but not a checkpoint", f->path);
    TRY(h5_get_int(&format, h5, "meta", "format"));
    if (format != FORMAT)
        return ERR(ERR_ENV,
                   "%s is a checkpoint of format %lld, which another vitbench writes; "
                   "this one knows format %d",
                   f->path, (long long)format, FORMAT);
    TRY(h5_shape(&shape, h5, own_name[FILE_COMPLETE]));
    if (shape.dims == 1 && shape.size[0] == 1)
        TRY(h5_read(&complete, H5_TYPE_I32, h5, own_name[FILE_COMPLETE], &start, &one));
    if (complete != 1)
        return ERR(ERR_DATA, "%s is not complete: its save was interrupted", f->path);
    TRY(meta_read(&f->meta, h5));
    rc = read_digests(&reading, h5);
    if (rc == 0)
        rc = h5_each(h5, read_entry, &reading);
    mem_free(reading.digest);
    return rc;
}

/* The first bytes of every HDF5 file. */
static int check_signature(const char *path)
{
    static const char signature[8] = "\x89HDF\r\n\x1a\n";
    char found[sizeof signature]   = { 0 };
    int64_t bytes                  = 0;
    FILE *file;
    int rc;

    TRY(size_of(&bytes, path));
    file = fopen(path, "rb");
    if (file == NULL)
        return err_unread(path);
    if (fread(found, 1, sizeof found, file) != sizeof found)
        found[0] = '\0';
    rc = ferror(file) ? err_unread(path) : 0;
    fclose(file);
    TRY(rc);
    if (memcmp(found, signature, sizeof signature) != 0)
        return ERR(ERR_DATA, "%s is not a checkpoint: no HDF5 file", path);
    return 0;
}

int file_open(struct ckpt_file **file, const char *path)
{
    struct ckpt_file *f = mem_new(1, sizeof *f);
    struct h5 *h5       = NULL;
    int rc;

    snprintf(f->path, sizeof f->path, "%s", path);
    rc = check_signature(path);
    if (rc == 0) {
        rc = h5_open(&h5, path);
        if (rc == 0)
            rc = read_all(f, h5);
        h5_close(&h5);
    }
    if (rc == 0)
        *file = f;
    else
        file_close(&f);
    return rc;
}

/* Rank 0's bytes at 'at' to all. */
static void give(void *at, int64_t bytes, MPI_Comm comm)
{
    if (bytes > INT_MAX)
        die("a checkpoint of %lld bytes of names", (long long)bytes);
    TRY_MPI(MPI_Bcast(at, (int)bytes, MPI_BYTE, 0, comm));
}

static void give_json(json_t **value, bool is_giver, MPI_Comm comm)
{
    char *own      = is_giver ? json_dumps(*value, JSON_COMPACT) : NULL;
    int64_t length = own != NULL ? (int64_t)strlen(own) : 0;
    char *text;

    give(&length, sizeof length, comm);
    text = mem_new((size_t)length + 1, 1);
    if (own != NULL)
        memcpy(text, own, (size_t)length);
    give(text, length, comm);
    if (!is_giver)
        *value = json_loads(text, 0, NULL);
    mem_free(text);
    free(own);
}

int file_open_all(struct ckpt_file **file, const char *path, MPI_Comm comm)
{
    struct ckpt_file *f = NULL;
    int rank, rc = 0;

    TRY_MPI(MPI_Comm_rank(comm, &rank));
    if (rank == 0)
        rc = file_open(&f, path);
    TRY(mesh_agree_comm(comm, rc));
    if (rank > 0)
        f = mem_new(1, sizeof *f);

    struct entry *own = f->entry;
    json_t *options = f->meta.options, *tuned = f->meta.tuned;

    give(f, sizeof *f, comm);
    f->entry        = rank == 0 ? own : mem_new((size_t)f->entries, sizeof *own);
    f->meta.options = options;
    f->meta.tuned   = tuned;
    give(f->entry, f->entries * (int64_t)sizeof *own, comm);
    give_json(&f->meta.options, rank == 0, comm);
    give_json(&f->meta.tuned, rank == 0, comm);
    *file = f;
    return 0;
}

void file_close(struct ckpt_file **file)
{
    if (*file == NULL)
        return;
    meta_free(&(*file)->meta);
    mem_free((*file)->entry);
    mem_free(*file);
    *file = NULL;
}

const struct entry *file_find(const struct ckpt_file *file, const char *name)
{
    for (int i = 0; i < file->entries; i++) {
        if (strcmp(file->entry[i].name, name) == 0)
            return &file->entry[i];
    }
    return NULL;
}

int64_t file_index(const struct ckpt_tensor *t)
{
    int64_t size = t->layer;

    for (int i = 0; i < t->dims; i++)
        size *= t->dim[i];
    return size;
}

void file_entry(struct entry *e, const struct ckpt_tensor *t)
{
    *e = (struct entry){ .elements = 1 };
    snprintf(e->name, sizeof e->name, "%s", t->dataset);
    if (t->layers > 0)
        e->size[e->dims++] = t->layers;
    for (int i = 0; i < t->dims; i++)
        e->size[e->dims++] = t->dim[i];
    for (int i = 0; i < e->dims; i++)
        e->elements *= e->size[i];
}

const char *file_shape(char text[FILE_SHAPE], const int64_t *size, int dims)
{
    int n = snprintf(text, FILE_SHAPE, "[");

    for (int i = 0; i < dims && n < FILE_SHAPE; i++)
        n += snprintf(text + n, (size_t)(FILE_SHAPE - n), "%s%" PRId64,
                      i > 0 ? ", " : "", size[i]);
    if (n < FILE_SHAPE - 1)
        strcpy(text + n, "]");
    return text;
}

int file_read(float *x, int fd, const struct ckpt_file *file, const struct entry *entry,
              int64_t index, int64_t n)
{
    char *at       = (char *)x;
    int64_t bytes  = n * (int64_t)sizeof *x;
    int64_t offset = entry->offset + index * (int64_t)sizeof *x;

    while (bytes > 0) {
        const ssize_t got = pread(fd, at, (size_t)bytes, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ERR(ERR_IO, "%s: '%s' cannot be read: %s", file->path, entry->name,
                       strerror(errno));
        if (got == 0)
            return ERR(ERR_DATA, "%s is cut off inside '%s'", file->path, entry->name);
        at += got;
        bytes -= got;
        offset += got;
    }
    return 0;
}

/* ---- writing --------------------------------------------------------------------- */

static int create_own(struct h5 *h5, struct ckpt_file *file, int which,
                      enum h5_type type, int64_t size)
{
    const struct h5_shape shape = { .type = type, .dims = 1, .size = { size } };

    TRY(h5_dataset(h5, own_name[which], &shape));
    return h5_offset(&file->own_offset[which], h5, own_name[which]);
}

static int create_entry(struct h5 *h5, struct entry *e, int number)
{
    struct h5_shape shape = { .type = H5_TYPE_F32, .dims = e->dims };

    for (int i = 0; i < e->dims; i++)
        shape.size[i] = e->size[i];
    TRY(h5_dataset(h5, e->name, &shape));
    TRY(h5_set_int(h5, e->name, "number", number));
    return h5_offset(&e->offset, h5, e->name);
}

static int create_all(struct h5 *h5, struct ckpt_file *file)
{
    TRY(h5_group(h5, "meta"));
    TRY(h5_set_int(h5, "meta", "format", FORMAT));
    TRY(meta_write(h5, &file->meta));
    TRY(create_own(h5, file, FILE_COMPLETE, H5_TYPE_I32, 1));
    TRY(create_own(h5, file, FILE_DIGEST, H5_TYPE_I64, file->entries));
    for (int i = 0; i < file->entries; i++)
        TRY(create_entry(h5, &file->entry[i], i));
    return 0;
}

/* The whole file but the numbers, as HDF5 would write it. */
static int describe(struct h5_image *image, struct ckpt_file *file, const char *path)
{
    struct h5 *h5 = NULL;
    int rc, closed;

    TRY(h5_create_image(&h5, image, path));
    rc     = create_all(h5, file);
    closed = h5_close(&h5);
    return rc != 0 ? rc : closed;
}

static int write_all(int fd, const char *path, const void *data, int64_t bytes,
                     int64_t offset)
{
    const int error = direct_pwrite(fd, data, bytes, offset);

    if (error != 0)
        return ERR(ERR_IO, "%s cannot be written: %s", path, strerror(error));
    return 0;
}

/* Close what was written to: the result of all of it. */
static int close_written(int fd, const char *path, int rc)
{
    if (close(fd) != 0 && rc == 0)
        rc = err_unwritten(path);
    return rc;
}

/* Take all the room at once: pieces that come from several writers then lie
 * together on the disk, and a full disk shows here.  Some file systems
 * cannot; there it shows later.
 */
static int take_room(int fd, int64_t bytes)
{
#ifdef HAVE_FALLOCATE
    if (fallocate(fd, 0, 0, (off_t)bytes) != 0 && errno != EOPNOTSUPP &&
        errno != ENOSYS && errno != EINTR)
        return errno;
#else
    (void)fd;
    (void)bytes;
#endif
    return 0;
}

static int write_image(const char *path, const struct h5_image *image)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    int error = 0, rc = 0;

    if (fd < 0)
        return ERR(ERR_IO, "%s cannot be made: %s", path, strerror(errno));
    if (ftruncate(fd, (off_t)image->size) != 0)
        rc = ERR(ERR_IO, "%s cannot be made: %s", path, strerror(errno));
    if (rc == 0)
        error = take_room(fd, image->size);
    if (error != 0)
        rc = ERR(ERR_IO, "no room for %s: %s", path, strerror(error));
    if (rc == 0)
        rc = write_all(fd, path, image->at, image->bytes, 0);
    return close_written(fd, path, rc);
}

int file_create(struct ckpt_file *file, const char *path)
{
    struct h5_image image = { 0 };
    int rc                = h5_made(describe(&image, file, path));

    if (rc == 0)
        rc = write_image(path, &image);
    h5_image_free(&image);
    return rc;
}

int file_complete(const struct ckpt_file *file, const char *path)
{
    const int fd       = open(path, O_WRONLY);
    const int32_t one  = 1;
    uint64_t *digest   = mem_new((size_t)file->entries, sizeof *digest);
    const int64_t size = file->entries * (int64_t)sizeof *digest;
    int rc             = 0;

    for (int i = 0; i < file->entries; i++)
        digest[i] = file->entry[i].digest;
    if (fd < 0)
        rc = ERR(ERR_IO, "%s cannot be opened: %s", path, strerror(errno));
    if (rc == 0)
        rc = write_all(fd, path, digest, size, file->own_offset[FILE_DIGEST]);
    if (rc == 0)
        rc = write_all(fd, path, &one, sizeof one, file->own_offset[FILE_COMPLETE]);
    if (rc == 0 && fsync(fd) != 0)
        rc = err_unwritten(path);
    mem_free(digest);
    return fd >= 0 ? close_written(fd, path, rc) : rc;
}
