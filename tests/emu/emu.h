/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernels of src/dev/cuda* on the host: enough of CUDA to run them without a GPU.
 *
 * They are compiled as C++ with this file in front (-include) and CUDA_ON_HOST defined.
 * Blocks run one after another; the threads of a block are coroutines that meet at
 * barriers and in exchanges of a warp.  Errors are: a block whose threads do not all
 * come to where others wait, which a GPU might have let pass; addresses that are not
 * aligned; indices beyond arrays, and what lies behind the block's shared memory.
 * Shared memory begins as NaN.  What is computed is what a GPU computes but for
 * roundings inside products on tensor cores; nothing is learnt about speed or about the
 * driver, and about memory that several blocks write at a time by race.cc alone.
 */
#ifndef TESTS_EMU_H
#define TESTS_EMU_H

#include <cuda_runtime.h>

#ifdef __cplusplus

#include <algorithm>
#include <functional>
#include <math.h>
#include <stdint.h>

#undef __shared__
#define __shared__ static
#undef __forceinline__
#define __forceinline__ inline
#undef __launch_bounds__
#define __launch_bounds__(...)

using std::min;

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

void emu_launch(cudaStream_t stream, const char *what, const void *kernel,
                std::function<void()> call, dim3 grid, dim3 block, size_t shared);
void *emu_shared(void);
#define SHARED_ROOM(type, name) type *name = (type *)emu_shared()

/* All threads of the block, or of the warp, come here. */
void __syncthreads(void);
void __syncwarp(void);

/* 'at' is a multiple of 'bytes'. */
void emu_need_aligned(const void *at, size_t bytes);

/* An exchange is one of all lanes. */
void emu_need_all(unsigned mask);

/* A thread's copies into shared memory: done at once, or when their
 * group is waited for.
 */
void emu_copy_start(void *to, const void *from, size_t bytes, bool is_in);
void emu_copies_close(void);
void emu_copies_wait(int left);

/* 'bytes' that every lane shows to its warp; those of lane 'lane', until the one that
 * asks shows others or comes to a barrier.
 */
void emu_show(const void *mine, size_t bytes);
const void *emu_seen(int lane);
int emu_lane(void);

/* The same of a row in shared memory, 16 bytes at 'at': any lane may read it until
 * emu_seen_all(), which all lanes come to and which orders nothing else.
 */
void emu_show_row(const void *at);
void emu_seen_all(void);

template <class T> static inline T __shfl_sync(unsigned mask, T x, int lane)
{
    T result;

    emu_need_all(mask);
    emu_show(&x, sizeof x);
    result = *(const T *)emu_seen(lane % 32);
    return result;
}

template <class T> static inline T __shfl_xor_sync(unsigned mask, T x, int lanes)
{
    return __shfl_sync(mask, x, emu_lane() ^ lanes);
}

static inline int __any_sync(unsigned mask, int x)
{
    int any = 0;

    for (int lane = 0; lane < 32; lane++)
        any |= __shfl_sync(mask, x, lane);
    return any;
}

static inline float __uint_as_float(uint32_t x)
{
    float y;

    __builtin_memcpy(&y, &x, sizeof y);
    return y;
}

#endif
#endif
