/* SPDX-License-Identifier: BSD-3-Clause */
/* Which solver; what both have in common. */
#include "config.h"

#include "src/eval/ridge_impl.h"

#include "src/base/err.h"
#include "src/base/mem.h"

#include <limits.h>

bool ridge_fits(int64_t a, int64_t b)
{
    return a == 0 || b <= (INT_MAX / 4) / a;
}

static int choose(const struct ridge_ops **ops, const struct mesh *mesh,
                  enum ridge_solver solver)
{
    *ops = &ridge_lapack;
#ifdef HAVE_SCALAPACK
    if (solver == RIDGE_SCALAPACK || (solver == RIDGE_AUTO && mesh->size > 1))
        *ops = &ridge_scalapack;
#else
    (void)mesh;
    if (solver == RIDGE_SCALAPACK)
        return ERR(ERR_ENV, "ScaLAPACK is not in this build: configure found none");
#endif
    return 0;
}

int ridge_open(struct ridge **ridge, const struct ridge_rows *rows, struct mesh *mesh,
               enum ridge_solver solver, int threads)
{
    struct ridge *r = mem_new(1, sizeof *r);
    int rc          = choose(&r->ops, mesh, solver);

    r->mesh    = mesh;
    r->N       = rows->N;
    r->D       = rows->D;
    r->K       = rows->K;
    r->n       = rows->N < rows->D ? rows->N : rows->D;
    r->threads = threads;
    r->value   = mem_new((size_t)r->n, sizeof *r->value);
    rc         = mesh_agree(mesh, rc);
    if (rc == 0)
        rc = r->ops->open(r, rows);
    if (rc != 0)
        ridge_close(&r);
    else
        *ridge = r;
    return rc;
}

void ridge_close(struct ridge **ridge)
{
    struct ridge *r = *ridge;

    if (r == NULL)
        return;
    if (r->own != NULL)
        r->ops->close(r);
    mem_free(r->value);
    mem_free(r);
    *ridge = NULL;
}

/* Every number comes from one rank, the others have zero: the sum has its bits. */
static void to_all(double *w, const struct ridge *r)
{
    enum { CHUNK = 1 << 24 };

    for (int64_t at = 0; at < r->K * r->D; at += CHUNK) {
        const int64_t left = r->K * r->D - at;

        TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, w + at, (int)(left < CHUNK ? left : CHUNK),
                              MPI_DOUBLE, MPI_SUM, r->mesh->comm[AXIS_ALL]));
    }
}

void ridge_solve(double *w, struct ridge *r, double l2)
{
    for (int64_t i = 0; i < r->K * r->D; i++)
        w[i] = 0;
    r->ops->solve(w, r, l2);
    to_all(w, r);
}

const char *ridge_about(const struct ridge *r)
{
    return r->about;
}

const double *ridge_values(const struct ridge *r)
{
    return r->value;
}
