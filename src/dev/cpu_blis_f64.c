/* SPDX-License-Identifier: BSD-3-Clause */
/* Products of cpu:blis in f64. */
#include "config.h"

#include "src/dev/cpu.h"

#include <blis.h>

#define FORMAT    f64
#define BLIS_GEMM bli_dgemm_ex
#include "src/dev/cpu_blis_real.h"
