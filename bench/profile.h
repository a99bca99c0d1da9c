/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the time of a step goes (--profile): each operation of rank 0 against what the
 * machine could do.  For products that is the measured peak, for all others the
 * bandwidth of memory, which is measured for this.
 */
#ifndef BENCH_PROFILE_H
#define BENCH_PROFILE_H

#include "bench/case.h"

#include <stdio.h>

/* Begin to take what operations cost. */
void profile_start(struct bench *b);

/* What they have cost in 'steps' steps of 'seconds' each, into 'c' on rank 0:
 * the longest first, and last what is not in operations: messages, waiting,
 * the host's own work.  Collective over the mesh, because the bandwidth is
 * measured by all ranks at once.
 */
void profile_finish(struct case_result *c, struct bench *b, int steps, double seconds);

/* The table, and the JSON array; empty without a profile. */
void profile_text(FILE *out, const struct case_result *c);
json_t *profile_json(const struct case_result *c);

#endif
