/* SPDX-License-Identifier: BSD-3-Clause */
/* Schedules at points worked out by hand. */
#include "config.h"

#include "src/optim/sched.h"
#include "tests/tap.h"

#include <math.h>

static void rsqrt(void)
{
    const struct sched s = { SCHED_RSQRT, 100000, 1000, 5000, 10000, 0 };

    ok(sched_at(&s, 0) == 0, "rsqrt: a warm-up begins with nothing");
    ok(sched_at(&s, 250) == 0.25, "a quarter of it is a quarter");
    ok(sched_at(&s, 1000) == 1, "its end is all");
    close_to(sched_at(&s, 11000), sqrt(0.5), 1e-15, "a timescale later, 1 / sqrt(2)");
    close_to(sched_at(&s, 31000), 0.5, 1e-15, "three timescales later, a half");
    close_to(sched_at(&s, 95000), 1 / sqrt(1 + 9.4), 1e-15, "the cool-down begins");
    close_to(sched_at(&s, 97500), 0.5 / sqrt(1 + 9.65), 1e-15, "half of it");
    close_to(sched_at(&s, 99999), 1.0 / 5000 / sqrt(1 + 9.8999), 1e-15,
             "the last step has one part of 5000");
    ok(sched_at(&s, 100000) == 0 && sched_at(&s, 100001) == 0, "and then nothing");
}

static void cosine(void)
{
    const struct sched s = { SCHED_COSINE, 110, 10, 0, 0, 0 };

    ok(sched_at(&s, 5) == 0.5, "cosine: half of the warm-up");
    ok(sched_at(&s, 10) == 1, "its end");
    close_to(sched_at(&s, 35), 0.5 + sqrt(0.125), 1e-15, "a quarter of the way");
    close_to(sched_at(&s, 60), 0.5, 1e-15, "half of the way");
    close_to(sched_at(&s, 110), 0, 1e-15, "the end");
}

static void constant(void)
{
    const struct sched s = { SCHED_CONSTANT, 100, 0, 20, 0, 0 };

    ok(sched_at(&s, 0) == 1 && sched_at(&s, 80) == 1, "constant: 1 without a warm-up");
    ok(sched_at(&s, 90) == 0.5, "and a cool-down");
}

/* A fork follows its trunk up to where it cools down. */
static void forks(void)
{
    for (int kind = SCHED_RSQRT; kind <= SCHED_CONSTANT; kind++) {
        const struct sched trunk = { (enum sched_kind)kind, 1000, 100, 50, 200, 0 };
        const struct sched made  = sched_fork(&trunk, 300);
        int wrong                = 0;

        for (int64_t step = 0; step <= 300; step++)
            wrong += sched_at(&made, step) != sched_at(&trunk, step);
        ok(wrong == 0 && made.steps == 350,
           "kind %d: a fork leaves its trunk at its step", kind);
        close_to(sched_at(&made, 325), 0.5 * sched_at(&trunk, 325), 1e-15,
                 "is halfway down after half of its cool-down");
        ok(sched_at(&made, 350) == 0, "and ends there");
    }
}

int main(void)
{
    rsqrt();
    cosine();
    constant();
    forks();
    return tap_done();
}
