/* SPDX-License-Identifier: BSD-3-Clause */
/* What the formats have in common: names, types, conversion, and
 * how a file gets its name.
 */
#include "config.h"

#include "src/exchange/foreign_impl.h"

#include "ckpt/ckpt.h"
#include "src/base/claim.h"
#include "src/base/draft.h"
#include "src/base/dtype.h"
#include "src/base/err.h"
#include "src/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 1 << 16 }; /* elements that are converted at a time */

/* More than any tensor of a model has: products of sizes stay far below 2^63. */
static const int64_t elements_most = INT64_C(1) << 48;

int64_t foreign_size(enum array_type type)
{
    static const int64_t size[] = { [ARRAY_F64]   = 8,
                                    [ARRAY_F32]   = 4,
                                    [ARRAY_F16]   = 2,
                                    [ARRAY_BF16]  = 2,
                                    [ARRAY_OTHER] = 0 };

    return size[type];
}

/* ---- the list of arrays ---------------------------------------------------------- */

/* Names are printed: letters that a terminal would take as something else are none. */
static bool is_name(const char *name)
{
    for (; *name != '\0'; name++) {
        if ((unsigned char)*name < ' ' || *name == 0x7f)
            return false;
    }
    return true;
}

int foreign_add(struct array **array, struct foreign *f, const char *name)
{
    struct array *a;

    if (strlen(name) >= ARRAY_NAME || !is_name(name))
        return ERR(ERR_DATA, "%s: the name of array %d is too long or no text", f->path,
                   f->arrays + 1);
    if (f->arrays == f->room) {
        f->room = 2 * f->room + 256;
        f->array =
            mem_grow(f->array, (size_t)f->arrays, (size_t)f->room, sizeof *f->array);
    }
    a = &f->array[f->arrays++];
    snprintf(a->name, sizeof a->name, "%s", name);
    *array = a;
    return 0;
}

int foreign_count(struct array *a, const struct foreign *f)
{
    bool is_empty = false;

    a->elements = 1;
    for (int i = 0; i < a->dims; i++) {
        if (a->size[i] < 0)
            return ERR(ERR_DATA, "%s: '%s' has a negative size", f->path, a->name);
        is_empty = is_empty || a->size[i] == 0;
    }
    for (int i = 0; i < a->dims && !is_empty; i++) {
        if (a->elements > elements_most / a->size[i])
            return ERR(ERR_DATA, "%s: '%s' is larger than its file", f->path, a->name);
        a->elements *= a->size[i];
    }
    if (is_empty)
        a->elements = 0;
    return 0;
}

static int by_name(const void *left, const void *right)
{
    const struct array *a = left, *b = right;

    return strcmp(a->name, b->name);
}

static int sort(struct foreign *f)
{
    if (f->arrays > 0)
        qsort(f->array, (size_t)f->arrays, sizeof *f->array, by_name);
    for (int i = 1; i < f->arrays; i++) {
        if (strcmp(f->array[i - 1].name, f->array[i].name) == 0)
            return ERR(ERR_DATA, "%s has two arrays named '%s'", f->path,
                       f->array[i].name);
    }
    return 0;
}

const struct array *foreign_find(const struct foreign *f, const char *name)
{
    struct array wanted;

    if (strlen(name) >= sizeof wanted.name)
        return NULL;
    strcpy(wanted.name, name);
    return f->arrays > 0 ? bsearch(&wanted, f->array, (size_t)f->arrays,
                                   sizeof *f->array, by_name)
                         : NULL;
}

/* ---- opening --------------------------------------------------------------------- */

/* A zip file begins with "PK"; a safetensors file with eight bytes of a length, and
 * "{".
 */
static int find_format(struct foreign *f)
{
    char first[9] = { 0 };

    if (pread(f->fd, first, sizeof first, 0) < 0)
        return err_unread(f->path);
    if (memcmp(first, "PK", 2) == 0)
        f->format = &foreign_npz;
    else if (first[8] == '{')
        f->format = &foreign_safetensors;
    else
        return ERR(ERR_DATA, "%s is neither an .npz nor a .safetensors file", f->path);
    return 0;
}

static int open_file(struct foreign *f)
{
    struct stat is;

    f->fd = open(f->path, O_RDONLY | O_NONBLOCK); /* a pipe would wait for ever */
    if (f->fd < 0 || fstat(f->fd, &is) != 0)
        return err_unread(f->path);
    if (!S_ISREG(is.st_mode))
        return ERR(ERR_DATA, "%s is not a file", f->path);
    f->bytes = is.st_size;
    TRY(find_format(f));
    TRY(f->format->open(f));
    return sort(f);
}

int foreign_open(struct foreign **f, const char *path)
{
    struct foreign *made = mem_new(1, sizeof *made);
    int rc;

    made->fd    = -1;
    made->block = mem_new(BLOCK, sizeof(double));
    snprintf(made->path, sizeof made->path, "%s", path);
    rc = open_file(made);
    if (rc != 0)
        foreign_close(&made);
    else
        *f = made;
    return rc;
}

void foreign_close(struct foreign **f)
{
    struct foreign *old = *f;

    if (old == NULL)
        return;
    if (old->format != NULL)
        old->format->close(old);
    if (old->fd >= 0)
        close(old->fd);
    mem_free(old->array);
    mem_free(old->block);
    mem_free(old->whole);
    mem_free(old);
    *f = NULL;
}

