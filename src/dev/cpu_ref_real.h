/* SPDX-License-Identifier: BSD-3-Clause */
/* The arithmetic of cpu:ref, once for each number format (cpu_real.h).  Loops follow
 * the formulas of dev.h and dev_update.h and nothing else; every sum is formed in
 * double.
 */

#include "src/dev/cpu_gelu.h"

#include <math.h>
#include <string.h>

#include "src/dev/cpu_real.h"

#define at OF(at)

/* y = sum, or y += sum. */
static void leave(REAL *y, double sum, bool is_added)
{
    *y = (REAL)(is_added ? (double)*y + sum : sum);
}

/* ---- Products -------------------------------------------------------------------- */

static void finish(struct mat y, const struct epilogue *e)
{
    if (e == NULL || e->kind == EPI_NONE)
        return;
    for (int64_t r = 0; r < y.rows; r++) {
        for (int64_t c = 0; c < y.cols; c++) {
            REAL *v = at(y, r) + c;

            if (e->kind == EPI_DGELU) {
                *v = (REAL)(*v * gelu_slope(at(e->pre, r)[c], e->gelu));
                continue;
            }
            if (!mat_is_none(e->bias))
                *v = *v + at(e->bias, 0)[c];
            if (e->kind == EPI_GELU)
                at(e->act, r)[c] = (REAL)gelu(*v, e->gelu);
        }
    }
}

static void ref_gemm(struct dev_stream *s, struct mat y, struct mat x,
                     const struct dev_weight *weight, struct range i, struct range j,
                     bool is_added, const struct epilogue *e)
{
    const struct mat w = dev_weight_part(weight, i, j);

    (void)s;
    for (int64_t r = 0; r < y.rows; r++) {
        for (int64_t c = 0; c < y.cols; c++) {
            double sum = 0.0;

            for (int64_t d = 0; d < x.cols; d++)
                sum += (double)at(x, r)[d] * at(w, d)[c];
            leave(at(y, r) + c, sum, is_added);
        }
    }
    finish(y, e);
}

static void ref_gemm_t(struct dev_stream *s, struct mat y, struct mat x,
                       const struct dev_weight *weight, struct range i, struct range j,
                       bool is_added, const struct epilogue *e)
{
    const struct mat w = dev_weight_part(weight, i, j);

    (void)s;
    for (int64_t r = 0; r < y.rows; r++) {
        for (int64_t c = 0; c < y.cols; c++) {
            double sum = 0.0;

            for (int64_t d = 0; d < x.cols; d++)
                sum += (double)at(x, r)[d] * at(w, c)[d];
            leave(at(y, r) + c, sum, is_added);
        }
    }
    finish(y, e);
}

static void ref_gemm_dw(struct dev_stream *s, struct mat dw, struct mat x,
                        struct mat dy, bool is_added)
{
    (void)s;
    for (int64_t i = 0; i < dw.rows; i++) {
        for (int64_t j = 0; j < dw.cols; j++) {
            double sum = 0.0;

            for (int64_t r = 0; r < x.rows; r++)
                sum += (double)at(x, r)[i] * at(dy, r)[j];
            leave(at(dw, i) + j, sum, is_added);
        }
    }
}

static void ref_column_sums(struct dev_stream *s, struct mat db, struct mat dy,
                            bool is_added)
{
    (void)s;
    for (int64_t c = 0; c < dy.cols; c++) {
        double sum = 0.0;

        for (int64_t r = 0; r < dy.rows; r++)
            sum += at(dy, r)[c];
        leave(at(db, 0) + c, sum, is_added);
    }
}

#include "src/dev/cpu_ref_norm.h"

/* ---- Attention ------------------------------------------------------------------- */

static double dot(const REAL *x, const REAL *y, int64_t n)
{
    double sum = 0.0;

    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * y[i];
    return sum;
}

/* Row r of an image's head. */
static REAL *head_of(struct mat a, int64_t r, int64_t h, int64_t E)
{
    return at(a, r) + h * E;
}

