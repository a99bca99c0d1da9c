/* SPDX-License-Identifier: BSD-3-Clause */
/* cuBLASLt, half a gigabyte of the toolkit: opened while a program runs, so that it
 * starts without.
 */
#ifndef DEV_CUDA_LOAD_H
#define DEV_CUDA_LOAD_H

#include "src/dev/cuda.h"

#include <cublasLt.h>

/* The functions of cuBLASLt that are called here, by their names without "cublasLt". */
/* clang-format off */
#define CUDA_LT(X)                                                                     \
    X(Create) X(Destroy) X(Matmul) X(MatmulAlgoGetHeuristic) X(GetVersion)             \
    X(MatmulDescCreate) X(MatmulDescDestroy) X(MatmulDescSetAttribute)                 \
    X(MatrixLayoutCreate) X(MatrixLayoutDestroy)                                       \
    X(MatmulPreferenceCreate) X(MatmulPreferenceDestroy)                               \
    X(MatmulPreferenceSetAttribute) X(GetStatusString)
/* clang-format on */

struct cuda_lt {
    void *library;
#define CUDA_LT_MEMBER(name) __typeof__(&cublasLt##name) name;
    CUDA_LT(CUDA_LT_MEMBER)
#undef CUDA_LT_MEMBER
};

/* Returns 0 or ERR_DEVICE with a sentence. */
int cuda_lt_open(struct cuda_lt *lt);
void cuda_lt_close(struct cuda_lt *lt);

#endif
