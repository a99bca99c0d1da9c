/* SPDX-License-Identifier: BSD-3-Clause */
/* Random numbers: the same on every machine, in any order, and random. */
#include "config.h"

#include "src/base/rng.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

enum { N = 1 << 20, SEED = 7 };

static float drawn[N];

static uint64_t bits_of(double x)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* These bits must not change: runs and checkpoints rely on them. */
static void test_bits(void)
{
    uint64_t hash = 0;

    ok(rng_bits(0, 0, 0) == 0x238275bc38fcbe91 &&
           rng_bits(1, 2, 3) == 0x2a38bbe987fdf051,
       "the bits are those of all other machines");
    for (uint64_t i = 0; i < 1000; i++)
        hash = rng_mix(hash ^ bits_of(rng_normal(SEED, RNG_TEST, i)));
    ok(hash == 0xcab7087d9c755b4d, "so are the normal numbers, %#llx",
       (unsigned long long)hash);
    ok(rng_hash("") != rng_hash("a") && rng_hash("ab") != rng_hash("ba"),
       "texts have hashes of their own");
}

static void test_streams(void)
{
    int same = 0;

    for (uint64_t i = 0; i < 1000; i++) {
        same += rng_bits(1, RNG_IMAGE, i) == rng_bits(2, RNG_IMAGE, i);
        same += rng_bits(1, RNG_IMAGE, i) == rng_bits(1, RNG_LABEL, i);
        same += rng_bits(1, RNG_IMAGE, i) == rng_bits(1, RNG_IMAGE, i + 1);
        same += rng_bits(1, 2, i) == rng_bits(2, 1, i);
    }
    ok(same == 0, "seeds, streams and places all matter");
}

/* Moments within five standard deviations of what they should be. */
static void test_normal(void)
{
    double sum[5] = { 0 }, neighbours = 0, most = 0;
    int tail = 0;

    rng_fill_normal(drawn, N, SEED, RNG_TEST, 0);
    for (int i = 0; i < N; i++) {
        const double x = drawn[i];

        sum[1] += x;
        sum[2] += x * x;
        sum[3] += x * x * x;
        sum[4] += x * x * x * x;
        neighbours += x * drawn[i ^ 1];
        tail += fabs(x) > 1.959963985;
        most = fabs(x) > most ? fabs(x) : most;
    }
    close_to(sum[1] / N, 0, 5 * sqrt(1.0 / N), "the mean is 0");
    close_to(sum[2] / N, 1, 5 * sqrt(2.0 / N), "the variance is 1");
    close_to(sum[3] / N, 0, 5 * sqrt(15.0 / N), "there is no skew");
    close_to(sum[4] / N, 3, 5 * sqrt(96.0 / N), "the fourth moment is 3");
    close_to(neighbours / N, 0, 5 * sqrt(2.0 / N), "the two of a pair are independent");
    close_to((double)tail / N, 0.05, 5 * sqrt(0.05 * 0.95 / N), "5 %% lie beyond 1.96");
    ok(most > 4.2 && most < 7, "the largest of a million is %.2f", most);
}

/* Against the mathematics library, which may differ in the last bits. */
static void test_accuracy(void)
{
    double worst = 0;

    for (uint64_t pair = 0; pair < 20000; pair++) {
        const double x = rng_normal(SEED, RNG_TEST, 2 * pair);
        const double y = rng_normal(SEED, RNG_TEST, 2 * pair + 1);
        const double u =
            1 - (double)(rng_bits(SEED, RNG_TEST, 2 * pair) >> 12) * 0x1p-52;
        const double r = sqrt(-2 * log(u));
        const double a =
            (double)(rng_bits(SEED, RNG_TEST, 2 * pair + 1) << 12 >> 12) * 0x1p-52 -
            0.5;
        const double big = r * cos(a * acos(0)), small = r * fabs(sin(a * acos(0)));

        worst = fmax(worst, fabs(fmax(fabs(x), fabs(y)) - big));
        worst = fmax(worst, fabs(fmin(fabs(x), fabs(y)) - small));
    }
    close_to(worst, 0, 1e-14, "the method is that of Box and Muller");
}

static void test_fill(void)
{
    bool are_same = true, are_kept = true;

    for (int64_t n = 0; n < 700; n += 1 + n / 7) {
        for (uint64_t first = 0; first < 600; first += 1 + first / 5) {
            drawn[n] = 99;
            rng_fill_normal(drawn, n, SEED, RNG_TEST, first);
            for (int64_t i = 0; i < n; i++)
                are_same =
                    are_same &&
                    drawn[i] == (float)rng_normal(SEED, RNG_TEST, first + (uint64_t)i);
            are_kept = are_kept && drawn[n] == 99;
        }
    }
    ok(are_same, "a filled array holds the numbers of single calls");
    ok(are_kept, "and nothing beyond its end is written");
}

static void test_uniform(void)
{
    double sum = 0, squares = 0, signs = 0, least = 1, most = 0;
    bool are_signs = true;

    for (uint64_t i = 0; i < N; i++) {
        const double u = rng_uniform(SEED, RNG_TEST, i),
                     s = rng_sign(SEED, RNG_TEST, i);

        sum += u;
        squares += u * u;
        signs += s;
        are_signs = are_signs && (s == 1 || s == -1);
        least     = u < least ? u : least;
        most      = u > most ? u : most;
    }
    ok(least >= 0 && most < 1, "uniform numbers are in [0, 1)");
    close_to(sum / N, 0.5, 5 * sqrt(1.0 / 12 / N), "their mean is a half");
    close_to(squares / N, 1.0 / 3, 5 * sqrt(4.0 / 45 / N), "their squares' a third");
    ok(are_signs, "signs are 1 or -1");
    close_to(signs / N, 0, 5 * sqrt(1.0 / N), "as often the one as the other");
}

int main(void)
{
    test_bits();
    test_streams();
    test_normal();
    test_accuracy();
    test_fill();
    test_uniform();
    return tap_done();
}
