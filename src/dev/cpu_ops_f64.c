/* SPDX-License-Identifier: BSD-3-Clause */
/* The vectorised and threaded operations in f64. */
#include "config.h"

#include "src/dev/cpu.h"

#define FORMAT f64
#include "src/dev/cpu_ops_real.h"
