/* SPDX-License-Identifier: BSD-3-Clause */
/* Attention in f64. */
#include "config.h"

#include "src/dev/cpu.h"

#define FORMAT f64
#include "src/dev/cpu_attn_real.h"
