/* SPDX-License-Identifier: BSD-3-Clause */
/* Products of the device cuda, on a GPU that is emulated (tests/emu). */
#define CUDA_ON_HOST

#include "tests/t205-dev-products.c"
