/* SPDX-License-Identifier: BSD-3-Clause */
/* The plain solver, and the oracle of the other: the first rank collects all rows. */
#include "config.h"

#include "src/eval/ridge_impl.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/eval/blas.h"

#include <stdio.h>
#include <string.h>

/* Of the first rank; columns lie one after another, so that a row of X is a column. */
struct whole {
    double *left;  /* [D, n]: eigenvectors, or X^T times them */
    double *right; /* [n, K] */
    double *scaled;
};

/* ---- rows ------------------------------------------------------------------------ */

/* all [N, D] on the first rank, from everyone's own rows. */
static void collect(double *all, const struct ridge *r, const struct ridge_rows *rows)
{
    const MPI_Comm comm = r->mesh->comm[AXIS_ALL];
    const int D         = (int)r->D;
    const double *own   = rows->x;

    for (int64_t i = 0; i < r->N; i++) {
        const bool is_own = rows->owner[i] == r->mesh->rank;

        if (r->mesh->rank == 0 && is_own)
            memcpy(all + i * D, own, (size_t)D * sizeof *own);
        else if (r->mesh->rank == 0)
            TRY_MPI(MPI_Recv(all + i * D, D, MPI_DOUBLE, rows->owner[i], 0, comm,
                             MPI_STATUS_IGNORE));
        else if (is_own)
            TRY_MPI(MPI_Send(own, D, MPI_DOUBLE, 0, 0, comm));
        own += is_own ? D : 0;
    }
}

/* ---- the problem ----------------------------------------------------------------- */

/* c [m, n] = a b, of which 'ta' says how a is read; b is read as it is. */
static void product(double *c, const char *ta, const double *a, int lda,
                    const double *b, int ldb, int m, int n, int k)
{
    const double one = 1, zero = 0;

    dgemm_(ta, "N", &m, &n, &k, &one, a, &lda, b, &ldb, &zero, c, &m);
}

/* The eigenvectors of the smaller Gram matrix of 'x' [D, N] into 'vectors' [n, n]. */
static int decompose(double *vectors, double *value, const double *x, int D, int N)
{
    const int n      = N < D ? N : D;
    const double one = 1, zero = 0;
    double most, *work         = NULL;
    int most_i, all = -1, info = 0, size, size_i, *work_i = NULL;
    void *room;

    dsyrk_("L", N < D ? "T" : "N", &n, N < D ? &D : &N, &one, x, &D, &zero, vectors,
           &n);
    dsyevd_("V", "L", &n, vectors, &n, value, &most, &all, &most_i, &all, &info);
    size   = (int)most;
    size_i = most_i;
    TRY(mem_alloc(&room, (size_t)size * sizeof *work));
    work   = room;
    work_i = mem_new((size_t)size_i, sizeof *work_i);
    dsyevd_("V", "L", &n, vectors, &n, value, work, &size, work_i, &size_i, &info);
    mem_free(work);
    mem_free(work_i);
    return info == 0 ? 0
                     : ERR(ERR_CHECK, "LAPACK found no eigenvalues (dsyevd: %d)", info);
}

/* 'left' and 'right' of x [D, N] and y [N, K]; 'vectors' is what left holds if N >= D,
 * and else scratch.
 */
static int factor(struct whole *l, struct ridge *r, const double *x, const double *y)
{
    const int N = (int)r->N, D = (int)r->D, K = (int)r->K, n = (int)r->n;
    void *room;
    double *vectors;

    TRY(mem_alloc(&room, (size_t)n * (size_t)n * sizeof *vectors));
    vectors = room;

    const int rc = decompose(vectors, r->value, x, D, N);

    if (rc != 0) {
        mem_free(vectors);
        return rc;
    }
    if (N < D) {
        product(l->right, "T", vectors, n, y, N, n, K, N);
        product(l->left, "N", x, D, vectors, n, D, n, N);
        mem_free(vectors);
    } else {
        product(l->scaled, "N", x, D, y, N, D, K, N);
        product(l->right, "T", vectors, n, l->scaled, D, n, K, D);
        mem_free(l->left);
        l->left = vectors;
    }
    return 0;
}

static int alloc(double **x, int64_t rows, int64_t cols)
{
    void *room;

    TRY(mem_alloc(&room, (size_t)rows * (size_t)cols * sizeof **x));
    *x = room;
    return 0;
}

static int open_first(struct whole *l, double **x, double **y, const struct ridge *r)
{
    if (!ridge_fits(r->N, r->D) || !ridge_fits(r->n, r->n) || !ridge_fits(r->N, r->K) ||
        !ridge_fits(r->D, r->K))
        return ERR(ERR_SHAPE, "%lld x %lld numbers are too many for LAPACK on one rank",
                   (long long)r->N, (long long)r->D);
    TRY(alloc(x, r->N, r->D));
    TRY(alloc(y, r->N, r->K));
    TRY(alloc(&l->left, r->D, r->n));
    TRY(alloc(&l->right, r->n, r->K));
    return alloc(&l->scaled, r->D, r->K); /* n <= D */
}

static int lapack_open(struct ridge *r, const struct ridge_rows *rows)
{
    struct whole *l     = mem_new(1, sizeof *l);
    const bool is_first = r->mesh->rank == 0;
    double *x = NULL, *y = NULL;
    int rc;

    r->own = l;
    snprintf(r->about, sizeof r->about, "LAPACK on one rank");
    blas_start(r->threads);
    rc = mesh_agree(r->mesh, is_first ? open_first(l, &x, &y, r) : 0);
    if (rc == 0) {
        collect(x, r, rows);
        for (int64_t k = 0; is_first && k < r->K; k++) {
            for (int64_t i = 0; i < r->N; i++)
                y[k * r->N + i] = ridge_target(rows->label[i], k);
        }
        rc = mesh_agree(r->mesh, is_first ? factor(l, r, x, y) : 0);
    }
    if (rc == 0)
        TRY_MPI(MPI_Bcast(r->value, (int)r->n, MPI_DOUBLE, 0, r->mesh->comm[AXIS_ALL]));
    mem_free(x);
    mem_free(y);
    return rc;
}

static void lapack_solve(double *w, struct ridge *r, double l2)
{
    const struct whole *l = r->own;
    const int64_t n       = r->n;

    if (r->mesh->rank != 0)
        return;
    for (int64_t k = 0; k < r->K; k++) {
        for (int64_t i = 0; i < n; i++)
            l->scaled[k * n + i] = l->right[k * n + i] / (r->value[i] + l2);
    }
    product(w, "N", l->left, (int)r->D, l->scaled, (int)n, (int)r->D, (int)r->K,
            (int)n);
}

static void lapack_close(struct ridge *r)
{
    struct whole *l = r->own;

    mem_free(l->left);
    mem_free(l->right);
    mem_free(l->scaled);
    mem_free(l);
}

const struct ridge_ops ridge_lapack = {
    .open  = lapack_open,
    .solve = lapack_solve,
    .close = lapack_close,
};
