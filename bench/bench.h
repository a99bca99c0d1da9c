/* SPDX-License-Identifier: BSD-3-Clause */
/* What the two programs of the benchmark have in common: vitbench, which runs on the
 * machine at hand, and the ranks of vitbench-sim, which are simulated.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "bench/case.h"
#include "mesh/program.h"

struct bench_program {
    const char *name, *usage, *about;

    /* Parse as options_read() does. */
    int (*read)(struct opts *opts, struct options *o, int argc, char **argv);

    const struct bench_files *files; /* NULL: no HDF5 */
    case_fn *ckpt;                   /* likewise */

    /* Ranks are simulated: time is that of the machine of --machine, read from 'clock',
     * and 'block' gives all of them the same DEV_MODEL_BLOCK addresses that messages
     * are never copied to or from, and 'model' its sign and places (collective over
     * 'comm').  NULL: the machine at hand.
     */
    void *(*block)(struct mesh_model *model, MPI_Comm comm);
    double (*clock)(void);
};

/* From argv to the exit status; calls MPI_Init unless nothing is to run. */
int bench_main(const struct bench_program *program, int argc, char **argv);

#endif
