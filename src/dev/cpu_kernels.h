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
#include "src/dev/dev.h"

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

/* The variants; where the processor is none of that kind, the plain one alone. */
extern const struct kernels_f64 kernels_base_f64, kernels_avx2_f64, kernels_avx512_f64;
extern const struct kernels_f32 kernels_base_f32, kernels_avx2_f32, kernels_avx512_f32;

#endif
