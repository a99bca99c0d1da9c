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

    void (*adamw)(REAL *param, REAL *mu, REAL *nu, const REAL *grad, int64_t n,
                  const struct adamw_step *a);
};
