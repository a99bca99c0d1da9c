/* SPDX-License-Identifier: BSD-3-Clause */
/* The loops of struct kernels_bf16 (cpu_kernels.h) for one set of instructions:
 * who includes this defines KERNELS and what cpu_tile_real.h asks for, and DOTS
 * where the processor multiplies pairs of bf16 numbers and rounds to them
 * (AVX512-BF16); elsewhere both are done in f32 and integers, with the same
 * roundings of what is stored.
 *
 * Rows are read and written in whole vectors.
 */
#define FORMAT bf16

typedef float VF __attribute__((vector_size(4 * TILE_WIDTH_f32), may_alias));
typedef uint32_t VW __attribute__((vector_size(4 * TILE_WIDTH_f32), may_alias));
typedef int32_t VI __attribute__((vector_size(4 * TILE_WIDTH_f32), may_alias));
typedef uint16_t VH __attribute__((vector_size(2 * TILE_WIDTH_f32), may_alias));

/* ---- What processors differ in --------------------------------------------------- */

#ifdef DOTS

/* sum + the products of the low and of the high halves. */
static inline VF add_pairs(VF sum, uint32_t a, VW b)
{
    return (VF)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32((int)a),
                                (__m512bh)b);
}

/* Words of 'lo' and 'hi', rounded. */
static inline VW pairs_of(VF lo, VF hi)
{
    static const uint16_t place[32]
        __attribute__((aligned(64))) = { 0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                         21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                         11, 27, 12, 28, 13, 29, 14, 30, 15, 31 };
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)hi, (__m512)lo);

    return (VW)_mm512_permutexvar_epi16(_mm512_load_si512(place), both);
}

static inline VH halves_of(VF x)
{
    return (VH)_mm512_cvtneps_pbh((__m512)x);
}

#else

static inline VF add_pairs(VF sum, uint32_t a, VW b)
{
    const VW both = (VW){ 0 } + a;

    sum += (VF)(both & 0xffff0000u) * (VF)(b & 0xffff0000u);
    return sum + (VF)(both << 16) * (VF)(b << 16);
}

/* The upper halves are the numbers, to nearest even; NaN stays NaN. */
static inline VW rounded(VF x)
{
    const VW bits = (VW)x, is_nan = (VW)(x != x);

    return ((bits + 0x7fff + (bits >> 16 & 1)) & ~is_nan) |
           ((bits | 0x400000) & is_nan);
}

static inline VW pairs_of(VF lo, VF hi)
{
    return rounded(lo) >> 16 | (rounded(hi) & 0xffff0000u);
}

static inline VH halves_of(VF x)
{
    return __builtin_convertvector(rounded(x) >> 16, VH);
}

#endif

#include "src/dev/cpu_tile_real.h"

/* ---- Pairs of rows --------------------------------------------------------------- */

/* Rows are far apart, so that no processor foresees which comes next. */
static void zip(uint32_t *restrict y, int64_t ldy, const uint16_t *restrict x,
                int64_t ldx, int64_t rows, int64_t cols)
{
    enum { ROWS_AHEAD = 16 };

    for (int64_t r = 0; r + 2 <= rows; r += 2, y += ldy) {
        const uint16_t *lo = x + r * ldx, *hi = lo + ldx;

        for (int64_t i = 0; i < (r + ROWS_AHEAD + 2 <= rows ? cols : 0); i += 32) {
            __builtin_prefetch(lo + ROWS_AHEAD * ldx + i);
            __builtin_prefetch(hi + ROWS_AHEAD * ldx + i);
        }
#pragma omp simd
        for (int64_t i = 0; i < cols; i++)
            y[i] = lo[i] | (uint32_t)hi[i] << 16;
    }
    if (rows % 2 != 0) {
#pragma omp simd
        for (int64_t i = 0; i < cols; i++)
            y[i] = x[(rows - 1) * ldx + i];
    }
}

/* ---- Rows of attention ----------------------------------------------------------- */

static inline VF either(VI which, VF a, VF b)
{
    return (VF)(((VI)a & which) | ((VI)b & ~which));
}

/* exp(x) to 2e-7 of itself for x <= 0, as exponential_f32() does it, with the
 * polynomial of degree 5 that has the least relative error; NaN stays NaN.
 */
static inline VF exponential_bf16(VF x)
{
    const VF low = (VF){ 0 } - 87.0f;
    VF i, n, r, sum;

    x = either(x < low, low, x);
    i = x * 1.44269504f + MAGIC;
    n = i - MAGIC;
    r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;

    sum = r * 8.290272112e-03f + 4.189815962e-02f;
    sum = sum * r + 1.666763813e-01f;
    sum = sum * r + 4.999914784e-01f;
    sum = sum * r + 9.999997063e-01f;
    sum = sum * r + 1.0f;
    return sum * (VF)(((VW)i + 127) << 23);
}

/* What is beyond 'n' in the last vector gets no weight. */
static inline void cut_off(float *x, int64_t n)
{
    for (; n % TILE_WIDTH_f32 != 0; n++)
        x[n] = -INFINITY;
}

static float largest_bf16(const float *x, int64_t n)
{
    const VF none = (VF){ 0 } - INFINITY;
    VF most[4]    = { none, none, none, none };
    float all     = -INFINITY;

    for (int64_t i = 0; i < n; i += 4 * TILE_WIDTH_f32)
        for (int l = 0; l < 4 && i + l * TILE_WIDTH_f32 < n; l++) {
            const VF next = *(const VF *)(x + i + l * TILE_WIDTH_f32);

            most[l] = either(next > most[l], next, most[l]);
        }
    for (int l = 0; l < 4; l++)
        for (int j = 0; j < TILE_WIDTH_f32; j++)
            all = most[l][j] > all ? most[l][j] : all;
    return all;
}

static void softmax_bf16(uint16_t *p, float *x, float *part, float factor, int64_t n)
{
    VF sum = { 0 };
    float most, total = 0;

    cut_off(x, n);
    most = factor * largest_bf16(x, n);
    for (int64_t i = 0; i < n; i += TILE_WIDTH_f32) {
        const VF e = exponential_bf16(*(const VF *)(x + i) * factor - most);

        *(VH *)(p + i) = halves_of(e);
        sum += e;
    }
    for (int j = 0; j < TILE_WIDTH_f32; j++)
        total += sum[j];
    part[0] = most;
    part[1] = total;
}

static void softmax_back_bf16(uint32_t *p, uint32_t *dx, uint16_t *d_row, float *x,
                              const float *d, int64_t ld, const float *part,
                              const float *delta, float factor, int64_t n)
{
    const float share[2] = { 1 / part[1], 1 / part[3] };

    cut_off(x, n);
    cut_off(x + ld, n);
    for (int64_t i = 0; i < n; i += TILE_WIDTH_f32) {
        VF weight[2], slope[2];

        UNROLL for (int r = 0; r < 2; r++)
        {
            const VF logit = *(const VF *)(x + r * ld + i) * factor;

            weight[r] = exponential_bf16(logit - part[2 * r]) * share[r];
            slope[r]  = factor * weight[r] * (*(const VF *)(d + r * ld + i) - delta[r]);
            *(VH *)(d_row + r * ld + i) = halves_of(slope[r]);
        }
        *(VW *)(p + i)  = pairs_of(weight[0], weight[1]);
        *(VW *)(dx + i) = pairs_of(slope[0], slope[1]);
    }
}

const struct kernels_bf16 JOIN(KERNELS, bf16) = {
    .product      = product_bf16,
    .zip          = zip,
    .softmax      = softmax_bf16,
    .softmax_back = softmax_back_bf16,
};

#undef FORMAT
