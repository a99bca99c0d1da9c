/* SPDX-License-Identifier: BSD-3-Clause */
/* At which rates the operations of a step run that are no products. */
#ifndef BENCH_OPERATIONS_H
#define BENCH_OPERATIONS_H

#include "bench/bench.h"
#include "bench/result.h"

#include "src/plan/machine.h"

/* Add a kernel to 'm' and a row to 'c' for every operation of a step of one block with
 * four images a data rank, but products and what is too small to be more than a call;
 * FLOP/s or bytes/s of the first rank's work at the pace of the slowest rank, and
 * 'op_s' of 'm' likewise.  None where the step does not fit.  Returns 0, ERR_STOPPED or
 * what setup_open() fails with.  Collective.
 */
int operations_measure(struct machine *m, struct bench *b, struct case_result *c);

#endif
