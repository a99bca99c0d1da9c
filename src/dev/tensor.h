/* SPDX-License-Identifier: BSD-3-Clause */
/* A matrix is a view: rows and columns of numbers somewhere in a buffer of a device.
 * Everything that the model multiplies, adds or normalises is one.  Views never own.
 */
#ifndef DEV_TENSOR_H
#define DEV_TENSOR_H

#include "src/base/dtype.h"
#include "src/base/split.h"

#include <stddef.h>

struct dev;

/* Memory of a device.  'at' may be an address that only the device can follow. */
struct buf {
    struct dev *dev;
    char *at;
    size_t bytes;
};

/* Element (r, c) is number offset + r * ld + c of 'buf', in units of 'dtype'. */
struct mat {
    struct buf *buf;
    enum dtype dtype;
    int64_t offset, rows, cols, ld;
};

/* [rows, cols] at the start of 'b', or from element 'offset' on. */
static inline struct mat mat_of(struct buf *b, enum dtype t, int64_t rows, int64_t cols)
{
    return (struct mat){ b, t, 0, rows, cols, cols };
}

static inline struct mat mat_at(struct buf *b, enum dtype t, int64_t offset,
                                int64_t rows, int64_t cols)
{
    return (struct mat){ b, t, offset, rows, cols, cols };
}

static inline struct mat mat_cols(struct mat a, int64_t lo, int64_t hi)
{
    a.offset += lo;
    a.cols = hi - lo;
    return a;
}

static inline struct mat mat_rows(struct mat a, int64_t lo, int64_t hi)
{
    a.offset += lo * a.ld;
    a.rows = hi - lo;
    return a;
}

/* Every 'step'-th row, from row 'first' on: the class token's rows, for one. */
static inline struct mat mat_every(struct mat a, int64_t first, int64_t step)
{
    a.offset += first * a.ld;
    a.rows = (a.rows - first + step - 1) / step;
    a.ld *= step;
    return a;
}

/* No matrix: an optional argument that is not given. */
static inline struct mat mat_none(void)
{
    return (struct mat){ 0 };
}

static inline int mat_is_none(struct mat a)
{
    return a.buf == NULL;
}

static inline int64_t mat_size(struct mat a)
{
    return a.rows * a.cols;
}

static inline int64_t mat_bytes(struct mat a) /* of its elements, packed */
{
    return mat_size(a) * (int64_t)dtype_size(a.dtype);
}

static inline int mat_is_packed(struct mat a)
{
    return a.ld == a.cols || a.rows <= 1;
}

static inline int mat_is_same_place(struct mat a, struct mat b)
{
    return a.buf == b.buf && a.offset == b.offset;
}

/* Address of the first element; of use to the device alone, and to MPI where
 * dev_is_host() says so.
 */
static inline void *mat_ptr(struct mat a)
{
    return a.buf->at + a.offset * (int64_t)dtype_size(a.dtype);
}

#endif
