/* SPDX-License-Identifier: BSD-3-Clause */
/* Sets of images for vitbench, which itself links without HDF5: the program fills in
 * the functions where the build has it.
 */
#ifndef BENCH_FILES_H
#define BENCH_FILES_H

#include "src/data/data.h"
#include "src/data/h5set.h"

struct bench_files {
    int (*open_data)(struct data **data, const char *path,
                     const struct data_options *o);
    int (*open_set)(struct h5set **set, const char *path, int rank, int ranks);
    const struct h5set_shape *(*shape)(const struct h5set *set);
    int (*read)(struct decode_room *room, size_t *size, const struct h5set *set,
                int64_t i);
    void (*close_set)(struct h5set **set);
};

#endif
