/* SPDX-License-Identifier: BSD-3-Clause */
/* Times of steps, in arrays that grow by doubling. */
#include "config.h"

#include "bench/series.h"

#include "src/base/mem.h"
#include "src/base/split.h"

static void grow(double **list, int n, int room)
{
    *list = mem_grow(*list, (size_t)n, (size_t)room, sizeof **list);
}

void series_add(struct series *s, double seconds, const double stage[STAGES],
                double busy, double loss, double grad_norm)
{
    if (s->n == s->room) {
        s->room = s->room > 0 ? 2 * s->room : 64;
        grow(&s->seconds, s->n, s->room);
        grow(&s->busy, s->n, s->room);
        grow(&s->loss, s->n, s->room);
        grow(&s->grad_norm, s->n, s->room);
        for (int i = 0; i < STAGES; i++)
            grow(&s->stage[i], s->n, s->room);
    }
    s->seconds[s->n]   = seconds;
    s->busy[s->n]      = busy;
    s->loss[s->n]      = loss;
    s->grad_norm[s->n] = grad_norm;
    for (int i = 0; i < STAGES; i++)
        s->stage[i][s->n] = stage[i];
    s->n++;
}

int series_parts(double busy[SERIES_PARTS], const struct series *s)
{
    const int parts = s->n < SERIES_PARTS ? s->n : SERIES_PARTS;

    for (int k = 0; k < parts; k++) {
        const struct range part = split_range(s->n, parts, k);

        busy[k] = 0;
        for (int64_t i = part.lo; i < part.hi; i++)
            busy[k] += s->busy[i] / (double)range_size(part);
    }
    return parts;
}

void series_slowest(struct series *s, struct mesh *mesh)
{
    coll_largest_of(mesh, AXIS_ALL, s->seconds, s->n);
}

void series_finish(struct stat *steps, double stage[STAGES], struct series *s,
                   int warmup, struct mesh *mesh)
{
    struct stat of_stage;

    stat_of(steps, s->seconds, s->n, warmup);
    for (int i = 0; i < STAGES; i++) {
        stat_of(&of_stage, s->stage[i], s->n, 0);
        stage[i] = of_stage.median;
    }
    coll_largest_of(mesh, AXIS_ALL, stage, STAGES);
}

void series_free(struct series *s)
{
    mem_free(s->seconds);
    mem_free(s->busy);
    mem_free(s->loss);
    mem_free(s->grad_norm);
    for (int i = 0; i < STAGES; i++)
        mem_free(s->stage[i]);
    *s = (struct series){ 0 };
}
