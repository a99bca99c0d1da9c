/* SPDX-License-Identifier: BSD-3-Clause */
/* Norms of whole rows: what a rank does that has all columns.  A row is read once.  It
 * lies in the registers of a team of 1 to 16 warps, K times 8 columns in each thread,
 * while the team forms its sums.
 *
 *   forward    reads x, writes y
 *   backward   reads dy and x (and dx, if it adds), writes dx; sums over rows stay in
 *              registers for a strip of rows, and the strips are added in order
 *
 * Rows that no team can hold, or of elements that lie unevenly, go by the steps.
 */
#include "config.h"

#include "src/dev/cuda_math.h"
#include "src/dev/cuda_view.cuh"

namespace {

enum {
    MOST_WARPS  = 16, /* of a team */
    BLOCK_WARPS = 8,  /* of a block, of one team or of several */
    MOST_BLOCK  = MOST_WARPS * LANES_OF_WARP,
    STRIPS      = 264 /* two blocks on each of 132 multiprocessors */
};

/* Of a row: how many warps hold it, and how many times eight columns
 * each thread has.
 */
struct team {
    int warps, K;
};

/* The smallest team that holds 'cols' columns, at most 'most' times
 * eight in a thread.
 */
team team_for(int64_t cols, int most)
{
    const int64_t eights = cols / WIDE;
    team t               = { 1, 0 };

    while (t.warps * LANES_OF_WARP * most < eights && t.warps < MOST_WARPS)
        t.warps *= 2;
    t.K = (int)blocks_for(eights, t.warps * LANES_OF_WARP);
    return t;
}

dim3 block_of(team t)
{
    return dim3(LANES_OF_WARP, (unsigned)t.warps,
                (unsigned)(t.warps < BLOCK_WARPS ? BLOCK_WARPS / t.warps : 1));
}

__device__ __forceinline__ int lane_of_team()
{
    return (int)(threadIdx.y * LANES_OF_WARP + threadIdx.x);
}

/* The first of the eight columns that a thread has k-th. */
__device__ __forceinline__ int column_of(int k)
{
    return (int)(k * blockDim.y * LANES_OF_WARP + lane_of_team()) * WIDE;
}

/* In every thread of a team the sums over it.  Every thread of the block comes here;
 * 'turn' alternates between 0 and 1 from one call to the next, so that none overwrites
 * what others still read.
 */
template <int N> __device__ __forceinline__ void team_sum(float (&sum)[N], int turn)
{
    __shared__ float room[2][MOST_WARPS][N];

#pragma unroll
    for (int i = 0; i < N; i++)
        sum[i] = warp_sum(sum[i]);
    if (blockDim.y == 1)
        return;
    if (threadIdx.x == 0)
#pragma unroll
        for (int i = 0; i < N; i++)
            room[turn][threadIdx.z * blockDim.y + threadIdx.y][i] = sum[i];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < N; i++) {
        sum[i] = 0.0F;
        for (unsigned w = 0; w < blockDim.y; w++)
            sum[i] += room[turn][threadIdx.z * blockDim.y + w][i];
    }
}

/* A thread's part of row 'r'; zeros where there is none. */
template <bool IS_BF16, int K>
__device__ __forceinline__ void fetch_row(eight<IS_BF16> (&e)[K], view a, int64_t r,
                                          bool is_there)
{
#pragma unroll
    for (int k = 0; k < K; k++) {
        e[k] = {};
        if (is_there && column_of(k) < a.cols)
            fetch(e[k], a, r * a.ld + column_of(k));
    }
}

/* ---- Forward --------------------------------------------------------------------- */

struct forth {
    view y, stat, x, scale, bias;
    int kind;
    bool is_known; /* 'stat' is read, not found */
};

/* Mean and rstd of a row. */
template <bool IS_BF16, int K>
__device__ __forceinline__ void find_stat(float *mean, float *rstd,
                                          const eight<IS_BF16> (&e)[K], forth f)
{
    const float C = (float)f.x.cols;
    float v[WIDE], sum[1] = {};

    *mean = 0.0F;
    if (f.kind == NORM_LAYER) {
#pragma unroll
        for (int k = 0; k < K; k++) {
            unpack(v, e[k]);
#pragma unroll
            for (int i = 0; i < WIDE; i++)
                sum[0] += v[i];
        }
        team_sum(sum, 0);
        *mean  = sum[0] / C;
        sum[0] = 0.0F;
    }
#pragma unroll
    for (int k = 0; k < K; k++) {
        unpack(v, e[k]);
#pragma unroll
        for (int i = 0; i < WIDE && column_of(k) < f.x.cols; i++)
            sum[0] += (v[i] - *mean) * (v[i] - *mean);
    }
    team_sum(sum, 1);
    *rstd = math_rstd(sum[0], C);
}

