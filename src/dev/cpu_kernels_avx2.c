/* SPDX-License-Identifier: BSD-3-Clause */
/* The loops of cpu_kernels.h for processors with AVX2, whatever the rest is built for.
 */
#include "config.h"

#include "src/dev/cpu_kernels.h"
#include "src/dev/cpu_gelu.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#define KERNELS        kernels_avx2
#define TILE_WIDTH_f32 8
#define TILE_WIDTH_f64 4
#define TILE_VECTORS   2
#include "src/dev/cpu_kernels_all.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
