/* SPDX-License-Identifier: BSD-3-Clause */
/* Hops.  A gather is a scatter backwards: its hops are in reverse order, and in each
 * what was received is sent and what was sent is received.
 */
#include "config.h"

#include "src/plan/hops.h"

#include "src/base/err.h"

/* ---- recursive ------------------------------------------------------------------- */

static void add(struct hops *h, int to, struct parts out, int from, struct parts in)
{
    if (h->levels == 2 * HOPS_LEVELS)
        die("%d ranks are too many", h->ranks);
    h->level[h->levels++] =
        (struct hop){ .to = to, .from = from, .out = out, .in = in, .is_sum = true };
}

/* Halve the ranks lo .. hi - 1, this one among them, until it is alone. */
static void halve(struct hops *h)
{
    int lo = 0, hi = h->ranks;

    while (hi - lo > 1) {
        const int mid = lo + (hi - lo + 1) / 2, rank = h->rank;
        const bool is_odd        = (hi - lo) % 2 != 0;
        const struct parts lower = { lo, mid }, upper = { mid, hi };

        if (rank < mid) {
            const int other = rank + (mid - lo);

            if (other < hi)
                add(h, other, upper, other, lower);
            else
                add(h, hi - 1, upper, HOPS_NOBODY, lower);
            hi = mid;
        } else {
            const int other = rank - (mid - lo);

            add(h, other, lower, other, upper);
            if (is_odd && rank == hi - 1)
                add(h, HOPS_NOBODY, lower, mid - 1, upper);
            lo = mid;
        }
    }
}

/* ---- ring ------------------------------------------------------------------------ */

static struct parts one(const struct hops *h, int part)
{
    const int j = (part % h->ranks + h->ranks) % h->ranks;

    return (struct parts){ j, j + 1 };
}

/* Hop i of a scatter: what this rank holds of part rank + 1 + i goes down. */
static struct hop ring_hop(const struct hops *h, int i)
{
    return (struct hop){ .to     = one(h, h->rank - 1).lo,
                         .from   = one(h, h->rank + 1).lo,
                         .out    = one(h, h->rank + 1 + i),
                         .in     = one(h, h->rank + 2 + i),
                         .is_sum = true };
}

/* ---- either ---------------------------------------------------------------------- */

void hops_make(struct hops *h, enum hops_form form, int ranks, int rank, int ring_most)
{
    *h = (struct hops){
        .ranks = ranks, .rank = rank, .form = form, .is_ring = ranks <= ring_most
    };
    if (!h->is_ring)
        halve(h);
    h->count = h->is_ring ? ranks - 1 : h->levels;
    if (form == HOPS_SUM)
        h->count *= 2;
}

static struct hop scatter_hop(const struct hops *h, int i)
{
    return h->is_ring ? ring_hop(h, i) : h->level[i];
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

int64_t hops_room(const int64_t *cut, int ranks, int ring_most)
{
    const int mid = (ranks + 1) / 2;
    int64_t most  = 0;

    if (ranks == 1)
        return 0;
    if (ranks > ring_most)
        return cut[mid] - cut[0] > cut[ranks] - cut[mid] ? cut[mid] - cut[0]
                                                         : cut[ranks] - cut[mid];
    for (int j = 0; j < ranks; j++)
        most = cut[j + 1] - cut[j] > most ? cut[j + 1] - cut[j] : most;
    return most;
}
