/* SPDX-License-Identifier: BSD-3-Clause */
/* Proof of overlap, by kind of traffic: exposed = T(step as run) - T(the same step with
 * these messages taken out); alone = T(the messages with the arithmetic taken out);
 * hidden = (alone - exposed) / min(alone, the compute that may hide it).
 */
#ifndef BENCH_OVERLAP_H
#define BENCH_OVERLAP_H

#include "bench/case.h"

/* Fill the times of the result's messages; bytes and their numbers stay; and, where
 * products have a form that is not plain by order, compare the step with one of
 * plain collectives.  Must come last: results and state of 'step' are worthless
 * afterwards.  Steps of all sorts alternate, in as many rounds as fit into the
 * case's budget, of which 'spent' seconds are gone, by the time of the result's
 * steps; at least one.  Returns 0 or bench_go_on()'s code.  Collective.
 */
int overlap_measure(struct case_result *c, struct bench *b, struct step *step,
                    double spent);

/* Without experiments, of a simulation, where nothing disturbs: exposed is what ranks
 * waited in the last 'steps' steps, a step and rank.  Collective.
 */
void overlap_from_waits(struct comm comm[TRAFFIC_KINDS], struct bench *b, int steps);

/* The two halves of it, also for the case cmm.  From 'n' rounds, in which the messages
 * alone took alone[i] and exposed[i] of them showed: medians, and the interval of what
 * shows (one round alone takes it from 'spread').  Sorts both.
 */
void overlap_times(struct comm *c, double *alone, double *exposed, int n,
                   double spread);

/* From these times what part was hidden, or why this cannot be told, beside 'compute'
 * seconds of arithmetic in 'step_s' seconds of a step.
 */
void overlap_decide(struct comm *c, double compute, double step_s, bool is_by_cores);

/* What part of 'alone' seconds of messages is hidden when 'exposed' of them show,
 * beside 'compute' seconds of arithmetic: 0 .. 1.
 */
double overlap_share(double alone, double exposed, double compute);

/* True where messages of this kind are moved by the cores that compute: all ranks of
 * its axis share memory, everywhere.  There is nothing to hide them behind.
 * Collective.
 */
bool overlap_is_by_cores(struct bench *b, enum traffic kind);

#endif
