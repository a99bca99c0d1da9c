/* SPDX-License-Identifier: BSD-3-Clause */
/* --dry-run: parameters, FLOPs, memory, messages, for any number of ranks, from
 * arithmetic alone.  No MPI, no device.
 */
#ifndef BENCH_DRY_H
#define BENCH_DRY_H

#include "bench/options.h"

#include <stdio.h>

/* Print the plan of every shape of 'c', and write it as JSON where --json says so.
 * Returns 0, or a code with a sentence.
 */
int dry_run(FILE *out, const struct options *o, const struct choices *c);

#endif
