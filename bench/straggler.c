/* SPDX-License-Identifier: BSD-3-Clause */
/* Slow ranks, and those that are stragglers: rank 0 gets a few numbers of every rank,
 * however long the run was.
 */
#include "config.h"

#include "bench/straggler.h"

#include "src/base/log.h"
#include "src/base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- judging --------------------------------------------------------------------- */

static int less_work_first(const void *a, const void *b)
{
    const struct rank_times *x = a, *y = b;

    if (x->work != y->work)
        return x->work < y->work ? -1 : 1;
    return x->rank - y->rank;
}

static int slower_first(const void *a, const void *b)
{
    const struct rank_times *x = a, *y = b;

    if (x->seconds != y->seconds)
        return x->seconds < y->seconds ? 1 : -1;
    return x->rank - y->rank;
}

static int smaller_first(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* The ratios of all ranks' times of one part (or, with 'part' -1, of the whole run) to
 * the median of what all need for the same work; of two the lower one, so that for a
 * slow rank it is another's.  'all' is sorted by work, so that ranks with equal shares,
 * mostly all of them, need the times sorted only once.
 */
static void find_ratios(double *ratio, const struct rank_times *all, int n, int part)
{
    const int middle = (n - 1) / 2;
    double *time     = mem_new(2 * (size_t)n, sizeof *time);
    double *needed   = time + n; /* in order */

    for (int i = 0; i < n; i++)
        time[i] = part < 0 ? all[i].seconds : all[i].busy[part];
    for (int first = 0, i; first < n; first = i) {
        for (int j = 0; j < n; j++)
            needed[j] = time[j] * fmax(1, all[first].work / all[j].work);
        qsort(needed, (size_t)n, sizeof *needed, smaller_first);
        for (i = first; i < n && all[i].work == all[first].work; i++)
            ratio[i] = time[i] / needed[middle];
    }
    mem_free(time);
}

/* The probability of at least 'hits' in 'n' throws, each a hit with probability 'p'. */
static double at_least(int hits, int n, double p)
{
    double sum = 0, ways = 1; /* to choose i of n */

    for (int i = 0; i <= n; i++) {
        if (i >= hits)
            sum += ways * pow(p, i) * pow(1 - p, n - i);
        ways = ways * (n - i) / (i + 1);
    }
    return sum;
}

/* How likely it is that one of 'n' ranks is slow as often as 'r', if all are alike.
 * What a rank's chance to be slow in a part is, the others tell: they had one such part
 * more than they show, since they may have been lucky, and one in 'n' at least, since
 * some rank is always behind.
 */
static double chance(const struct rank_times *r, int n, int slow_of_all)
{
    const double rounding = 1 - 1e-12; /* or 10 (1 / 10)^3 is more than 0.01 */
    const double parts    = (double)(n - 1) * r->parts;
    const double share    = (slow_of_all - r->slow + 1) / (parts + 1);

    return n * at_least(r->slow, r->parts, fmax(share, 1.0 / n)) * rounding;
}

void straggler_judge(struct rank_times *all, int n)
{
    const int parts = all->parts;
    double *ratio   = mem_new((size_t)n, sizeof *ratio);
    int slow        = 0;

    for (int i = 0; i < n; i++) {
        all[i].ratio        = 1;
        all[i].slow         = 0;
        all[i].is_straggler = false;
    }
    qsort(all, (size_t)n, sizeof *all, less_work_first);
    for (int k = 0; n > 1 && k < parts; k++) {
        find_ratios(ratio, all, n, k);
        for (int i = 0; i < n; i++) {
            all[i].slow += ratio[i] > STRAGGLER_SLOW;
            slow += ratio[i] > STRAGGLER_SLOW;
        }
    }
    if (n > 1)
        find_ratios(ratio, all, n, -1);
    for (int i = 0; n > 1 && i < n; i++) {
        struct rank_times *r = &all[i];

        r->ratio        = ratio[i];
        r->is_straggler = r->ratio > STRAGGLER_SLOW &&
                          r->slow >= STRAGGLER_MOSTLY * parts &&
                          chance(r, n, slow) <= STRAGGLER_CHANCE;
    }
    mem_free(ratio);
}

/* ---- collecting ------------------------------------------------------------------ */

/* Name the first stragglers of 'all', sorted by time, and count the others. */
static void say_stragglers(struct case_result *c, const struct rank_times *all, int n)
{
    enum { NAMED = 2 };
    int found = 0, used = 0;

    for (int i = 0; i < n; i++) {
        const struct rank_times *r = &all[i];

        if (!r->is_straggler || ++found > NAMED)
            continue;
        used += snprintf(c->straggler + used, sizeof c->straggler - (size_t)used,
                         "%srank %d on %s takes %.3g times as long as the others (slow "
                         "in %d of %d parts of the run)",
                         found > 1 ? ", " : "", r->rank, r->host, r->ratio, r->slow,
                         r->parts);
    }
    if (found > NAMED)
        snprintf(c->straggler + used, sizeof c->straggler - (size_t)used,
                 ", and %d more", found - NAMED);
}

void straggler_find(struct case_result *c, struct mesh *mesh, const struct series *s,
                    double work, bool is_crowded)
{
    struct rank_times own  = { .rank = mesh->rank, .work = work };
    struct rank_times *all = NULL;
    const int n            = mesh->size;

    snprintf(own.host, sizeof own.host, "%s", log_host());
    own.parts = series_parts(own.busy, s);
    for (int i = 0; i < s->n; i++)
        own.seconds += s->busy[i] / s->n;
    if (mesh->rank == 0)
        all = mem_new((size_t)n, sizeof *all);
    TRY_MPI(MPI_Gather(&own, sizeof own, MPI_BYTE, all, sizeof own, MPI_BYTE, 0,
                       mesh->comm[AXIS_ALL]));
    if (mesh->rank != 0)
        return;

    straggler_judge(all, n);
    qsort(all, (size_t)n, sizeof *all, slower_first);
    c->compute_max = all[0].seconds;
    if (c->compute_max <= 0) { /* devices that return early do not say */
        mem_free(all);
        return;
    }
    c->compute_min    = all[n - 1].seconds;
    c->compute_median = (all[(n - 1) / 2].seconds + all[n / 2].seconds) / 2;
    c->slow_ranks     = n < SLOW_RANKS ? n : SLOW_RANKS;
    for (int i = 0; i < c->slow_ranks; i++) {
        c->slowest[i].rank    = all[i].rank;
        c->slowest[i].seconds = all[i].seconds;
        memcpy(c->slowest[i].host, all[i].host, sizeof all[i].host);
    }
    if (!is_crowded)
        say_stragglers(c, all, n);
    mem_free(all);
}
