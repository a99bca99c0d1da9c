/* SPDX-License-Identifier: BSD-3-Clause */
/* safetensors: the length of a JSON header, the header, the numbers.
 *
 *   8 bytes, little-endian: N
 *   N bytes: {"NAME": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}, ..,
 *             "__metadata__": {"KEY": "TEXT", ..}}
 *   the arrays: each from its first to its last offset, counted from here, without gaps
 */
#include "config.h"

#include "src/exchange/foreign_impl.h"

#include "src/base/err.h"
#include "src/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LENGTH = 8, HEADER_MOST = 100000000, ALIGN = 8 };

static const char metadata[] = "__metadata__";

/* ---- reading --------------------------------------------------------------------- */

static int read_bytes(void *to, const struct foreign *f, int64_t offset, int64_t bytes)
{
    char *at = to;

    while (bytes > 0) {
        const ssize_t got = pread(f->fd, at, (size_t)bytes, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ERR(ERR_IO, "%s cannot be read: %s", f->path, strerror(errno));
        if (got == 0)
            return ERR(ERR_DATA, "%s is cut off", f->path);
        at += got;
        offset += got;
        bytes -= got;
    }
    return 0;
}

static int read_header(json_t **header, int64_t *length, const struct foreign *f)
{
    uint8_t first[LENGTH];
    uint64_t n = 0;
    json_error_t why;
    void *text;
    int rc;

    TRY(read_bytes(first, f, 0, LENGTH));
    for (int i = 0; i < LENGTH; i++)
        n |= (uint64_t)first[i] << 8 * i;
    if (n > HEADER_MOST || (int64_t)n > f->bytes - LENGTH)
        return ERR(ERR_DATA,
                   "%s: its header of %" PRIu64 " bytes is cut off, or this "
                   "is no safetensors file",
                   f->path, n);
    TRY(mem_alloc(&text, (size_t)n));
    rc = read_bytes(text, f, LENGTH, (int64_t)n);
    if (rc == 0) {
        *header =
            json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
        if (!json_is_object(*header))
            rc = ERR(ERR_DATA, "%s: the header is no JSON object: %s", f->path,
                     *header != NULL ? "another value" : why.text);
    }
    mem_free(text);
    *length = (int64_t)n;
    return rc;
}

static enum array_type type_of(const char *said)
{
    static const struct {
        const char *said;
        enum array_type type;
    } types[] = { { "F64", ARRAY_F64 },
                  { "F32", ARRAY_F32 },
                  { "F16", ARRAY_F16 },
                  { "BF16", ARRAY_BF16 } };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(said, types[i].said) == 0)
            return types[i].type;
    }
    return ARRAY_OTHER;
}

/* Fill 'a' from its entry in the header; '*end' is where its bytes end. */
static int read_entry(struct array *a, int64_t *end, const struct foreign *f,
                      const json_t *entry, int64_t start, int64_t room)
{
    const char *said      = json_string_value(json_object_get(entry, "dtype"));
    const json_t *shape   = json_object_get(entry, "shape");
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *lo = json_array_get(offsets, 0), *hi = json_array_get(offsets, 1);
    int64_t size;

    if (said == NULL || !json_is_array(shape) || json_array_size(shape) > ARRAY_DIMS ||
        json_array_size(offsets) != 2 || !json_is_integer(lo) || !json_is_integer(hi))
        return ERR(ERR_DATA, "%s: '%s' has no good dtype, shape and data_offsets",
                   f->path, a->name);
    snprintf(a->said, sizeof a->said, "%s", said);
    a->type = type_of(said);
    a->dims = (int)json_array_size(shape);
    for (int i = 0; i < a->dims; i++) {
        const json_t *n = json_array_get(shape, (size_t)i);

        if (!json_is_integer(n))
            return ERR(ERR_DATA, "%s: the shape of '%s' is no list of integers",
                       f->path, a->name);
        a->size[i] = json_integer_value(n);
    }
    TRY(foreign_count(a, f));
    a->offset = json_integer_value(lo);
    *end      = json_integer_value(hi);
    if (a->offset < 0 || *end < a->offset || *end > room)
        return ERR(ERR_DATA, "%s is cut off: '%s' is beyond its end", f->path, a->name);
    size = foreign_size(a->type);
    if (size > 0 && *end - a->offset != a->elements * size)
        return ERR(ERR_DATA, "%s: '%s' has %" PRId64 " bytes, and its shape %" PRId64,
                   f->path, a->name, *end - a->offset, a->elements * size);
    a->entry = *end;
    a->offset += start;
    return 0;
}

