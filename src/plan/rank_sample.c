/* SPDX-License-Identifier: BSD-3-Clause */
/* The places where traffic changes along an axis. */
#include "config.h"

#include "src/plan/rank_sample.h"

#include "src/plan/traffic.h"

enum { FEW_RANKS = 64 };

/* Rank 'at', counted round the circle. */
static void add(struct rank_sample *rs, int64_t at)
{
    const int rank = (int)(((at % rs->ranks) + rs->ranks) % rs->ranks);

    for (int k = 0; k < rs->count; k++) {
        if (rs->rank[k] == rank)
            return;
    }
    if (rs->count < RANK_SAMPLE_MOST)
        rs->rank[rs->count++] = rank;
}

/* Around 'at', and at the reach of every round from there. */
static void add_around(struct rank_sample *rs, int64_t at)
{
    for (int side = -1; side <= 1; side++) {
        add(rs, at + side);
        for (int64_t d = 1; d < rs->ranks; d *= 2) {
            const int round = traffic_round(rs->ranks, (int)d);

            add(rs, at + side - d);
            add(rs, at + side - round);
            add(rs, at + side - d - round);
        }
    }
}

void rank_sample_open(struct rank_sample *rs, int ranks)
{
    rs->count = 0;
    rs->ranks = ranks;
    if (ranks > FEW_RANKS) {
        add_around(rs, 0);
        return;
    }
    for (int rank = 0; rank < ranks; rank++)
        rs->rank[rs->count++] = rank;
}

void rank_sample_split(struct rank_sample *rs, int64_t size)
{
    if (rs->ranks > FEW_RANKS && size % rs->ranks != 0)
        add_around(rs, size % rs->ranks);
}
