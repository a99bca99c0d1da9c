/* SPDX-License-Identifier: BSD-3-Clause */
/* Tiles of attention's matrices in shared memory, and products of them on tensor cores.
 *
 * A tile has rows of a head, filled up with zeros from E to EP columns.  Of a
 * product's result, 16 rows a warp, lane l holds columns 8 j + 2 (l % 4) and the next
 * one of rows l / 4 (numbers 0 and 1 of acc[j]) and l / 4 + 8 (2 and 3); that is also
 * how mma wants its left operand.
 */
#ifndef DEV_CUDA_ATTN_TILE_CUH
#define DEV_CUDA_ATTN_TILE_CUH

#include "src/dev/cuda_attn.cuh"
#include "src/dev/cuda_mma.cuh"

namespace {

/* A head of up to EP columns, a multiple of 8, in STEPS of 16 and perhaps a half.  Rows
 * of a tile are an odd number of 16 bytes apart: eight of them then lie in different
 * banks.
 */
template <int EP> struct head {
    enum { STEPS = EP / 16, HAS_HALF = EP % 16 / 8, WHOLE = STEPS + HAS_HALF };
};
template <int EP> struct pitch {
    enum { value = head<EP>::HAS_HALF ? EP : EP + 8 };
};

/* Elements of a tile. */
template <int EP, int ROWS> struct tile {
    enum { size = ROWS * pitch<EP>::value };
};

/* ---- In and out ------------------------------------------------------------------ */

/* Where rows of a head of an image lie, less than 2^31 elements from first to last. */
struct source {
    bf16 *at; /* the first row's */
    int ld, count, E;
    bool wide;
};

__device__ source source_of(const attention &a, const view &v, int64_t b, int64_t h,
                            int64_t count)
{
    return { (bf16 *)v.at + b * count * v.ld + h * a.E, (int)v.ld, (int)count, (int)a.E,
             a.wide };
}

/* Rows 'first' on to a tile of ROWS, by all threads of the block.  They are there when
 * the copies that have been started are waited for and the block has met.  A thread's
 * vectors lie below each other, so that it goes from one to the next by an addition.
 */
template <int EP, int ROWS, int THREADS>
__device__ __forceinline__ void load_tile(bf16 *to, const source &from, int first)
{
    enum { VECTORS = EP / 8, APART = THREADS / VECTORS };
    const int r = threadIdx.x / VECTORS, e = threadIdx.x % VECTORS * 8;

    if (from.wide) {
        const bf16 *at = from.at + (first + r) * from.ld + e;
        const int left = e < from.E ? from.count - first - r : 0;

        if (r >= APART)
            return;
        to += r * pitch<EP>::value + e;
#pragma unroll
        for (int n = 0; n < ROWS; n += APART) {
            if (n + APART <= ROWS || n + r < ROWS)
                copy_start<16>(to + n * pitch<EP>::value, at, n < left);
            at += APART * from.ld;
        }
        return;
    }
    for (int i = threadIdx.x; i < ROWS * EP; i += THREADS) {
        const int row = i / EP, c = i % EP;
        const bool is_in = first + row < from.count && c < from.E;

        to[row * pitch<EP>::value + c] =
            is_in ? from.at[(first + row) * from.ld + c] : __float2bfloat16_rn(0.0F);
    }
}

/* Rows of out [16, EP], times 'by' (for rows l / 4 and l / 4 + 8), to rows 'first' on,
 * by a warp through its 16 rows of a tile, so that whole rows are written at a time.
 */
template <int EP>
__device__ void store_rows(const source &to, int first, const float (&out)[EP / 8][4],
                           const float (&by)[2], bf16 *room)
{
    enum { VECTORS = EP / 8 };
    const int lane = threadIdx.x % LANES_OF_WARP;

    __syncwarp();
#pragma unroll
    for (int half = 0; half < 2; half++)
#pragma unroll
        for (int j = 0; j < EP / 8; j++)
            *(uint32_t *)(room + (lane / 4 + 8 * half) * pitch<EP>::value + 8 * j +
                          lane % 4 * 2) =
                pair_of(out[j][2 * half] * by[half], out[j][2 * half + 1] * by[half]);
    __syncwarp();
    for (int i = lane; i < 16 * VECTORS; i += LANES_OF_WARP) {
        const int r = i / VECTORS, e = i % VECTORS * 8;
        const bf16 *from = room + r * pitch<EP>::value + e;
        bf16 *at         = to.at + (first + r) * to.ld + e;

        if (first + r >= to.count)
            break;
        if (to.wide && e < to.E)
            *(uint4 *)at = *(const uint4 *)from;
        for (int k = 0; k < 8 && !to.wide && e + k < to.E; k++)
            at[k] = from[k];
    }
}

/* ---- Products -------------------------------------------------------------------- */

/* 16 rows as the left operand: fetched at each use, or once for all. */
template <int EP> struct rows_in_memory {
    const bf16 *at;

    __device__ void begin(const bf16 *first)
    {
        const int lane = threadIdx.x % LANES_OF_WARP;

        at = first + lane % 16 * pitch<EP>::value + lane / 16 * 8;
    }
    __device__ void get(uint32_t (&a)[4], int step) const
    {
        if (step < head<EP>::STEPS)
            load_four(a, at + 16 * step);
        else
            load_two(a, at + 16 * step);
    }
};

template <int EP> struct rows_in_registers {
    uint32_t held[head<EP>::WHOLE][4];

    __device__ void begin(const bf16 *first)
    {
        rows_in_memory<EP> rows;

        rows.begin(first);
#pragma unroll
        for (int step = 0; step < head<EP>::WHOLE; step++)
            rows.get(held[step], step);
    }
    __device__ void get(uint32_t (&a)[4], int step) const
    {
#pragma unroll
        for (int i = 0; i < 4; i++)
            a[i] = held[step][i];
    }
};

/* acc [MT][16, NT] = MT times 16 rows of a warp, times NT rows of 'other', transposed.
 * Of a half step, 8 columns of up to 32 rows come at a time.
 */
template <int EP, int NT, int MT, class Rows>
__device__ __forceinline__ void multiply_rows(float (&acc)[MT][NT / 8][4],
                                              const Rows (&own)[MT], const bf16 *other)
{
    const int lane = threadIdx.x % LANES_OF_WARP;
    const bf16 *at =
        other + (lane % 8 + lane / 16 * 8) * pitch<EP>::value + lane / 8 % 2 * 8;
    const bf16 *half = other + lane % NT * pitch<EP>::value + 16 * head<EP>::STEPS;

#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int j = 0; j < NT / 8; j++)
            acc[m][j][0] = acc[m][j][1] = acc[m][j][2] = acc[m][j][3] = 0.0F;
#pragma unroll
    for (int step = 0; step < head<EP>::WHOLE; step++) {
        uint32_t a[MT][4], b[4];

#pragma unroll
        for (int m = 0; m < MT; m++)
            own[m].get(a[m], step);
        if (step == head<EP>::STEPS) {
#pragma unroll
            for (int j = 0; j < NT / 8; j += 4) {
                if (NT % 32 == 0)
                    load_four(b, half + j * 8 * pitch<EP>::value);
                else
                    load_two(b, half + j * 8 * pitch<EP>::value);
#pragma unroll
                for (int m = 0; m < MT; m++)
#pragma unroll
                    for (int i = 0; i < 4 && j + i < NT / 8; i++)
                        mma_half(acc[m][j + i], a[m], b[i]);
            }
            break;
        }
#pragma unroll
        for (int j = 0; j < NT / 16; j++) {
            load_four(b, at + j * 16 * pitch<EP>::value + 16 * step);
#pragma unroll
            for (int m = 0; m < MT; m++) {
                mma(acc[m][2 * j], a[m], b[0], b[1]);
                mma(acc[m][2 * j + 1], a[m], b[2], b[3]);
            }
        }
    }
}

/* A result [16, NT], rounded to bf16, as the left operand of another product. */
template <int NT> struct weights {
    uint32_t held[NT / 16][4];

    __device__ __forceinline__ void take(const float (&p)[NT / 8][4])
    {
#pragma unroll
        for (int j = 0; j < NT / 16; j++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                held[j][i] = pair_of(p[2 * j + i / 2][i % 2 * 2],
                                     p[2 * j + i / 2][i % 2 * 2 + 1]);
    }
};

/* out [MT][16, EP] += w [MT][16, NT] times NT rows of 'other'. */
template <int EP, int NT, int MT>
__device__ __forceinline__ void multiply_weights(float (&out)[MT][EP / 8][4],
                                                 const weights<NT> (&w)[MT],
                                                 const bf16 *other)
{
    const int lane = threadIdx.x % LANES_OF_WARP;
    const bf16 *at = other + (lane % 16) * pitch<EP>::value + lane / 16 * 8;

#pragma unroll
    for (int j = 0; j < NT / 16; j++) {
        uint32_t b[4];

#pragma unroll
        for (int e = 0; e < EP; e += 16) {
            if (e + 8 < EP)
                load_four_turned(b, at + j * 16 * pitch<EP>::value + e);
            else
                load_two_turned(b, at + j * 16 * pitch<EP>::value + e);
#pragma unroll
            for (int m = 0; m < MT; m++) {
                mma(out[m][e / 8], w[m].held[j], b[0], b[1]);
                if (e + 8 < EP)
                    mma(out[m][e / 8 + 1], w[m].held[j], b[2], b[3]);
            }
        }
    }
}

/* ---- Rows of results ------------------------------------------------------------- */

/* Over the four lanes that hold a row. */
__device__ __forceinline__ float row_max(float x)
{
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

__device__ __forceinline__ float row_sum(float x)
{
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

/* The column that number i of acc[j] belongs to. */
__device__ __forceinline__ int column_of(int j, int i)
{
    return 8 * j + threadIdx.x % 4 * 2 + i % 2;
}

} /* namespace */

#endif
