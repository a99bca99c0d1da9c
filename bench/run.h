/* SPDX-License-Identifier: BSD-3-Clause */
/* Measure the peak and run an agenda, case by case. */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "bench/agenda.h"

#include <stdio.h>

/* The slowest rank's peak, all ranks at once, each rank's the larger of this and
 * earlier measurements; into b->peak and, on rank 0, the result, with the data sheet's
 * beside it.  Collective over the mesh.
 */
void run_peak(struct bench *b);

/* Run every entry; on rank 0 each case is reported to 'out' when it is done.  Returns 0
 * even where checks failed or a signal came (the result says so), or the code that
 * ended the run.
 * Collective over the mesh.
 */
int run_agenda(struct bench *b, const struct agenda *a, FILE *out);

#endif
