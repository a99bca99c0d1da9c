/* SPDX-License-Identifier: BSD-3-Clause */
/* A few ranks of an axis that stand for all of them, so that the most that any rank
 * sends is found for any number of ranks.
 *
 * Sizes are split as evenly as can be (base/split.h), so shares have two sizes.  What a
 * rank sends depends on its own share and its neighbour's: along an axis it changes
 * only where the larger shares end, one rank before that, and at the last rank, whose
 * neighbour is rank 0; where sums are doubled and halved (traffic.h), also as far from
 * there as a round reaches.  Between two changes all ranks send the same, and the ends
 * of each such stretch are in the sample.
 */
#ifndef PLAN_RANK_SAMPLE_H
#define PLAN_RANK_SAMPLE_H

#include <stdint.h>

enum { RANK_SAMPLE_MOST = 4096 };

struct rank_sample {
    int rank[RANK_SAMPLE_MOST]; /* 'count' of them, each once, in no order */
    int count, ranks;
};

/* The sample of an axis of 'ranks' ranks while nothing is split over it; of few ranks
 * it holds all.
 */
void rank_sample_open(struct rank_sample *rs, int ranks);

/* Add the ranks that are needed because 'size' is split over the axis. */
void rank_sample_split(struct rank_sample *rs, int64_t size);

#endif
