/* SPDX-License-Identifier: BSD-3-Clause */
/* Attention in bf16 on tensor cores (mma.sync m16n8k16: every GPU since A100).
 *
 * A block of four warps has 64 rows of a head, 16 a warp, and walks over the other side's
 * rows, NT at a time.  E is filled up with zeros to EP.  In all three kernels a tile of
 * logits, 16 x NT a warp, is made from two tiles in shared memory that are as wide as a
 * head, and is then the left operand of a product with one such tile:
 *
 *   forward    own q      logits q k^T                       o  += p v
 *   queries    own q, d_o logits q k^T, d_o v^T              dq += ds k
 *   keys       own k, v   logits k q^T, v d_o^T              dv += p d_o,  dk += ds q
 *
 * Of a tile, lane l holds columns 8 j + 2 (l % 4) and the next one of rows l / 4 (numbers
 * 0 and 1 of acc[j]) and l / 4 + 8 (2 and 3); that is also how mma wants the left operand.
 */
#include "config.h"

#include "src/dev/cuda_attn.cuh"
#include "src/dev/cuda_mma.cuh"

#include <math.h>

namespace {

enum { WARPS = 4, THREADS = WARPS * LANES_OF_WARP, OWN = 16 * WARPS };

/* Rows are 16 bytes longer than a head: eight of them then lie in different banks. */
template <int EP> struct pitch {
    enum { value = EP + 8 };
};

/* ---- Tiles --------------------------------------------------------------------------- */

/* Where a tile's rows come from: rows 'first' on, of 'count', of head h of image b. */
struct source {
    view a;
    int64_t row; /* of the image's first one */
    int64_t col; /* of the head's first one */
    int64_t count;
};

__device__ source source_of(const view &a, int64_t b, int64_t h, int64_t count,
                            int64_t E)
{
    return { a, b * count, h * E, count };
}

template <int EP>
__device__ void load_tile(bf16 *tile, const source &from, int64_t first, int rows,
                          const attention &a)
{
    enum { VECTORS = EP / 8 };
    const bf16 *base = (const bf16 *)from.a.at + from.col;

    for (int i = threadIdx.x; a.wide && i < rows * VECTORS; i += THREADS) {
        const int r = i / VECTORS, e = i % VECTORS * 8;
        const bool is_in = first + r < from.count && e < a.E;
        const int64_t at = (from.row + first + r) * from.a.ld + e;

        *(uint4 *)(tile + r * pitch<EP>::value + e) =
            is_in ? *(const uint4 *)(base + at) : make_uint4(0, 0, 0, 0);
    }
    for (int i = threadIdx.x; !a.wide && i < rows * EP; i += THREADS) {
        const int r = i / EP, e = i % EP;
        const bool is_in = first + r < from.count && e < a.E;

        tile[r * pitch<EP>::value + e] =
            is_in ? base[(from.row + first + r) * from.a.ld + e]
                  : __float2bfloat16_rn(0.0F);
    }
}

/* acc [16, NT] = 16 rows of 'own' from 'row' on times NT rows of 'other', transposed. */
template <int EP, int NT>
__device__ __forceinline__ void multiply_rows(float (&acc)[NT / 8][4], const bf16 *own,
                                              int row, const bf16 *other)
{
    const int lane = threadIdx.x % LANES_OF_WARP;
    const bf16 *at = own + (row + lane % 16) * pitch<EP>::value + lane / 16 * 8;
    const bf16 *at2 =
        other + (lane % 8 + lane / 16 * 8) * pitch<EP>::value + lane / 8 % 2 * 8;

#pragma unroll
    for (int j = 0; j < NT / 8; j++)
        acc[j][0] = acc[j][1] = acc[j][2] = acc[j][3] = 0.0F;
#pragma unroll
    for (int e = 0; e < EP; e += 16) {
        uint32_t a[4], b[4];

        load_four(a, at + e);
#pragma unroll
        for (int j = 0; j < NT / 16; j++) {
            load_four(b, at2 + j * 16 * pitch<EP>::value + e);
            mma(acc[2 * j], a, b[0], b[1]);
            mma(acc[2 * j + 1], a, b[2], b[3]);
        }
    }
}

/* out [16, EP] += p [16, NT], rounded to bf16, times NT rows of 'other'. */
template <int EP, int NT>
__device__ __forceinline__ void multiply_weights(float (&out)[EP / 8][4],
                                                 const float (&p)[NT / 8][4],
                                                 const bf16 *other)
{
    const int lane = threadIdx.x % LANES_OF_WARP;
    const bf16 *at = other + (lane % 16) * pitch<EP>::value + lane / 16 * 8;

#pragma unroll
    for (int j = 0; j < NT / 16; j++) {
        const uint32_t a[4] = { pair_of(p[2 * j][0], p[2 * j][1]),
                                pair_of(p[2 * j][2], p[2 * j][3]),
                                pair_of(p[2 * j + 1][0], p[2 * j + 1][1]),
                                pair_of(p[2 * j + 1][2], p[2 * j + 1][3]) };
        uint32_t b[4];

#pragma unroll
        for (int e = 0; e < EP; e += 16) {
            load_four_turned(b, at + j * 16 * pitch<EP>::value + e);
            mma(out[e / 8], a, b[0], b[1]);
            mma(out[e / 8 + 1], a, b[2], b[3]);
        }
    }
}

/* Rows of out [16, EP], times 'by' (for rows l / 4 and l / 4 + 8), to rows 'first' on. */
template <int EP>
__device__ void store_rows(const source &to, int64_t first,
                           const float (&out)[EP / 8][4], const float (&by)[2],
                           const attention &a)
{
    const int lane = threadIdx.x % LANES_OF_WARP;

#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int64_t r = first + lane / 4 + 8 * half;
        bf16 *row       = (bf16 *)to.a.at + (to.row + r) * to.a.ld + to.col;

        if (r >= to.count)
            continue;
#pragma unroll
        for (int j = 0; j < EP / 8; j++) {
            const int e   = 8 * j + lane % 4 * 2;
            const float x = out[j][2 * half] * by[half];
            const float y = out[j][2 * half + 1] * by[half];

            if (a.wide && e < a.E)
                *(uint32_t *)(row + e) = pair_of(x, y);
            if (!a.wide && e < a.E)
                row[e] = __float2bfloat16_rn(x);
            if (!a.wide && e + 1 < a.E)
                row[e + 1] = __float2bfloat16_rn(y);
        }
    }
}

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