static void ref_attn(struct dev_stream *s, struct mat o, struct mat kept,
                     struct mat peak, struct mat q, struct mat k, struct mat v,
                     const struct attn *a)
{
    const double factor = 1.0 / sqrt((double)a->E);
    double *sum         = cpu_block(s->dev, 0, (size_t)a->E * sizeof *sum);
    double most         = -INFINITY;

    for (int64_t i = 0; i < a->B * a->H * a->Nq; i++) {
        const int64_t b = i / (a->H * a->Nq), h = i / a->Nq % a->H;
        const int64_t row = b * a->Nq + i % a->Nq;
        const REAL *query = head_of(q, row, h, a->E);
        REAL *row_kept    = at(kept, 0) + 2 * i;
        double largest = -INFINITY, total = 0.0;

        for (int64_t j = 0; j < a->Nk; j++)
            largest = fmax(
                largest, factor * dot(query, head_of(k, b * a->Nk + j, h, a->E), a->E));
        most        = fmax(most, largest);
        row_kept[0] = (REAL)largest;
        memset(sum, 0, (size_t)a->E * sizeof *sum);
        for (int64_t j = 0; j < a->Nk; j++) {
            const int64_t other = b * a->Nk + j;
            const double p = exp(factor * dot(query, head_of(k, other, h, a->E), a->E) -
                                 row_kept[0]);

            total += p;
            for (int64_t e = 0; e < a->E; e++)
                sum[e] += p * head_of(v, other, h, a->E)[e];
        }
        row_kept[1] = (REAL)total;
        for (int64_t e = 0; e < a->E; e++)
            head_of(o, row, h, a->E)[e] = (REAL)(sum[e] / total);
    }
    at(peak, 0)[0] = (REAL)most;
}

/* With p the weights and delta = d_o o of a row: d logit = p (d_o v - delta). */
static void ref_attn_backward(struct dev_stream *s, struct mat dq, struct mat dk,
                              struct mat dv, struct mat d_o, struct mat o,
                              struct mat kept, struct mat q, struct mat k, struct mat v,
                              const struct attn *a)
{
    const int64_t E = a->E, Nq = a->Nq, Nk = a->Nk;
    const double factor = 1.0 / sqrt((double)E);
    double *sum_k = cpu_block(s->dev, 0, (size_t)((2 * Nk + 1) * E) * sizeof *sum_k);
    double *sum_v = sum_k + Nk * E;
    double *sum_q = sum_v + Nk * E;

    for (int64_t bh = 0; bh < a->B * a->H; bh++) {
        const int64_t b = bh / a->H, h = bh % a->H;

        memset(sum_k, 0, (size_t)(2 * Nk * E) * sizeof *sum_k);
        for (int64_t i = 0; i < Nq; i++) {
            const int64_t row    = b * Nq + i;
            const REAL *query    = head_of(q, row, h, E);
            const REAL *d        = head_of(d_o, row, h, E);
            const REAL *row_kept = at(kept, 0) + 2 * (bh * Nq + i);
            const double delta   = dot(d, head_of(o, row, h, E), E);

            memset(sum_q, 0, (size_t)E * sizeof *sum_q);
            for (int64_t j = 0; j < Nk; j++) {
                const REAL *key   = head_of(k, b * Nk + j, h, E);
                const REAL *value = head_of(v, b * Nk + j, h, E);
                const double p =
                    exp(factor * dot(query, key, E) - row_kept[0]) / row_kept[1];
                const double dlogit = p * (dot(d, value, E) - delta) * factor;

                for (int64_t e = 0; e < E; e++) {
                    sum_q[e] += dlogit * key[e];
                    sum_k[j * E + e] += dlogit * query[e];
                    sum_v[j * E + e] += p * d[e];
                }
            }
            for (int64_t e = 0; e < E; e++)
                head_of(dq, row, h, E)[e] = (REAL)sum_q[e];
        }
        for (int64_t j = 0; j < Nk; j++) {
            for (int64_t e = 0; e < E; e++) {
                head_of(dk, b * Nk + j, h, E)[e] = (REAL)sum_k[j * E + e];
                head_of(dv, b * Nk + j, h, E)[e] = (REAL)sum_v[j * E + e];
            }
        }
    }
}

/* ---- Embedding and pooling ------------------------------------------------------- */

