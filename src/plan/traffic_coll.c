/* SPDX-License-Identifier: BSD-3-Clause */
/* What a rank posts in each of the collectives, by the formulas that
 * traffic.h states.
 */
#include "config.h"

#include "src/plan/traffic.h"

#include "src/base/split.h"

/* 'times' messages of one size, each cut into chunks. */
static void post(struct traffic_count *t, int64_t bytes, int64_t times)
{
    t->messages += times * ((bytes + WIRE_CHUNK - 1) / WIRE_CHUNK);
    t->bytes += times * bytes;
}

static void post_all_but(struct traffic_count *t, const int64_t *bytes, int ranks,
                         int not_this)
{
    for (int j = 0; j < ranks; j++) {
        if (j != not_this)
            post(t, bytes[j], 1);
    }
}

void traffic_ring_gather(struct traffic_count *t, const int64_t *bytes, int ranks,
                         int i)
{
    post_all_but(t, bytes, ranks, (i + 1) % ranks);
}

void traffic_ring_back(struct traffic_count *t, const int64_t *bytes, int ranks, int i)
{
    post_all_but(t, bytes, ranks, (i + ranks - 1) % ranks);
}

void traffic_ring_scatter(struct traffic_count *t, const int64_t *bytes, int ranks,
                          int i)
{
    post_all_but(t, bytes, ranks, i);
}

/* Slices in one buffer: of 'bytes[j]' each, or nearly equal parts of
 * 'count' elements.
 */
struct circle {
    const int64_t *bytes; /* NULL: of 'count' elements */
    int64_t count, size;
    int ranks;
};

/* Bytes of the slices before slice 'j'. */
static int64_t bytes_before(const struct circle *c, int j)
{
    int64_t sum = 0;

    if (c->bytes == NULL)
        return j == c->ranks ? c->count * c->size
                             : split_range(c->count, c->ranks, j).lo * c->size;
    for (int k = 0; k < j; k++)
        sum += c->bytes[k];
    return sum;
}

/* Bytes of 'n' slices from slice 'first' on, round the circle. */
static int64_t bytes_around(const struct circle *c, int first, int n)
{
    const int lo = first % c->ranks, hi = lo + n;

    if (hi <= c->ranks)
        return bytes_before(c, hi) - bytes_before(c, lo);
    return bytes_before(c, c->ranks) - bytes_before(c, lo) +
           bytes_before(c, hi - c->ranks);
}

static void post_doubling(struct traffic_count *t, const struct circle *c, int i)
{
    for (int d = 1; d < c->ranks; d *= 2)
        post(t, bytes_around(c, i, traffic_round(c->ranks, d)), 1);
}

static void post_halving(struct traffic_count *t, const struct circle *c, int i)
{
    for (int d = 1; d < c->ranks; d *= 2)
        post(t, bytes_around(c, i + d, traffic_round(c->ranks, d)), 1);
}

void traffic_allgather(struct traffic_count *t, const int64_t *bytes, int ranks, int i)
{
    const struct circle cut = { .bytes = bytes, .ranks = ranks };

    if (traffic_is_doubled(ranks))
        post_doubling(t, &cut, i);
    else
        post(t, bytes[i], ranks - 1);
}

void traffic_reduce_scatter(struct traffic_count *t, const int64_t *bytes, int ranks,
                            int i)
{
    const struct circle cut = { .bytes = bytes, .ranks = ranks };

    if (traffic_is_doubled(ranks))
        post_halving(t, &cut, i);
    else
        post_all_but(t, bytes, ranks, i);
}

/* Parts have two sizes, so no list of them is needed: on a ring all are posted twice
 * but for the two that stay.
 */
void traffic_allreduce(struct traffic_count *t, int64_t count, size_t size, int ranks,
                       int i)
{
    const int64_t larger = count % ranks, z = (int64_t)size;
    const struct circle cut = { .count = count, .size = z, .ranks = ranks };
    const int64_t stay[2]   = { split_size(count, ranks, i),
                                split_size(count, ranks, (i + 1) % ranks) };

    if (ranks == 1)
        return;
    if (traffic_is_doubled_sum(ranks, count * z)) {
        post_halving(t, &cut, i);
        post_doubling(t, &cut, i);
        return;
    }
    post(t, (count / ranks + 1) * z, 2 * larger);
    post(t, count / ranks * z, 2 * (ranks - larger));
    for (int k = 0; k < 2; k++)
        post(t, stay[k] * z, -1);
}

int64_t traffic_allreduce_room(int64_t count, size_t size, int ranks)
{
    const int64_t few     = TRAFFIC_FEW_BYTES / (int64_t)size;
    const bool is_all     = traffic_is_doubled(ranks) || count < few;
    const int64_t doubled = ranks > 3 ? (is_all ? count : few) : 0;
    int64_t room          = ranks > 1 ? split_most(count, ranks) : 0;
    int most              = 0;

    for (int d = 1; d < ranks; d *= 2) {
        if (traffic_round(ranks, d) > most)
            most = traffic_round(ranks, d);
    }
    if (most * split_most(doubled, ranks) > room)
        room = most * split_most(doubled, ranks);
    return room;
}

void traffic_hops(struct traffic_count *t, const int64_t *cut, size_t size,
                  enum hops_form form, int ranks, int i, int near, int ring_most)
{
    struct hops hops;

    hops_make(&hops, form, ranks, i, near, ring_most);
    for (int k = 0; k < hops.count; k++) {
        const struct hop h = hops_get(&hops, k);

        if (h.to != HOPS_NOBODY)
            post(t, (cut[h.out.hi] - cut[h.out.lo]) * (int64_t)size, 1);
    }
}