__device__ __forceinline__ float exponential(float x)
{
    return exp2f(x * 1.44269504F);
}

/* The column that number i of acc[j] belongs to. */
__device__ __forceinline__ int column_of(int j, int i)
{
    return 8 * j + threadIdx.x % 4 * 2 + i % 2;
}

/* This block's image, head and first row, of 'rows' a head. */
struct place {
    int64_t b, h, first;
};

__device__ place place_of(const attention &a, int64_t rows)
{
    const int64_t each = (rows + OWN - 1) / OWN, bh = blockIdx.x / each;

    return { bh / a.H, bh % a.H, blockIdx.x % each * OWN };
}

/* ---- Forward ------------------------------------------------------------------------- */

/* Logits of a tile become weights; sums and outputs so far are scaled to the new top. */
template <int EP, int NT>
__device__ __forceinline__ void weigh(float (&p)[NT / 8][4], float (&out)[EP / 8][4],
                                      float (&top)[2], float (&sum)[2], int64_t left,
                                      float factor)
{
    float most[2] = { top[0], top[1] }, by[2];

#pragma unroll
    for (int j = 0; j < NT / 8; j++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            p[j][i]     = column_of(j, i) < left ? p[j][i] * factor : -INFINITY;
            most[i / 2] = fmaxf(most[i / 2], p[j][i]);
        }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        most[half] = row_max(most[half]);
        by[half]   = exponential(top[half] - most[half]);
        top[half]  = most[half];
        sum[half] *= by[half];
    }
#pragma unroll
    for (int j = 0; j < NT / 8; j++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            p[j][i] = exponential(p[j][i] - top[i / 2]);
            sum[i / 2] += p[j][i];
        }
#pragma unroll
    for (int j = 0; j < EP / 8; j++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            out[j][i] *= by[i / 2];
}

