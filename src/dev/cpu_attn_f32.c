/* SPDX-License-Identifier: BSD-3-Clause */
/* Attention in f32 and bf16. */
#include "config.h"

#include "src/dev/cpu.h"

#define FORMAT f32
#include "src/dev/cpu_attn_real.h"
