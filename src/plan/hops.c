/* SPDX-License-Identifier: BSD-3-Clause */
/* Hops.  A gather is a scatter backwards: its hops are in reverse order, and in each
 * what was received is sent and what was sent is received.
 */
#include "config.h"

#include "src/plan/hops.h"

#include "src/base/err.h"
#include "src/base/split.h"

/* ---- near and far ---------------------------------------------------------------- */

int hops_near(const int *node, int on_node, int D, int M)
{
    int near = D;

    for (int r = M; r < D * M; r++) {
        const bool is_same =
            node != NULL ? node[r] == node[r - M] : r / on_node == (r - M) / on_node;

        if (!is_same)
            near = (int)split_divisor(near, r / M);
    }
    return near;
}

int hops_part(int rank, int ranks, int near)
{
    return near > 1 ? rank % near * (ranks / near) + rank / near : rank;
}

/* ---- recursive ------------------------------------------------------------------- */

static void add(struct hops_level *l, int to, struct parts out, int from,
                struct parts in)
{
    if (l->halvings == 2 * HOPS_LEVELS)
        die("%d ranks are too many", l->ranks);
    l->halving[l->halvings++] =
        (struct hop){ .to = to, .from = from, .out = out, .in = in };
}

/* Halve the ranks lo .. hi - 1, this one among them, until it is alone. */
static void halve(struct hops_level *l)
{
    int lo = 0, hi = l->ranks;

    while (hi - lo > 1) {
        const int mid = lo + (hi - lo + 1) / 2, rank = l->rank;
        const bool is_odd        = (hi - lo) % 2 != 0;
        const struct parts lower = { lo, mid }, upper = { mid, hi };

        if (rank < mid) {
            const int other = rank + (mid - lo);

            if (other < hi)
                add(l, other, upper, other, lower);
            else
                add(l, hi - 1, upper, HOPS_NOBODY, lower);
            hi = mid;
        } else {
            const int other = rank - (mid - lo);

            add(l, other, lower, other, upper);
            if (is_odd && rank == hi - 1)
                add(l, HOPS_NOBODY, lower, mid - 1, upper);
            lo = mid;
        }
    }
}

/* ---- ring ------------------------------------------------------------------------ */

static struct parts one(const struct hops_level *l, int part)
{
    const int j = (part % l->ranks + l->ranks) % l->ranks;

    return (struct parts){ j, j + 1 };
}

/* Hop i of a scatter: what this rank holds of part rank + 1 + i goes down. */
static struct hop ring_hop(const struct hops_level *l, int i)
{
    return (struct hop){ .to   = one(l, l->rank - 1).lo,
                         .from = one(l, l->rank + 1).lo,
                         .out  = one(l, l->rank + 1 + i),
                         .in   = one(l, l->rank + 2 + i) };
}

/* ---- levels ---------------------------------------------------------------------- */

bool hops_is_ring(int level, int ranks, int ring_most)
{
    return ranks <= ring_most || level <= HOPS_FEW;
}

static void level_make(struct hops_level *l, int ranks, int ring_most)
{
    l->is_ring = hops_is_ring(l->ranks, ranks, ring_most);
    if (!l->is_ring)
        halve(l);
    l->count = l->is_ring ? l->ranks - 1 : l->halvings;
}

static int rank_of(const struct hops_level *l, int rank)
{
    return rank == HOPS_NOBODY ? HOPS_NOBODY : l->rank0 + rank * l->stride;
}

static struct parts parts_of(const struct hops_level *l, struct parts p)
{
    return (struct parts){ l->part0 + p.lo * l->unit, l->part0 + p.hi * l->unit };
}

/* Hop i of the level, with ranks and parts as all have them. */
static struct hop level_hop(const struct hops_level *l, int i)
{
    const struct hop h = l->is_ring ? ring_hop(l, i) : l->halving[i];

    return (struct hop){ .to     = rank_of(l, h.to),
                         .from   = rank_of(l, h.from),
                         .out    = parts_of(l, h.out),
                         .in     = parts_of(l, h.in),
                         .is_sum = true };
}

/* ---- both ------------------------------------------------------------------------ */

void hops_make(struct hops *h, enum hops_form form, int ranks, int rank, int near,
               int ring_most)
{
    const int n = near > 1 ? near : 1, far = ranks / n;

    *h = (struct hops){
        .part  = hops_part(rank, ranks, n),
        .form  = form,
        .level = { { .ranks  = n,
                     .rank   = rank % n,
                     .rank0  = rank - rank % n,
                     .stride = 1,
                     .unit   = far },
                   { .ranks  = far,
                     .rank   = rank / n,
                     .rank0  = rank % n,
                     .stride = n,
                     .part0  = rank % n * far,
                     .unit   = 1 } },
    };
    for (int k = 0; k < 2; k++) {
        level_make(&h->level[k], ranks, ring_most);
        h->count += h->level[k].count;
    }
    if (form == HOPS_SUM)
        h->count *= 2;
}

static struct hop scatter_hop(const struct hops *h, int i)
{
    const int first = h->level[0].count;

    return i < first ? level_hop(&h->level[0], i) : level_hop(&h->level[1], i - first);
}

struct hop hops_get(const struct hops *h, int i)
{
    const int once = h->form == HOPS_SUM ? h->count / 2 : h->count;
    struct hop back;

    if (h->form == HOPS_SCATTER || (h->form == HOPS_SUM && i < once))
        return scatter_hop(h, i);
    back = scatter_hop(h, (h->form == HOPS_SUM ? 2 : 1) * once - 1 - i);
    return (
        struct hop){ .to = back.from, .from = back.to, .out = back.in, .in = back.out };
}

int hops_stretch(int ranks, int near, int ring_most)
{
    const int first = near > 1 ? near : ranks;

    return ranks / first *
           (hops_is_ring(first, ranks, ring_most) ? 1 : (first + 1) / 2);
}

int64_t hops_room(const int64_t *cut, int ranks, int near, int ring_most)
{
    const int stretch = hops_stretch(ranks, near, ring_most);
    int64_t most      = 0;

    for (int lo = 0; ranks > 1 && lo < ranks; lo += stretch) {
        const int hi = lo + stretch < ranks ? lo + stretch : ranks;

        most = cut[hi] - cut[lo] > most ? cut[hi] - cut[lo] : most;
    }
    return most;
}
