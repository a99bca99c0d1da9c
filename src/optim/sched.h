/* SPDX-License-Identifier: BSD-3-Clause */
/* Learning rate schedules, as factors of the learning rate.
 *
 *   rsqrt     1 / sqrt(1 + (step - warmup) / timescale) from step 'warmup' on, 1 before
 *   cosine    (1 + cos(pi p)) / 2, p from 0 at 'warmup' to 1 at 'steps' (a fork's: of
 *             its trunk)
 *   constant  1
 *
 * each times min(1, step / warmup) and min(1, (steps - step) / cooldown).
 * (big_vision's; its step counts from 0, so that the first update of a
 * warm-up is of size zero.)
 */
#ifndef OPTIM_SCHED_H
#define OPTIM_SCHED_H

#include <stdint.h>

enum sched_kind { SCHED_RSQRT, SCHED_COSINE, SCHED_CONSTANT };

struct sched {
    enum sched_kind kind;
    int64_t steps, warmup, cooldown; /* 0: without */
    double timescale;
    int64_t trunk; /* steps of what a fork has left; 0: it is none */
};

/* The factor of step 'step', 0 <= step < steps. */
double sched_at(const struct sched *s, int64_t step);

/* The same trunk, left at step 'fork' to cool down to zero within 'cooldown' steps. */
struct sched sched_fork(const struct sched *s, int64_t fork);

#endif
