/* SPDX-License-Identifier: BSD-3-Clause */
/* What a run will do, decided before it: which cases, on which shapes, how deep, with
 * which batch, and the one mesh for all of them.  Pure arithmetic, the same on all
 * ranks.
 */
#ifndef BENCH_AGENDA_H
#define BENCH_AGENDA_H

#include "bench/case.h"

/* Images of a data rank where no batch is asked for, at most: 8, or one for every
 * micro-batch.
 */
enum { AGENDA_IMAGES = 8 };
int64_t agenda_images(const struct way *way);

/* Seconds that a case of the default run may take, all in all. */
#define AGENDA_BUDGET 45.0

struct agenda_entry {
    enum case_id id;
    bool has_spec; /* false: the case needs no shape */
    struct spec spec;
    int64_t batch;
    bool is_rated;
    char skip[256]; /* not empty: the reason why it cannot run */
};

enum { AGENDA_ENTRIES = 256 };
struct agenda {
    struct agenda_entry entry[AGENDA_ENTRIES];
    int count;
};

/* Where the device is left to the program: take one that keeps no packed copies of the
 * weights, if this build has it and more shapes then fit into the memory.
 */
void agenda_device(struct choices *c, const struct options *o, int ranks,
                   int ranks_per_node, int64_t node_bytes);

/* The mesh for 'ranks' ranks: --mesh, or chosen for the most demanding shape; with a
 * machine the one that is predicted to be fastest, of those that fit.  Needs node_bytes
 * (what the ranks of a node may use together).  Returns 0 or a code.
 */
int agenda_mesh(int *D, int *M, const struct options *o, const struct choices *c,
                int ranks, int ranks_per_node, int64_t node_bytes);

/* The list, given the mesh and the measured peak of a rank (FLOP/s).  Returns 0, or
 * ERR_SHAPE where a named shape cannot be run on this mesh at all.
 */
int agenda_make(struct agenda *a, const struct options *o, const struct choices *c,
                int D, int M, int ranks_per_node, int64_t node_bytes, double peak);

#endif
