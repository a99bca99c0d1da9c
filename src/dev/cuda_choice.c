/* SPDX-License-Identifier: BSD-3-Clause */
/* What can be done in several ways and was timed: a list with the times of each way and
 * the one that is taken.  It is the device's own; dev_choices() shows it, and other
 * ranks may overrule what was measured here.
 */
#include "config.h"

#include "src/dev/cuda.h"

#include "src/base/mem.h"
#include "src/base/told.h"

#include <math.h>
#include <string.h>

enum { ROUNDS = 2, REPEATS = 2 };

/* What takes so many times as long as the best is not tried again. */
static const double FAR = 1.2;

struct trial {
    cuda_way_fn work;
    void *ctx;
    int way;
    bool is_refused;
};

static void try_way(struct dev_stream *s, void *ctx)
{
    struct trial *t = ctx;

    t->is_refused |= !t->work(s, t->ctx, t->way);
}

/* Seconds of one call, after one that loads its kernels; infinite if it is refused. */
static double time_way(struct dev_stream *s, struct trial t)
{
    double seconds;

    try_way(s, &t);
    seconds = cuda_time(s, try_way, &t, REPEATS);
    return t.is_refused ? INFINITY : seconds;
}

void cuda_time_ways(struct dev_stream *s, double *seconds, int count, cuda_way_fn work,
                    void *ctx)
{
    double best = INFINITY;

    for (int way = 0; way < count; way++)
        seconds[way] = INFINITY;
    for (int i = 0; i < ROUNDS * count; i++) {
        const int way = i % count;

        if (i >= count && seconds[way] > FAR * best)
            continue;
        seconds[way] =
            fmin(seconds[way], time_way(s, (struct trial){ work, ctx, way, false }));
        best = fmin(best, seconds[way]);
    }
}

/* ---- The list -------------------------------------------------------------------- */

bool cuda_may_time(const struct dev *dev)
{
    return cuda_of(dev)->choices.is_tuning && !dev->is_deterministic && !told_to_end();
}

struct dev_choice *cuda_choice(const struct dev *dev, int number)
{
    return &cuda_of(dev)->choices.list[number];
}

int cuda_add_choice(struct dev *dev, const struct dev_choice *made)
{
    struct cuda_choices *all = &cuda_of(dev)->choices;

    if (all->count == all->room) {
        all->room = 2 * all->room + 32;
        all->list = mem_grow(all->list, (size_t)all->count, (size_t)all->room,
                             sizeof *all->list);
    }
    all->list[all->count] = *made;
    return all->count++;
}

int cuda_time_choice(struct dev_stream *s, const struct dev_choice *what,
                     cuda_way_fn work, void *ctx)
{
    struct dev_choice made = *what;

    cuda_time_ways(s, made.seconds, made.ways, work, ctx);
    made.way = dev_fastest(&made);
    return cuda_add_choice(s->dev, &made); /* after those made meanwhile */
}

int cuda_choose(struct dev_stream *s, const struct dev_choice *what, cuda_way_fn work,
                void *ctx)
{
    const struct cuda_choices *all = &cuda_of(s->dev)->choices;
    int number                     = 0;

    while (number < all->count && strcmp(all->list[number].name, what->name) != 0)
        number++;
    if (number == all->count && !cuda_may_time(s->dev))
        return 0;
    if (number == all->count)
        number = cuda_time_choice(s, what, work, ctx);
    return cuda_choice(s->dev, number)->way;
}

void cuda_tune(struct dev *dev, bool is_on)
{
    cuda_of(dev)->choices.is_tuning = is_on;
}

struct dev_choice *cuda_choices(struct dev *dev, int *count)
{
    *count = cuda_of(dev)->choices.count;
    return cuda_of(dev)->choices.list;
}
