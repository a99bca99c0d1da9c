/* SPDX-License-Identifier: BSD-3-Clause */
/* Attention in bf16 on tensor cores (mma.sync m16n8k16: every GPU since A100).
 *
 * A block of WARPS warps has MT times 16 rows of a head a warp, and walks over the
 * other side's rows, NT at a time; the next ones are copied while these are multiplied.
 * In all three kernels a tile of logits, 16 MT x NT a warp, is made from two tiles in
 * shared memory, and is then the left operand of a product with one such tile:
 *
 *   forward    own q      logits q k^T                       o  += p v
 *   queries    own q, d_o logits q k^T, d_o v^T              dq += ds k
 *   keys       own k, v   logits k q^T, v d_o^T              dv += p d_o,  dk += ds q
 *
 * Exponentials are powers of two: logits are scaled by log2(e) / sqrt(E).  BLOCKS of a
 * multiprocessor at least shall have room, which bounds a thread's registers.
 */
#include "config.h"

#include "src/dev/cuda_attn_tile.cuh"

#include <math.h>
#include <stdio.h>

namespace {

enum { STAGES = 2 };

const float LOG2_E = 1.44269504F;

/* This block's image, head and first row. */
struct place {
    int64_t b, h;
    int first;
};

__device__ place place_of(const attention &a, int64_t rows, int own)
{
    const int64_t each = (rows + own - 1) / own, bh = blockIdx.x / each;

    return { bh / a.H, bh % a.H, (int)(blockIdx.x % each) * own };
}

/* ---- Forward --------------------------------------------------------------------- */

/* Logits of a tile, of which 'left' columns are there, become weights; sums and outputs
 * so far are scaled to the new top, which is a power of two.
 */
template <int EP, int NT>
__device__ __forceinline__ void weigh(float (&p)[NT / 8][4], float (&out)[EP / 8][4],
                                      float (&top)[2], float (&sum)[2], int left,
                                      float scale)
{
    float most[2] = { -INFINITY, -INFINITY }, by[2];

    if (left < NT) {
#pragma unroll
        for (int j = 0; j < NT / 8; j++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                if (column_of(j, i) >= left)
                    p[j][i] = -INFINITY;
    }
#pragma unroll
    for (int j = 0; j < NT / 8; j++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            most[i / 2] = fmaxf(most[i / 2], p[j][i]);
#pragma unroll
    for (int half = 0; half < 2; half++) {
        most[half] = fmaxf(top[half], row_max(most[half]) * scale);
        by[half]   = power_of_two(top[half] - most[half]);
        top[half]  = most[half];
        sum[half] *= by[half];
    }
#pragma unroll
    for (int j = 0; j < NT / 8; j++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            p[j][i] = power_of_two(p[j][i] * scale - top[i / 2]);
            sum[i / 2] += p[j][i];
        }
#pragma unroll
    for (int j = 0; j < EP / 8; j++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            out[j][i] *= by[i / 2];
}

template <int EP, int NT, int MT, int WARPS, int BLOCKS, template <int> class Rows>
__global__ void __launch_bounds__(WARPS *LANES_OF_WARP, BLOCKS) forward(attention a)
{
    enum {
        OWN     = 16 * MT * WARPS,
        THREADS = WARPS * LANES_OF_WARP,
        STAGE   = tile<EP, NT>::size
    };
    SHARED_ROOM(bf16, shared);
    bf16 *q = shared, *k = q + tile<EP, OWN>::size, *v = k + STAGES * STAGE;
    const place at           = place_of(a, a.Nq, OWN);
    const source of_k        = source_of(a, a.k, at.b, at.h, a.Nk);
    const source of_v        = source_of(a, a.v, at.b, at.h, a.Nk);
    const int warp           = threadIdx.x / LANES_OF_WARP;
    const int lane           = threadIdx.x % LANES_OF_WARP;
    const float scale        = a.factor * LOG2_E;
    float out[MT][EP / 8][4] = {}, p[MT][NT / 8][4], top[MT][2], sum[MT][2] = {};
    weights<NT> w[MT];
    Rows<EP> own[MT];

    load_tile<EP, OWN, THREADS>(q, source_of(a, a.q, at.b, at.h, a.Nq), at.first);
    copies_close();
    load_tile<EP, NT, THREADS>(k, of_k, 0);
    load_tile<EP, NT, THREADS>(v, of_v, 0);
    copies_close();
    copies_wait<1>();
    __syncthreads();
#pragma unroll
    for (int m = 0; m < MT; m++) {
        own[m].begin(q + 16 * (MT * warp + m) * pitch<EP>::value);
        top[m][0] = top[m][1] = -INFINITY;
    }
    for (int first = 0, stage = 0; first < a.Nk; first += NT, stage ^= 1) {
        const int next = (stage ^ 1) * STAGE;

        copies_wait<0>();
        __syncthreads();
        if (first + NT < a.Nk) {
            load_tile<EP, NT, THREADS>(k + next, of_k, first + NT);
            load_tile<EP, NT, THREADS>(v + next, of_v, first + NT);
        }
        copies_close();
        multiply_rows<EP, NT, MT>(p, own, k + stage * STAGE);
#pragma unroll
        for (int m = 0; m < MT; m++) {
            weigh<EP, NT>(p[m], out[m], top[m], sum[m], (int)a.Nk - first, scale);
            w[m].take(p[m]);
        }
        multiply_weights<EP, NT, MT>(out, w, v + stage * STAGE);
    }
#pragma unroll
    for (int m = 0; m < MT; m++) {
        const int mine = at.first + 16 * (MT * warp + m);
        float by[2];

#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int r     = mine + lane / 4 + 8 * half;
            float *kept     = a.kept + 2 * ((at.b * a.H + at.h) * a.Nq + r);
            const float all = row_sum(sum[m][half]);

            by[half] = 1.0F / all;
            if (lane % 4 == 0 && r < a.Nq) {
                kept[0] = top[m][half] * (1.0F / LOG2_E);
                kept[1] = all;
            }
        }
        store_rows<EP>(source_of(a, a.o, at.b, at.h, a.Nq), mine, out[m], by,
                       q + (mine - at.first) * pitch<EP>::value);
    }
}

/* ---- Backward -------------------------------------------------------------------- */

/* What backward knows of a query's row: the power of two that its weights are multiples
 * of, and delta = d_o o.  Where there is no row, both are zero, as all else of it is.
 * Copies of 8 bytes are aligned so, on either side.
 */
struct alignas(8) row_known {
    float top, delta;
};

/* d_o o of row 'r' of the tile 'd', by two neighbouring threads. */
template <int EP>
__device__ float delta_of(const bf16 *d, const source &of_o, int first, int r)
{
    const bf16 *o = of_o.at + (first + r) * of_o.ld;
    float sum     = 0.0F;

    if (first + r < of_o.count && of_o.wide) {
        for (int e = threadIdx.x % 2 * 8; e < of_o.E; e += 16) {
            eight<true> of_d, of_here;
            float x[WIDE], y[WIDE];

            of_d.raw    = *(const uint4 *)(d + r * pitch<EP>::value + e);
            of_here.raw = *(const uint4 *)(o + e);
            unpack(x, of_d);
            unpack(y, of_here);
#pragma unroll
            for (int i = 0; i < WIDE; i++)
                sum += x[i] * y[i];
        }
    } else if (first + r < of_o.count) {
        for (int e = threadIdx.x % 2; e < of_o.E; e += 2)
            sum +=
                __bfloat162float(d[r * pitch<EP>::value + e]) * __bfloat162float(o[e]);
    }
    return sum + __shfl_xor_sync(0xffffffffu, sum, 1);
}

/* What is known of row 'r' of the tile 'd', of which back_keys() is told too. */
template <int EP>
__device__ row_known learn(const attention &a, const place &at, const bf16 *d, int r)
{
    const int64_t i = (at.b * a.H + at.h) * a.Nq + at.first + r;
    row_known row   = {};

    row.delta = delta_of<EP>(d, source_of(a, a.o, at.b, at.h, a.Nq), at.first, r);
    if (at.first + r >= a.Nq)
        return row;
    row.top = a.kept[2 * i] * LOG2_E + log2f(a.kept[2 * i + 1]);
    if (threadIdx.x % 2 == 0)
        ((row_known *)a.known)[i] = row;
    return row;
}

/* Columns 'left' on, where there are no keys and weights may be
 * infinite, become zeros.
 */
template <int NT>
__device__ __forceinline__ void clear_from(float (&p)[NT / 8][4], int left)
{
#pragma unroll
    for (int j = 0; j < NT / 8; j++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (column_of(j, i) >= left)
                p[j][i] = 0.0F;
}

/* dq; and what back_keys() needs to know of the rows. */
template <int EP, int NT, int MT, int WARPS, int BLOCKS>
__global__ void __launch_bounds__(WARPS *LANES_OF_WARP, BLOCKS)
    back_queries(attention a)
{
    enum {
        OWN     = 16 * MT * WARPS,
        THREADS = WARPS * LANES_OF_WARP,
        STAGE   = tile<EP, NT>::size
    };
    SHARED_ROOM(bf16, shared);
    __shared__ row_known known[OWN];
    bf16 *q = shared, *d = q + tile<EP, OWN>::size;
    bf16 *k = d + tile<EP, OWN>::size, *v = k + STAGES * STAGE;
    const place at           = place_of(a, a.Nq, OWN);
    const source of_k        = source_of(a, a.k, at.b, at.h, a.Nk);
    const source of_v        = source_of(a, a.v, at.b, at.h, a.Nk);
    const int warp           = threadIdx.x / LANES_OF_WARP;
    const int lane           = threadIdx.x % LANES_OF_WARP;
    const float scale        = a.factor * LOG2_E;
    const float by[2]        = { a.factor, a.factor };
    float out[MT][EP / 8][4] = {}, p[MT][NT / 8][4], dp[MT][NT / 8][4];
    weights<NT> w[MT];
    row_known row[MT][2];
    rows_in_memory<EP> own_q[MT], own_d[MT];

    load_tile<EP, OWN, THREADS>(q, source_of(a, a.q, at.b, at.h, a.Nq), at.first);
    load_tile<EP, OWN, THREADS>(d, source_of(a, a.d_o, at.b, at.h, a.Nq), at.first);
    copies_close();
    load_tile<EP, NT, THREADS>(k, of_k, 0);
    load_tile<EP, NT, THREADS>(v, of_v, 0);
    copies_close();
    copies_wait<1>();
    __syncthreads();
    for (int r = threadIdx.x / 2; r < OWN; r += THREADS / 2) {
        const row_known both = learn<EP>(a, at, d, r);

        if (threadIdx.x % 2 == 0)
            known[r] = both;
    }
    __syncthreads();
#pragma unroll
    for (int m = 0; m < MT; m++) {
        const int mine = 16 * (MT * warp + m);

        own_q[m].begin(q + mine * pitch<EP>::value);
        own_d[m].begin(d + mine * pitch<EP>::value);
        row[m][0] = known[mine + lane / 4];
        row[m][1] = known[mine + lane / 4 + 8];
    }
    for (int first = 0, stage = 0; first < a.Nk; first += NT, stage ^= 1) {
        const int next = (stage ^ 1) * STAGE, left = (int)a.Nk - first;

        copies_wait<0>();
        __syncthreads();
        if (first + NT < a.Nk) {
            load_tile<EP, NT, THREADS>(k + next, of_k, first + NT);
            load_tile<EP, NT, THREADS>(v + next, of_v, first + NT);
        }
        copies_close();
        multiply_rows<EP, NT, MT>(p, own_q, k + stage * STAGE);
        multiply_rows<EP, NT, MT>(dp, own_d, v + stage * STAGE);
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
            for (int j = 0; j < NT / 8; j++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const row_known &x = row[m][i / 2];

                    p[m][j][i] = power_of_two(p[m][j][i] * scale - x.top) *
                                 (dp[m][j][i] - x.delta);
                }
#pragma unroll
        for (int m = 0; m < MT; m++) {
            if (left < NT)
                clear_from<NT>(p[m], left);
            w[m].take(p[m]);
        }
        multiply_weights<EP, NT, MT>(out, w, k + stage * STAGE);
    }
#pragma unroll
    for (int m = 0; m < MT; m++) {
        const int mine = 16 * (MT * warp + m);

        store_rows<EP>(source_of(a, a.dq, at.b, at.h, a.Nq), at.first + mine, out[m],
                       by, q + mine * pitch<EP>::value);
    }
}

/* What is known of NT rows from 'first' on. */
template <int NT>
__device__ __forceinline__ void load_known(row_known *to, const attention &a,
                                           const place &at, int first)
{
    const row_known *from = (const row_known *)a.known + (at.b * a.H + at.h) * a.Nq;
    const int r           = first + (int)threadIdx.x;
    const bool is_in      = r < a.Nq;

    if (threadIdx.x < NT)
        copy_start<8>(to + threadIdx.x, is_in ? from + r : from, is_in);
}

enum { OF_KEYS = 1, OF_VALUES = 2 };

/* WHAT: both gradients, or one of them where registers would not do for both. */
template <int EP, int NT, int MT, int WARPS, int BLOCKS, int WHAT>
__global__ void __launch_bounds__(WARPS *LANES_OF_WARP, BLOCKS) back_keys(attention a)
{
    enum {
        OWN     = 16 * MT * WARPS,
        THREADS = WARPS * LANES_OF_WARP,
        STAGE   = tile<EP, NT>::size
    };
    SHARED_ROOM(bf16, shared);
    __shared__ row_known known[STAGES][NT];
    bf16 *k = shared, *v = k + tile<EP, OWN>::size;
    bf16 *q = v + tile<EP, OWN>::size, *d = q + STAGES * STAGE;
    const place at      = place_of(a, a.Nk, OWN);
    const source of_q   = source_of(a, a.q, at.b, at.h, a.Nq);
    const source of_d   = source_of(a, a.d_o, at.b, at.h, a.Nq);
    const int warp      = threadIdx.x / LANES_OF_WARP;
    const float scale   = a.factor * LOG2_E;
    const float by_k[2] = { a.factor, a.factor }, by_v[2] = { 1.0F, 1.0F };
    float of_k[MT][EP / 8][4] = {}, of_v[MT][EP / 8][4] = {};
    float p[MT][NT / 8][4], dp[MT][NT / 8][4];
    weights<NT> w[MT];
    rows_in_memory<EP> own_k[MT], own_v[MT];

    load_tile<EP, OWN, THREADS>(k, source_of(a, a.k, at.b, at.h, a.Nk), at.first);
    load_tile<EP, OWN, THREADS>(v, source_of(a, a.v, at.b, at.h, a.Nk), at.first);
    load_tile<EP, NT, THREADS>(q, of_q, 0);
    load_tile<EP, NT, THREADS>(d, of_d, 0);
    load_known<NT>(known[0], a, at, 0);
    copies_close();
#pragma unroll
    for (int m = 0; m < MT; m++) {
        own_k[m].begin(k + 16 * (MT * warp + m) * pitch<EP>::value);
        own_v[m].begin(v + 16 * (MT * warp + m) * pitch<EP>::value);
    }
    for (int first = 0, stage = 0; first < a.Nq; first += NT, stage ^= 1) {
        const row_known *row = known[stage];
        const int next       = (stage ^ 1) * STAGE;

        copies_wait<0>();
        __syncthreads();
        if (first + NT < a.Nq) {
            load_tile<EP, NT, THREADS>(q + next, of_q, first + NT);
            load_tile<EP, NT, THREADS>(d + next, of_d, first + NT);
            load_known<NT>(known[stage ^ 1], a, at, first + NT);
        }
        copies_close();
        multiply_rows<EP, NT, MT>(p, own_k, q + stage * STAGE);
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
            for (int j = 0; j < NT / 8; j++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    p[m][j][i] =
                        power_of_two(p[m][j][i] * scale - row[column_of(j, i)].top);
        if (WHAT & OF_VALUES) {
#pragma unroll
            for (int m = 0; m < MT; m++)
                w[m].take(p[m]);
            multiply_weights<EP, NT, MT>(of_v, w, d + stage * STAGE);
        }
        if (WHAT & OF_KEYS) {
            multiply_rows<EP, NT, MT>(dp, own_v, d + stage * STAGE);
#pragma unroll
            for (int m = 0; m < MT; m++)
#pragma unroll
                for (int j = 0; j < NT / 8; j++)
#pragma unroll
                    for (int i = 0; i < 4; i++)
                        p[m][j][i] *= dp[m][j][i] - row[column_of(j, i)].delta;
#pragma unroll
            for (int m = 0; m < MT; m++)
                w[m].take(p[m]);
            multiply_weights<EP, NT, MT>(of_k, w, q + stage * STAGE);
        }
    }
#pragma unroll
    for (int m = 0; m < MT; m++) {
        const int mine = 16 * (MT * warp + m);

        if (WHAT & OF_VALUES)
            store_rows<EP>(source_of(a, a.dv, at.b, at.h, a.Nk), at.first + mine,
                           of_v[m], by_v, v + mine * pitch<EP>::value);
        if (WHAT & OF_KEYS)
            store_rows<EP>(source_of(a, a.dk, at.b, at.h, a.Nk), at.first + mine,
                           of_k[m], by_k, k + mine * pitch<EP>::value);
    }
}

/* ---- Launches -------------------------------------------------------------------- */

/* Tiles of ROWS rows in all. */
template <int EP> size_t bytes_of(int rows)
{
    return (size_t)rows * pitch<EP>::value * sizeof(bf16);
}

template <int EP, int NT, int MT, int WARPS, int BLOCKS, template <int> class Rows>
void launch_forward(struct dev_stream *s, const attention &a)
{
    enum { OWN = 16 * MT * WARPS };

    launch_attention(s, forward<EP, NT, MT, WARPS, BLOCKS, Rows>,
                     a.B * a.H * blocks_for(a.Nq, OWN), WARPS * LANES_OF_WARP,
                     bytes_of<EP>(OWN + 2 * STAGES * NT), a);
}

template <int EP, int NT, int MT, int WARPS, int BLOCKS>
void launch_queries(struct dev_stream *s, const attention &a)
{
    enum { OWN = 16 * MT * WARPS };

    launch_attention(s, back_queries<EP, NT, MT, WARPS, BLOCKS>,
                     a.B * a.H * blocks_for(a.Nq, OWN), WARPS * LANES_OF_WARP,
                     bytes_of<EP>(2 * OWN + 2 * STAGES * NT), a);
}

template <int EP, int NT, int MT, int WARPS, int BLOCKS, int WHAT>
void launch_keys(struct dev_stream *s, const attention &a)
{
    enum { OWN = 16 * MT * WARPS };

    launch_attention(s, back_keys<EP, NT, MT, WARPS, BLOCKS, WHAT>,
                     a.B * a.H * blocks_for(a.Nk, OWN), WARPS * LANES_OF_WARP,
                     bytes_of<EP>(2 * OWN + 2 * STAGES * NT), a);
}

/* Which tiles suit which heads was measured on an H200, images of 256 tokens:
 *
 *   head       72     88    128
 *   forward   186    186    231   TFLOP/s
 *   backward  135    132    154   counted as 10 B H Nq Nk E, of 14 that are done
 *
 * but for queries of heads of 128, where 64 and 1 were measured.  With 32 and 2 a warp
 * reads 5/7 as much of shared memory, which is what those kernels are short of; a
 * device that times what can be done in several ways takes the faster one.  Both leave
 * the same bits.
 *
 * Of pooling's one query a head, FEW rows are made, by one warp, so that four blocks or
 * more read keys and values at a time and wait for memory, not for products of zeros.
 * Heads of less than 64 are of models too small to be worth more kernels.
 */
enum { FEW = 16 };

template <int EP> constexpr bool has_few = EP >= 64 && EP <= 128;

template <int EP> void forward_of(struct dev_stream *s, const attention &a)
{
    if constexpr (has_few<EP>)
        if (a.Nq <= FEW)
            return launch_forward<EP, 32, 1, 1, 1, rows_in_memory>(s, a);
    if constexpr (EP <= 64)
        launch_forward<EP, 64, 1, 4, 4, rows_in_registers>(s, a);
    else if constexpr (EP <= 128)
        launch_forward<EP, 64, 2, 4, 2, rows_in_memory>(s, a);
    else
        launch_forward<EP, 32, 1, 4, 1, rows_in_memory>(s, a);
}

/* By tiles of 32 keys (way 0) or of 64. */
template <int EP> bool queries_in_way(struct dev_stream *s, void *ctx, int way)
{
    const attention &a = *(const attention *)ctx;

    if (way == 0)
        launch_queries<EP, 32, 2, 4, 2>(s, a);
    else
        launch_queries<EP, 64, 1, 4, 2>(s, a);
    return true;
}

template <int EP> void choose_queries(struct dev_stream *s, attention a)
{
    struct dev_choice what = {};

    what.ways        = 2;
    what.way_name[0] = "32 keys";
    what.way_name[1] = "64 keys";
    snprintf(what.name, sizeof what.name, "attention dq %lldx%lldx%lld x%lld",
             (long long)(a.B * a.H), (long long)a.Nq, (long long)a.E, (long long)a.Nk);
    queries_in_way<EP>(s, &a, cuda_choose(s, &what, queries_in_way<EP>, &a));
}

template <int EP> void backward_of(struct dev_stream *s, const attention &a)
{
    if constexpr (has_few<EP>)
        if (a.Nq <= FEW) {
            launch_queries<EP, 32, 1, 1, 1>(s, a);
            launch_keys<EP, 16, 1, 4, 2, OF_KEYS | OF_VALUES>(s, a);
            return;
        }
    if constexpr (EP <= 64) {
        launch_queries<EP, 32, 2, 4, 3>(s, a);
        launch_keys<EP, 64, 1, 4, 3, OF_KEYS | OF_VALUES>(s, a);
    } else if constexpr (EP <= 72) {
        launch_queries<EP, 32, 2, 2, 4>(s, a);
        launch_keys<EP, 64, 1, 4, 3, OF_KEYS | OF_VALUES>(s, a);
    } else if constexpr (EP <= 128) {
        choose_queries<EP>(s, a);
        launch_keys<EP, 64, 1, 4, 2, OF_KEYS | OF_VALUES>(s, a);
    } else {
        launch_queries<EP, 32, 1, 4, 1>(s, a);
        launch_keys<EP, 32, 1, 4, 1, OF_KEYS>(s, a);
        launch_keys<EP, 32, 1, 4, 1, OF_VALUES>(s, a);
    }
}

template <class Of> void of_head(const attention &a, const Of &of)
{
    of_width<32, 48, 64, 72, 80, 88, 96, 128, 256>(a, of);
}

} /* namespace */

void attn_forward_bf16(struct dev_stream *s, const attention &a)
{
    of_head(a, [&](auto width) { forward_of<width.value>(s, a); });
}

void attn_backward_bf16(struct dev_stream *s, const attention &a)
{
    of_head(a, [&](auto width) { backward_of<width.value>(s, a); });
}
