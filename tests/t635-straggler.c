/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,4 */
/* Stragglers are named, in any order and however uneven the work; ranks that were
 * unlucky for a while, or have more to do, are not.
 */
#include "config.h"

#include "bench/straggler.h"

#include "src/base/rng.h"
#include "tests/ranks.h"

#include <math.h>
#include <string.h>

enum { RANKS_MOST = 512 };

static struct rank_times ranks[RANKS_MOST];

/* 'n' ranks that need a second a step, times exp(noise x) with a normal x; in each
 * part, with the probability 'burst', something takes half a second from a rank.
 */
static void quiet(int n, int parts, double noise, double burst, uint64_t seed)
{
    uint64_t drawn = 0;

    memset(ranks, 0, sizeof ranks);
    for (int i = 0; i < n; i++) {
        ranks[i].rank  = i;
        ranks[i].work  = 1;
        ranks[i].parts = parts;
        for (int k = 0; k < parts; k++) {
            ranks[i].busy[k] = exp(noise * rng_normal(seed, RNG_TEST, drawn++));
            if (rng_uniform(seed, RNG_TEST, drawn++) < burst)
                ranks[i].busy[k] += 0.5;
        }
    }
}

static void slow_down(int i, double factor)
{
    for (int k = 0; k < ranks[i].parts; k++)
        ranks[i].busy[k] *= factor;
}

/* The stragglers as bits, for up to 64 ranks; the count of all in '*count'. */
static uint64_t named(int *count, int n)
{
    uint64_t bits = 0;

    *count = 0;
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < ranks[i].parts; k++)
            ranks[i].seconds += ranks[i].busy[k] / ranks[i].parts;
    }
    straggler_judge(ranks, n);
    for (int i = 0; i < n; i++) {
        if (!ranks[i].is_straggler)
            continue;
        ++*count;
        bits |= (uint64_t)1 << ranks[i].rank % 64;
    }
    return bits;
}

static const int sizes[][2] = { { 2, 8 },  { 2, 16 }, { 3, 16 },  { 4, 5 },  { 4, 12 },
                                { 10, 3 }, { 16, 3 }, { 64, 16 }, { 512, 5 } };

enum { SIZES = sizeof sizes / sizeof sizes[0] };

/* How many of 'runs' runs without a straggler name one. */
static int false_names(int n, int parts, double noise, double burst, int runs)
{
    int wrong = 0, count;

    for (int run = 0; run < runs; run++) {
        quiet(n, parts, noise, burst, (uint64_t)run);
        named(&count, n);
        wrong += count > 0;
    }
    return wrong;
}

static void test_quiet(void)
{
    for (int i = 0; i < SIZES; i++) {
        const int n = sizes[i][0], parts = sizes[i][1], runs = 200;

        ok(false_names(n, parts, 0.02, 0, runs) == 0,
           "%d quiet ranks, %d parts: nobody is named", n, parts);
        ok(false_names(n, parts, 0.02, 0.1, runs) <= runs / 50,
           "nor where each is now and then disturbed");
        ok(false_names(n, parts, 0.3, 0.1, runs) <= runs / 50, "nor in a great noise");
    }
}

static void test_slow(void)
{
    for (int i = 0; i < SIZES; i++) {
        const int n = sizes[i][0], parts = sizes[i][1], slow = n / 2;
        int right = 0, count;

        for (int run = 0; run < 50; run++) {
            quiet(n, parts, 0.03, 0, (uint64_t)run);
            slow_down(slow, 1.5);
            right += named(&count, n) == (uint64_t)1 << slow % 64 && count == 1;
        }
        ok(right == 50, "one of %d ranks, %d parts: it is named, alone", n, parts);
    }
}

static void test_threshold(void)
{
    int count;

    quiet(4, 16, 0.005, 0, 1);
    slow_down(2, 1.07);
    ok(named(&count, 4) == 0, "7 %% is no straggler");
    quiet(4, 16, 0.005, 0, 1);
    slow_down(2, 1.15);
    ok(named(&count, 4) == 4, "15 %% is");

    quiet(2, 16, 0.02, 0, 2);
    for (int k = 0; k < 10; k++)
        ranks[1].busy[k] *= 2;
    ok(named(&count, 2) == 0, "slow in 10 of 16 parts is not");
    quiet(2, 16, 0.02, 0, 2);
    for (int k = 0; k < 14; k++)
        ranks[1].busy[k] *= 2;
    ok(named(&count, 2) == 2, "in 14 is");

    quiet(64, 16, 0.02, 0, 2);
    for (int k = 0; k < 11; k++)
        ranks[1].busy[k] *= 2;
    ok(named(&count, 64) == 0, "nor, however many the others are, in 11");
    quiet(2, 7, 0, 0, 3);
    slow_down(0, 2);
    ok(named(&count, 2) == 0, "two ranks and seven steps are too few to tell");
    ok(fmax(ranks[0].ratio, ranks[1].ratio) == 2, "but the ratio is known");
    quiet(2, 8, 0, 0, 3);
    slow_down(0, 2);
    ok(named(&count, 2) == 1, "eight are enough");
    quiet(8, 16, 0.02, 0, 4);
    slow_down(1, 1.4);
    slow_down(6, 2);
    ok(named(&count, 8) == (1 << 1 | 1 << 6), "two of eight are both named");
    quiet(1, 16, 0.02, 0, 5);
    ok(named(&count, 1) == 0, "one rank alone is not");
    quiet(4, 16, 0, 0, 6);
    for (int i = 0; i < 4; i++)
        slow_down(i, 0);
    ok(named(&count, 4) == 0, "nor ranks without times");
}

