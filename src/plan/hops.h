/* SPDX-License-Identifier: BSD-3-Clause */
/* Collectives on parts of a flat buffer, hop by hop, as one rank takes part in them.
 *
 *   ring        up to HOPS_RING ranks: each hop passes one part to a neighbour, sums
 *               downwards, what is gathered upwards: ranks - 1 hops
 *   recursive   above: the ranks are halved; those of one half send to those of the
 *               other the sums of all its parts, then each half goes on by itself;
 *               what is gathered takes the same way back.  With a rank more in the
 *               lower half the last rank of the upper one serves two.  About
 *               log2(ranks) hops.
 *
 * Both send all parts but one or so, in total.  On its recursive way down, or back, no
 * rank meets another twice.
 *
 * What a hop moves is one stretch of memory, so that it can go straight to its
 * place while the rank computes.  Collectives that a rank waits for count slices
 * round a circle instead (mesh/doubling.h): no rank serves two, but a message
 * may be of two stretches.
 */
#ifndef PLAN_HOPS_H
#define PLAN_HOPS_H

#include <stdbool.h>
#include <stdint.h>

enum { HOPS_RING = 16, HOPS_LEVELS = 32, HOPS_NOBODY = -1 };

enum hops_form {
    HOPS_GATHER,  /* everyone's own part, to all */
    HOPS_SCATTER, /* the sums of everyone's parts, each to its owner */
    HOPS_SUM,     /* the sums to all: a scatter, then a gather */
};

/* Parts lo .. hi - 1. */
struct parts {
    int lo, hi;
};

/* Send 'out' to rank 'to' while 'in' comes from rank 'from'; HOPS_NOBODY: do not. */
struct hop {
    int to, from;
    struct parts out, in;
    bool is_sum; /* 'in' is added to what is there */
};

struct hops {
    int ranks, rank, count;
    enum hops_form form;
    bool is_ring;
    int levels; /* of the scatter, when it is recursive */
    struct hop level[2 * HOPS_LEVELS];
};

/* The hops of 'rank' among 'ranks'; a ring if these are up to 'ring_most'. */
void hops_make(struct hops *h, enum hops_form form, int ranks, int rank, int ring_most);
struct hop hops_get(const struct hops *h, int i); /* 0 <= i < count */

/* The most elements that come to be added in one hop, where part j is elements cut[j]
 * .. cut[j + 1] - 1.
 */
int64_t hops_room(const int64_t *cut, int ranks, int ring_most);

#endif
