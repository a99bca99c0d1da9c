/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of this folder share. */
#ifndef IO_H5_IMPL_H
#define IO_H5_IMPL_H

#include "src/io/h5.h"

#include <hdf5.h>

struct h5 {
    hid_t id;
    char path[1024];
    struct h5_image *image; /* borrowed; NULL: the file is on the disk */
};

/* Return h5_failed() from the calling function if 'call' fails.  For functions that
 * hold nothing.
 */
#define TRY_H5(path, call)                                                             \
    do {                                                                               \
        if ((call) < 0)                                                                \
            return h5_failed(path);                                                    \
    } while (0)

/* The same without return: assign the code to 'rc' and go to 'label'. */
#define TRY_H5_GOTO(label, rc, path, call)                                             \
    do {                                                                               \
        if ((call) < 0) {                                                              \
            (rc) = h5_failed(path);                                                    \
            goto label;                                                                \
        }                                                                              \
    } while (0)

/* Let a file that is opened with 'access' be in memory. */
int h5_image_use(hid_t access, struct h5_image *image, const char *path);

/* Keep HDF5's own sentence about the call that failed; ERR_IO where it is the system
 * that failed, else ERR_DATA.
 */
int h5_failed(const char *path);

#endif
