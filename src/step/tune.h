/* SPDX-License-Identifier: BSD-3-Clause */
/* What a run chooses by timing, once, before what it is chosen for: the same on all
 * ranks, because the slowest rank's times decide.
 */
#ifndef STEP_TUNE_H
#define STEP_TUNE_H

#include "mesh/progress.h"
#include "src/step/pair.h"

/* Choose form and panels for each sharded product of a shape by trying them on operands
 * of their own, of as many rows as a rank has in a micro-batch of a batch of B, or
 * fewer where that takes long on ranks of 'peak' FLOP/s; 'node_memory' as in
 * pair_open().  Plain products are kept unless another form is clearly faster.  Where
 * there is no memory for it, rings are chosen, as with one model rank.  A few seconds
 * at most, of large products.  Returns 0, or ERR_STOPPED on all ranks if one of them
 * has been told to end (base/told.h).  Collective; all arguments must agree.
 */
int tune_products(struct cmm_tuned *tuned, struct mesh *mesh, struct dev *dev,
                  const struct spec *spec, int64_t B, int micros, double peak,
                  int64_t node_memory);

/* The same for the operations of one pair. */
int tune_pair(struct cmm_tuned *tuned, struct pair *p);

/* The first of 'n' manners, the simplest first, that no later one beats by a margin,
 * when they take seconds[k].
 */
int tune_choose(const double *seconds, const struct manner *m, int n);

/* The rows that a rank should try with: of 'rows', so many that a product does not take
 * long at 'peak' FLOP/s; the same on all ranks.
 */
int64_t tune_rows(const struct spec *s, int64_t rows, int M, double peak);

/* Decide who moves the messages, for --progress, and start it.  Auto, where timing may
 * choose, probes between nodes whether this MPI moves a large message while nobody
 * calls it: then nobody, else polling.  A thread needs an MPI that allows it: without,
 * polls.  Collective.
 */
enum progress_form tune_progress(struct mesh *mesh, int choice, bool may_choose);

#endif
