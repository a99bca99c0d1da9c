/* SPDX-License-Identifier: BSD-3-Clause */
/* A part of cpu_kernels_real.h: the loops of SGD and Adafactor. */

static void OF(sgd)(REAL *restrict param, REAL *restrict mu, const REAL *restrict grad,
                    int64_t n, const struct sgd *a, double decay)
{
    const REAL momentum = (REAL)a->momentum, clip = (REAL)a->clip;
    const REAL rate = (REAL)(a->schedule * a->lr), pull = (REAL)decay;

    SIMD for (int64_t i = 0; i < n; i++)
    {
        const REAL m = momentum * mu[i] + clip * grad[i];

        mu[i] = m;
        param[i] -= rate * (m + pull * param[i]);
    }
}

/* The loops of factor_sums and adafactor for steps that the compiler knows. */
static inline __attribute__((always_inline)) void
OF(factor_sums_by)(REAL *restrict row, int row_step, REAL *restrict col, int col_step,
                   const REAL *restrict grad, REAL clip, int64_t n)
{
    REAL sum = 0;

    SIMD_SUM(sum)
    for (int64_t i = 0; i < n; i++) {
        const REAL g = clip * grad[i];

        sum += g * g;
        if (row_step != 0)
            row[i] += g * g;
        if (col_step != 0)
            col[i] += g * g;
    }
    if (row_step == 0)
        row[0] += sum;
    if (col_step == 0)
        col[0] += sum;
}

static void OF(factor_sums)(REAL *row, int row_step, REAL *col, int col_step,
                            const REAL *grad, REAL clip, int64_t n)
{
    if (row_step == 0)
        OF(factor_sums_by)(row, 0, col, 1, grad, clip, n);
    else if (col_step == 0)
        OF(factor_sums_by)(row, 1, col, 0, grad, clip, n);
    else
        OF(factor_sums_by)(row, 1, col, 1, grad, clip, n);
}

/* One element, its direction 'u' being known. */
static inline __attribute__((always_inline)) void
OF(adafactor_move)(REAL *param, uint16_t *mu, REAL u, REAL beta1, REAL rest1, REAL rate,
                   REAL decay)
{
    const REAL m = beta1 * (REAL)from_bf16(*mu) + rest1 * u;

    *mu = to_bf16((float)m);
    *param -= rate * (m + decay * *param);
}

static inline __attribute__((always_inline)) void
OF(adafactor_by)(REAL *restrict param, uint16_t *restrict mu, const REAL *restrict row,
                 int row_step, const REAL *restrict col, int col_step,
                 const REAL *restrict grad, int64_t n, const struct adafactor *a,
                 double decay)
{
    const REAL beta1 = (REAL)a->beta1, rest1 = (REAL)(1 - a->beta1);
    const REAL clip = (REAL)a->clip, rate = (REAL)(a->schedule * a->lr);
    const REAL pull = (REAL)decay;

    SIMD for (int64_t i = 0; i < n; i++)
    {
        const REAL u = clip * grad[i] * row[i * row_step] * col[i * col_step];

        OF(adafactor_move)(&param[i], &mu[i], u, beta1, rest1, rate, pull);
    }
}

static void OF(adafactor)(REAL *restrict param, uint16_t *restrict mu,
                          REAL *restrict nu, const REAL *row, int row_step,
                          const REAL *col, int col_step, const REAL *restrict grad,
                          int64_t n, const struct adafactor *a, double decay)
{
    const REAL beta1 = (REAL)a->beta1, rest1 = (REAL)(1 - a->beta1);
    const REAL beta2 = (REAL)a->beta2, rest2 = (REAL)(1 - a->beta2);
    const REAL clip = (REAL)a->clip, eps = (REAL)a->eps, pull = (REAL)decay;
    const REAL rate = (REAL)(a->schedule * a->lr);

    if (nu == NULL && row_step == 0) {
        OF(adafactor_by)(param, mu, row, 0, col, 1, grad, n, a, decay);
        return;
    }
    if (nu == NULL && col_step == 0) {
        OF(adafactor_by)(param, mu, row, 1, col, 0, grad, n, a, decay);
        return;
    }
    if (nu == NULL) {
        OF(adafactor_by)(param, mu, row, 1, col, 1, grad, n, a, decay);
        return;
    }
    SIMD for (int64_t i = 0; i < n; i++)
    {
        const REAL g = clip * grad[i];
        const REAL v = beta2 * nu[i] + rest2 * (g * g + eps);

        nu[i] = v;
        OF(adafactor_move)
        (&param[i], &mu[i], g / OF(root)(v), beta1, rest1, rate, pull);
    }
}