template <bool IS_BF16, int K>
__global__ void __launch_bounds__(MOST_BLOCK) whole(forth f)
{
    const int64_t r     = (int64_t)blockIdx.x * blockDim.z + threadIdx.z;
    const bool is_there = r < f.x.rows;
    eight<IS_BF16> e[K];
    float mean = 0.0F, rstd = 0.0F, v[WIDE], w[WIDE], b[WIDE] = {};

    fetch_row(e, f.x, r, is_there);
    if (!f.is_known)
        find_stat(&mean, &rstd, e, f);
    if (!is_there)
        return;
    if (f.is_known) {
        mean = get_one<float>(f.stat, r * f.stat.ld);
        rstd = get_one<float>(f.stat, r * f.stat.ld + 1);
    } else if (lane_of_team() == 0) {
        put_one<float>(f.stat, r * f.stat.ld, mean);
        put_one<float>(f.stat, r * f.stat.ld + 1, rstd);
    }
#pragma unroll
    for (int k = 0; k < K; k++) {
        const int c = column_of(k);

        if (c >= f.x.cols)
            break;
        unpack(v, e[k]);
        get_eight(w, f.scale, c);
        if (f.bias.at != NULL)
            get_eight(b, f.bias, c);
#pragma unroll
        for (int i = 0; i < WIDE; i++)
            v[i] = (v[i] - mean) * rstd * w[i] + b[i];
        put_eight(f.y, r * f.y.ld + c, v);
    }
}

/* ---- Backward -------------------------------------------------------------------- */

struct back {
    view dx, dy, x, stat, scale;
    int kind;
    bool is_dx_added;
    int64_t strip; /* rows */
};

/* What the teams of a block have found for dscale (0) and dbias (1) of their columns,
 * to partial [strips, 2 cols].
 */
template <int K>
__device__ void leave_sums(float *partial, const float (&sum)[2][K][WIDE], int64_t cols)
{
    __shared__ float room[BLOCK_WARPS * LANES_OF_WARP][WIDE + 1];
    const int team = (int)blockDim.y * LANES_OF_WARP, lane = lane_of_team();

#pragma unroll
    for (int which = 0; which < 2; which++) {
#pragma unroll
        for (int k = 0; k < K; k++) {
            const int c = column_of(k);
            float *to   = partial + (2 * (int64_t)blockIdx.x + which) * cols + c;

            __syncthreads();
            if (threadIdx.z > 0)
#pragma unroll
                for (int i = 0; i < WIDE; i++)
                    room[threadIdx.z * team + lane][i] = sum[which][k][i];
            __syncthreads();
            if (threadIdx.z > 0 || c >= cols)
                continue;
#pragma unroll
            for (int i = 0; i < WIDE; i++) {
                float all = sum[which][k][i];

                for (unsigned z = 1; z < blockDim.z; z++)
                    all += room[z * team + lane][i];
                to[i] = all;
            }
        }
    }
}

template <bool IS_BF16, int K>
__global__ void __launch_bounds__(MOST_BLOCK) whole_back(float *partial, back b)
{
    const int64_t lo = blockIdx.x * b.strip, hi = min(lo + b.strip, b.x.rows);
    const float by_C      = 1.0F / (float)b.x.cols;
    float sum[2][K][WIDE] = {}, d[WIDE], v[WIDE], w[WIDE];
    int turn              = 0;

    for (int64_t first = lo; first < hi; first += blockDim.z, turn ^= 1) {
        const int64_t r     = first + threadIdx.z;
        const bool is_there = r < hi;
        eight<IS_BF16> dy[K], x[K], old[K];
        float mean = 0.0F, rstd = 0.0F, of[2] = {};

        fetch_row(dy, b.dy, r, is_there);
        fetch_row(x, b.x, r, is_there);
        fetch_row(old, b.dx, r, is_there && b.is_dx_added);
        if (is_there) {
            mean = get_one<float>(b.stat, r * b.stat.ld);
            rstd = get_one<float>(b.stat, r * b.stat.ld + 1);
        }
#pragma unroll
        for (int k = 0; k < K; k++) {
            if (column_of(k) >= b.x.cols)
                break;
            unpack(d, dy[k]);
            unpack(v, x[k]);
            get_eight(w, b.scale, column_of(k));
#pragma unroll
            for (int i = 0; i < WIDE; i++) {
                const float xhat = (v[i] - mean) * rstd;

                sum[0][k][i] += d[i] * xhat;
                sum[1][k][i] += d[i];
                of[0] += d[i] * w[i];
                of[1] += d[i] * w[i] * xhat;
            }
        }
        team_sum(of, turn);
        if (b.kind == NORM_RMS)
            of[0] = 0.0F;
#pragma unroll
        for (int k = 0; k < K; k++) {
            const int c = column_of(k);
            float was[WIDE];

            if (!is_there || c >= b.x.cols)
                break;
            unpack(d, dy[k]);
            unpack(v, x[k]);
            unpack(was, old[k]);
            get_eight(w, b.scale, c);
#pragma unroll
            for (int i = 0; i < WIDE; i++) {
                const float xhat = (v[i] - mean) * rstd;

                v[i] = was[i] + rstd * (d[i] * w[i] - (of[0] + xhat * of[1]) * by_C);
            }
            put_eight(b.dx, r * b.dx.ld + c, v);
        }
    }
    leave_sums(partial, sum, b.x.cols);
}

