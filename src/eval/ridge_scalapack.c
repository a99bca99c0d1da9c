/* SPDX-License-Identifier: BSD-3-Clause */
/* The solver of many ranks: everything that is large is dealt out over a grid of all of
 * them, but for more rows than columns, which stay where they are.  Names and steps are
 * those of ridge_lapack.c.
 */
#include "config.h"

#include "src/eval/ridge_impl.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/eval/blas.h"
#include "src/eval/gram.h"

#include <stdio.h>

struct spread {
    struct grid grid;
    struct tiles left;   /* [D, n]: eigenvectors, or X^T times them */
    struct tiles right;  /* [n, K] */
    struct tiles scaled; /* [n, K] */
    struct tiles w;      /* [D, K] */
};

/* What is there while it is opened. */
struct problem {
    struct tiles x;       /* [D, N], N < D */
    struct tiles y;       /* [N, K], N < D */
    struct tiles t;       /* [D, K], N >= D: X^T Y */
    struct tiles gram;    /* [n, n] */
    struct tiles vectors; /* [n, n] */
};

static const int first = 1;

/* c = a b, of which 'ta' says how a is read. */
static void product(struct tiles *c, const char *ta, const struct tiles *a,
                    const struct tiles *b)
{
    const int m = (int)c->rows, n = (int)c->cols, k = (int)b->rows;
    const double one = 1, zero = 0;

    pdgemm_(ta, "N", &m, &n, &k, &one, a->at, &first, &first, a->desc, b->at, &first,
            &first, b->desc, &zero, c->at, &first, &first, c->desc);
}

/* c = x^T x, the lower half */
static void square(struct tiles *c, const struct tiles *x)
{
    const int n = (int)c->rows, k = (int)x->rows;
    const double one = 1, zero = 0;

    pdsyrk_("L", "T", &n, &k, &one, x->at, &first, &first, x->desc, &zero, c->at,
            &first, &first, c->desc);
}

/* The eigenvalues of 'a', which is spoilt, and its eigenvectors. */
static int decompose(struct tiles *vectors, double *value, struct tiles *a)
{
    /* A margin: what pdsyevd asks for does not count all that pdormtr wants. */
    enum { MARGIN = 100000 };
    const int n = (int)a->rows;
    double most = 0, *work;
    int most_i = 0, all = -1, info = 0, size, size_i, *work_i, rc;
    void *room = NULL;

    pdsyevd_("V", "L", &n, a->at, &first, &first, a->desc, value, vectors->at, &first,
             &first, vectors->desc, &most, &all, &most_i, &all, &info);
    size   = (int)most + MARGIN;
    size_i = most_i;
    rc     = mesh_agree(a->grid->mesh, mem_alloc(&room, (size_t)size * sizeof *work));
    if (rc != 0) {
        mem_free(room);
        return rc;
    }
    work   = room;
    work_i = mem_new((size_t)size_i, sizeof *work_i);
    pdsyevd_("V", "L", &n, a->at, &first, &first, a->desc, value, vectors->at, &first,
             &first, vectors->desc, work, &size, work_i, &size_i, &info);
    mem_free(work);
    mem_free(work_i);
    /* Ranks that have no part of a small matrix are not told. */
    TRY_MPI(MPI_Bcast(value, n, MPI_DOUBLE, 0, a->grid->mesh->comm[AXIS_ALL]));
    return mesh_agree(
        a->grid->mesh,
        info == 0
            ? 0
            : ERR(ERR_CHECK, "ScaLAPACK found no eigenvalues (pdsyevd: %d)", info));
}

static int open_all(struct spread *s, struct problem *p, const struct ridge *r)
{
    const struct grid *g = &s->grid;

    TRY(tiles_open(&p->gram, g, r->n, r->n));
    TRY(tiles_open(&p->vectors, g, r->n, r->n));
    TRY(tiles_open(&s->right, g, r->n, r->K));
    TRY(tiles_open(&s->scaled, g, r->n, r->K));
    TRY(tiles_open(&s->w, g, r->D, r->K));
    if (r->N >= r->D)
        return tiles_open(&p->t, g, r->D, r->K);
    TRY(tiles_open(&p->x, g, r->D, r->N));
    TRY(tiles_open(&p->y, g, r->N, r->K));
    return tiles_open(&s->left, g, r->D, r->n);
}

static void fill_targets(struct tiles *y, const int32_t *label)
{
    for (int64_t k = 0; k < y->cols_l; k++) {
        for (int64_t i = 0; i < y->rows_l; i++)
            y->at[k * y->rows_l + i] =
                ridge_target(label[tiles_row(y, i)], tiles_col(y, k));
    }
}

/* Of fewer rows than columns: they are dealt out. */
static int factor_low(struct spread *s, struct problem *p, struct ridge *r,
                      const struct ridge_rows *rows)
{
    TRY(tiles_deal(&p->x, rows->owner, rows->x));
    fill_targets(&p->y, rows->label);
    square(&p->gram, &p->x);
    TRY(decompose(&p->vectors, r->value, &p->gram));
    product(&s->right, "T", &p->vectors, &p->y);
    product(&s->left, "N", &p->x, &p->vectors);
    return 0;
}

/* Of at least as many: of them only sums are wanted. */
static int factor_high(struct spread *s, struct problem *p, struct ridge *r,
                       const struct ridge_rows *rows)
{
    TRY(gram_square(&p->gram, rows, r->threads));
    TRY(gram_targets(&p->t, rows));
    TRY(decompose(&p->vectors, r->value, &p->gram));
    product(&s->right, "T", &p->vectors, &p->t);
    s->left    = p->vectors;
    p->vectors = (struct tiles){ 0 };
    return 0;
}

static int scalapack_open(struct ridge *r, const struct ridge_rows *rows)
{
    struct spread *s = mem_new(1, sizeof *s);
    struct problem p = { 0 };
    int rc;

    r->own = s;
    blas_start(1);
    grid_open(&s->grid, r->mesh);
    snprintf(r->about, sizeof r->about, "ScaLAPACK on a %dx%d grid", s->grid.P,
             s->grid.Q);
    rc = mesh_agree(r->mesh, open_all(s, &p, r));
    if (rc == 0)
        rc = r->N < r->D ? factor_low(s, &p, r, rows) : factor_high(s, &p, r, rows);
    tiles_close(&p.x);
    tiles_close(&p.y);
    tiles_close(&p.gram);
    tiles_close(&p.vectors);
    tiles_close(&p.t);
    return rc;
}

static void scalapack_solve(double *w, struct ridge *r, double l2)
{
    struct spread *s          = r->own;
    const struct tiles *right = &s->right;

    for (int64_t k = 0; k < right->cols_l; k++) {
        for (int64_t i = 0; i < right->rows_l; i++)
            s->scaled.at[k * right->rows_l + i] =
                right->at[k * right->rows_l + i] / (r->value[tiles_row(right, i)] + l2);
    }
    product(&s->w, "N", &s->left, &s->scaled);
    tiles_put(w, &s->w);
}

static void scalapack_close(struct ridge *r)
{
    struct spread *s = r->own;

    tiles_close(&s->left);
    tiles_close(&s->right);
    tiles_close(&s->scaled);
    tiles_close(&s->w);
    grid_close(&s->grid);
    mem_free(s);
}

const struct ridge_ops ridge_scalapack = {
    .open  = scalapack_open,
    .solve = scalapack_solve,
    .close = scalapack_close,
};
