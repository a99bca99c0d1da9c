/* SPDX-License-Identifier: BSD-3-Clause */
/* Statistics in two passes, so that nothing cancels; scores by products of some rows at a
 * time.
 */
#include "config.h"

#include "src/eval/scale.h"

#include "src/base/mem.h"
#include "src/eval/blas.h"

#include <math.h>

void scale_open(struct scale *s, int64_t width, const struct part *part,
                double constant)
{
    const double least = 1e-5;
    const double n     = part != NULL ? (double)part->rows : 1;

    s->width    = width;
    s->mean     = mem_new((size_t)width, sizeof *s->mean);
    s->one_over = mem_new((size_t)width, sizeof *s->one_over);
    s->constant = constant;
    for (int64_t c = 0; c < width && part == NULL; c++)
        s->one_over[c] = 1;
    if (part == NULL)
        return;
    for (int64_t i = 0; i < part->rows; i++) {
        const float *x = part_own(part, i);

        for (int64_t c = 0; c < width && x != NULL; c++)
            s->mean[c] += x[c] / n;
    }
    coll_host_sum(part->of->mesh, AXIS_ALL, REDUCE, s->mean, (int)width);
    for (int64_t i = 0; i < part->rows; i++) {
        const float *x = part_own(part, i);

        for (int64_t c = 0; c < width && x != NULL; c++)
            s->one_over[c] += (x[c] - s->mean[c]) * (x[c] - s->mean[c]) / n;
    }
    coll_host_sum(part->of->mesh, AXIS_ALL, REDUCE, s->one_over, (int)width);
    for (int64_t c = 0; c < width; c++)
        s->one_over[c] = 1 / (sqrt(s->one_over[c]) + least);
}

void scale_close(struct scale *s)
{
    mem_free(s->mean);
    mem_free(s->one_over);
    *s = (struct scale){ 0 };
}

void scale_apply(double *z, const struct scale *s, const float *x)
{
    for (int64_t c = 0; c < s->width; c++)
        z[c] = (x[c] - s->mean[c]) * s->one_over[c];
    z[s->width] = s->constant;
}

/* ---- scores ------------------------------------------------------------------------ */

static struct verdicts look(const double *score, int64_t K, int32_t label)
{
    int64_t best = 0;
    double sum   = 0;

    for (int64_t k = 1; k < K; k++)
        best = score[k] > score[best] ? k : best;
    for (int64_t k = 0; k < K; k++)
        sum += exp(score[k] - score[best]);
    return (struct verdicts){ .right = best == label,
                              .loss  = score[best] + log(sum) - score[label] };
}

/* scores [rows, K] = z [rows, D] w^T */
static void multiply(double *score, const double *z, const double *w, int rows, int D,
                     int K)
{
    const double one = 1, zero = 0;

    dgemm_("T", "N", &K, &rows, &D, &one, w, &D, z, &D, &zero, score, &K);
}

struct verdicts scale_classify(const struct part *part, const struct scale *s,
                               const double *w, int64_t K)
{
    enum { CHUNK = 256 };
    const int64_t D     = s->width + 1;
    double *z           = mem_new((size_t)(CHUNK * D), sizeof *z);
    double *score       = mem_new((size_t)(CHUNK * K), sizeof *score);
    struct verdicts all = { 0 };
    int32_t label[CHUNK];
    int rows = 0;

    for (int64_t i = 0; i < part->rows; i++) {
        const float *x = part_own(part, i);

        if (x != NULL) {
            scale_apply(z + rows * D, s, x);
            label[rows++] = part_label(part, i);
        }
        if (rows == 0 || (rows < CHUNK && i + 1 < part->rows))
            continue;
        multiply(score, z, w, rows, (int)D, (int)K);
        for (int j = 0; j < rows; j++) {
            const struct verdicts v = look(score + j * K, K, label[j]);

            all.right += v.right;
            all.loss += v.loss;
        }
        rows = 0;
    }
    mem_free(z);
    mem_free(score);
    coll_host_sum(part->of->mesh, AXIS_ALL, REDUCE, (double *)&all, 2);
    return all;
}
