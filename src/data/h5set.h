/* SPDX-License-Identifier: BSD-3-Clause */
/* Sets of labelled images or features in one HDF5 file.
 *
 *   encoded    bytes    [sum of sizes] u8   image files as they are, one after another
 *              offset   [n + 1] i64         where each begins in 'bytes', and the end
 *   images     images   [n, h, w, 3] u8     pixels
 *   features   features [n, C] f32
 *   all        labels   [n] i32, or [n, K] u8 of 0 and 1 where an image has several
 *
 * Attributes of the file: 'format', 'classes' (K), 'digest' (a 64-bit sum over all
 * items and labels), and 'names', the classes' names, a line each.
 *
 * HDF5 only finds the places of the datasets; items are read with pread(), by any
 * thread, and written with pwrite().
 */
#ifndef DATA_H5SET_H
#define DATA_H5SET_H

#include "src/base/split.h"
#include "src/data/decode.h"

enum { H5SET_CLASSES_MOST = 1000000 };

enum h5set_kind { H5SET_ENCODED, H5SET_IMAGES, H5SET_FEATURES };

struct h5set_shape {
    enum h5set_kind kind;
    int64_t count, classes;
    bool has_many;     /* labels [n, K] */
    int64_t bytes;     /* encoded: of all files */
    int height, width; /* images */
    int64_t features;  /* features: C */
    int64_t digest;    /* of the file that is read; 0: it has none */
};

struct h5set;

/* Open 'path' and check what can be checked without reading the items: shapes, places,
 * that the file is as long as they say, every offset and every label.  Returns 0,
 * ERR_IO, or ERR_DATA with a sentence.  Local; one thread.
 */
int h5set_open(struct h5set **set, const char *path);

/* The same by all of 'ranks', of which each looks at its share of the offsets and
 * labels, since a set of billions has tens of gigabytes of them: one that fails has to
 * tell the others.
 */
int h5set_open_among(struct h5set **set, const char *path, int rank, int ranks);
void h5set_close(struct h5set **set);

/* Borrowed, valid until the set is closed. */
const struct h5set_shape *h5set_shape(const struct h5set *set);

/* The names of the classes, a line each, or "", which the caller owns (mem_free), also
 * where it fails; "" too for more of them than 16 MiB.  Returns 0, ERR_IO or ERR_DATA.
 */
int h5set_names(char **names, const char *path);

/* 0 if no class has one name in the set 'a' and another in 'b': numbers are what labels
 * are compared by.  ERR_DATA with both names else.
 */
int h5set_same_classes(const char *a, const char *b);

/* Item 'i' into the room, '*size' bytes: the file, the pixels or the numbers.  Returns,
 * as the next two do, 0, ERR_IO or ERR_DATA.  Any thread.
 */
int h5set_read(struct decode_room *room, size_t *size, const struct h5set *set,
               int64_t i);

/* The label of item 'i' of a set whose items have one each.  Any thread. */
int h5set_label(int32_t *label, const struct h5set *set, int64_t i);

/* target [k] = 1 for the classes of 'k' that item 'i' has, else 0.  Any thread. */
int h5set_target(float *target, const struct h5set *set, struct range k, int64_t i);

/* Read all items and compare with the digest: ERR_DATA if it differs. */
int h5set_verify(const struct h5set *set);

/* Can a set be made at 'path'?  0, or ERR_IO with the reason: to be asked before hours
 * of work.  What is there stays, also what another program makes.
 */
int h5set_check(const char *path);

/* A new set of 'shape' at 'path', to be filled in order with 'shape->count' items:
 * 'size' bytes and one label, or 'labels' of them.  The file has the name 'path'.part
 * until h5set_finish(), which makes sure that all of it is on disk and closes the set;
 * it and h5set_drop() leave no half-written file.  'names' may be "".  They return 0 or
 * ERR_IO, said, and die of items or labels that are not those of 'shape'.
 */
int h5set_create(struct h5set **set, const char *path, const struct h5set_shape *shape,
                 const char *names);
int h5set_append(struct h5set *set, const void *item, size_t size, const int32_t *label,
                 int labels);
int h5set_finish(struct h5set **set);
void h5set_drop(struct h5set **set);

#endif
