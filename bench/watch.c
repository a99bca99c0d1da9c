/* SPDX-License-Identifier: BSD-3-Clause */
/* The watch on collective matmuls, and the fault that tests plant under its eyes. */
#include "config.h"

#include "bench/watch.h"

#include "bench/verify.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void watch_open(struct watch *w, struct mesh *mesh, struct dev *dev, uint64_t seed)
{
    *w = (struct watch){ .mesh = mesh, .seed = seed };
    reader_open(&w->reader, dev);
}

void watch_close(struct watch *w)
{
    reader_close(&w->reader);
}

/* VITBENCH_FAULT=product:KIND:RANK: one element of the first result of this kind, off
 * by the root mean square of its column.
 */
static bool is_fault(const struct watch *w, enum cmm_kind kind)
{
    const char *asked = getenv("VITBENCH_FAULT");
    char fault[64];

    snprintf(fault, sizeof fault, "product:%s:%d", project_kind[kind], w->mesh->rank);
    return asked != NULL && strcmp(asked, fault) == 0;
}

static void plant(struct watch *w, struct mat y)
{
    const int64_t r = y.rows / 2, c = y.cols / 2;
    const struct mat col = mat_cols(y, c, c + 1);
    const double rms     = sqrt(reader_norm(&w->reader, col) / (double)y.rows);
    struct dev_stream *s = dev_stream(w->reader.dev, LANE_COMPUTE);
    double element       = 0;

    dev_get(s, &element, mat_rows(col, r, r + 1));
    dtype_store(y.dtype, &element, 0, dtype_load(y.dtype, &element, 0) + rms);
    dev_put(s, mat_rows(col, r, r + 1), &element);
    w->is_planted = true;
}

/* Products of a device that has its own memory cost the host far more to look at than
 * the device to make: of each kind and name the first one is looked at, that of the
 * first block, or on the way back of the last.
 */
static bool is_known(struct watch *w, const struct cmm_seen *seen)
{
    if (dev_is_host(w->reader.dev))
        return false;
    for (int i = 0; i < w->seen_count; i++)
        if (w->seen_kind[i] == (int)seen->kind &&
            strcmp(w->seen_what[i], seen->what) == 0)
            return true;
    if (w->seen_count < WATCH_SEEN) {
        w->seen_kind[w->seen_count]   = (int)seen->kind;
        w->seen_what[w->seen_count++] = seen->what;
    }
    return false;
}

static void look(void *ctx, const struct cmm_seen *seen)
{
    struct watch *w = ctx;
    struct projection p;

    if (is_known(w, seen))
        return;

    if (!w->is_planted && is_fault(w, seen->kind))
        plant(w, seen->y);
    p = project(&w->reader, w->mesh->comm[AXIS_MODEL], seen, w->seed++);
    if (p.residual > w->worst.residual || w->name[0] == '\0')
        snprintf(w->name, sizeof w->name, "%s of %s", project_kind[seen->kind],
                 seen->what);
    w->worst = project_worse(w->worst, p);
}

void watch_start(struct watch *w, struct cmm *c)
{
    cmm_watch(c, look, w);
}

void watch_stop(struct cmm *c)
{
    cmm_watch(c, NULL, NULL);
}

void watch_decide(struct check *check, struct watch *w)
{
    struct {
        double residual;
        int rank;
    } worst = { w->worst.residual, w->mesh->rank };
    double sees;

    TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, &worst, 1, MPI_DOUBLE_INT, MPI_MAXLOC,
                          w->mesh->comm[AXIS_ALL]));
    coll_broadcast(w->mesh, AXIS_ALL, worst.rank, w->name, sizeof w->name);
    sees = coll_largest(w->mesh, AXIS_ALL, w->worst.sees);
    snprintf(check->note, sizeof check->note,
             "worst: %s; sees any element that is off by %.2g of its column's rms",
             w->name, sees);
    verify_decide(check, "products", worst.residual, PROJECT_THRESHOLD);
}
