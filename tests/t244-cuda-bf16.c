/* SPDX-License-Identifier: BSD-3-Clause */
/* The device cuda in bf16, on an emulated GPU: the same text as for a GPU. */
#define CUDA_ON_HOST

#include "tests/t232-cuda-bf16.c"
