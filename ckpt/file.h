/* SPDX-License-Identifier: BSD-3-Clause */
/* What is in a checkpoint file, without its numbers: the datasets with their shapes,
 * their places and their digests, and /meta.
 *
 * HDF5 is asked by one process alone, without MPI, and writes to memory alone: of its
 * collective calls one that fails on one rank leaves the others waiting for ever, and a
 * file that it cannot close (a full disk) makes it crash at the end of the program.
 * Numbers are written and read with pwrite() and pread() at the places that it tells.
 */
#ifndef CKPT_FILE_H
#define CKPT_FILE_H

#include "ckpt/ckpt.h"

/* A dataset: whole, f32, contiguous, row-major. */
struct entry {
    char name[CKPT_NAME]; /* without a slash in front */
    int dims;
    int64_t size[H5_DIMS_MOST];
    int64_t elements;
    int64_t offset; /* of the first byte in the file */
    uint64_t digest;
};

/* The two small datasets of /meta, which are written last. */
enum { FILE_DIGEST, FILE_COMPLETE, FILE_OWN };

struct ckpt_file {
    char path[CKPT_PATH];
    struct entry *entry; /* 'entries' of them, in the order of their names */
    int entries;
    int64_t bytes; /* of all datasets */
    int64_t own_offset[FILE_OWN];
    struct ckpt_meta meta;
};

/* Read it without MPI; file_close() frees it.  Returns 0, ERR_IO, ERR_MEMORY, ERR_ENV
 * (of another format), or ERR_DATA: not a checkpoint, not complete, truncated, or with
 * a dataset that is none of ours.
 */
int file_open(struct ckpt_file **file, const char *path);

/* The same for all ranks of 'comm', of which rank 0 reads it; said,
 * and the same code on all.
 */
int file_open_all(struct ckpt_file **file, const char *path, MPI_Comm comm);
void file_close(struct ckpt_file **file);

/* The dataset of that name, or NULL. */
const struct entry *file_find(const struct ckpt_file *file, const char *name);

/* The dataset that tensor 't' is (a part) of: its name and size; and the number of the
 * tensor's first element in it.
 */
void file_entry(struct entry *entry, const struct ckpt_tensor *t);
int64_t file_index(const struct ckpt_tensor *t);

/* The shape as text, "[2, 192, 10]", into 'text'; returns it. */
enum { FILE_SHAPE = 128 };
const char *file_shape(char text[FILE_SHAPE], const int64_t *size, int dims);

/* Read 'n' elements of 'entry', from element 'index' on, of the open file 'fd'.
 * Returns 0, or ERR_DATA (the file ends before) or ERR_IO.
 */
int file_read(float *x, int fd, const struct ckpt_file *file, const struct entry *entry,
              int64_t index, int64_t n);

/* All of 'entry' on all ranks: rank 0 reads it and compares its digest.  '*x' is for
 * mem_free().  Returns 0, ERR_MEMORY, ERR_IO or ERR_DATA, said, the same on all ranks.
 * Collective over 'mesh'.
 */
int file_read_all(float **x, const struct ckpt_file *file, const struct entry *entry,
                  struct mesh *mesh);

/* ---- writing, by one process alone ----------------------------------------------- */

/* Make 'path' with the datasets of 'file' (names and sizes) and its 'meta', and set
 * their offsets: room for the numbers, which are not written.  Returns 0 or ERR_IO.
 */
int file_create(struct ckpt_file *file, const char *path);

/* Put the digests of 'file' into 'path' and that it is complete, and fsync. */
int file_complete(const struct ckpt_file *file, const char *path);

#endif
