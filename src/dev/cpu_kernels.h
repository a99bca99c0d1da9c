/* SPDX-License-Identifier: BSD-3-Clause */
/* The loops of the CPU backends that are worth vectorising: one row, one thread.
 *
 * They are compiled for each set of vector instructions and each number format from one
 * text, cpu_kernels_real.h, and chosen when a device is opened.  Arrays may lie
 * anywhere and do not overlap, unless they are the same argument.  Reductions have a
 * fixed order for a given length.
 */
#ifndef DEV_CPU_KERNELS_H
#define DEV_CPU_KERNELS_H

#include "src/dev/cpu_info.h"
#include "src/dev/dev_update.h"

#include <stdbool.h>
#include <stdint.h>

/* What aligned rows start and end at: a cache line, and the widest vector. */
#define CPU_LINE 64

struct adamw_step {
    double beta1, beta2, eps, clip;
    double debias1, debias2; /* 1 / (1 - beta^t) */
    double rate, decay;      /* schedule x lr; decay of the segment */
};

#define FORMAT f64
#include "src/dev/cpu_kernels_table.h"
#undef FORMAT
#define FORMAT f32
#include "src/dev/cpu_kernels_table.h"
#undef FORMAT

/* What attention and gradients of weights do in bf16.  Pairs are two numbers in a word,
 * the first in its lower half; x, d and their like are f32.  Rows end in whole lines,
 * which are written too.
 */
struct kernels_bf16 {
    /* As that of kernels_f32, of pairs along the depth: 'step' and
     * 'depth' count them.
     */
    void (*product)(float *y, int64_t ldy, const uint32_t *a, int64_t row, int64_t step,
                    const uint32_t *b, int64_t ldb, int64_t rows, int64_t cols,
                    int64_t depth, bool is_added);

    /* y [rows / 2 up, cols] = pairs of rows of x, a last odd one with zeros. */
    void (*zip)(uint32_t *y, int64_t ldy, const uint16_t *x, int64_t ldx, int64_t rows,
                int64_t cols);

    /* p = exp(factor x - part[0]); part [2] = the largest factor x, and the sum before
     * rounding.
     */
    void (*softmax)(uint16_t *p, float *x, float *part, float factor, int64_t n);

    /* Of two rows, 'ld' apart, whose part [2, 2] and delta [2] these are:
     *   p = exp(factor x - part[0]) / part[1];  dx = factor p (d - delta)
     * both as pairs of the two rows, dx also as rows.
     */
    void (*softmax_back)(uint32_t *p, uint32_t *dx, uint16_t *dx_row, float *x,
                         const float *d, int64_t ld, const float *part,
                         const float *delta, float factor, int64_t n);
};

/* The variants; where the processor is none of that kind, the plain one alone. */
extern const struct kernels_f64 kernels_base_f64, kernels_avx2_f64, kernels_avx512_f64;
extern const struct kernels_f32 kernels_base_f32, kernels_avx2_f32, kernels_avx512_f32;
extern const struct kernels_bf16 kernels_base_bf16, kernels_avx2_bf16,
    kernels_avx512_bf16, kernels_dots_bf16, kernels_tiles_bf16;

#endif
