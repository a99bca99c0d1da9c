/* SPDX-License-Identifier: BSD-3-Clause */
/* Shuffles: every number once, other ones for other rounds, none preferred. */
#include "config.h"

#include "src/data/order.h"

#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/tap.h"

#include <math.h>

static bool is_permutation(int64_t n, uint64_t seed, uint64_t round)
{
    bool *seen = mem_new((size_t)n, sizeof *seen);
    bool is_ok = true;

    for (int64_t i = 0; i < n; i++) {
        const int64_t x = order_shuffled(n, seed, 1, round, i);

        is_ok = is_ok && x >= 0 && x < n && !seen[x];
        if (x >= 0 && x < n)
            seen[x] = true;
    }
    mem_free(seen);
    return is_ok;
}

static void test_permutations(void)
{
    bool is_ok = true;

    for (int64_t n = 1; n <= 300; n++)
        is_ok = is_ok && is_permutation(n, 5, (uint64_t)n);
    ok(is_ok, "shuffles of 1 to 300 give every number once");
    ok(is_permutation(1 << 16, 1, 0) && is_permutation((1 << 16) + 1, 1, 0) &&
           is_permutation(1000003, 7, 3),
       "so do large ones, at and beside powers of two");
    is_ok = true;
    for (int64_t i = 0; i < 1000; i++) {
        const int64_t n = INT64_C(1) << 60;
        const int64_t x = order_shuffled(n, 1, 1, 0, n - 1 - i);

        is_ok = is_ok && x >= 0 && x < n;
    }
    ok(is_ok, "the largest one stays in its bounds");
}

static int64_t count_equal(int64_t n, const uint64_t a[3], const uint64_t b[3])
{
    int64_t equal = 0;

    for (int64_t i = 0; i < n; i++)
        equal += order_shuffled(n, a[0], a[1], a[2], i) ==
                 order_shuffled(n, b[0], b[1], b[2], i);
    return equal;
}

static void test_differ(void)
{
    const uint64_t one[3] = { 1, 1, 0 }, seed[3] = { 2, 1, 0 }, stream[3] = { 1, 2, 0 },
                   round[3] = { 1, 1, 1 };

    ok(count_equal(10000, one, one) == 10000, "the same arguments, the same shuffle");
    ok(count_equal(10000, one, seed) < 20, "another seed, another shuffle");
    ok(count_equal(10000, one, stream) < 20, "another stream, another shuffle");
    ok(count_equal(10000, one, round) < 20, "another round, another shuffle");
}

/* Over many rounds each number comes to each place equally often: the counts of
 * n^2 cells with a mean of 'rounds' / n have chi^2 of (n-1)^2 degrees, here within six
 * deviations sqrt(2 (n-1)^2).
 */
static void test_even(void)
{
    enum { N = 10, ROUNDS = 20000 };
    int64_t count[N][N] = { { 0 } };
    const double mean   = (double)ROUNDS / N;
    double chi          = 0;

    for (int r = 0; r < ROUNDS; r++) {
        for (int i = 0; i < N; i++)
            count[i][order_shuffled(N, 3, 1, (uint64_t)r, i)]++;
    }
    for (int i = 0; i < N * N; i++)
        chi += pow((double)count[i / N][i % N] - mean, 2) / mean;
    close_to(chi, (N - 1) * (N - 1), 6 * sqrt(2.0) * (N - 1),
             "every number comes to every place as often");
}

/* Both parts of a set of 'n', upwards, are what the start of a shuffle says. */
static bool is_parted(int64_t n, double share)
{
    bool *is_held = mem_new((size_t)n, sizeof *is_held), is_ok = true;
    int64_t place[2] = { 0, 0 };
    struct order_part part[2];

    for (int k = 0; k < 2; k++)
        order_part_open(&part[k], n, share, k == 1);
    for (int64_t i = 0; i < part[1].count; i++)
        is_held[order_shuffled(n, 0, RNG_HOLDOUT, 0, i)] = true;
    for (int64_t i = 0; i < n && is_ok; i++) {
        const int k = is_held[i];

        is_ok = place[k] < part[k].count && order_part_item(&part[k], place[k]) == i;
        place[k]++;
    }
    is_ok = is_ok && place[0] == part[0].count && place[1] == part[1].count &&
            part[1].count == (int64_t)(share * (double)n + 0.5);
    for (int k = 0; k < 2; k++)
        order_part_close(&part[k]);
    mem_free(is_held);
    return is_ok;
}

static void test_parts(void)
{
    const double share[] = { 0, 0.01, 0.1, 0.5, 0.9, 1 };
    bool is_ok           = true;

    for (int64_t n = 1; n <= 300; n++) {
        for (size_t i = 0; i < sizeof share / sizeof share[0]; i++)
            is_ok = is_ok && is_parted(n, share[i]);
    }
    ok(is_ok, "the parts of sets of 1 to 300 have every item once, in its order");
    ok(is_parted(1000003, 0.1), "so have those of a large one");
}

int main(void)
{
    test_parts();
    test_permutations();
    test_differ();
    test_even();
    return tap_done();
}
