/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=2 */
/* Messages from and to an emulated GPU, whose streams do nothing before
 * they are asked.
 */
#define CUDA_ON_HOST

#include "tests/t347-berth.c"
