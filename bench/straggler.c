/* SPDX-License-Identifier: BSD-3-Clause */
/* Which rank is slow. */
#include "config.h"

#include "bench/straggler.h"

#include "src/base/log.h"
#include "src/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

static int slower_first(const void *a, const void *b)
{
    const struct slow_rank *x = a, *y = b;

    if (x->seconds != y->seconds)
        return x->seconds < y->seconds ? 1 : -1;
    return x->rank - y->rank;
}

void straggler_find(struct case_result *c, struct mesh *mesh, double busy)
{
    struct slow_rank own  = { .rank = mesh->rank, .seconds = busy };
    struct slow_rank *all = NULL;
    const int n           = mesh->size;

    snprintf(own.host, sizeof own.host, "%s", log_host());
    if (mesh->rank == 0)
        all = mem_new((size_t)n, sizeof *all);
    TRY_MPI(MPI_Gather(&own, sizeof own, MPI_BYTE, all, sizeof own, MPI_BYTE, 0,
                       mesh->comm[AXIS_ALL]));
    if (mesh->rank != 0)
        return;

    qsort(all, (size_t)n, sizeof *all, slower_first);
    c->compute_max    = all[0].seconds;
    c->compute_min    = all[n - 1].seconds;
    c->compute_median = (all[(n - 1) / 2].seconds + all[n / 2].seconds) / 2;
    c->slow_ranks     = n < SLOW_RANKS ? n : SLOW_RANKS;
    for (int i = 0; i < c->slow_ranks; i++)
        c->slowest[i] = all[i];
    mem_free(all);
}