template <int EP, int NT>
__global__ void __launch_bounds__(THREADS) forward(attention a)
{
    SHARED_ROOM(bf16, shared);
    bf16 *q = shared, *k = q + OWN * pitch<EP>::value, *v = k + NT * pitch<EP>::value;
    const place at       = place_of(a, a.Nq);
    const source of_k    = source_of(a.k, at.b, at.h, a.Nk, a.E);
    const source of_v    = source_of(a.v, at.b, at.h, a.Nk, a.E);
    const int warp       = threadIdx.x / LANES_OF_WARP;
    const int lane       = threadIdx.x % LANES_OF_WARP;
    const int64_t mine   = at.first + 16 * warp;
    float out[EP / 8][4] = {}, p[NT / 8][4];
    float top[2] = { -INFINITY, -INFINITY }, sum[2] = {}, by[2];

    load_tile<EP>(q, source_of(a.q, at.b, at.h, a.Nq, a.E), at.first, OWN, a);
    for (int64_t first = 0; first < a.Nk; first += NT) {
        __syncthreads();
        load_tile<EP>(k, of_k, first, NT, a);
        load_tile<EP>(v, of_v, first, NT, a);
        __syncthreads();
        multiply_rows<EP, NT>(p, q, 16 * warp, k);
        weigh<EP, NT>(p, out, top, sum, a.Nk - first, a.factor);
        multiply_weights<EP, NT>(out, p, v);
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int64_t r = mine + lane / 4 + 8 * half;
        float *kept     = a.kept + 2 * ((at.b * a.H + at.h) * a.Nq + r);

        sum[half] = row_sum(sum[half]);
        by[half]  = 1.0F / sum[half];
        if (lane % 4 == 0 && r < a.Nq) {
            kept[0] = top[half];
            kept[1] = sum[half];
        }
    }
    store_rows<EP>(source_of(a.o, at.b, at.h, a.Nq, a.E), mine, out, by, a);
}

/* ---- Backward ------------------------------------------------------------------------ */

/* What backward knows of a query's row; beyond the last one its weights are zero. */
struct row_known {
    float top, by_sum, delta;
};

__device__ row_known known_of(const attention &a, const place &at, int64_t r)
{
    const int64_t i = (at.b * a.H + at.h) * a.Nq + r;

    if (r >= a.Nq)
        return { 0.0F, 0.0F, 0.0F };
    return { a.kept[2 * i], 1.0F / a.kept[2 * i + 1], a.delta[i] };
}

template <int EP, int NT>
__global__ void __launch_bounds__(THREADS) back_queries(attention a)
{
    SHARED_ROOM(bf16, shared);
    bf16 *q = shared, *d = q + OWN * pitch<EP>::value;
    bf16 *k = d + OWN * pitch<EP>::value, *v = k + NT * pitch<EP>::value;
    const place at         = place_of(a, a.Nq);
    const source of_k      = source_of(a.k, at.b, at.h, a.Nk, a.E);
    const source of_v      = source_of(a.v, at.b, at.h, a.Nk, a.E);
    const int warp         = threadIdx.x / LANES_OF_WARP;
    const int lane         = threadIdx.x % LANES_OF_WARP;
    const int64_t mine     = at.first + 16 * warp;
    const row_known row[2] = { known_of(a, at, mine + lane / 4),
                               known_of(a, at, mine + lane / 4 + 8) };
    const float by[2]      = { a.factor, a.factor };
    float out[EP / 8][4]   = {}, p[NT / 8][4], dp[NT / 8][4];

    load_tile<EP>(q, source_of(a.q, at.b, at.h, a.Nq, a.E), at.first, OWN, a);
    load_tile<EP>(d, source_of(a.d_o, at.b, at.h, a.Nq, a.E), at.first, OWN, a);
    for (int64_t first = 0; first < a.Nk; first += NT) {
        __syncthreads();
        load_tile<EP>(k, of_k, first, NT, a);
        load_tile<EP>(v, of_v, first, NT, a);
        __syncthreads();
        multiply_rows<EP, NT>(p, q, 16 * warp, k);
        multiply_rows<EP, NT>(dp, d, 16 * warp, v);
#pragma unroll
        for (int j = 0; j < NT / 8; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const row_known &x = row[i / 2];
                const float weight =
                    column_of(j, i) < a.Nk - first
                        ? exponential(p[j][i] * a.factor - x.top) * x.by_sum
                        : 0.0F;

                p[j][i] = weight * (dp[j][i] - x.delta);
            }
        multiply_weights<EP, NT>(out, p, k);
    }
    store_rows<EP>(source_of(a.dq, at.b, at.h, a.Nq, a.E), mine, out, by, a);
}

enum { OF_KEYS = 1, OF_VALUES = 2 };

