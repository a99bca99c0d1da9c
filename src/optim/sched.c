/* SPDX-License-Identifier: BSD-3-Clause */
/* Schedules: pure arithmetic. */
#include "config.h"

#include "src/optim/sched.h"

#include <math.h>

static double clamp(double x)
{
    return fmin(1, fmax(0, x));
}

double sched_at(const struct sched *s, int64_t step)
{
    const double past   = (double)(step - s->warmup);
    const int64_t whole = s->trunk > 0 ? s->trunk : s->steps;
    double factor       = 1;

    if (s->kind == SCHED_RSQRT && past > 0)
        factor = 1 / sqrt(1 + past / s->timescale);
    if (s->kind == SCHED_COSINE && whole > s->warmup)
        factor = 0.5 * (1 + cos(M_PI * clamp(past / (double)(whole - s->warmup))));
    if (s->warmup > 0)
        factor *= clamp((double)step / (double)s->warmup);
    if (s->cooldown > 0)
        factor *= clamp((double)(s->steps - step) / (double)s->cooldown);
    return factor;
}

struct sched sched_fork(const struct sched *s, int64_t fork)
{
    struct sched made = *s;

    made.steps = fork + s->cooldown;
    made.trunk = s->steps;
    return made;
}
