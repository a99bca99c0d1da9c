/* SPDX-License-Identifier: BSD-3-Clause */
/* Some columns at a time, each summed over the ranks; of a sum every rank
 * keeps what its tiles hold.
 */
#include "config.h"

#include "src/eval/gram.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/eval/blas.h"

#include <string.h>

enum { PANEL = 256 }; /* columns: enough for a product to be fast */

static void sum_all(double *x, int64_t n, const struct tiles *t)
{
    enum { CHUNK = 1 << 24 };

    for (int64_t at = 0; at < n; at += CHUNK)
        TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, x + at,
                              (int)(n - at < CHUNK ? n - at : CHUNK), MPI_DOUBLE,
                              MPI_SUM, t->grid->mesh->comm[AXIS_ALL]));
}

static int alloc(double **x, int64_t n, const struct tiles *t)
{
    void *room   = NULL;
    const int rc = mesh_agree(t->grid->mesh, mem_alloc(&room, (size_t)n * sizeof **x));

    *x = room;
    if (rc != 0)
        mem_free(room);
    return rc;
}

static int64_t count_own(const struct ridge_rows *rows, int rank)
{
    int64_t own = 0;

    for (int64_t i = 0; i < rows->N; i++)
        own += rows->owner[i] == rank;
    return own;
}

/* part [wide, high] = the columns of X^T X that begin at x's first: on the diagonal
 * only their lower half.
 */
static void panel(double *part, const double *x, int D, int own, int high, int wide)
{
    const double one = 1, zero = 0;
    const int below = high - wide;

    dsyrk_("L", "N", &wide, &own, &one, x, &D, &zero, part, &high);
    if (below > 0)
        dgemm_("N", "T", &below, &wide, &own, &one, x + wide, &D, x, &D, &zero,
               part + wide, &high);
}

int gram_square(struct tiles *gram, const struct ridge_rows *rows, int threads)
{
    const int D   = (int)rows->D;
    const int own = (int)count_own(rows, gram->grid->mesh->rank);
    double *part;

    TRY(alloc(&part, (int64_t)PANEL * D, gram));
    memset(part, 0, (size_t)PANEL * (size_t)D * sizeof *part);
    blas_start(threads);
    for (int at = 0; at < D; at += PANEL) {
        const int high = D - at, wide = high < PANEL ? high : PANEL;

        panel(part, rows->x + at, D, own, high, wide);
        sum_all(part, (int64_t)high * wide, gram);
        tiles_take(gram, part, at, at, wide);
    }
    blas_start(1);
    mem_free(part);
    return 0;
}

/* sum [K, D]: of the rows of each class; rest [D]: of all of them.  A target of 1
 * instead of -1 is twice that of the class.
 */
int gram_targets(struct tiles *t, const struct ridge_rows *rows)
{
    const int64_t D = rows->D, K = rows->K;
    const double *x = rows->x;
    double *sum, *rest;

    TRY(alloc(&sum, (K + 1) * D, t));
    memset(sum, 0, (size_t)((K + 1) * D) * sizeof *sum);
    rest = sum + K * D;
    for (int64_t i = 0; i < rows->N; i++) {
        double *of = sum + rows->label[i] * D;

        if (rows->owner[i] != t->grid->mesh->rank)
            continue;
        for (int64_t d = 0; d < D; d++) {
            of[d] += x[d];
            rest[d] += x[d];
        }
        x += D;
    }
    for (int64_t k = 0; k < K; k++) {
        for (int64_t d = 0; d < D; d++)
            sum[k * D + d] = 2 * sum[k * D + d] - rest[d];
    }
    sum_all(sum, K * D, t);
    tiles_take(t, sum, 0, 0, K);
    mem_free(sum);
    return 0;
}
