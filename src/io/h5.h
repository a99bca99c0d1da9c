/* SPDX-License-Identifier: BSD-3-Clause */
/* Thin HDF5: files, datasets of whole tensors, attributes, offsets.  The only place
 * that knows HDF5.
 *
 * Datasets are few, large and contiguous, and are allocated when they are created, so
 * that h5_offset() tells where in the file their bytes are and plain pread() and
 * pwrite() reach them.  Groups on the way to a name are made as needed.  HDF5 is not
 * thread-safe: one thread makes all calls.
 *
 * Nothing here is collective: one rank makes a file, and ranks that write or read it
 * together do so without HDF5.  Functions return 0, ERR_IO where the system cannot read
 * or write, or ERR_DATA where the file does not hold what was asked for or HDF5 can
 * make nothing of it, with HDF5's own sentence.
 */
#ifndef IO_H5_H
#define IO_H5_H

#include "src/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The code of calls that were to make a file: ERR_IO, for where HDF5 itself could not
 * (it had no memory, or no place for so much) no file was wrong.
 */
static inline int h5_made(int rc)
{
    return rc == ERR_DATA ? ERR_IO : rc;
}

enum { H5_DIMS_MOST = 8 };

/* Element types, the same in memory and (little-endian) in the file. */
enum h5_type {
    H5_TYPE_U8,
    H5_TYPE_I32,
    H5_TYPE_I64,
    H5_TYPE_F32,
    H5_TYPE_F64,
    H5_TYPES
};

struct h5;

struct h5_shape {
    enum h5_type type;
    int dims;
    int64_t size[H5_DIMS_MOST];
};

/* A new file in the place of any old one; an old file to read; an old file to read and
 * change.
 */
int h5_create(struct h5 **file, const char *path);
int h5_open(struct h5 **file, const char *path);
int h5_change(struct h5 **file, const char *path);

/* A new file in memory.  When it is closed, 'image' has what HDF5 has written, from the
 * file's first byte on, and how large the file is: what is missing is room for
 * datasets.  'path' is for sentences.  h5_image_free() gives the memory back.
 */
struct h5_image {
    char *at;
    int64_t bytes; /* at 'at' */
    int64_t size;  /* of the whole file */
};
int h5_create_image(struct h5 **file, struct h5_image *image, const char *path);
void h5_image_free(struct h5_image *image);

const char *h5_path(const struct h5 *file);

/* What was written is in the file only if this returns 0.  Accepts NULL. */
int h5_close(struct h5 **file);

/* Make the dataset 'name'; its elements are not written: whoever does so finds their
 * place by h5_offset().
 */
int h5_dataset(struct h5 *file, const char *name, const struct h5_shape *shape);

/* Make the group 'name', and those on the way to it. */
int h5_group(struct h5 *file, const char *name);

/* Call 'visit' for every dataset of the file, by name in the order of their letters,
 * until it returns something other than 0, which is then returned.
 */
typedef int (*h5_visit_fn)(void *ctx, const struct h5 *file, const char *name);
int h5_each(const struct h5 *file, h5_visit_fn visit, void *ctx);

/* Tell in 'is' whether there is a dataset or group 'name'.  Returns 0, or an error if
 * the file does not give that: asked again, HDF5 may take it for missing.
 */
int h5_has(bool *is, const struct h5 *file, const char *name);

/* What the dataset 'name' is. */
int h5_shape(struct h5_shape *shape, const struct h5 *file, const char *name);

/* Read the box of 'count' elements from 'start' on, one number a dimension; 'data' is
 * packed.  A box with a count of 0 is empty.  'type' is that of 'data' and may differ
 * from the file's.
 */
int h5_read(void *data, enum h5_type type, const struct h5 *file, const char *name,
            const int64_t *start, const int64_t *count);

/* The place of the dataset's first byte in the file; ERR_DATA where its bytes do not
 * lie in one piece, lie in another file, or are not in the order of this machine.
 */
int h5_offset(int64_t *bytes, const struct h5 *file, const char *name);

/* Attributes of the dataset or group 'where'; "/" is the file's own.  Writing replaces.
 * A text that does not fit into 'size' bytes is ERR_DATA, and so are several values.
 */
int h5_set_text(struct h5 *file, const char *where, const char *name, const char *text);
int h5_set_int(struct h5 *file, const char *where, const char *name, int64_t value);
int h5_get_text(char *text, size_t size, const struct h5 *file, const char *where,
                const char *name);
int h5_get_int(int64_t *value, const struct h5 *file, const char *where,
               const char *name);

#endif
