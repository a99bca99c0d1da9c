/* SPDX-License-Identifier: BSD-3-Clause */
/* Collectives on parts of a flat buffer, hop by hop, as one rank takes part in them.
 *
 *   ring        up to HOPS_RING ranks in all, or HOPS_FEW where it takes no more hops:
 *               each passes one part to a neighbour, sums downwards, what is gathered
 *               upwards: ranks - 1 hops
 *   recursive   above: the ranks are halved; those of one half send to those of the
 *               other the sums of all its parts, then each half goes on by itself;
 *               what is gathered takes the same way back.  With a rank more in the
 *               lower half the last rank of the upper one serves two.  About
 *               log2(ranks) hops.
 *
 * Both send all parts but one or so, in total.  On its recursive way down, or back, no
 * rank meets another twice.
 *
 * Where nodes hold several of the ranks, these go first, and then, among nodes, ranks
 * of the same place, each with its share: the buffer leaves a node once, not once for
 * each of the node's ranks, by all of its ways at a time (Karonis et al., Exploiting
 * hierarchy in parallel computer networks, 2000; within a level as in Chan et al.,
 * Collective communication: theory, practice, and experience, 2007).
 *
 *   near, far     ranks that share a node, 'near' in a row, and how many times that:
 *                 rank = f near + n has part n far + f
 *
 *       rank  0 1 2 3 | 4 5 6 7       near 4, far 2: first 0 1 2 3 and 4 5 6 7, then
 *       part  0 2 4 6 | 1 3 5 7       0 4, 1 5, 2 6, 3 7, of two parts each
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

enum { HOPS_RING = 16, HOPS_FEW = 3, HOPS_LEVELS = 32, HOPS_NOBODY = -1 };

enum hops_form {
    HOPS_GATHER,  /* everyone's own part, to all */
    HOPS_SCATTER, /* the sums of everyone's parts, each to its owner */
    HOPS_SUM,     /* the sums to all: a scatter, then a gather */
};

/* The data axis of a D x M mesh, whose rank d M + m is on node[d M + m], or, where
 * 'node' is NULL, on (d M + m) / on_node: the most ranks in a row, a divisor of D, that
 * always are on one node, on every column.
 */
int hops_near(const int *node, int on_node, int D, int M);

/* The part of 'rank' among 'ranks', of which 'near' (0: as 1) in a row share a node. */
int hops_part(int rank, int ranks, int near);

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

/* The scatter of one level, of which rank and part 0 are those of all ranks here. */
struct hops_level {
    int ranks, rank, count;
    int rank0, stride; /* rank 0 among all, and from one rank to the next */
    int part0, unit;   /* so of parts */
    bool is_ring;
    int halvings; /* when it is not */
    struct hop halving[2 * HOPS_LEVELS];
};

struct hops {
    int part, count; /* of this rank; of hops */
    enum hops_form form;
    struct hops_level level[2]; /* near, then far; one rank has no hops */
};

/* Whether a level of so many ranks, of 'ranks' in all, is a ring: few small hops count
 * more than even ones where there are more than 'ring_most'.
 */
bool hops_is_ring(int level, int ranks, int ring_most);

/* The hops of 'rank' among 'ranks', of which 'near' (0: as 1) in a row share a node. */
void hops_make(struct hops *h, enum hops_form form, int ranks, int rank, int near,
               int ring_most);
struct hop hops_get(const struct hops *h, int i); /* 0 <= i < count */

/* How many parts, from a multiple of that on, a hop brings at most: in the first level
 * of more than one rank, one rank's in a ring, else half of all.
 */
int hops_stretch(int ranks, int near, int ring_most);

/* The most elements that come to be added in one hop, where part j is elements cut[j]
 * .. cut[j + 1] - 1.
 */
int64_t hops_room(const int64_t *cut, int ranks, int near, int ring_most);

#endif
