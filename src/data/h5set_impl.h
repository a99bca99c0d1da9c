/* SPDX-License-Identifier: BSD-3-Clause */
/* What reader and writer of sets share. */
#ifndef DATA_H5SET_IMPL_H
#define DATA_H5SET_IMPL_H

#include "src/base/claim.h"
#include "src/data/h5set.h"

#define H5SET_FORMAT "vitbench set 1"

struct h5set {
    struct h5set_shape shape;
    char path[1024]; /* of the finished file */
    int fd;
    int64_t items_at, offset_at, labels_at; /* bytes from the start of the file */

    /* writing */
    char part[1040]; /* the file's name until it is finished */
    struct claim claim;
    int64_t next, end;
    uint64_t digest;
    uint8_t *many; /* [classes] */
};

/* Bytes of an item that is not encoded; of a row of labels. */
int64_t h5set_item_bytes(const struct h5set_shape *s);
int64_t h5set_label_bytes(const struct h5set_shape *s);

/* What item 'i' adds to the digest. */
uint64_t h5set_hash(const void *bytes, size_t size, int64_t i);

#endif
