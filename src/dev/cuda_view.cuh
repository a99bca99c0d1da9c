/* SPDX-License-Identifier: BSD-3-Clause */
/* Matrices as kernels see them, read and written V elements at a time.
 *
 * A kernel is compiled for V = 8 (16 bytes of bf16) and V = 1; which of them is
 * launched depends on the views' addresses and sizes (is_wide).  The number format is
 * looked at once for V elements.  R is the type of arithmetic: float, or double where
 * f64 is copied.  Where what is read is f32 alone and much of it passes, V is 4, for
 * eight make a warp store two halves of each 32 bytes, one after the other.
 */
#ifndef DEV_CUDA_VIEW_CUH
#define DEV_CUDA_VIEW_CUH

#include "src/dev/cuda.h"

#include <cuda_bf16.h>
#include <stdint.h>

enum { WIDE = 8, FOUR = 4, LANES_OF_WARP = 32 };

struct view {
    char *at;
    int64_t rows, cols, ld;
    int type; /* enum dtype */
    int gap;  /* 0: lists of views are compared */
};

static inline view view_of(struct mat a)
{
    view v = { NULL, a.rows, a.cols, a.ld, a.dtype, 0 };

    if (!mat_is_none(a))
        v.at = (char *)mat_ptr(a);
    if (a.rows <= 1)
        v.ld = a.cols;
    return v;
}

/* Rows of whole vectors at addresses that 16-byte accesses can have.  None is wide. */
static inline bool is_wide(view v)
{
    return v.at == NULL || (v.type != DTYPE_F64 && (uintptr_t)v.at % 16 == 0 &&
                            v.cols % WIDE == 0 && (v.rows <= 1 || v.ld % WIDE == 0));
}

/* ---- Elements -------------------------------------------------------------------- */

template <class R> static __device__ __forceinline__ R get_one(view a, int64_t i)
{
    if (a.type == DTYPE_F32)
        return (R)((const float *)a.at)[i];
    if (a.type == DTYPE_BF16)
        return (R)__bfloat162float(((const __nv_bfloat16 *)a.at)[i]);
    return (R)((const double *)a.at)[i];
}

template <class R>
static __device__ __forceinline__ void put_one(view a, int64_t i, R x)
{
    if (a.type == DTYPE_F32)
        ((float *)a.at)[i] = (float)x;
    else if (a.type == DTYPE_BF16)
        ((__nv_bfloat16 *)a.at)[i] = __float2bfloat16_rn((float)x);
    else
        ((double *)a.at)[i] = (double)x;
}

/* Eight elements of a format that is known, as they lie: many of them can be under way
 * at a time, where a look at the format between loads would make each wait for the last
 * one.
 */
template <bool IS_BF16> struct eight {
    uint4 raw;
};
template <> struct eight<false> {
    float4 lo, hi;
};

template <bool IS_BF16>
static __device__ __forceinline__ void fetch(eight<IS_BF16> &e, view a, int64_t i)
{
    if constexpr (IS_BF16) {
        e.raw = *(const uint4 *)(a.at + 2 * i);
    } else {
        e.lo = *(const float4 *)(a.at + 4 * i);
        e.hi = *(const float4 *)(a.at + 4 * i + 16);
    }
}

template <bool IS_BF16>
static __device__ __forceinline__ void unpack(float (&v)[WIDE], const eight<IS_BF16> &e)
{
    if constexpr (IS_BF16) {
        const uint32_t two[4] = { e.raw.x, e.raw.y, e.raw.z, e.raw.w };

#pragma unroll
        for (int k = 0; k < 4; k++) {
            v[2 * k]     = __uint_as_float(two[k] << 16);
            v[2 * k + 1] = __uint_as_float(two[k] & 0xffff0000u);
        }
    } else {
        v[0] = e.lo.x, v[1] = e.lo.y, v[2] = e.lo.z, v[3] = e.lo.w;
        v[4] = e.hi.x, v[5] = e.hi.y, v[6] = e.hi.z, v[7] = e.hi.w;
    }
}

static __device__ __forceinline__ void get_eight(float (&v)[WIDE], view a, int64_t i)
{
    if (a.type == DTYPE_BF16) {
        eight<true> e;

        fetch(e, a, i);
        unpack(v, e);
    } else {
        eight<false> e;

        fetch(e, a, i);
        unpack(v, e);
    }
}

/* Two numbers as a pair of bf16, the first in the lower half. */
static __device__ __forceinline__ uint32_t pair_of(float lo, float hi)
{
    const __nv_bfloat162 two = __floats2bfloat162_rn(lo, hi);

    return *(const uint32_t *)&two;
}

static __device__ __forceinline__ void put_eight(view a, int64_t i, const float *v)
{
    if (a.type == DTYPE_BF16) {
        *(uint4 *)(a.at + 2 * i) = make_uint4(pair_of(v[0], v[1]), pair_of(v[2], v[3]),
                                              pair_of(v[4], v[5]), pair_of(v[6], v[7]));
    } else {
        *(float4 *)(a.at + 4 * i)      = make_float4(v[0], v[1], v[2], v[3]);
        *(float4 *)(a.at + 4 * i + 16) = make_float4(v[4], v[5], v[6], v[7]);
    }
}

/* Of a matrix of f32, without a look at its format: loads of several matrices are under
 * way together.
 */
static __device__ __forceinline__ void get_four(float (&v)[FOUR], view a, int64_t i)
{
    const float4 x = *(const float4 *)(a.at + 4 * i);

    v[0] = x.x, v[1] = x.y, v[2] = x.z, v[3] = x.w;
}

