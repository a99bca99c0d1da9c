/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,4 */
/* Optimizers on the device cuda, on an emulated GPU: the same text as for a GPU. */
#define CUDA_ON_HOST

#include "tests/t435-optim.c"
