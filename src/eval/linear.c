/* SPDX-License-Identifier: BSD-3-Clause */
/* Some rows at a time, as products. */
#include "config.h"

#include "src/eval/linear.h"

#include "src/base/mem.h"
#include "src/eval/blas.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 256 };

/* Rows of this rank that wait for their product. */
struct chunk {
    const struct linear *l;
    int D, K, rows;
    double *z;     /* [CHUNK, D] */
    double *score; /* [CHUNK, K], and then the gradient of the loss */
    int32_t label[CHUNK];
};

/* ---- one row --------------------------------------------------------------------- */

static struct verdicts sigmoid(double *score, int64_t K, int32_t label)
{
    struct verdicts v = { 0 };

    for (int64_t k = 0; k < K; k++) {
        const double x = score[k], target = k == label;

        v.loss += fmax(x, 0) - target * x + log1p(exp(-fabs(x)));
        score[k] = 1 / (1 + exp(-x)) - target;
    }
    return v;
}

static struct verdicts softmax(double *score, int64_t K, int32_t label, double largest)
{
    const double own  = score[label];
    struct verdicts v = { 0 };
    double sum        = 0;

    for (int64_t k = 0; k < K; k++) {
        score[k] = exp(score[k] - largest);
        sum += score[k];
    }
    for (int64_t k = 0; k < K; k++)
        score[k] = score[k] / sum - (k == label);
    v.loss = largest + log(sum) - own;
    return v;
}

static struct verdicts look(double *score, int64_t K, int32_t label,
                            enum loss_kind loss)
{
    struct verdicts v;
    int64_t best = 0;

    for (int64_t k = 1; k < K; k++)
        best = score[k] > score[best] ? k : best;
    v       = loss == LOSS_SIGMOID ? sigmoid(score, K, label)
                                   : softmax(score, K, label, score[best]);
    v.right = best == label;
    return v;
}

/* ---- a chunk --------------------------------------------------------------------- */

/* Add what the rows say, and their gradients to g [K, D]. */
static void finish_chunk(struct verdicts *sum, double *g, struct chunk *c,
                         const double *w)
{
    const double one = 1, zero = 0;

    if (c->rows == 0)
        return;
    dgemm_("T", "N", &c->K, &c->rows, &c->D, &one, w, &c->D, c->z, &c->D, &zero,
           c->score, &c->K);
    for (int i = 0; i < c->rows; i++) {
        const struct verdicts v =
            look(c->score + (int64_t)i * c->K, c->K, c->label[i], c->l->loss);

        sum->right += v.right;
        sum->loss += v.loss;
    }
    if (g != NULL)
        dgemm_("N", "T", &c->D, &c->K, &c->rows, &one, c->z, &c->D, c->score, &c->K,
               &one, g, &c->D);
    c->rows = 0;
}

/* Added up on the first rank, so that all get the same bits. */
static void sum_all(double *x, int64_t n, const struct mesh *mesh)
{
    enum { PIECE = 1 << 24 };
    const MPI_Comm comm = mesh->comm[AXIS_ALL];

    for (int64_t at = 0; at < n && mesh->size > 1; at += PIECE) {
        const int count = (int)(n - at < PIECE ? n - at : PIECE);

        TRY_MPI(MPI_Reduce(mesh->rank == 0 ? MPI_IN_PLACE : x + at, x + at, count,
                           MPI_DOUBLE, MPI_SUM, 0, comm));
        TRY_MPI(MPI_Bcast(x + at, count, MPI_DOUBLE, 0, comm));
    }
}

struct verdicts linear_look(double *g, const struct linear *l, const double *w)
{
    const int64_t n     = l->row != NULL ? l->rows : l->part->rows;
    const int64_t D     = l->scale->width + 1;
    struct chunk c      = { .l     = l,
                            .D     = (int)D,
                            .K     = (int)l->K,
                            .z     = mem_new((size_t)(CHUNK * D), sizeof *c.z),
                            .score = mem_new((size_t)(CHUNK * l->K), sizeof *c.score) };
    struct verdicts sum = { 0 };

    if (g != NULL)
        memset(g, 0, (size_t)(l->K * D) * sizeof *g);
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = l->row != NULL ? l->row[i] : i;
        const float *x    = part_own(l->part, row);

        if (x == NULL)
            continue;
        scale_apply(c.z + c.rows * D, l->scale, x);
        c.label[c.rows++] = part_label(l->part, row);
        if (c.rows == CHUNK)
            finish_chunk(&sum, g, &c, w);
    }
    finish_chunk(&sum, g, &c, w);
    mem_free(c.z);
    mem_free(c.score);
    sum_all((double *)&sum, 2, l->part->of->mesh);
    if (g != NULL)
        sum_all(g, l->K * D, l->part->of->mesh);
    for (int64_t i = 0; i < l->K * D && g != NULL; i++)
        g[i] /= (double)n;
    return (struct verdicts){ .right = sum.right / (double)n,
                              .loss  = sum.loss / (double)n };
}
