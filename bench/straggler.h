/* SPDX-License-Identifier: BSD-3-Clause */
/* Which rank is slow: compute seconds of every rank net of waiting. */
#ifndef BENCH_STRAGGLER_H
#define BENCH_STRAGGLER_H

#include "bench/case.h"

/* 'busy' is this rank's seconds a step inside operations of the device.  Fills
 * compute_min, _median, _max and the slowest ranks with their hosts, on rank 0.
 * Collective over 'mesh'.
 */
void straggler_find(struct case_result *c, struct mesh *mesh, double busy);

#endif