static void ref_patches(struct dev_stream *s, struct mat rows, struct mat images,
                        int image, int patch, int64_t N)
{
    const int64_t side = image / patch, T = side * side;

    (void)s;
    for (int64_t r = 0; r < rows.rows; r++) {
        const int64_t b = r / N, t = r % N - (N - T);

        for (int64_t c = 0; c < rows.cols; c++) {
            const int64_t down   = t / side * patch + c / (3 * patch);
            const int64_t across = t % side * patch + c / 3 % patch;

            at(rows, r)[c] =
                t < 0 ? (REAL)0 : at(images, b)[(down * image + across) * 3 + c % 3];
        }
    }
}

static void ref_add_table(struct dev_stream *s, struct mat y, struct mat table)
{
    (void)s;
    for (int64_t r = 0; r < y.rows; r++)
        for (int64_t c = 0; c < y.cols; c++)
            at(y, r)[c] += at(table, r % table.rows)[c];
}

static void ref_sum_tables(struct dev_stream *s, struct mat dtable, struct mat dy,
                           bool is_added)
{
    (void)s;
    for (int64_t t = 0; t < dtable.rows; t++) {
        for (int64_t c = 0; c < dtable.cols; c++) {
            double sum = 0.0;

            for (int64_t r = t; r < dy.rows; r += dtable.rows)
                sum += at(dy, r)[c];
            leave(at(dtable, t) + c, sum, is_added);
        }
    }
}

static void ref_pool_rows(struct dev_stream *s, struct mat y, struct mat x,
                          double factor)
{
    (void)s;
    for (int64_t b = 0; b < y.rows; b++) {
        const int64_t N = x.rows / y.rows;

        for (int64_t c = 0; c < y.cols; c++) {
            double sum = 0.0;

            for (int64_t t = 0; t < N; t++)
                sum += at(x, b * N + t)[c];
            at(y, b)[c] = (REAL)(factor * sum);
        }
    }
}

static void ref_spread_rows(struct dev_stream *s, struct mat dx, struct mat dy,
                            double factor)
{
    (void)s;
    for (int64_t r = 0; r < dx.rows; r++)
        for (int64_t c = 0; c < dx.cols; c++)
            at(dx, r)[c] = (REAL)(factor * at(dy, r / (dx.rows / dy.rows))[c]);
}

/* ---- Losses ---------------------------------------------------------------------- */

/* -y log(sigma(z)) - (1 - y) log(1 - sigma(z)) = log(1 + exp(z)) - y z */
static void ref_sigmoid_loss(struct dev_stream *s, struct mat loss, struct mat dlogits,
                             struct mat logits, struct mat targets, double scale)
{
    double sum = 0.0;

    (void)s;
    for (int64_t r = 0; r < logits.rows; r++) {
        for (int64_t c = 0; c < logits.cols; c++) {
            const double z = at(logits, r)[c], y = at(targets, r)[c];
            const double less = exp(-fabs(z)); /* no overflow on either side */

            sum += fmax(z, 0.0) + log1p(less) - y * z;
            at(dlogits, r)[c] =
                (REAL)(scale * ((z >= 0.0 ? 1.0 : less) / (1.0 + less) - y));
        }
    }
    at(loss, 0)[0] = (REAL)(scale * sum);
}

static void ref_softmax_largest(struct dev_stream *s, struct mat largest,
                                struct mat logits)
{
    (void)s;
    for (int64_t r = 0; r < logits.rows; r++) {
        at(largest, r)[0] = (REAL)-INFINITY;
        for (int64_t c = 0; c < logits.cols; c++)
            if (at(logits, r)[c] > at(largest, r)[0] || isnan(at(logits, r)[c]))
                at(largest, r)[0] = at(logits, r)[c];
    }
}

static void ref_softmax_sum(struct dev_stream *s, struct mat sum, struct mat total,
                            struct mat logits, struct mat targets, struct mat largest)
{
    (void)s;
    for (int64_t r = 0; r < logits.rows; r++) {
        double of_exp = 0.0, of_targets = 0.0;

        for (int64_t c = 0; c < logits.cols; c++) {
            of_exp += exp((double)at(logits, r)[c] - at(largest, r)[0]);
            of_targets += at(targets, r)[c];
        }
        at(sum, r)[0]   = (REAL)of_exp;
        at(total, r)[0] = (REAL)of_targets;
    }
}

