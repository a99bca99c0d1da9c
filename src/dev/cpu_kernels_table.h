/* SPDX-License-Identifier: BSD-3-Clause */
/* struct kernels_f32 or kernels_f64: a part of cpu_kernels.h, which see.  All arrays
 * are [n] unless they say otherwise.
 */
#include "src/dev/cpu_real.h"

struct OF(kernels) {
    void (*fill)(REAL *y, REAL value, int64_t n);
    void (*add)(REAL *y, const REAL *x, int64_t n);
    void (*max)(REAL *y, const REAL *x, int64_t n);
    void (*scale)(REAL *y, const REAL *x, REAL factor, int64_t n);
    double (*sum_squares)(const REAL *x, int64_t n);

    /* Epilogues; 'bias' of gelu may be NULL. */
    void (*gelu)(REAL *y, REAL *act, const REAL *bias, int64_t n, enum gelu_form form);
    void (*dgelu)(REAL *y, const REAL *pre, int64_t n, enum gelu_form form);

    /* part [1 or 2], as dev_norm_moments() has it. */
    void (*moments)(REAL *part, const REAL *x, int64_t n, enum norm_kind k);

    /* y = (x - mean) rstd scale + bias; 'bias' may be NULL.  stat [2] */
    void (*norm)(REAL *y, const REAL *x, const REAL *stat, const REAL *scale,
                 const REAL *bias, int64_t n);

    /* part [2]: the sums of g and of g xhat. */
    void (*norm_back_sums)(REAL *part, const REAL *dy, const REAL *x, const REAL *stat,
                           const REAL *scale, int64_t n);

    /* dx = or += rstd (g - part[0] - xhat part[1]);  dscale += dy xhat, dbias += dy */
    void (*norm_back)(REAL *dx, bool is_added, REAL *dscale, REAL *dbias,
                      const REAL *dy, const REAL *x, const REAL *stat,
                      const REAL *scale, const REAL *part, int64_t n);

    /* x = exp(x - largest of x); part [2] = the largest, and the sum of x. */
    void (*softmax)(REAL *x, REAL *part, int64_t n);

    /* p = exp(p - part[0]) / part[1];  d = factor p (d - delta) */
    void (*softmax_back)(REAL *p, REAL *d, const REAL *part, REAL delta, REAL factor,
                         int64_t n);
    REAL (*dot)(const REAL *x, const REAL *y, int64_t n);

    /* y [rows, cols] = or += a b, where a(r, k) is a[r * row + k * step] and b is
     * [depth, cols].  'y' and 'b' are aligned, and as 'ldy' and 'ldb' multiples of
     * CPU_LINE bytes; up to there beyond 'cols' they are read and written too.
     */
    void (*product)(REAL *y, int64_t ldy, const REAL *a, int64_t row, int64_t step,
                    const REAL *b, int64_t ldb, int64_t rows, int64_t cols,
                    int64_t depth, bool is_added);

    /* y [cols, rows] = factor x^T, of x [rows, cols] likewise, beyond 'rows' too. */
    void (*transpose)(REAL *y, int64_t ldy, const REAL *x, int64_t ldx, int64_t rows,
                      int64_t cols, REAL factor);

    /* From and to bf16, rounded to nearest even; NaN stays NaN. */
    void (*widen)(REAL *y, const uint16_t *x, int64_t n);
    void (*narrow)(uint16_t *y, const REAL *x, int64_t n);

    void (*adamw)(REAL *param, REAL *mu, REAL *nu, const REAL *grad, int64_t n,
                  const struct adamw_step *a);
    void (*sgd)(REAL *param, REAL *mu, const REAL *grad, int64_t n, const struct sgd *a,
                double decay);

    /* row and col += (clip grad)^2.  A step is 0 (all into the first number) or 1; one
     * of them at least is 1.
     */
    void (*factor_sums)(REAL *row, int row_step, REAL *col, int col_step,
                        const REAL *grad, REAL clip, int64_t n);

    /* dev_adafactor() with 'mu' in bf16 and either nu [n], or else row and
     * col with steps as above.
     */
    void (*adafactor)(REAL *param, uint16_t *mu, REAL *nu, const REAL *row,
                      int row_step, const REAL *col, int col_step, const REAL *grad,
                      int64_t n, const struct adafactor *a, double decay);
};
