/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,4 */
/* Steps that are played, and a training, on an emulated GPU: the same
 * text as for a GPU.
 */
#define CUDA_ON_HOST

#include "tests/t502-graph.c"
