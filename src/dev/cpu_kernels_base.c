/* SPDX-License-Identifier: BSD-3-Clause */
/* The loops of cpu_kernels.h for any processor. */
#include "config.h"

#include "src/dev/cpu_kernels.h"
#include "src/dev/cpu_gelu.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KERNELS        kernels_base
#define TILE_WIDTH_f32 4
#define TILE_WIDTH_f64 2
#define TILE_VECTORS   2
#include "src/dev/cpu_kernels_all.h"
