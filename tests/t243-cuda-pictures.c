/* SPDX-License-Identifier: BSD-3-Clause */
/* Views of pictures on a GPU that is emulated (tests/emu). */
#define CUDA_ON_HOST

#include "tests/t212-dev-pictures.c"
