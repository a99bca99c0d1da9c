/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of named arrays that other programs read and write: NumPy's .npz and
 * safetensors.  Nothing here knows what the arrays mean.
 *
 * A file is read one stretch of an array after the other, and written the same way: no
 * array need fit into memory.  What a file says about itself is not believed: every
 * array must lie in the file, with as many bytes as its shape and type need.
 */
#ifndef EXCHANGE_FOREIGN_H
#define EXCHANGE_FOREIGN_H

#include <stdbool.h>
#include <stdint.h>

enum { ARRAY_NAME = 160, ARRAY_DIMS = 8, ARRAY_TYPE = 32 };

/* Formats of numbers that are read; what else there is, integers among it, is OTHER. */
enum array_type { ARRAY_F64, ARRAY_F32, ARRAY_F16, ARRAY_BF16, ARRAY_OTHER };

struct array {
    char name[ARRAY_NAME];
    enum array_type type;
    char said[ARRAY_TYPE]; /* the type as the file has it: "<f4", "BF16" */
    int dims;
    int64_t size[ARRAY_DIMS];
    int64_t elements;
    bool is_fortran;       /* in the file the first dimension runs fastest */
    int64_t entry, offset; /* the reader's own: where the bytes are */
};

struct foreign_format;

struct foreign {
    const struct foreign_format *format;
    char path[1024];
    struct array *array; /* 'arrays' of them, in the order of their names */
    int arrays;
    int room;
    int fd; /* of the whole file, and its size */
    int64_t bytes;
    float *whole; /* of the array 'whole_of', in the file's order */
    const struct array *whole_of;
    void *block; /* where numbers are converted */
    void *own;   /* the reader's */
};

/* Open 'path', which is an .npz or a .safetensors file by its first bytes.  Returns 0,
 * ERR_IO, ERR_ENV (this build reads no .npz) or ERR_DATA with a sentence.  Local.
 */
int foreign_open(struct foreign **f, const char *path);
void foreign_close(struct foreign **f);

/* The array of that name, or NULL. */
const struct array *foreign_find(const struct foreign *f, const char *name);

/* Read 'n' elements of an array of a known type, from element 'at' on, as f32.  Fast if
 * 'at' goes on where the last call stopped; compressed arrays are read from their start
 * otherwise.  Arrays in Fortran order are kept whole in memory until another is read.
 * Returns 0, ERR_IO, ERR_MEMORY or ERR_DATA (damaged, or too large for f32).
 */
int foreign_read(float *x, struct foreign *f, const struct array *array, int64_t at,
                 int64_t n);

/* ---- writing --------------------------------------------------------------------- */

/* What is written: 'count' arrays of f32, names and shapes; more() points '*x' to the
 * '*n' elements of array 'i' from element 'at' on, as many as it likes, valid until the
 * next call.  It returns 0 or a code, said, which ends the writing.
 */
struct supply {
    const struct array *array;
    int count;
    int (*more)(void *ctx, const float **x, int64_t *n, int i, int64_t at);
    void *ctx;
};

/* Write the file 'path', in the format that its ending names, beside it first: it has
 * its name when all of it is on the disk.  Calls done(ctx), if there is one, before
 * that: a code other than 0 drops the file.  Returns 0, ERR_USAGE (another ending),
 * ERR_ENV, ERR_IO, or what more() and done() return.  Local.
 */
int foreign_write(const char *path, const struct supply *supply,
                  int (*done)(void *ctx));

/* True if the name ends in .npz; ERR_USAGE if in neither of the two. */
int foreign_is_npz(bool *is_npz, const char *path);

#endif
