/* SPDX-License-Identifier: BSD-3-Clause */
/* Attention in f32, for every head size: made to be right, and fast enough beside the
 * products of f32.  A block of eight warps has 32 rows of a head, four a warp, and
 * walks over the other side's rows, one a lane: dot products need no sums over lanes,
 * and what they weigh is passed round the warp.  Heads are filled up with zeros to EI *
 * 32.
 */
#include "config.h"

#include "src/dev/cuda_attn.cuh"

#include <math.h>

namespace {

enum { WARPS = 8, ROWS = 4, OWN = WARPS * ROWS, NT = LANES_OF_WARP };
enum { THREADS = WARPS * LANES_OF_WARP };

/* Odd, so that a column's elements lie in different banks. */
template <int EI> struct pitch {
    enum { value = 32 * EI + 1 };
};

/* Rows 'first' on, of 'count', of head h of image b; zeros around. */
template <int EI>
__device__ void load_tile(float *tile, const view &from, int64_t b, int64_t h,
                          int64_t first, int64_t count, int rows, const attention &a)
{
    for (int i = threadIdx.x; i < rows * 32 * EI; i += THREADS) {
        const int r = i / (32 * EI), e = i % (32 * EI);

        tile[r * pitch<EI>::value + e] =
            first + r < count && e < a.E
                ? get_one<float>(from, (b * count + first + r) * from.ld + h * a.E + e)
                : 0.0F;
    }
}

/* s [ROWS]: of this warp's rows of 'own' with the lane's row of 'other'. */
template <int EI>
__device__ void dots(float (&s)[ROWS], const float *own, const float *other)
{
    const float *mine  = own + threadIdx.x / 32 * ROWS * pitch<EI>::value;
    const float *lanes = other + threadIdx.x % 32 * pitch<EI>::value;

#pragma unroll
    for (int r = 0; r < ROWS; r++)
        s[r] = 0.0F;
#pragma unroll 8
    for (int e = 0; e < 32 * EI; e++) {
        const float x = lanes[e];

#pragma unroll
        for (int r = 0; r < ROWS; r++)
            s[r] += mine[r * pitch<EI>::value + e] * x;
    }
}

/* out [ROWS, columns lane, lane + 32, ..] += p, a number of each lane,
 * times 'other'.
 */
template <int EI>
__device__ void accumulate(float (&out)[ROWS][EI], const float (&p)[ROWS],
                           const float *other)
{
#pragma unroll 4
    for (int j = 0; j < NT; j++) {
        float x[EI];

#pragma unroll
        for (int i = 0; i < EI; i++)
            x[i] = other[j * pitch<EI>::value + threadIdx.x % 32 + 32 * i];
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            const float w = __shfl_sync(0xffffffffu, p[r], j);

#pragma unroll
            for (int i = 0; i < EI; i++)
                out[r][i] += w * x[i];
        }
    }
}

template <int EI>
__device__ void store_rows(const view &to, const float (&out)[ROWS][EI],
                           const float (&by)[ROWS], int64_t b, int64_t h, int64_t first,
                           int64_t count, const attention &a)
{
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int i = 0; i < EI; i++) {
            const int e       = threadIdx.x % 32 + 32 * i;
            const int64_t row = first + threadIdx.x / 32 * ROWS + r;

            if (row < count && e < a.E)
                put_one<float>(to, (b * count + row) * to.ld + h * a.E + e,
                               out[r][i] * by[r]);
        }
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

/* What is kept of query 'row'; beyond the last one its weights are zero. */
struct row_known {
    float top, by_sum, delta;
};

__device__ row_known known_of(const attention &a, const place &at, int64_t row)
{
    const int64_t i = (at.b * a.H + at.h) * a.Nq + row;

    if (row >= a.Nq)
        return { 0.0F, 0.0F, 0.0F };
    return { a.kept[2 * i], 1.0F / a.kept[2 * i + 1], a.delta[i] };
}

/* ---- Kernels --------------------------------------------------------------------- */

template <int EI> __global__ void __launch_bounds__(THREADS) forward(attention a)
{
    SHARED_ROOM(float, room);
    float *q = room, *k = q + OWN * pitch<EI>::value, *v = k + NT * pitch<EI>::value;
    const place at      = place_of(a, a.Nq);
    const int lane      = threadIdx.x % 32;
    const int64_t mine  = at.first + threadIdx.x / 32 * ROWS;
    float out[ROWS][EI] = {}, p[ROWS], top[ROWS], sum[ROWS] = {}, by[ROWS];

    for (int r = 0; r < ROWS; r++)
        top[r] = -INFINITY;
    load_tile<EI>(q, a.q, at.b, at.h, at.first, a.Nq, OWN, a);
    for (int64_t first = 0; first < a.Nk; first += NT) {
        __syncthreads();
        load_tile<EI>(k, a.k, at.b, at.h, first, a.Nk, NT, a);
        load_tile<EI>(v, a.v, at.b, at.h, first, a.Nk, NT, a);
        __syncthreads();
        dots<EI>(p, q, k);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            const float x    = first + lane < a.Nk ? p[r] * a.factor : -INFINITY;
            const float most = fmaxf(top[r], warp_max(x));
            const float old  = expf(top[r] - most);

            p[r]   = expf(x - most);
            sum[r] = sum[r] * old + warp_sum(p[r]);
            top[r] = most;
#pragma unroll
            for (int i = 0; i < EI; i++)
                out[r][i] *= old;
        }
        accumulate<EI>(out, p, v);
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        float *kept = a.kept + 2 * ((at.b * a.H + at.h) * a.Nq + mine + r);

        by[r] = 1.0F / sum[r];
        if (lane == 0 && mine + r < a.Nq) {
            kept[0] = top[r];
            kept[1] = sum[r];
        }
    }
    store_rows<EI>(a.o, out, by, at.b, at.h, at.first, a.Nq, a);
}