/* Rank 1 of 'n' has 'work' as much to do as the others and takes 'time' as long.  Who
 * is named?
 */
static uint64_t named_with(int n, double work, double time)
{
    int count;

    quiet(n, 16, 0.02, 0, 7);
    ranks[1].work = work;
    slow_down(1, time);
    return named(&count, n);
}

static void test_work(void)
{
    for (int n = 2; n <= 5; n++) {
        ok(named_with(n, 1.5, 1.5) == 0, "of %d one with more work may take longer", n);
        ok(named_with(n, 1.5, 1.9) == 2, "but not that much longer");
        ok(named_with(n, 0.5, 1) == 0, "one with less need not be faster");
        ok(named_with(n, 0.5, 1.3) == 2, "but not slower");
        ok(named_with(n, 0.5, 0.5) == 0, "and the others may take their time");
    }
}

/* A whole collection: 'steps' steps of which each rank's take 1 s, rank 0's 2. */
static void test_find(struct mesh *mesh, int steps, bool is_crowded)
{
    const double stage[STAGES] = { 0 };
    struct case_result c       = { 0 };
    struct series s            = { 0 };
    double parts[SERIES_PARTS];
    bool is_said;

    for (int i = 0; i < steps; i++)
        series_add(&s, 3, stage, mesh->rank == 0 ? 2.0 : 1.0 + 0.1 * mesh->rank, 0, 0);
    ok(series_parts(parts, &s) == (steps < SERIES_PARTS ? steps : SERIES_PARTS) &&
           fabs(parts[0] - s.busy[0]) < 1e-12,
       "%d steps are cut into parts", steps);
    straggler_find(&c, mesh, &s, 1, is_crowded);
    series_free(&s);
    is_said = mesh->rank == 0 && mesh->size > 1 && steps > 4 && !is_crowded;
    ok((c.straggler[0] != '\0') == is_said, "is rank 0 named? %d", is_said);
    if (mesh->rank > 0) {
        ok(c.slow_ranks == 0, "-");
        ok(true, "-");
        return;
    }
    ok(!is_said ||
           (strstr(c.straggler, "rank 0 on ") == c.straggler &&
            strstr(c.straggler, "takes 1.67 times as long as the others") != NULL),
       "with its host and ratio: %s", c.straggler);
    ok(c.slow_ranks == (mesh->size < SLOW_RANKS ? mesh->size : SLOW_RANKS) &&
           c.slowest[0].rank == 0 && fabs(c.slowest[0].seconds - 2) < 1e-12 &&
           fabs(c.compute_max - 2) < 1e-12 &&
           fabs(c.compute_min - (mesh->size > 1 ? 1.1 : 2)) < 1e-12 &&
           fabs(c.compute_median - (mesh->size > 1 ? 1.25 : 2)) < 1e-12,
       "it is the slowest, too");
}

/* Of 20 steps that take a second the first and the last take 17: parts of one step and
 * of two.
 */
static void test_mean(struct mesh *mesh)
{
    enum { STEPS = 20 };
    const double stage[STAGES] = { 0 };
    struct case_result c       = { 0 };
    struct series s            = { 0 };

    for (int i = 0; i < STEPS; i++)
        series_add(&s, 17, stage, i == 0 || i == STEPS - 1 ? 17 : 1, 0, 0);
    straggler_find(&c, mesh, &s, 1, true);
    series_free(&s);
    ok(mesh->rank > 0 || fabs(c.compute_max - 2.6) < 1e-12,
       "each step counts once in the mean, whatever its part: %g", c.compute_max);
}

int main(int argc, char **argv)
{
    const int size = ranks_open(&argc, &argv, "t635-straggler");
    struct mesh *mesh;

    if (size == 1) {
        test_quiet();
        test_slow();
        test_threshold();
        test_work();
    }
    if (mesh_open(&mesh, MPI_COMM_WORLD, 1, size) == 0) {
        test_find(mesh, 100, false);
        test_find(mesh, 20, true);
        test_find(mesh, 2, false);
        test_mean(mesh);
        mesh_close(&mesh);
    }
    return ranks_done();
}