/* ---- Launches -------------------------------------------------------------------- */

/* How many times eight columns a thread may have: the registers of 512 threads are 128
 * for each.
 */
enum { MOST_BF16 = 3, MOST_F32 = 2 };

/* Whether teams can hold the rows of x, and 'others' lie like it. */
bool is_for_teams(team *t, view x, const view *others, int count)
{
    const int most = x.type == DTYPE_BF16 ? MOST_BF16 : MOST_F32;
    bool is_fit    = is_wide(x) && x.cols > 0;

    for (int i = 0; i < count; i++)
        is_fit &= is_wide(others[i]) && others[i].type == x.type;
    *t = team_for(x.cols, most);
    return is_fit && t->K <= most;
}

template <bool IS_BF16, int K> void start_whole(struct dev_stream *s, team t, forth f)
{
    const dim3 block = block_of(t);

    launch(s, "whole", whole<IS_BF16, K>, (unsigned)blocks_for(f.x.rows, block.z),
           block, 0, f);
}

void launch_whole(struct dev_stream *s, team t, forth f)
{
    const bool is_bf16 = f.x.type == DTYPE_BF16;

    if (t.K == 3)
        start_whole<true, 3>(s, t, f);
    else if (t.K == 2)
        is_bf16 ? start_whole<true, 2>(s, t, f) : start_whole<false, 2>(s, t, f);
    else
        is_bf16 ? start_whole<true, 1>(s, t, f) : start_whole<false, 1>(s, t, f);
}

template <bool IS_BF16, int K>
void start_back(struct dev_stream *s, team t, float *partial, int64_t strips, back b)
{
    launch(s, "whole_back", whole_back<IS_BF16, K>, (unsigned)strips, block_of(t), 0,
           partial, b);
}

void launch_back(struct dev_stream *s, team t, float *partial, int64_t strips, back b)
{
    const bool is_bf16 = b.x.type == DTYPE_BF16;

    if (t.K == 3)
        start_back<true, 3>(s, t, partial, strips, b);
    else if (t.K == 2)
        is_bf16 ? start_back<true, 2>(s, t, partial, strips, b)
                : start_back<false, 2>(s, t, partial, strips, b);
    else
        is_bf16 ? start_back<true, 1>(s, t, partial, strips, b)
                : start_back<false, 1>(s, t, partial, strips, b);
}

} /* namespace */

bool cuda_norm_rows(struct dev_stream *s, struct mat y, struct mat stat, struct mat x,
                    struct mat scale, struct mat bias, enum norm_kind k, bool is_known)
{
    forth f = { view_of(y), view_of(stat), view_of(x), view_of(scale), view_of(bias),
                k,          is_known };
    team t;

    if (!is_for_teams(&t, f.x, &f.y, 1) || !is_wide(f.scale) || !is_wide(f.bias))
        return false;
    if (f.x.rows > 0)
        launch_whole(s, t, f);
    return true;
}

void cuda_norm_whole(struct dev_stream *s, struct mat y, struct mat stat,
                     struct mat part, struct mat x, struct mat scale, struct mat bias,
                     enum norm_kind k)
{
    if (cuda_norm_rows(s, y, stat, x, scale, bias, k, false))
        return;
    cuda_norm_moments(s, part, x, k);
    cuda_norm_merge(s, stat, part, 1, &x.cols, k);
    cuda_norm_apply(s, y, x, stat, scale, bias);
}

void cuda_norm_whole_backward(struct dev_stream *s, struct mat dx, bool is_dx_added,
                              struct mat dscale, struct mat dbias, bool is_added,
                              struct mat dy, struct mat x, struct mat stat,
                              struct mat scale, struct mat part, enum norm_kind k)
{
    back b              = { view_of(dx),    view_of(dy), view_of(x),  view_of(stat),
                            view_of(scale), k,           is_dx_added, 0 };
    const view others[] = { b.dx, b.dy };
    team t;

    if (!is_for_teams(&t, b.x, others, 2) || !is_wide(b.scale)) {
        cuda_norm_backward_moments(s, part, dy, x, stat, scale, k);
        cuda_norm_backward(s, dx, is_dx_added, dscale, dbias, is_added, dy, x, stat,
                           scale, part, 1, x.cols, k);
        return;
    }
    const int64_t teams = block_of(t).z;

    b.strip = blocks_for(blocks_for(x.rows, STRIPS), teams) * teams;

    const int64_t strips = x.rows > 0 ? blocks_for(x.rows, b.strip) : 0;
    float *partial =
        (float *)cuda_work(s, (size_t)(2 * strips * x.cols + 1) * sizeof *partial);

    if (strips > 0)
        launch_back(s, t, partial, strips, b);
    cuda_sum_strips(s, dscale, dbias, partial, strips, 2 * x.cols, is_added);
}