/* Places in the file, first to last; what is empty comes before what begins there. */
static int by_place(const void *left, const void *right)
{
    const struct array *a = left, *b = right;

    if (a->offset != b->offset)
        return a->offset < b->offset ? -1 : 1;
    return a->entry < b->entry ? -1 : a->entry > b->entry;
}

/* The arrays follow one another and fill the file. */
static int check_places(const struct foreign *f, int64_t start)
{
    int64_t at = 0;

    if (f->arrays > 0)
        qsort(f->array, (size_t)f->arrays, sizeof *f->array, by_place);
    for (int i = 0; i < f->arrays; i++) {
        const struct array *a = &f->array[i];

        if (a->offset - start != at)
            return ERR(ERR_DATA, "%s: '%s' %s", f->path, a->name,
                       a->offset - start < at ? "overlaps another array"
                                              : "does not follow the array before it");
        at = a->entry;
    }
    if (start + at != f->bytes)
        return ERR(ERR_DATA, "%s has %" PRId64 " bytes that belong to no array",
                   f->path, f->bytes - start - at);
    return 0;
}

static int list(struct foreign *f, json_t *header, int64_t length)
{
    const int64_t start = LENGTH + length;
    const char *name;
    json_t *entry;

    json_object_foreach(header, name, entry)
    {
        struct array *a;
        int64_t end = 0;

        if (strcmp(name, metadata) == 0)
            continue;
        TRY(foreign_add(&a, f, name));
        TRY(read_entry(a, &end, f, entry, start, f->bytes - start));
    }
    return check_places(f, start);
}

static int open_safetensors(struct foreign *f)
{
    json_t *header = NULL;
    int64_t length = 0;
    int rc         = read_header(&header, &length, f);

    if (rc == 0)
        rc = list(f, header, length);
    json_decref(header);
    return rc;
}

static int read_safetensors(void *to, struct foreign *f, const struct array *array,
                            int64_t at, int64_t bytes)
{
    return read_bytes(to, f, array->offset + at, bytes);
}

static void close_safetensors(struct foreign *f)
{
    (void)f;
}

/* ---- writing --------------------------------------------------------------------- */

/* The header's text, filled up with blanks so that the numbers are aligned; free(). */
static char *make_header(const struct supply *s)
{
    json_t *all = json_object();
    int64_t at  = 0;
    size_t length, padded;
    char *text, *header;

    json_object_set_new(all, metadata, json_pack("{ss}", "format", "pt"));
    for (int i = 0; i < s->count; i++) {
        const struct array *a = &s->array[i];
        const int64_t end     = at + a->elements * (int64_t)sizeof(float);
        json_t *shape         = json_array();

        for (int k = 0; k < a->dims; k++)
            json_array_append_new(shape, json_integer(a->size[k]));
        json_object_set_new(all, a->name,
                            json_pack("{sssos[II]}", "dtype", "F32", "shape", shape,
                                      "data_offsets", (json_int_t)at, (json_int_t)end));
        at = end;
    }
    text = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    if (text == NULL)
        die("the header is not JSON");
    length = strlen(text);
    padded = (length + ALIGN - 1) / ALIGN * ALIGN;
    header = mem_new(padded + 1, 1);
    memset(header, ' ', padded);
    memcpy(header, text, length);
    free(text);
    return header;
}

static int put(FILE *out, const char *path, const void *data, size_t bytes)
{
    if (fwrite(data, 1, bytes, out) != bytes)
        return err_unwritten(path);
    return 0;
}

static int put_all(FILE *out, const char *path, const struct supply *s,
                   const char *header)
{
    const uint64_t length = strlen(header);
    uint8_t first[LENGTH];

    for (int i = 0; i < LENGTH; i++)
        first[i] = (uint8_t)(length >> 8 * i);
    TRY(put(out, path, first, sizeof first));
    TRY(put(out, path, header, length));
    for (int i = 0; i < s->count; i++) {
        int64_t at = 0, n = 0;

        for (; at < s->array[i].elements; at += n) {
            const float *x;

            TRY(s->more(s->ctx, &x, &n, i, at));
            TRY(put(out, path, x, (size_t)n * sizeof *x));
        }
    }
    return 0;
}

static int write_safetensors(const char *path, const struct supply *s)
{
    FILE *out = fopen(path, "wb");
    char *header;
    int rc;

    if (out == NULL)
        return ERR(ERR_IO, "%s cannot be made: %s", path, strerror(errno));
    header = make_header(s);
    rc     = put_all(out, path, s, header);
    mem_free(header);
    if (fclose(out) != 0 && rc == 0)
        rc = err_unwritten(path);
    return rc;
}

const struct foreign_format foreign_safetensors = {
    .open  = open_safetensors,
    .read  = read_safetensors,
    .close = close_safetensors,
    .write = write_safetensors,
};
