/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,3,4 */
/* Ridge regression: LAPACK against the closed form, solved here by elimination, with
 * more and with fewer rows than columns; ScaLAPACK on grids of 1x1, 2x1, 3x1 and 2x2
 * against LAPACK.  Rows lie anywhere, some ranks have none.
 */
#include "config.h"

#include "src/eval/ridge.h"

#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/closed.h"
#include "tests/ranks.h"

#include <math.h>

static struct mesh *mesh;

/* ---- a problem ------------------------------------------------------------------- */

struct problem {
    struct ridge_rows rows;
    double *all; /* [N, D], on every rank */
    double *own;
    int32_t *owner, *label;
};

enum where { ANYWHERE, ON_THE_LAST };

static void problem_open(struct problem *p, int64_t N, int64_t D, int64_t K,
                         enum where where)
{
    int64_t next = 0;

    p->all   = mem_new((size_t)(N * D), sizeof *p->all);
    p->own   = mem_new((size_t)(N * D), sizeof *p->own);
    p->owner = mem_new((size_t)N, sizeof *p->owner);
    p->label = mem_new((size_t)N, sizeof *p->label);
    for (int64_t i = 0; i < N; i++) {
        p->owner[i] =
            where == ON_THE_LAST
                ? mesh->size - 1
                : (int32_t)(rng_bits(5, RNG_TEST, (uint64_t)i) % (uint64_t)mesh->size);
        p->label[i] = (int32_t)(rng_bits(6, RNG_TEST, (uint64_t)i) % (uint64_t)K);
        for (int64_t j = 0; j < D; j++) {
            const double noise = rng_normal(7, RNG_TEST, (uint64_t)(i * D + j));
            const bool is_its  = j % K == p->label[i];

            p->all[i * D + j] = j == D - 1 ? 100 : noise + is_its;
            if (p->owner[i] == mesh->rank)
                p->own[next++] = p->all[i * D + j];
        }
    }
    p->rows = (struct ridge_rows){
        .N = N, .D = D, .K = K, .owner = p->owner, .label = p->label, .x = p->own
    };
}

static void problem_close(struct problem *p)
{
    mem_free(p->all);
    mem_free(p->own);
    mem_free(p->owner);
    mem_free(p->label);
}

/* ---- tests ----------------------------------------------------------------------- */

/* |a - b| / |a| */
static double distance(const double *a, const double *b, int64_t n)
{
    double d = 0, s = 0;

    for (int64_t i = 0; i < n; i++) {
        d += (a[i] - b[i]) * (a[i] - b[i]);
        s += a[i] * a[i];
    }
    return sqrt(d / s);
}

static void test_solvers(int64_t N, int64_t D, int64_t K, enum where where)
{
    const double l2[]    = { 1024, 1, 1e6 };
    double *closed       = mem_new((size_t)(D * K), sizeof *closed);
    double *w            = mem_new((size_t)(D * K), sizeof *w);
    double *other        = mem_new((size_t)(D * K), sizeof *other);
    struct ridge *lapack = NULL, *scalapack = NULL;
    struct problem p;
    char what[64];

    snprintf(what, sizeof what, "%lld x %lld, %lld classes%s", (long long)N,
             (long long)D, (long long)K, where == ON_THE_LAST ? ", on one rank" : "");
    problem_open(&p, N, D, K, where);
    if (!ok(ridge_open(&lapack, &p.rows, mesh, RIDGE_LAPACK, 1) == 0, "%s: LAPACK",
            what))
        return;
#ifdef HAVE_SCALAPACK
    if (!ok(ridge_open(&scalapack, &p.rows, mesh, RIDGE_SCALAPACK, 1) == 0, "%s: %s",
            what, "ScaLAPACK"))
        return;
    close_to(distance(ridge_values(lapack), ridge_values(scalapack), N < D ? N : D), 0,
             1e-10, "%s: the same eigenvalues", what);
#endif
    for (int i = 0; i < 3; i++) {
        closed_ridge(closed, p.all, p.label, N, D, K, l2[i]);
        ridge_solve(w, lapack, l2[i]);
        close_to(distance(closed, w, D * K), 0, 1e-9, "%s, l2 %g: the closed form",
                 what, l2[i]);
        if (scalapack == NULL)
            continue;
        ridge_solve(other, scalapack, l2[i]);
        close_to(distance(w, other, D * K), 0, 1e-10, "%s, l2 %g: ScaLAPACK is LAPACK",
                 what, l2[i]);
    }
    ridge_close(&lapack);
    ridge_close(&scalapack);
    problem_close(&p);
    mem_free(closed);
    mem_free(w);
    mem_free(other);
}

int main(int argc, char **argv)
{
    const int ranks = ranks_open(&argc, &argv, "t710-ridge");

    if (mesh_open(&mesh, MPI_COMM_WORLD, ranks, 1) != 0)
        return 99;
    test_solvers(150, 40, 5, ANYWHERE);
    test_solvers(40, 150, 5, ANYWHERE);
    test_solvers(70, 70, 3, ANYWHERE);
    test_solvers(400, 300, 7, ANYWHERE);
    test_solvers(290, 270, 3, ON_THE_LAST);
    test_solvers(33, 97, 40, ON_THE_LAST);
    test_solvers(5, 9, 5, ANYWHERE);
    test_solvers(1, 9, 2, ANYWHERE);
    mesh_close(&mesh);
    return ranks_done();
}
