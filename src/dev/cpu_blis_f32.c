/* SPDX-License-Identifier: BSD-3-Clause */
/* Products of cpu:blis in f32. */
#include "config.h"

#include "src/dev/cpu.h"

#include <blis.h>

#define FORMAT    f32
#define BLIS_GEMM bli_sgemm_ex
#include "src/dev/cpu_blis_real.h"
