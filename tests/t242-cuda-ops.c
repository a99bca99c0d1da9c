/* SPDX-License-Identifier: BSD-3-Clause */
/* All other operations of the device cuda, on a GPU that is emulated (tests/emu). */
#define CUDA_ON_HOST

#include "tests/t210-dev-ops.c"
