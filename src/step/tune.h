/* SPDX-License-Identifier: BSD-3-Clause */
/* What a run chooses by timing, once, before it begins: the forms of its sharded
 * products, and who moves messages.  All ranks choose the same, because the slowest
 * rank's times decide.
 */
#ifndef STEP_TUNE_H
#define STEP_TUNE_H

#include "mesh/progress.h"
#include "src/step/pair.h"

/* Choose form and panels for each sharded product of a shape by trying them on operands
 * of their own.  These have as many rows as a rank has in a micro-batch of a batch of
 * B, or fewer where that takes long on ranks of 'peak' FLOP/s; 'node_memory' as in
 * pair_open().  The plain form is taken unless another one is clearly faster.  Without
 * memory for the operands, or with one model rank, rings are taken untried.  Takes a
 * few seconds at most, for large products.  Returns 0, or ERR_STOPPED on all ranks if
 * one of them has been told to end (base/told.h).
 * Collective; all arguments must agree.
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

/* Decide who moves the messages, as --progress says, start that, and return it.  With
 * 'auto' and 'may_choose' a probe between nodes finds out whether this MPI moves a
 * large message while nobody calls it: if so nobody does, else the ranks poll.  A
 * thread needs an MPI that allows it; without one the ranks poll.  Collective.
 */
enum progress_form tune_progress(struct mesh *mesh, int choice, bool may_choose);

#endif
