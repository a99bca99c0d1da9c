/* SPDX-License-Identifier: BSD-3-Clause */
/* Transposes of matrices that are in cache, a part of cpu_kernels_real.h, which see;
 * after cpu_tile_real.h, whose vectors these are.  A factor of 1 moves bits and no
 * numbers, so that words of another kind can be turned too.
 *
Squares of WIDTH x WIDTH in registers: rows i and i + WIDTH / 2 are merged element by
 * element into rows 2 i and 2 i + 1, and so on log2(WIDTH) times.
 */
#define LOW_2   0, 2
#define HIGH_2  1, 3
#define LOW_4   0, 4, 1, 5
#define HIGH_4  2, 6, 3, 7
#define LOW_8   0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_8  4, 12, 5, 13, 6, 14, 7, 15
#define LOW_16  0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_16 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31

#define MERGE_(a, b, ...)     __builtin_shufflevector(a, b, __VA_ARGS__)
#define MERGE(a, b, elements) MERGE_(a, b, elements)

#ifdef HAVE_SHUFFLEVECTOR
static inline __attribute__((always_inline)) void OF(merge_rows)(VEC *x)
{
    VEC to[WIDTH];

    UNROLL for (int i = 0; i < WIDTH / 2; i++)
    {
        to[2 * i]     = MERGE(x[i], x[i + WIDTH / 2], JOIN(LOW, WIDTH));
        to[2 * i + 1] = MERGE(x[i], x[i + WIDTH / 2], JOIN(HIGH, WIDTH));
    }
    UNROLL for (int i = 0; i < WIDTH; i++) x[i] = to[i];
}

static inline __attribute__((always_inline)) void
OF(transpose_square)(REAL *y, int64_t ldy, const REAL *x, int64_t ldx, REAL factor)
{
    VEC in[WIDTH];

    UNROLL for (int i = 0; i < WIDTH; i++) in[i] = *(const VEC *)(x + i * ldx);
    OF(merge_rows)(in);
    if (WIDTH > 2)
        OF(merge_rows)(in);
    if (WIDTH > 4)
        OF(merge_rows)(in);
    if (WIDTH > 8)
        OF(merge_rows)(in);
    if (factor != 1)
        UNROLL for (int i = 0; i < WIDTH; i++) in[i] *= factor;
    UNROLL for (int i = 0; i < WIDTH; i++) * (VEC *)(y + i * ldy) = in[i];
}
#else
static void OF(transpose_square)(REAL *y, int64_t ldy, const REAL *x, int64_t ldx,
                                 REAL factor)
{
    for (int c = 0; c < WIDTH; c++)
        for (int r = 0; r < WIDTH; r++)
            y[c * ldy + r] = factor != 1 ? factor * x[r * ldx + c] : x[r * ldx + c];
}
#endif

static void OF(transpose)(REAL *y, int64_t ldy, const REAL *x, int64_t ldx,
                          int64_t rows, int64_t cols, REAL factor)
{
    for (int64_t r = 0; r < rows; r += WIDTH)
        for (int64_t c = 0; c < cols; c += WIDTH)
            OF(transpose_square)(y + c * ldy + r, ldy, x + r * ldx + c, ldx, factor);
}

#undef LOW_2
#undef LOW_4
#undef LOW_8
#undef LOW_16
#undef HIGH_2
#undef HIGH_4
#undef HIGH_8
#undef HIGH_16
#undef MERGE
#undef MERGE_