/* WHAT: both gradients, or one of them where registers would not do for both. */
template <int EP, int NT, int WHAT>
__global__ void __launch_bounds__(THREADS) back_keys(attention a)
{
    SHARED_ROOM(bf16, shared);
    __shared__ row_known known[NT];
    bf16 *k = shared, *v = k + OWN * pitch<EP>::value;
    bf16 *q = v + OWN * pitch<EP>::value, *d = q + NT * pitch<EP>::value;
    const place at      = place_of(a, a.Nk);
    const source of_q   = source_of(a.q, at.b, at.h, a.Nq, a.E);
    const source of_d   = source_of(a.d_o, at.b, at.h, a.Nq, a.E);
    const int warp      = threadIdx.x / LANES_OF_WARP;
    const int64_t mine  = at.first + 16 * warp;
    const float by_k[2] = { a.factor, a.factor }, by_v[2] = { 1.0F, 1.0F };
    float of_k[EP / 8][4] = {}, of_v[EP / 8][4] = {};
    float p[NT / 8][4], dp[NT / 8][4];

    load_tile<EP>(k, source_of(a.k, at.b, at.h, a.Nk, a.E), at.first, OWN, a);
    load_tile<EP>(v, source_of(a.v, at.b, at.h, a.Nk, a.E), at.first, OWN, a);
    for (int64_t first = 0; first < a.Nq; first += NT) {
        __syncthreads();
        load_tile<EP>(q, of_q, first, NT, a);
        load_tile<EP>(d, of_d, first, NT, a);
        if (threadIdx.x < NT)
            known[threadIdx.x] = known_of(a, at, first + threadIdx.x);
        __syncthreads();
        multiply_rows<EP, NT>(p, k, 16 * warp, q);
#pragma unroll
        for (int j = 0; j < NT / 8; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const row_known &x = known[column_of(j, i)];

                p[j][i] = exponential(p[j][i] * a.factor - x.top) * x.by_sum;
            }
        if (WHAT & OF_VALUES)
            multiply_weights<EP, NT>(of_v, p, d);
        if (WHAT & OF_KEYS) {
            multiply_rows<EP, NT>(dp, v, 16 * warp, d);
#pragma unroll
            for (int j = 0; j < NT / 8; j++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    p[j][i] *= dp[j][i] - known[column_of(j, i)].delta;
            multiply_weights<EP, NT>(of_k, p, q);
        }
    }
    if (WHAT & OF_VALUES)
        store_rows<EP>(source_of(a.dv, at.b, at.h, a.Nk, a.E), mine, of_v, by_v, a);
    if (WHAT & OF_KEYS)
        store_rows<EP>(source_of(a.dk, at.b, at.h, a.Nk, a.E), mine, of_k, by_k, a);
}

/* ---- Launches ------------------------------------------------------------------------ */

int64_t blocks_of(const attention &a, int64_t rows)
{
    return a.B * a.H * blocks_for(rows, OWN);
}

template <int EP> size_t bytes_of(int rows)
{
    return (size_t)rows * pitch<EP>::value * sizeof(bf16);
}

template <int EP> void forward_of(struct dev_stream *s, const attention &a)
{
    enum { NT = EP > 128 ? 32 : 64 };

    launch_attention(s, forward<EP, NT>, blocks_of(a, a.Nq), THREADS,
                     bytes_of<EP>(OWN + 2 * NT), a);
}

template <int EP> void backward_of(struct dev_stream *s, const attention &a)
{
    enum { NT = EP > 64 ? 32 : 64, BOTH = OF_KEYS | OF_VALUES };
    const size_t bytes = bytes_of<EP>(2 * OWN + 2 * NT);

    launch_attention(s, back_queries<EP, NT>, blocks_of(a, a.Nq), THREADS, bytes, a);
    if constexpr (EP <= 128) {
        launch_attention(s, back_keys<EP, NT, BOTH>, blocks_of(a, a.Nk), THREADS, bytes,
                         a);
    } else {
        launch_attention(s, back_keys<EP, NT, OF_KEYS>, blocks_of(a, a.Nk), THREADS,
                         bytes, a);
        launch_attention(s, back_keys<EP, NT, OF_VALUES>, blocks_of(a, a.Nk), THREADS,
                         bytes, a);
    }
}

} /* namespace */

void attn_forward_bf16(struct dev_stream *s, const attention &a)
{
    if (a.E <= 32)
        forward_of<32>(s, a);
    else if (a.E <= 48)
        forward_of<48>(s, a);
    else if (a.E <= 64)
        forward_of<64>(s, a);
    else if (a.E <= 80)
        forward_of<80>(s, a);
    else if (a.E <= 96)
        forward_of<96>(s, a);
    else if (a.E <= 128)
        forward_of<128>(s, a);
    else
        forward_of<256>(s, a);
}

void attn_backward_bf16(struct dev_stream *s, const attention &a)
{
    if (a.E <= 32)
        backward_of<32>(s, a);
    else if (a.E <= 48)
        backward_of<48>(s, a);
    else if (a.E <= 64)
        backward_of<64>(s, a);
    else if (a.E <= 80)
        backward_of<80>(s, a);
    else if (a.E <= 96)
        backward_of<96>(s, a);
    else if (a.E <= 128)
        backward_of<128>(s, a);
    else
        backward_of<256>(s, a);
}