template <int EI> __global__ void __launch_bounds__(THREADS) back_queries(attention a)
{
    SHARED_ROOM(float, room);
    float *q = room, *d = q + OWN * pitch<EI>::value;
    float *k = d + OWN * pitch<EI>::value, *v = k + NT * pitch<EI>::value;
    const place at      = place_of(a, a.Nq);
    float out[ROWS][EI] = {}, p[ROWS], dp[ROWS], by[ROWS];
    row_known row[ROWS];

#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        row[r] = known_of(a, at, at.first + threadIdx.x / 32 * ROWS + r);
        by[r]  = a.factor;
    }
    load_tile<EI>(q, a.q, at.b, at.h, at.first, a.Nq, OWN, a);
    load_tile<EI>(d, a.d_o, at.b, at.h, at.first, a.Nq, OWN, a);
    for (int64_t first = 0; first < a.Nk; first += NT) {
        __syncthreads();
        load_tile<EI>(k, a.k, at.b, at.h, first, a.Nk, NT, a);
        load_tile<EI>(v, a.v, at.b, at.h, first, a.Nk, NT, a);
        __syncthreads();
        dots<EI>(p, q, k);
        dots<EI>(dp, d, v);
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            p[r] = first + threadIdx.x % 32 < a.Nk
                       ? expf(p[r] * a.factor - row[r].top) * row[r].by_sum *
                             (dp[r] - row[r].delta)
                       : 0.0F;
        accumulate<EI>(out, p, k);
    }
    store_rows<EI>(a.dq, out, by, at.b, at.h, at.first, a.Nq, a);
}

template <int EI> __global__ void __launch_bounds__(THREADS) back_keys(attention a)
{
    SHARED_ROOM(float, room);
    float *k = room, *v = k + OWN * pitch<EI>::value;
    float *q = v + OWN * pitch<EI>::value, *d = q + NT * pitch<EI>::value;
    const place at       = place_of(a, a.Nk);
    float of_k[ROWS][EI] = {}, of_v[ROWS][EI] = {}, p[ROWS], dp[ROWS];
    float by_k[ROWS], by_v[ROWS];

#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        by_k[r] = a.factor;
        by_v[r] = 1.0F;
    }
    load_tile<EI>(k, a.k, at.b, at.h, at.first, a.Nk, OWN, a);
    load_tile<EI>(v, a.v, at.b, at.h, at.first, a.Nk, OWN, a);
    for (int64_t first = 0; first < a.Nq; first += NT) {
        const row_known x = known_of(a, at, first + threadIdx.x % 32);

        __syncthreads();
        load_tile<EI>(q, a.q, at.b, at.h, first, a.Nq, NT, a);
        load_tile<EI>(d, a.d_o, at.b, at.h, first, a.Nq, NT, a);
        __syncthreads();
        dots<EI>(p, k, q);
        dots<EI>(dp, v, d);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            p[r]  = expf(p[r] * a.factor - x.top) * x.by_sum;
            dp[r] = p[r] * (dp[r] - x.delta);
        }
        accumulate<EI>(of_v, p, d);
        accumulate<EI>(of_k, dp, q);
    }
    store_rows<EI>(a.dv, of_v, by_v, at.b, at.h, at.first, a.Nk, a);
    store_rows<EI>(a.dk, of_k, by_k, at.b, at.h, at.first, a.Nk, a);
}

/* ---- Launches -------------------------------------------------------------------- */

int64_t blocks_of(const attention &a, int64_t rows)
{
    return a.B * a.H * blocks_for(rows, OWN);
}

template <int EI> size_t bytes_of(int rows)
{
    return (size_t)rows * pitch<EI>::value * sizeof(float);
}

template <int EI> void forward_of(struct dev_stream *s, const attention &a)
{
    launch_attention(s, forward<EI>, blocks_of(a, a.Nq), THREADS,
                     bytes_of<EI>(OWN + 2 * NT), a);
}

template <int EI> void backward_of(struct dev_stream *s, const attention &a)
{
    const size_t bytes = bytes_of<EI>(2 * OWN + 2 * NT);

    launch_attention(s, back_queries<EI>, blocks_of(a, a.Nq), THREADS, bytes, a);
    launch_attention(s, back_keys<EI>, blocks_of(a, a.Nk), THREADS, bytes, a);
}

template <class Of> void of_head(const attention &a, const Of &of)
{
    of_width<32, 64, 96, 128, 256>(a, of);
}

} /* namespace */

void attn_forward_f32(struct dev_stream *s, const attention &a)
{
    of_head(a, [&](auto width) { forward_of<width.value / 32>(s, a); });
}

void attn_backward_f32(struct dev_stream *s, const attention &a)
{
    of_head(a, [&](auto width) { backward_of<width.value / 32>(s, a); });
}
