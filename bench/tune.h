/* SPDX-License-Identifier: BSD-3-Clause */
/* What a run chooses by timing, once, before what it is chosen for: the same on all
 * ranks, because the slowest rank's times decide.
 */
#ifndef BENCH_TUNE_H
#define BENCH_TUNE_H

#include "bench/case.h"

/* Choose form and panels for each sharded product of a shape by trying them on operands
 * of their own, of as many rows as a rank has, or fewer where that takes long.  Plain
 * products are kept unless another form is clearly faster.  Where there is no memory for
 * it, rings are chosen.  A few seconds at most, of large products.  Collective.
 */
void tune_products(struct cmm_tuned *tuned, struct bench *b, const struct spec *spec,
                   int64_t batch);

/* The same for the operations of one pair. */
struct pair;
void tune_pair(struct cmm_tuned *tuned, struct pair *p);

/* The first of 'n' manners, the simplest first, that no later one beats by a margin, when
 * they take median[k] seconds.
 */
struct manner;
int tune_choose(const double *median, const struct manner *m, int n);

/* The rows that a rank should try with: of 'rows', so many that a product does not take
 * long at 'peak' FLOP/s; the same on all ranks.
 */
int64_t tune_rows(const struct spec *s, int64_t rows, int M, double peak);

/* Decide who moves the messages, for --progress, and start it: b->progress.  Auto probes
 * between nodes whether this MPI moves a large message while nobody calls it: then 'none',
 * else 'poll'.  A thread needs an MPI that allows it: without, polls; is_fallback says so.
 * Collective.
 */
void tune_progress(struct bench *b, bool *is_fallback);

#endif
