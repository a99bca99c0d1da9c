/* SPDX-License-Identifier: BSD-3-Clause */
/* Hops of all ranks played together: messages meet their receivers, every rank ends
 * with the parts that it should have, each the sum of everyone's, counted once; rings
 * and halves, up to 64 ranks, on nodes of any number of them that divides theirs, which
 * send no more to other nodes than they must.  Nodes as they are found, of any map.
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
    int left; /* parts that went to another node */
};

static struct play p;

static void send(int i, const struct hop *h, int near)
{
    if (h->to == HOPS_NOBODY)
        return;
    p.left += i / near != h->to / near ? h->out.hi - h->out.lo : 0;
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
static bool go_on(int i, int near)
{
    bool has_moved = false;

    while (p.at[i] < p.hops[i].count) {
        const struct hop h = hops_get(&p.hops[i], p.at[i]);

        if (!p.is_sent[i] && h.to != HOPS_NOBODY && p.is_under_way[i][h.to])
            break; /* the one before has not arrived */
        if (!p.is_sent[i])
            send(i, &h, near);
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

static void play(enum hops_form form, int ranks, int near, int ring_most)
{
    const uint64_t all = ranks == RANKS ? ~(uint64_t)0 : ((uint64_t)1 << ranks) - 1;
    bool has_moved     = true;

    memset(&p, 0, sizeof p);
    for (int i = 0; i < ranks; i++) {
        hops_make(&p.hops[i], form, ranks, i, near, ring_most);
        p.wrong += p.hops[i].part != hops_part(i, ranks, near);
        p.longest = p.hops[i].count > p.longest ? p.hops[i].count : p.longest;
        for (int j = 0; j < ranks; j++) {
            if (form == HOPS_GATHER)
                p.holds[i][j] = p.hops[i].part == j ? all : 0;
            else
                p.holds[i][j] = (uint64_t)1 << i;
        }
    }
    while (has_moved) {
        has_moved = false;
        for (int i = 0; i < ranks; i++)
            has_moved |= go_on(i, near);
    }
    for (int i = 0; i < ranks; i++) {
        p.wrong += p.at[i] != p.hops[i].count;
        for (int j = 0; j < ranks; j++) {
            p.wrong += p.is_under_way[i][j];
            if (form != HOPS_SCATTER || p.hops[i].part == j)
                p.wrong += p.holds[i][j] != all;
        }
    }
}

static int halvings(int ranks)
{
    int levels = 0;

    while (1 << levels < ranks)
        levels++;
    return levels;
}

/* 'near' of a node's ranks first: every node's share of what is sent, and no more,
 * leaves it.
 */
static void test_near(enum hops_form form, const char *name)
{
    const int times = form == HOPS_SUM ? 2 : 1;
    int wrong = 0, too_long = 0, too_much = 0;

    for (int ranks = 1; ranks <= RANKS; ranks++) {
        for (int near = 1; near <= ranks; near++) {
            const int far = ranks / near;

            if (ranks % near != 0)
                continue;
            play(form, ranks, near, 1);
            wrong += p.wrong;
            too_long += p.longest > times * 2 * (halvings(near) + halvings(far));
            play(form, ranks, near, HOPS_RING);
            wrong += p.wrong;
            if (ranks > HOPS_RING && 1 << halvings(ranks) == ranks)
                too_long += p.longest != times * halvings(ranks);
            play(form, ranks, near, RANKS);
            wrong += p.wrong;
            too_long += p.longest != times * (near - 1 + far - 1);
            too_much += p.left != times * ranks * (far - 1);
        }
    }
    ok(wrong == 0, "%s is right on nodes of any ranks, as ring and as halves", name);
    ok(too_long == 0, "in as many hops as two levels have");
    ok(too_much == 0, "and of what it sends all parts but its own leave a node once");
}

static void test(enum hops_form form, const char *name)
{
    int wrong = 0, too_long = 0;

    for (int ranks = 1; ranks <= RANKS; ranks++) {
        play(form, ranks, 1, HOPS_RING);
        wrong += p.wrong;
        play(form, ranks, 1, 1);
        wrong += p.wrong;
        too_long += p.longest > 2 * halvings(ranks) * (form == HOPS_SUM ? 2 : 1);
        play(form, ranks, 1, RANKS);
        wrong += p.wrong;
        too_long += p.longest != (ranks - 1) * (form == HOPS_SUM ? 2 : 1);
    }
    ok(wrong == 0, "%s is right on 1 to %d ranks, as ring and as halves", name, RANKS);
    ok(too_long == 0, "in as many hops as it should have");
}

/* ---- nodes ----------------------------------------------------------------------- */

/* Whether every 'near' data ranks in a row are on one node, in all columns. */
static bool are_together(const int *node, int D, int M, int near)
{
    for (int r = 0; r < D * M; r++) {
        const int d = r / M;

        if (D % near != 0 || node[r] != node[(d - d % near) * M + r % M])
            return false;
    }
    return true;
}

/* The largest such number, by trying all: those above it are wrong choices. */
static int most_together(const int *node, int D, int M)
{
    int near = D;

    while (!are_together(node, D, M, near))
        near--;
    return near;
}

static void test_filled(void)
{
    int node[RANKS], wrong = 0, flat = 0;

    for (int D = 1; D <= RANKS; D++) {
        for (int M = 1; D * M <= RANKS; M++) {
            for (int on_node = 1; on_node <= RANKS; on_node++) {
                const int near = hops_near(NULL, on_node, D, M);

                for (int r = 0; r < D * M; r++)
                    node[r] = r / on_node;
                wrong += near != most_together(node, D, M) ||
                         near != hops_near(node, 0, D, M);
                flat += near == 1;
            }
        }
    }
    ok(wrong == 0 && flat > 0, "nodes that are filled one by one are found");
    ok(hops_near(NULL, 8, 128, 1) == 8 && hops_near(NULL, 8, 64, 2) == 4 &&
           hops_near(NULL, 8, 100, 1) == 4 && hops_near(NULL, 8, 16, 8) == 1 &&
           hops_near(NULL, 8, 6, 1) == 6 && hops_near(NULL, 8, 101, 1) == 1,
       "8 ranks a node: 8, of 2 columns 4, of 100 ranks 4, of 101 none");
}

/* Runs of ranks on nodes, of 1 to 6 times 'unit'; some nodes come again. */
static void test_uneven(void)
{
    int node[RANKS], wrong = 0, larger = 0;

    for (int seed = 0; seed < 2000; seed++) {
        const int unit = 1 + seed % 4, M = 1 + seed / 4 % 3, D = RANKS / M;
        uint32_t draw = (uint32_t)seed;

        for (int r = 0, left = 0, at = 0; r < D * M; r++, left--) {
            if (left == 0) {
                draw = draw * 1664525 + 1013904223;
                left = unit * M * (1 + (int)(draw >> 16) % 6);
                at   = (at + 1 + (int)(draw >> 24) % 3) % 7;
            }
            node[r] = at;
        }
        wrong += hops_near(node, 0, D, M) != most_together(node, D, M);
        larger += hops_near(node, 0, D, M) > 1;
    }
    ok(wrong == 0 && larger > 500, "so are nodes of different numbers of ranks");
    for (int r = 0; r < RANKS; r++)
        node[r] = r % 4;
    ok(hops_near(node, 0, RANKS, 1) == 1 &&
           hops_near(node, 0, RANKS / 4, 4) == RANKS / 4,
       "ranks dealt round the nodes have no neighbours on theirs, columns may");
}

int main(void)
{
    const int64_t cut[] = { 0, 5, 5, 12, 20, 21 }, even[] = { 0, 5, 5, 12, 20, 21, 30 };

    test(HOPS_GATHER, "gather");
    test(HOPS_SCATTER, "scatter");
    test(HOPS_SUM, "sum");
    test_near(HOPS_GATHER, "gather");
    test_near(HOPS_SCATTER, "scatter");
    test_near(HOPS_SUM, "sum");
    test_filled();
    test_uneven();
    ok(hops_room(cut, 5, 1, 16) == 8 && hops_room(cut, 5, 1, 1) == 12 &&
           hops_room(cut, 1, 1, 16) == 0 && hops_room(even, 6, 3, 16) == 15 &&
           hops_room(even, 6, 3, 1) == 15 && hops_room(even, 6, 6, 1) == 18 &&
           hops_room(even, 6, 6, 16) == 9,
       "room for the largest part, or half, that comes to be added");
    return tap_done();
}
