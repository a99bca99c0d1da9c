/* SPDX-License-Identifier: BSD-3-Clause */
/* NumPy's header of an array: what an entry of an .npz file begins with.
 *
 *   \x93NUMPY, two bytes of a version, two or four of a length, then in so many bytes
 *   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }  blanks and a newline
 */
#ifndef EXCHANGE_NPY_H
#define EXCHANGE_NPY_H

#include "src/exchange/foreign_impl.h"

enum { NPY_START = 12, NPY_MOST = 4096 };

/* How long the whole header is, by its first NPY_START bytes (as many as there are);
 * -1 if they begin none, or one of more than NPY_MOST bytes.
 */
int npy_length(const void *start, int64_t bytes);

/* Fill type, shape and elements of 'array', whose name is set, from the 'bytes' of a
 * header.  '*size' are the bytes of an element, 0 if that is not known.  0 or ERR_DATA.
 */
int npy_parse(struct array *array, int64_t *size, const struct foreign *f,
              const char *header, int bytes);

/* Write the header of an array of f32 into 'header' (NPY_MOST bytes): its length. */
int npy_write(char *header, const struct array *array);

#endif
