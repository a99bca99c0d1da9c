/* SPDX-License-Identifier: BSD-3-Clause */
/* All-gathers of uneven parts, in units that keep counts small. */
#include "config.h"

#include "src/data/pass.h"

#include "src/base/err.h"
#include "src/base/mem.h"

#include <limits.h>

static int checked(int64_t n)
{
    if (n < 0 || n > INT_MAX)
        die("%lld units in a message", (long long)n);
    return (int)n;
}

/* Everyone's part of 'all', in units of 'bytes': that of rank m lies from start[m] to
 * start[m + 1].
 */
static void gather(void *all, const int64_t *start, size_t bytes,
                   const struct mesh *mesh)
{
    const int M = mesh->M;
    int *count  = mem_new(2 * (size_t)M, sizeof *count);
    int *first  = count + M;
    MPI_Datatype unit;

    for (int m = 0; m < M; m++) {
        count[m] = checked(start[m + 1] - start[m]);
        first[m] = checked(start[m]);
    }
    TRY_MPI(MPI_Type_contiguous(checked((int64_t)bytes), MPI_BYTE, &unit));
    TRY_MPI(MPI_Type_commit(&unit));
    TRY_MPI(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, count, first, unit,
                           mesh->comm[AXIS_MODEL]));
    TRY_MPI(MPI_Type_free(&unit));
    mem_free(count);
}

void pass_images(float *images, int64_t n, int64_t numbers, const struct mesh *mesh)
{
    int64_t *start = mem_new((size_t)mesh->M + 1, sizeof *start);

    for (int m = 0; m <= mesh->M; m++)
        start[m] = split_start(n, mesh->M, m);
    gather(images, start, sizeof *images * (size_t)numbers, mesh);
    mem_free(start);
}

void pass_sizes(int64_t *start, int64_t bytes, const struct mesh *mesh)
{
    start[0] = 0;
    TRY_MPI(MPI_Allgather(&bytes, 1, MPI_INT64_T, start + 1, 1, MPI_INT64_T,
                          mesh->comm[AXIS_MODEL]));
    for (int m = 0; m < mesh->M; m++)
        start[m + 1] += start[m];
}

void pass_pictures(struct dev_picture *list, char *bytes, int64_t n,
                   const int64_t *start, const struct mesh *mesh)
{
    const int M   = mesh->M;
    int64_t *unit = mem_new((size_t)M + 1, sizeof *unit);

    for (int m = 0; m <= M; m++)
        unit[m] = split_start(n, M, m) + (m > 0);
    gather(list, unit, sizeof *list, mesh);
    for (int m = 0; m <= M; m++)
        unit[m] = start[m] / PICTURE_ALIGN;
    gather(bytes, unit, PICTURE_ALIGN, mesh);
    mem_free(unit);
}
