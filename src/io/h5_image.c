/* SPDX-License-Identifier: BSD-3-Clause */
/* Files in memory: HDF5's core driver with an allocator that keeps the block when HDF5
 * gives it back.  All that describes the data is put at the start of the file, so that
 * the block ends there, however large the datasets are.
 */
#include "config.h"

#include "src/io/h5.h"

#include "src/io/h5_impl.h"

#include <stdlib.h>
#include <string.h>

enum { METADATA = 4 << 20, INCREMENT = 64 << 10 };

static void *image_malloc(size_t size, H5FD_file_image_op_t op, void *image)
{
    (void)op;
    (void)image;
    return malloc(size);
}

static void *image_memcpy(void *to, const void *from, size_t size,
                          H5FD_file_image_op_t op, void *image)
{
    (void)op;
    (void)image;
    return memcpy(to, from, size);
}

static void *image_realloc(void *block, size_t size, H5FD_file_image_op_t op,
                           void *image)
{
    struct h5_image *i = image;
    char *more         = realloc(block, size);

    (void)op;
    if (more != NULL) {
        i->at    = more;
        i->bytes = (int64_t)size;
    }
    return more;
}

static herr_t image_keep(void *block, H5FD_file_image_op_t op, void *image)
{
    const struct h5_image *i = image;

    (void)op;
    if (block != i->at)
        free(block);
    return 0;
}

static void *udata_copy(void *image)
{
    return image;
}

static herr_t udata_free(void *image)
{
    (void)image;
    return 0;
}

int h5_image_use(hid_t access, struct h5_image *image, const char *path)
{
    H5FD_file_image_callbacks_t callbacks = {
        .image_malloc  = image_malloc,
        .image_memcpy  = image_memcpy,
        .image_realloc = image_realloc,
        .image_free    = image_keep,
        .udata_copy    = udata_copy,
        .udata_free    = udata_free,
        .udata         = image,
    };

    *image = (struct h5_image){ 0 };
    TRY_H5(path, H5Pset_fapl_core(access, INCREMENT, false));
    TRY_H5(path, H5Pset_meta_block_size(access, METADATA));
    TRY_H5(path, H5Pset_file_image_callbacks(access, &callbacks));
    return 0;
}

void h5_image_free(struct h5_image *image)
{
    free(image->at);
    *image = (struct h5_image){ 0 };
}
