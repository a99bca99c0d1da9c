/* SPDX-License-Identifier: BSD-3-Clause */
/* An analysis of variance of residuals.  With J the derivatives of log f by the
 * parameters, residuals r = M e of the noise e, M = 1 - J (J'J)^-1 J'.  With n_c rows
 * in group c, and B_cd the sum of M over the rows of c and the columns of d,
 *
 *   Q = sum_c (sum of r in c)^2 / n_c     E Q       = shared sum_cd B_cd^2 / n_c
 *                                                     + own sum_c B_cc / n_c
 *   R = sum of r^2                        E R       = shared sum_c B_cc + own (n - p)
 *
 * and shared and own are what makes Q and R what they are.  If the law follows whatever
 * groups share (eq. 2 does of three sizes) B is about zero: R is then that of own
 * alone, and what is usual is taken for shared.
 */
#include "config.h"

#include "src/fit/noise.h"

#include "src/base/mem.h"
#include "src/fit/dense.h"

#include <math.h>
#include <string.h>

/* Of the matrix's diagonal, so that parameters that are like others do no harm; degrees
 * of freedom between groups, below which the rows tell nothing of what groups share.
 */
static const double ridge = 1e-9, freedom_least = 0.5;

const double noise_usual = 0.5;

struct parting {
    struct noise *n;
    const struct powers *m;
    int *rows;      /* [groups] */
    double *sum;    /* [groups] of residuals */
    double squares; /* R */
};

static void add_row(struct parting *a, const double *theta, int i, int group)
{
    struct noise *n = a->n;
    double first[POWERS_PARAMS];
    const double f = powers_gradient(first, a->m, theta, i);
    const double r = a->m->y[i] / f - 1;

    a->rows[group]++;
    a->sum[group] += r;
    a->squares += r * r;
    for (int k = 0; k < n->p; k++) {
        n->J[group * n->p + k] += first[k] / f;
        for (int l = 0; l <= k; l++)
            n->G[k * n->p + l] += first[k] / f * first[l] / f;
    }
}

/* How many parameters have derivatives, or 0 if the matrix has no factor. */
static int factor(struct noise *n)
{
    int used = 0;

    for (int k = 0; k < n->p; k++) {
        const double size = n->G[k * n->p + k];

        n->scale[k] = size > 0 ? 1 / sqrt(size) : 0;
        used += size > 0;
    }
    for (int k = 0; k < n->p; k++) {
        for (int l = 0; l <= k; l++)
            n->G[k * n->p + l] *= n->scale[k] * n->scale[l];
        n->G[k * n->p + k] = 1 + ridge;
        for (int c = 0; c < n->groups; c++)
            n->J[c * n->p + k] *= n->scale[k];
    }
    return dense_factor(n->G, n->p) ? used : 0;
}

static double dot(const double *x, const double *y, int n)
{
    double sum = 0;

    for (int k = 0; k < n; k++)
        sum += x[k] * y[k];
    return sum;
}

/* The sums that stand in the expectations. */
struct traces {
    double pairs, means, all; /* sum B_cd^2 / n_c, sum B_cc / n_c, sum B_cc */
};

static void trace(struct traces *t, const struct noise *n, const int *rows)
{
    *t = (struct traces){ 0 };
    for (int c = 0; c < n->groups; c++) {
        double x[POWERS_PARAMS];

        memcpy(x, n->J + c * n->p, (size_t)n->p * sizeof *x);
        dense_solve(x, n->G, n->p);
        for (int d = 0; d < n->groups; d++) {
            const double B = (c == d ? rows[c] : 0) - dot(x, n->J + d * n->p, n->p);

            t->pairs += B * B / rows[c];
            t->means += c == d ? B / rows[c] : 0;
            t->all += c == d ? B : 0;
        }
    }
}

static void part(struct parting *a)
{
    struct noise *n = a->n;
    const int used = factor(n), freedom = a->m->rows - used;
    double means = 0;
    struct traces t;

    if (used == 0)
        return;
    trace(&t, n, a->rows);
    for (int c = 0; c < n->groups; c++)
        means += a->sum[c] * a->sum[c] / a->rows[c];

    const double both   = t.pairs * freedom - t.means * t.all;
    const double shared = (means * freedom - t.means * a->squares) / both;
    const double own    = (t.pairs * a->squares - t.all * means) / both;

    if (t.means <= freedom_least) {
        n->shared = n->own * noise_usual / (1 - noise_usual);
        return;
    }
    if (!(both > 0 && shared > 0))
        return;
    n->shared = shared;
    n->own    = fmax(own, 0);

    /* Each part is known with the degrees of freedom that it has. */
    const double of_all = n->shared / (n->shared + n->own);
    const double mean   = 1 / (of_all / t.means + (1 - of_all) / freedom);

    n->freedom = mean > 1 ? (int)lround(mean) : 1;
}

void noise_open(struct noise *n, const struct powers *m, const double *theta,
                const int *group, int groups)
{
    struct parting a = { .n = n, .m = m };

    *n     = (struct noise){ .p = powers_params(m), .groups = groups };
    n->J   = mem_new((size_t)groups * (size_t)n->p, sizeof *n->J);
    a.rows = mem_new((size_t)groups, sizeof *a.rows);
    a.sum  = mem_new((size_t)groups, sizeof *a.sum);
    for (int i = 0; i < m->rows; i++)
        add_row(&a, theta, i, group[i]);
    n->freedom = m->rows - n->p;
    n->own = n->alone = a.squares / n->freedom;
    if (groups > 1 && groups < m->rows)
        part(&a);
    mem_free(a.rows);
    mem_free(a.sum);
}

void noise_close(struct noise *n)
{
    mem_free(n->J);
    *n = (struct noise){ 0 };
}

/* The estimate moves by w e, w = by (J'J)^-1 J': its variance is own w w', and shared
 * times the squares of the sums of w over groups.
 */
double noise_excess(const struct noise *n, const double *by)
{
    double d[POWERS_PARAMS], x[POWERS_PARAMS], squares = 0, size;

    if (n->shared == 0)
        return 1;
    for (int k = 0; k < n->p; k++)
        d[k] = x[k] = by[k] * n->scale[k];
    dense_solve(x, n->G, n->p);
    size = dot(d, x, n->p);
    for (int c = 0; c < n->groups; c++) {
        const double sum = dot(x, n->J + c * n->p, n->p);

        squares += sum * sum;
    }
    return size > 0 ? (n->own + n->shared * squares / size) / n->alone : 1;
}
