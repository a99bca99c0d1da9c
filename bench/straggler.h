/* SPDX-License-Identifier: BSD-3-Clause */
/* Which rank is slow: compute seconds of every rank net of waiting.
 *
 * Some rank is always the slowest; a straggler is one that is slow
 *
 *   for no reason  it computes SLOW times as long as the others need for its share of
 *                  the work (a rank with more heads may take longer; one with fewer
 *                  need not be faster, for not everything shrinks with the work),
 *   mostly         in a share MOSTLY of the parts into which the run is cut,
 *   not by chance  judging by how often the other ranks are slow in a part, the
 *                  probability that any rank is so often is at most CHANCE.
 *
 * So a noisy run names only who really stands out, and a short one of few ranks nobody:
 * two need 8 steps, four 5, ten 3.
 */
#ifndef BENCH_STRAGGLER_H
#define BENCH_STRAGGLER_H

#include "bench/case.h"
#include "bench/series.h"

#define STRAGGLER_SLOW   1.10
#define STRAGGLER_MOSTLY 0.75
#define STRAGGLER_CHANCE 0.01

/* What a rank says of itself. */
struct rank_times {
    int rank;
    char host[HOST_NAME];
    double work; /* model FLOPs a step */
    int parts;
    double busy[SERIES_PARTS]; /* seconds a step in each part of the run */
    double seconds;            /* and of the whole run, the mean of its steps */

    /* Filled by straggler_judge(): */
    double ratio; /* 'seconds' to what the others need for this work; 1 alone */
    int slow;     /* parts in which it was STRAGGLER_SLOW times as long */
    bool is_straggler;
};

/* Judge 'n' ranks, whose 'parts' agree; leaves them in another order. */
void straggler_judge(struct rank_times *all, int n);

/* Fill compute_min, _median, _max, the slowest ranks with their hosts, and the sentence
 * on stragglers, on rank 0.  'work' is this rank's model FLOPs a step.  With
 * 'is_crowded', where ranks share cores, nobody is named: the scheduler chooses who is
 * slow.  Collective over 'mesh'.
 */
void straggler_find(struct case_result *c, struct mesh *mesh, const struct series *s,
                    double work, bool is_crowded);

#endif