/* ---- reading --------------------------------------------------------------------- */

static float from_f16(uint16_t bits)
{
    const int exponent   = bits >> 10 & 31;
    const int mantissa   = bits & 1023;
    const uint32_t sign  = (uint32_t)(bits & 0x8000) << 16;
    uint32_t wide        = sign | (uint32_t)(exponent + 112) << 23;
    const float negative = sign != 0 ? -1 : 1;
    float x;

    if (exponent == 0)
        return negative * ldexpf((float)mantissa, -24);
    if (exponent == 31)
        wide = sign | 0x7f800000;
    wide |= (uint32_t)mantissa << 13;
    memcpy(&x, &wide, sizeof x);
    return x;
}

/* False if a number is too large for f32. */
static bool convert(float *x, const void *from, enum array_type type, int64_t n)
{
    const double *f64    = from;
    const uint16_t *bits = from;
    bool fits            = true;

    switch (type) {
    case ARRAY_F64:
        for (int64_t i = 0; i < n; i++) {
            x[i] = (float)f64[i];
            fits = fits && isinf(x[i]) == isinf(f64[i]);
        }
        break;
    case ARRAY_F32:
        memcpy(x, from, (size_t)n * sizeof *x);
        break;
    case ARRAY_F16:
        for (int64_t i = 0; i < n; i++)
            x[i] = from_f16(bits[i]);
        break;
    case ARRAY_BF16:
        for (int64_t i = 0; i < n; i++)
            x[i] = dtype_from_bf16(bits[i]);
        break;
    case ARRAY_OTHER:
        die("numbers of an unknown type");
    }
    return fits;
}

static int read_in_order(float *x, struct foreign *f, const struct array *a, int64_t at,
                         int64_t n)
{
    const int64_t size = foreign_size(a->type);

    while (n > 0) {
        const int64_t some = n < BLOCK ? n : BLOCK;

        TRY(f->format->read(f->block, f, a, at * size, some * size));
        if (!convert(x, f->block, a->type, some))
            return ERR(ERR_DATA, "%s: '%s' has a number that f32 cannot hold", f->path,
                       a->name);
        x += some;
        at += some;
        n -= some;
    }
    return 0;
}

/* The array, as the file has it, into memory. */
static int keep_whole(struct foreign *f, const struct array *a)
{
    void *room;

    if (f->whole_of == a)
        return 0;
    mem_free(f->whole);
    f->whole    = NULL;
    f->whole_of = NULL;
    TRY(mem_alloc(&room, (size_t)a->elements * sizeof *f->whole));
    f->whole = room;
    TRY(read_in_order(f->whole, f, a, 0, a->elements));
    f->whole_of = a;
    return 0;
}

/* The place in a Fortran array of element 'i' in the order of C. */
static int64_t fortran_place(const struct array *a, int64_t i)
{
    int64_t stride = a->elements, place = 0;

    for (int k = a->dims - 1; k >= 0; k--) {
        stride /= a->size[k];
        place += i % a->size[k] * stride;
        i /= a->size[k];
    }
    return place;
}

int foreign_read(float *x, struct foreign *f, const struct array *a, int64_t at,
                 int64_t n)
{
    if (!a->is_fortran || a->elements == 0)
        return read_in_order(x, f, a, at, n);
    TRY(keep_whole(f, a));
    for (int64_t i = 0; i < n; i++)
        x[i] = f->whole[fortran_place(a, at + i)];
    return 0;
}

/* ---- writing --------------------------------------------------------------------- */

static bool ends_in(const char *path, const char *ending)
{
    const size_t n = strlen(path), m = strlen(ending);

    return n > m && strcmp(path + n - m, ending) == 0;
}

int foreign_is_npz(bool *is_npz, const char *path)
{
    *is_npz = ends_in(path, ".npz");
    if (!*is_npz && !ends_in(path, ".safetensors"))
        return ERR(ERR_USAGE, "%s: expected a name that ends in .npz or .safetensors",
                   path);
    return 0;
}

static int sync_file(const char *path)
{
    const int fd    = open(path, O_RDWR);
    const int error = fd < 0 || fsync(fd) != 0 ? errno : 0;

    if (fd >= 0)
        close(fd);
    return error == 0 ? 0
                      : ERR(ERR_IO, "%s cannot be written: %s", path, strerror(error));
}

int foreign_write(const char *path, const struct supply *supply, int (*done)(void *ctx))
{
    char part[CKPT_PATH];
    struct claim claim;
    bool is_npz;
    int rc;

    TRY(foreign_is_npz(&is_npz, path));
    if (snprintf(part, sizeof part, "%s.part", path) >= CKPT_PATH)
        return ERR(ERR_USAGE, "the name %s is too long", path);
    TRY(claim_take(&claim, path));
    rc = (is_npz ? &foreign_npz : &foreign_safetensors)->write(part, supply);
    if (rc == 0 && done != NULL)
        rc = done(supply->ctx);
    if (rc == 0)
        rc = sync_file(part);
    if (rc == 0)
        rc = draft_rename(path, part);
    if (rc != 0)
        unlink(part);
    claim_drop(&claim);
    return rc;
}
