/* SPDX-License-Identifier: BSD-3-Clause */
/* Elimination with pivots on the normal equations of the columns, whatever the size. */
#include "config.h"

#include "tests/closed.h"

#include "src/base/mem.h"

#include <math.h>

/* a [D, D] w [D, K] = b, in place of b: elimination with pivots. */
static void eliminate(double *a, double *b, int64_t D, int64_t K)
{
    for (int64_t c = 0; c < D; c++) {
        int64_t best = c;

        for (int64_t r = c + 1; r < D; r++)
            best = fabs(a[r * D + c]) > fabs(a[best * D + c]) ? r : best;
        for (int64_t j = 0; j < D + K; j++) {
            double *m       = j < D ? a + j : b + j - D;
            const int64_t n = j < D ? D : K;
            const double x  = m[c * n];

            m[c * n]    = m[best * n];
            m[best * n] = x;
        }
        for (int64_t r = 0; r < D; r++) {
            const double f = r == c ? 0 : a[r * D + c] / a[c * D + c];

            for (int64_t j = c; j < D && f != 0; j++)
                a[r * D + j] -= f * a[c * D + j];
            for (int64_t k = 0; k < K && f != 0; k++)
                b[r * K + k] -= f * b[c * K + k];
        }
    }
    for (int64_t r = 0; r < D; r++) {
        for (int64_t k = 0; k < K; k++)
            b[r * K + k] /= a[r * D + r];
    }
}

void closed_ridge(double *w, const double *x, const int32_t *label, int64_t N,
                  int64_t D, int64_t K, double l2)
{
    double *a = mem_new((size_t)(D * D), sizeof *a);
    double *b = mem_new((size_t)(D * K), sizeof *b);

    for (int64_t r = 0; r < D; r++) {
        for (int64_t i = 0; i < N; i++) {
            for (int64_t c = 0; c < D; c++)
                a[r * D + c] += x[i * D + r] * x[i * D + c];
            for (int64_t k = 0; k < K; k++)
                b[r * K + k] += x[i * D + r] * (label[i] == k ? 1 : -1);
        }
        a[r * D + r] += l2;
    }
    eliminate(a, b, D, K);
    for (int64_t r = 0; r < D; r++) {
        for (int64_t k = 0; k < K; k++)
            w[k * D + r] = b[r * K + k];
    }
    mem_free(a);
    mem_free(b);
}
