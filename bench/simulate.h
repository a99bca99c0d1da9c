/* SPDX-License-Identifier: BSD-3-Clause */
/* What vitbench-sim and its simulated ranks have in common: the options, of which they
 * are told through a file, since the simulator's launcher takes words apart at blanks.
 */
#ifndef BENCH_SIMULATE_H
#define BENCH_SIMULATE_H

#include "bench/options.h"

#define SIMULATE_MACHINE "cpu-cluster"
#define SIMULATE_USAGE                                                                 \
    "vitbench-sim [--ranks=N] [--machine=FILE|NAME] [--name=value ..]"
#define SIMULATE_ABOUT                                                                 \
    "Runs the training steps of vitbench with simulated ranks: the same schedule, "    \
    "messages through SimGrid's SMPI, and each operation of the device costing the "   \
    "time that the file of a machine says.  Options are those of vitbench, but what "  \
    "is not given is one rank of " SIMULATE_MACHINE ", and one step without warm-up; " \
    "nothing is tuned or checked, and --case, --device, --progress and --official "    \
    "have no choice."

/* options_read() with the defaults of a simulation: one step, no warm-up, nothing
 * checked or tuned, bf16 on GPUs, on the machine SIMULATE_MACHINE.
 */
int simulate_read(struct opts *opts, struct options *o, int argc, char **argv);

/* Write the words argv[0 .. argc) to 'path' / read them: a list that ends in NULL,
 * never freed.  Return 0 or ERR_IO.
 */
int simulate_write_words(const char *path, int argc, char **argv);
int simulate_read_words(int *argc, char ***argv, const char *path);

#endif