static __device__ __forceinline__ void put_four(view a, int64_t i, const float *v)
{
    if (a.type == DTYPE_BF16)
        *(uint2 *)(a.at + 2 * i) = make_uint2(pair_of(v[0], v[1]), pair_of(v[2], v[3]));
    else
        *(float4 *)(a.at + 4 * i) = make_float4(v[0], v[1], v[2], v[3]);
}

/* Elements c .. c + V - 1 of row r; four are of f32. */
template <class R, int V>
static __device__ __forceinline__ void load(R (&v)[V], view a, int64_t r, int64_t c)
{
    if constexpr (V == WIDE)
        get_eight(v, a, r * a.ld + c);
    else if constexpr (V == FOUR)
        get_four(v, a, r * a.ld + c);
    else
#pragma unroll
        for (int k = 0; k < V; k++)
            v[k] = get_one<R>(a, r * a.ld + c + k);
}

template <class R, int V>
static __device__ __forceinline__ void store(view a, int64_t r, int64_t c,
                                             const R (&v)[V])
{
    if constexpr (V == WIDE)
        put_eight(a, r * a.ld + c, v);
    else if constexpr (V == FOUR)
        put_four(a, r * a.ld + c, v);
    else
#pragma unroll
        for (int k = 0; k < V; k++)
            put_one<R>(a, r * a.ld + c + k, v[k]);
}

/* ---- Launches -------------------------------------------------------------------- */

/* Put a kernel on a stream; 'shared' bytes of shared memory are in SHARED_ROOM.  The
 * one place where this is done, so that tests can run kernels on the host (tests/emu).
 */
template <class... Parameters, class... Arguments>
static void launch(struct dev_stream *s, const char *what,
                   void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared,
                   Arguments... arguments)
{
#ifdef CUDA_ON_HOST
    emu_launch(
        cuda_on(s), what, (const void *)kernel, [=] { kernel(arguments...); }, grid,
        block, shared);
#else
    cudaError_t rc;

    kernel<<<grid, block, shared, cuda_on(s)>>>(arguments...);
    rc = cudaGetLastError();
    if (rc != cudaSuccess)
        die("CUDA: launch of %s, %u x %u blocks of %u x %u with %zu bytes: %s (%s)",
            what, grid.x, grid.y, block.x, block.y, shared, cudaGetErrorString(rc),
            cudaGetErrorName(rc));
#endif
}

#ifndef CUDA_ON_HOST
#define SHARED_ROOM(type, name) extern __shared__ __align__(16) type name[]
#endif

/* ---- Sums over threads ----------------------------------------------------------- */

/* In every lane the sum over the warp, always in the same order. */
static __device__ __forceinline__ float warp_sum(float x)
{
#pragma unroll
    for (int d = LANES_OF_WARP / 2; d > 0; d /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, d);
    return x;
}

static __device__ __forceinline__ float warp_max(float x)
{
#pragma unroll
    for (int d = LANES_OF_WARP / 2; d > 0; d /= 2)
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, d));
    return x;
}

enum { BLOCK_THREADS = 256 };

/* In every thread of a block of BLOCK_THREADS the sum over them. */
static __device__ double block_sum(double x)
{
    __shared__ double sums[BLOCK_THREADS];

    sums[threadIdx.x] = x;
    __syncthreads();
    for (unsigned d = BLOCK_THREADS / 2; d > 0; d /= 2) {
        if (threadIdx.x < d)
            sums[threadIdx.x] += sums[threadIdx.x + d];
        __syncthreads();
    }
    return sums[0];
}

/* The number of the piece in 'list', sorted by 'first', that this block works on. */
template <class Piece>
static __device__ int piece_of_block(const Piece *list, int count)
{
    int lo = 0, hi = count;

    while (hi - lo > 1) {
        const int mid = (lo + hi) / 2;

        if (list[mid].first <= blockIdx.x)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

/* ---- Every element by itself ----------------------------------------------------- */

/* Op has a member template at<V>(r, c) for elements c .. c + V - 1 of row r. */
template <int V, class Op>
static __global__ void each_cell(Op op, int64_t rows, int64_t cols)
{
    const int64_t c    = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * V;
    const int64_t step = (int64_t)gridDim.y * blockDim.y;

    if (c < cols)
        for (int64_t r = (int64_t)blockIdx.y * blockDim.y + threadIdx.y; r < rows;
             r += step)
            op.template at<V>(r, c);
}

static inline int64_t blocks_for(int64_t n, int64_t each)
{
    return (n + each - 1) / each;
}

/* A single row is dealt to blocks of 256 threads, else a block has 8 rows of 32. */
template <int V, class Op>
static void launch_each(struct dev_stream *s, Op op, int64_t rows, int64_t cols)
{
    const dim3 block   = rows == 1 ? dim3(256, 1) : dim3(32, 8);
    const int64_t down = blocks_for(rows, block.y);
    const dim3 grid((unsigned)blocks_for(cols, (int64_t)block.x * V),
                    (unsigned)(down < 65535 ? down : 65535));

    if (rows == 0 || cols == 0)
        return;
    launch(s, "an elementwise operation", each_cell<V, Op>, grid, block, 0, op, rows,
           cols);
}

template <class Op>
static void launch_cells(struct dev_stream *s, Op op, int64_t rows, int64_t cols,
                         bool wide)
{
    if (wide)
        launch_each<WIDE>(s, op, rows, cols);
    else
        launch_each<1>(s, op, rows, cols);
}

/* Packed matrices are one row. */
static inline void flatten(view *a)
{
    a->cols = a->ld = a->rows * a->cols;
    a->rows         = 1;
}

static inline bool is_packed(view a)
{
    return a.ld == a.cols;
}

#endif
