/* SPDX-License-Identifier: BSD-3-Clause */
/* Both axes of a patch are resized by the same small matrix, so R is the Kronecker
 * product of that matrix with itself, and its pseudoinverse is one likewise.
 */
#include "config.h"

#include "src/step/resize.h"

#include "src/base/mem.h"

#include <math.h>
#include <stdbool.h>

/* ---- positions ------------------------------------------------------------------- */

void resize_grid(float *y, const float *x, int64_t from, int64_t to, int64_t C)
{
    const double step = to > 1 ? (double)(from - 1) / (double)(to - 1) : 0;

    for (int64_t r = 0; r < to; r++) {
        for (int64_t c = 0; c < to; c++) {
            const double v = (double)r * step, h = (double)c * step;
            const int64_t top  = (int64_t)v < from - 1 ? (int64_t)v : from - 1;
            const int64_t left = (int64_t)h < from - 1 ? (int64_t)h : from - 1;
            const double down = v - (double)top, right = h - (double)left;
            const float *a = x + (top * from + left) * C;
            const float *b = left < from - 1 ? a + C : a;
            const float *d = top < from - 1 ? a + from * C : a;
            const float *e = top < from - 1 ? b + from * C : b;

            for (int64_t i = 0; i < C; i++)
                y[(r * to + c) * C + i] =
                    (float)((1 - down) * ((1 - right) * a[i] + right * b[i]) +
                            down * ((1 - right) * d[i] + right * e[i]));
        }
    }
}

/* ---- kernels --------------------------------------------------------------------- */

void resize_matrix(double *r, int from, int to)
{
    for (int i = 0; i < from * to; i++)
        r[i] = 0;
    for (int o = 0; o < to; o++) {
        const double at = (o + 0.5) * from / to - 0.5;
        const int first = (int)floor(at);

        for (int k = first; k <= first + 1; k++) {
            const int in = k < 0 ? 0 : k < from ? k : from - 1;

            r[o * from + in] += 1 - fabs(at - k);
        }
    }
}

/* x [n, m] = a^-1 x for a [n, n], symmetric and positive, which becomes its factor. */
static void solve(double *x, double *a, int n, int m)
{
    for (int j = 0; j < n; j++) {
        for (int k = 0; k < j; k++) {
            for (int i = j; i < n; i++)
                a[i * n + j] -= a[i * n + k] * a[j * n + k];
        }
        for (int i = n - 1; i >= j; i--)
            a[i * n + j] /= sqrt(a[j * n + j]);
    }
    for (int c = 0; c < m; c++) {
        for (int i = 0; i < n; i++) {
            for (int k = 0; k < i; k++)
                x[i * m + c] -= a[i * n + k] * x[k * m + c];
            x[i * m + c] /= a[i * n + i];
        }
        for (int i = n - 1; i >= 0; i--) {
            for (int k = i + 1; k < n; k++)
                x[i * m + c] -= a[k * n + i] * x[k * m + c];
            x[i * m + c] /= a[i * n + i];
        }
    }
}

/* p [to, from] = pinv(R^T).  R has full rank: its rows or columns overlap by one pixel
 * at most.  Enlarging: R (R^T R)^-1, else (R R^T)^-1 R.
 */
static void pseudoinverse(double *p, int from, int to)
{
    const bool is_larger = to >= from;
    const int n = is_larger ? from : to, m = is_larger ? to : from;
    double *r = mem_new((size_t)from * (size_t)to, sizeof *r);
    double *x = mem_new((size_t)n * (size_t)m, sizeof *x); /* R^T, or R */
    double *a = mem_new((size_t)n * (size_t)n, sizeof *a);

    resize_matrix(r, from, to);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < m; j++)
            x[i * m + j] = is_larger ? r[j * from + i] : r[i * from + j];
    }
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < n; k++) {
            for (int j = 0; j < m; j++)
                a[i * n + k] += x[i * m + j] * x[k * m + j];
        }
    }
    solve(x, a, n, m);
    for (int o = 0; o < to; o++) {
        for (int i = 0; i < from; i++)
            p[o * from + i] = is_larger ? x[i * m + o] : x[o * m + i];
    }
    mem_free(r);
    mem_free(x);
    mem_free(a);
}

void resize_kernel(float *y, const float *x, int from, int to, int64_t C)
{
    double *p   = mem_new((size_t)from * (size_t)to, sizeof *p);
    double *row = mem_new((size_t)from * (size_t)C, sizeof *row);

    pseudoinverse(p, from, to);
    for (int r = 0; r < to; r++) {
        for (int64_t i = 0; i < from * C; i++) {
            row[i] = 0;
            for (int k = 0; k < from; k++)
                row[i] += p[r * from + k] * x[k * from * C + i];
        }
        for (int c = 0; c < to; c++) {
            for (int64_t i = 0; i < C; i++) {
                double sum = 0;

                for (int k = 0; k < from; k++)
                    sum += p[c * from + k] * row[k * C + i];
                y[(r * to + c) * C + i] = (float)sum;
            }
        }
    }
    mem_free(p);
    mem_free(row);
}
