/* SPDX-License-Identifier: BSD-3-Clause */
/* Hops of all ranks played together: messages meet their receivers, every rank ends
 * with the parts that it should have, each the sum of everyone's, counted once; rings
 * and halves, up to 64 ranks.
 */
#include "config.h"

#include "src/plan/hops.h"

#include "tests/tap.h"

#include <string.h>

enum { RANKS = 64 };

/* Whose contributions are in each part that a rank holds; and the message that is under
 * way between two ranks, if one is.
 */
struct play {
    uint64_t holds[RANKS][RANKS];
    uint64_t wire[RANKS][RANKS][RANKS];
    struct parts under_way[RANKS][RANKS];
    bool is_under_way[RANKS][RANKS];
    struct hops hops[RANKS];
    int at[RANKS];       /* the hop of each rank */
    bool is_sent[RANKS]; /* its message of this hop */
    int wrong, longest;
};

static struct play p;

static void send(int i, const struct hop *h)
{
    if (h->to == HOPS_NOBODY)
        return;
    p.wrong += h->to == i;
    p.is_under_way[i][h->to] = true;
    p.under_way[i][h->to]    = h->out;
    memcpy(p.wire[i][h->to], p.holds[i], sizeof p.holds[i]);
}

/* True if what the hop waits for has come. */
static bool receive(int i, const struct hop *h)
{
    const int from = h->from;

    if (from == HOPS_NOBODY)
        return true;
    if (!p.is_under_way[from][i])
        return false;
    p.is_under_way[from][i] = false;
    p.wrong +=
        p.under_way[from][i].lo != h->in.lo || p.under_way[from][i].hi != h->in.hi;
    for (int j = h->in.lo; j < h->in.hi; j++) {
        const uint64_t in = p.wire[from][i][j];

        p.wrong += h->is_sum && (p.holds[i][j] & in) != 0; /* counted twice */
        p.holds[i][j] = h->is_sum ? p.holds[i][j] | in : in;
    }
    return true;
}

/* Let rank 'i' go on as far as it can; true if it moved. */
static bool go_on(int i)
{
    bool has_moved = false;

    while (p.at[i] < p.hops[i].count) {
        const struct hop h = hops_get(&p.hops[i], p.at[i]);

        if (!p.is_sent[i] && h.to != HOPS_NOBODY && p.is_under_way[i][h.to])
            break; /* the one before has not arrived */
        if (!p.is_sent[i])
            send(i, &h);
        has_moved |= !p.is_sent[i];
        p.is_sent[i] = true;
        if (!receive(i, &h))
            break;
        p.is_sent[i] = false;
        p.at[i]++;
        has_moved = true;
    }
    return has_moved;
}

static void play(enum hops_form form, int ranks, int ring_most)
{
    const uint64_t all = ranks == RANKS ? ~(uint64_t)0 : ((uint64_t)1 << ranks) - 1;
    bool has_moved     = true;

    memset(&p, 0, sizeof p);
    for (int i = 0; i < ranks; i++) {
        hops_make(&p.hops[i], form, ranks, i, ring_most);
        p.longest = p.hops[i].count > p.longest ? p.hops[i].count : p.longest;
        for (int j = 0; j < ranks; j++) {
            if (form == HOPS_GATHER)
                p.holds[i][j] = i == j ? all : 0;
            else
                p.holds[i][j] = (uint64_t)1 << i;
        }
    }
    while (has_moved) {
        has_moved = false;
        for (int i = 0; i < ranks; i++)
            has_moved |= go_on(i);
    }
    for (int i = 0; i < ranks; i++) {
        p.wrong += p.at[i] != p.hops[i].count;
        for (int j = 0; j < ranks; j++) {
            p.wrong += p.is_under_way[i][j];
            if (form != HOPS_SCATTER || i == j)
                p.wrong += p.holds[i][j] != all;
        }
    }
}

static void test(enum hops_form form, const char *name)
{
    int wrong = 0, too_long = 0;

    for (int ranks = 1; ranks <= RANKS; ranks++) {
        int levels = 0;

        while (1 << levels < ranks)
            levels++;
        play(form, ranks, HOPS_RING);
        wrong += p.wrong;
        play(form, ranks, 1);
        wrong += p.wrong;
        too_long += p.longest > 2 * levels * (form == HOPS_SUM ? 2 : 1);
        play(form, ranks, RANKS);
        wrong += p.wrong;
        too_long += p.longest != (ranks - 1) * (form == HOPS_SUM ? 2 : 1);
    }
    ok(wrong == 0, "%s is right on 1 to %d ranks, as ring and as halves", name, RANKS);
    ok(too_long == 0, "in as many hops as it should have");
}

int main(void)
{
    const int64_t cut[] = { 0, 5, 5, 12, 20, 21 };

    test(HOPS_GATHER, "gather");
    test(HOPS_SCATTER, "scatter");
    test(HOPS_SUM, "sum");
    ok(hops_room(cut, 5, 16) == 8 && hops_room(cut, 5, 1) == 12 &&
           hops_room(cut, 1, 16) == 0,
       "room for the largest part, or half, that comes to be added");
    return tap_done();
}