static void ref_softmax_loss(struct dev_stream *s, struct mat loss, struct mat dlogits,
                             struct mat logits, struct mat targets, struct mat largest,
                             struct mat sum, struct mat total, double scale)
{
    double all = 0.0;

    (void)s;
    for (int64_t r = 0; r < logits.rows; r++) {
        const double top = at(largest, r)[0], of_exp = at(sum, r)[0];

        for (int64_t c = 0; c < logits.cols; c++) {
            const double z = at(logits, r)[c], y = at(targets, r)[c];

            all += y * (top + log(of_exp) - z);
            at(dlogits, r)[c] =
                (REAL)(scale * (at(total, r)[0] * exp(z - top) / of_exp - y));
        }
    }
    at(loss, 0)[0] = (REAL)(scale * all);
}

/* ---- Optimizer ------------------------------------------------------------------- */

static void ref_adamw(struct dev_stream *s, const struct dev_segment *segment,
                      int count, const struct adamw *a)
{
    const double debias1 = 1.0 - pow(a->beta1, (double)a->t);
    const double debias2 = 1.0 - pow(a->beta2, (double)a->t);

    (void)s;
    for (int i = 0; i < count; i++) {
        const struct dev_segment *g = &segment[i];

        for (int64_t r = 0; r < g->param.rows; r++) {
            for (int64_t c = 0; c < g->param.cols; c++) {
                const double grad = a->clip * at(g->grad, r)[c];
                const double p    = at(g->param, r)[c];
                const double mu = a->beta1 * at(g->mu, r)[c] + (1.0 - a->beta1) * grad;
                const double nu =
                    a->beta2 * at(g->nu, r)[c] + (1.0 - a->beta2) * grad * grad;
                const double step = mu / debias1 / (sqrt(nu / debias2) + a->eps);

                at(g->mu, r)[c] = (REAL)mu;
                at(g->nu, r)[c] = (REAL)nu;
                at(g->param, r)[c] =
                    (REAL)(p - a->schedule * a->lr * (step + g->decay * p));
            }
        }
    }
}

static void ref_sum_squares(struct dev_stream *s, struct mat sum, const struct mat *x,
                            int count, bool is_added)
{
    double all = is_added ? *(double *)mat_ptr(sum) : 0.0;

    (void)s;
    for (int i = 0; i < count; i++)
        for (int64_t r = 0; r < x[i].rows; r++)
            all += dot(at(x[i], r), at(x[i], r), x[i].cols);
    *(double *)mat_ptr(sum) = all;
}

#include "src/dev/cpu_ref_picture.h"
#include "src/dev/cpu_ref_update.h"

const struct dev_ops OF(cpu_ref) = {
    .gemm                  = ref_gemm,
    .gemm_t                = ref_gemm_t,
    .gemm_dw               = ref_gemm_dw,
    .column_sums           = ref_column_sums,
    .norm_moments          = ref_norm_moments,
    .norm_merge            = ref_norm_merge,
    .norm_apply            = ref_norm_apply,
    .norm_backward_moments = ref_norm_backward_moments,
    .norm_backward         = ref_norm_backward,
    .head_norm             = ref_head_norm,
    .head_norm_backward    = ref_head_norm_backward,
    .attn                  = ref_attn,
    .attn_backward         = ref_attn_backward,
    .view_pictures         = ref_view_pictures,
    .patches               = ref_patches,
    .add_table             = ref_add_table,
    .sum_tables            = ref_sum_tables,
    .pool_rows             = ref_pool_rows,
    .spread_rows           = ref_spread_rows,
    .sigmoid_loss          = ref_sigmoid_loss,
    .softmax_largest       = ref_softmax_largest,
    .softmax_sum           = ref_softmax_sum,
    .softmax_loss          = ref_softmax_loss,
    .adamw                 = ref_adamw,
    .sgd                   = ref_sgd,
    .factor_sums           = ref_factor_sums,
    .factor_rows           = ref_factor_rows,
    .factor_scales         = ref_factor_scales,
    .adafactor             = ref_adafactor,
    .sum_squares           = ref_sum_squares,
};
