/* SPDX-License-Identifier: BSD-3-Clause */
/* Tiles of attention's matrices in shared memory, and products of them on tensor cores.
 *
 * A tile has rows of a head, filled up with zeros from E to EP columns and more.  Of a product's
 * result, 16 rows a warp, lane l holds columns 8 j + 2 (l % 4) and the next one of rows
 * l / 4 (numbers 0 and 1 of acc[j]) and l / 4 + 8 (2 and 3); that is also how mma wants
 * its left operand.
 */
#ifndef DEV_CUDA_ATTN_TILE_CUH
#define DEV_CUDA_ATTN_TILE_CUH

#include "src/dev/cuda_attn.cuh"
#include "src/dev/cuda_mma.cuh"

namespace {

/* A head of up to EP columns, a multiple of 8, in STEPS of 16 and perhaps a half.  Rows of
 * a tile are an odd number of 16 bytes apart: eight of them then lie in different banks.
 */
template <int EP> struct head {
    enum { STEPS = EP / 16, HAS_HALF = EP % 16 / 8, WHOLE = STEPS + HAS_HALF };
};
template <int EP> struct pitch {
    enum { value = head<EP>::WHOLE * 16 + 8 };
};

/* Elements of a tile. */
template <int EP, int ROWS> struct tile {
    enum { size = ROWS * pitch<EP>::value };
};

/* ---- In and out ---------------------------------------------------------------------- */

/* Where rows of a head of an image lie. */
struct source {
    bf16 *at; /* the first row's */
    int64_t ld;
    int count, E;
    bool wide;
};

__device__ source source_of(const attention &a, const view &v, int64_t b, int64_t h,
                            int64_t count)
{
    return { (bf16 *)v.at + b * count * v.ld + h * a.E, v.ld, (int)count, (int)a.E,
             a.wide };
}

/* Rows 'first' on to a tile of ROWS, by all threads of the block.  They are there when
 * the copies that have been started are waited for and the block has met.
 */
template <int EP, int ROWS, int THREADS>
__device__ __forceinline__ void load_tile(bf16 *to, const source &from, int first)
{
    enum { VECTORS = head<EP>::WHOLE * 2, ALL = ROWS * VECTORS };

    if (from.wide) {
#pragma unroll
        for (int n = 0; n < (ALL + THREADS - 1) / THREADS; n++) {
            const int i = n * THREADS + threadIdx.x;
            const int r = i / VECTORS, e = i % VECTORS * 8;
            const bool is_in = first + r < from.count && e < from.E;

            if (ALL % THREADS == 0 || i < ALL)
                copy_start<16>(to + r * pitch<EP>::value + e,
                               is_in ? from.at + (first + r) * from.ld + e : from.at,
                               is_in);
        }
        return;
    }
    for (int i = threadIdx.x; i < ALL * 8; i += THREADS) {
        const int r = i / (VECTORS * 8), e = i % (VECTORS * 8);
        const bool is_in = first + r < from.count && e < from.E;

        to[r * pitch<EP>::value + e] =
            is_in ? from.at[(first + r) * from.ld + e] : __float2bfloat16_rn(0.0F);
    }
}

/* Rows of out [16, EP], times 'by' (for rows l / 4 and l / 4 + 8), to rows 'first' on. */
template <int EP>
__device__ void store_rows(const source &to, int first, const float (&out)[EP / 8][4],
                           const float (&by)[2])
{
    const int lane = threadIdx.x % LANES_OF_WARP;

#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int r = first + lane / 4 + 8 * half;
        bf16 *row   = to.at + r * to.ld;

        if (r >= to.count)
            continue;
#pragma unroll
        for (int j = 0; j < EP / 8; j++) {
            const int e   = 8 * j + lane % 4 * 2;
            const float x = out[j][2 * half] * by[half];
            const float y = out[j][2 * half + 1] * by[half];

            if (to.wide && e < to.E)
                *(uint32_t *)(row + e) = pair_of(x, y);
            if (!to.wide && e < to.E)
                row[e] = __float2bfloat16_rn(x);
            if (!to.wide && e + 1 < to.E)
                row[e + 1] = __float2bfloat16_rn(y);
        }
    }
}

/* ---- Products ------------------------------------------------------------------------ */

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
        load_four(a, at + 16 * step);
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

/* acc [MT][16, NT] = MT times 16 rows of a warp, times NT rows of 'other', transposed. */
template <int EP, int NT, int MT, class Rows>
__device__ __forceinline__ void multiply_rows(float (&acc)[MT][NT / 8][4],
                                              const Rows (&own)[MT], const bf16 *other)
{
    const int lane = threadIdx.x % LANES_OF_WARP;
    const bf16 *at =
        other + (lane % 8 + lane / 16 * 8) * pitch<EP>::value + lane / 8 % 2 * 8;

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
#pragma unroll
        for (int j = 0; j < NT / 16; j++) {
            load_four(b, at + j * 16 * pitch<EP>::value + 16 * step);
#pragma unroll
            for (int m = 0; m < MT; m++) {
                if (step < head<EP>::STEPS) {
                    mma(acc[m][2 * j], a[m], b[0], b[1]);
                    mma(acc[m][2 * j + 1], a[m], b[2], b[3]);
                } else {
                    mma_half(acc[m][2 * j], a[m], b[0]);
                    mma_half(acc[m][2 * j + 1], a[m], b[2]);
                }
            }
        }
    }
}

/* out [MT][16, EP] += p [MT][16, NT], rounded to bf16, times NT rows of 'other'. */
template <int EP, int NT, int MT>
__device__ __forceinline__ void multiply_weights(float (&out)[MT][EP / 8][4],
                                                 const float (&p)[MT][NT / 8][4],
                                                 const bf16 *other)
{
    const int lane = threadIdx.x % LANES_OF_WARP;
    const bf16 *at = other + (lane % 16) * pitch<EP>::value + lane / 16 * 8;

#pragma unroll
    for (int j = 0; j < NT / 16; j++) {
        uint32_t a[MT][4], b[4];

#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                a[m][i] = pair_of(p[m][2 * j + i / 2][i % 2 * 2],
                                  p[m][2 * j + i / 2][i % 2 * 2 + 1]);
#pragma unroll
        for (int e = 0; e < EP; e += 16) {
            load_four_turned(b, at + j * 16 * pitch<EP>::value + e);
#pragma unroll
            for (int m = 0; m < MT; m++) {
                mma(out[m][e / 8], a[m], b[0], b[1]);
                if (e + 8 < EP)
                    mma(out[m][e / 8 + 1], a[m], b[2], b[3]);
            }
        }
    }
}

/* ---- Rows of results ----------------------------------------------------------------- */

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
