/* SPDX-License-Identifier: BSD-3-Clause */
/* Collectives, played: a 'net' is a model or data group in which every rank really
 * holds slices, passes them on as the collective does, and is found to hold the right
 * thing at the end.  What it posts on the way is what the formulas must say.
 */
#ifndef TESTS_NET_H
#define TESTS_NET_H

#include "src/plan/traffic.h"

#include <string.h>

enum { RANKS = 24 };

struct net {
    int ranks;
    struct traffic_count sent[RANKS];
    int wrong; /* ranks that ended with something else than they should */
};

static inline void net_post(struct net *net, int from, int64_t bytes)
{
    for (; bytes > 0; bytes -= WIRE_CHUNK) {
        net->sent[from].messages++;
        net->sent[from].bytes += bytes < WIRE_CHUNK ? bytes : WIRE_CHUNK;
    }
}

/* What is in hand goes to the next rank, until everyone has seen everything. */
static inline void play_ring_gather(struct net *net, const int64_t *bytes)
{
    int hand[RANKS], next[RANKS];
    unsigned seen[RANKS];

    for (int i = 0; i < net->ranks; i++) {
        hand[i] = i;
        seen[i] = 1u << i;
    }
    for (int turn = 1; turn < net->ranks; turn++) {
        for (int i = 0; i < net->ranks; i++) {
            net_post(net, i, bytes[hand[i]]);
            next[(i + 1) % net->ranks] = hand[i];
        }
        for (int i = 0; i < net->ranks; i++) {
            hand[i] = next[i];
            seen[i] |= 1u << hand[i];
        }
    }
    for (int i = 0; i < net->ranks; i++)
        net->wrong += seen[i] != (1u << net->ranks) - 1;
}

/* A sum starts at the rank after its home and goes to the rank before, growing. */
static inline void play_ring_scatter(struct net *net, const int64_t *bytes)
{
    int slice[RANKS], next_slice[RANKS];
    unsigned sum[RANKS], next_sum[RANKS];

    for (int i = 0; i < net->ranks; i++) {
        slice[i] = (i + 1) % net->ranks;
        sum[i]   = 1u << i; /* whose contributions are in it */
    }
    for (int turn = 1; turn < net->ranks; turn++) {
        for (int i = 0; i < net->ranks; i++) {
            const int to = (i + net->ranks - 1) % net->ranks;

            net_post(net, i, bytes[slice[i]]);
            next_slice[to] = slice[i];
            next_sum[to]   = sum[i] | 1u << to;
        }
        memcpy(slice, next_slice, sizeof slice);
        memcpy(sum, next_sum, sizeof sum);
    }
    for (int i = 0; i < net->ranks; i++)
        net->wrong += slice[i] != i || sum[i] != (1u << net->ranks) - 1;
}

/* Of slices 'first' .. 'first' + n - 1 round the circle. */
static inline int64_t sum_around(const struct net *net, const int64_t *bytes, int first,
                                 int n)
{
    int64_t sum = 0;

    for (int k = 0; k < n; k++)
        sum += bytes[(first + k) % net->ranks];
    return sum;
}

static inline int round_of(const struct net *net, int d)
{
    return d < net->ranks - d ? d : net->ranks - d;
}

/* What a rank has by now, as much of it as is missing there, goes d ranks down. */
static inline void play_doubling(struct net *net, const int64_t *bytes)
{
    unsigned has[RANKS], gets[RANKS];

    for (int i = 0; i < net->ranks; i++)
        has[i] = 1u << i;
    for (int d = 1; d < net->ranks; d *= 2) {
        const int n = round_of(net, d);

        for (int i = 0; i < net->ranks; i++) {
            const int to = (i + net->ranks - d) % net->ranks;

            net_post(net, i, sum_around(net, bytes, i, n));
            gets[to] = 0;
            for (int k = 0; k < n; k++)
                gets[to] |= 1u << (i + k) % net->ranks;
            net->wrong += (gets[to] & ~has[i]) != 0; /* it is there to be sent */
        }
        for (int i = 0; i < net->ranks; i++) {
            net->wrong += (has[i] & gets[i]) != 0; /* and was missing */
            has[i] |= gets[i];
        }
    }
    for (int i = 0; i < net->ranks; i++)
        net->wrong += has[i] != (1u << net->ranks) - 1;
}

/* Sums go d ranks up, to be added there: no contribution twice. */
static inline void play_halving(struct net *net, const int64_t *bytes)
{
    static unsigned sum[RANKS][RANKS], next[RANKS][RANKS]; /* [rank][slice]: whose */
    int first = 1;

    for (int i = 0; i < net->ranks; i++) {
        for (int j = 0; j < net->ranks; j++)
            sum[i][j] = 1u << i;
    }
    while (2 * first < net->ranks)
        first *= 2;
    for (int d = net->ranks > 1 ? first : 0; d > 0; d /= 2) {
        const int n = round_of(net, d);

        memcpy(next, sum, sizeof next);
        for (int i = 0; i < net->ranks; i++) {
            const int to = (i + d) % net->ranks;

            net_post(net, i, sum_around(net, bytes, i + d, n));
            for (int k = 0; k < n; k++) {
                const int j = (i + d + k) % net->ranks;

                net->wrong += (next[to][j] & sum[i][j]) != 0;
                next[to][j] |= sum[i][j];
            }
        }
        memcpy(sum, next, sizeof sum);
    }
    for (int i = 0; i < net->ranks; i++)
        net->wrong += sum[i][i] != (1u << net->ranks) - 1;
}

static inline void play_allgather(struct net *net, const int64_t *bytes)
{
    if (net->ranks > 16) {
        play_doubling(net, bytes);
        return;
    }
    for (int i = 0; i < net->ranks; i++) {
        for (int to = 0; to < net->ranks; to++) {
            if (to != i)
                net_post(net, i, bytes[i]);
        }
    }
}

static inline void play_reduce_scatter(struct net *net, const int64_t *bytes)
{
    if (net->ranks > 16) {
        play_halving(net, bytes);
        return;
    }
    for (int i = 0; i < net->ranks; i++) {
        for (int to = 0; to < net->ranks; to++) {
            if (to != i)
                net_post(net, i, bytes[to]);
        }
    }
}

static inline void play_allreduce(struct net *net, int64_t count, size_t size)
{
    int64_t part[RANKS];

    for (int j = 0; j < net->ranks; j++)
        part[j] = range_size(split_range(count, net->ranks, j)) * (int64_t)size;
    if (net->ranks > 16 || (net->ranks > 3 && count * (int64_t)size <= 32768)) {
        play_halving(net, part);
        play_doubling(net, part);
    } else {
        play_ring_scatter(net, part);
        play_ring_gather(net, part);
    }
}

/* A ring gather the other way round: rank i is rank -i. */
static inline void play_ring_back(struct net *net, const int64_t *bytes)
{
    struct net mirror       = { .ranks = net->ranks };
    int64_t mirrored[RANKS] = { 0 };

    for (int i = 0; i < net->ranks; i++)
        mirrored[i] = bytes[(net->ranks - i) % net->ranks];
    play_ring_gather(&mirror, mirrored);
    for (int i = 0; i < net->ranks; i++) {
        const struct traffic_count *sent = &mirror.sent[(net->ranks - i) % net->ranks];

        net->sent[i].messages += sent->messages;
        net->sent[i].bytes += sent->bytes;
    }
    net->wrong += mirror.wrong;
}

#endif
