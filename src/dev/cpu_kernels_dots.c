/* SPDX-License-Identifier: BSD-3-Clause */
/* The loops of cpu_kernels.h in bf16 for processors with AVX512-BF16, and with tiles
 * beside it (AMX), whatever the rest is built for.
 */
#include "config.h"

#include "src/dev/cpu_kernels.h"
#include "src/dev/cpu_tiles.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(                                                          \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,avx2,fma"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target(                                                                    \
    "avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,avx2,fma,prefer-vector-width=512")
#endif

#define DOTS
#define KERNELS        kernels_dots
#define TILE_WIDTH_f32 16
#define TILE_VECTORS   4
#include "src/dev/cpu_unroll.h"
#include "src/dev/cpu_kernels_bf16.h"

const struct kernels_bf16 kernels_tiles_bf16 = {
    .product      = cpu_tiles_product,
    .zip          = zip,
    .softmax      = softmax_bf16,
    .softmax_back = softmax_back_bf16,
};

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
