/* SPDX-License-Identifier: BSD-3-Clause */
/* Products of matrices that are in cache, for attention, once for each set of
 * instructions and number format; who includes this defines FORMAT, and TILE_WIDTH_f32
 * and _f64, the elements of a vector, and TILE_VECTORS, 2 or 4.
 *
 * A tile of the result, TILE_ROWS rows of up to TILE_VECTORS vectors, stays in registers
 * while the products are added: for every step of the depth a row of 'b' is loaded and
 * each element of 'a' meets it.  With 24 (or 12) sums under way the multiply-add units
 * never wait, and loads are fewer than multiply-adds.  All rows of 'b' and 'y' start at
 * whole vectors, and are as long as their leading dimension says: so there are no edges.
 */
#include "src/dev/cpu_real.h"

#define WIDTH      JOIN(TILE_WIDTH, FORMAT)
#define VEC        OF(tile_vec)
#define TILE_BYTES (JOIN(TILE_WIDTH, FORMAT) * sizeof(REAL))

typedef REAL VEC __attribute__((vector_size(TILE_BYTES), may_alias));

/* y [rows, vectors] = or += a b, with constants for 'rows' and 'vectors'. */
static inline __attribute__((always_inline)) void
OF(tile)(REAL *y, int64_t ldy, const REAL *a, int64_t row, int64_t step, const REAL *b,
         int64_t ldb, int64_t depth, bool is_added, const int rows, const int vectors)
{
    VEC sum[6][4];

    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++)
        sum[r][v] = is_added ? ((const VEC *)(y + r * ldy))[v] : (VEC){ 0 };
    for (int64_t k = 0; k < depth; k++) {
        VEC along[4];

        UNROLL for (int v = 0; v < vectors; v++) along[v] = ((const VEC *)b)[v];
        UNROLL for (int r = 0; r < rows; r++)
        {
            const REAL factor = a[r * row];

            UNROLL for (int v = 0; v < vectors; v++) sum[r][v] += factor * along[v];
        }
        a += step;
        b += ldb;
    }
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < vectors; v++)((VEC *)(y + r * ldy))[v] = sum[r][v];
}

/* A column of tiles: the part of 'b' stays in the nearest cache. */
static inline __attribute__((always_inline)) void
OF(tiles)(REAL *y, int64_t ldy, const REAL *a, int64_t row, int64_t step, const REAL *b,
          int64_t ldb, int64_t rows, int64_t depth, bool is_added, const int vectors)
{
    int64_t r = 0;

    for (; r + 6 <= rows; r += 6)
        OF(tile)
    (y + r * ldy, ldy, a + r * row, row, step, b, ldb, depth, is_added, 6, vectors);
    for (; r < rows; r++)
        OF(tile)
    (y + r * ldy, ldy, a + r * row, row, step, b, ldb, depth, is_added, 1, vectors);
}

static void OF(product)(REAL *y, int64_t ldy, const REAL *a, int64_t row, int64_t step,
                        const REAL *b, int64_t ldb, int64_t rows, int64_t cols,
                        int64_t depth, bool is_added)
{
    int64_t left = (cols + WIDTH - 1) / WIDTH;

    while (left > 0) {
        int vectors = left < TILE_VECTORS ? (int)left : TILE_VECTORS;

        if (TILE_VECTORS == 4 && left == 5)
            vectors = 3; /* and then 2: one alone leaves the units waiting */
        if (vectors == 1)
            OF(tiles)(y, ldy, a, row, step, b, ldb, rows, depth, is_added, 1);
        else if (vectors == 2)
            OF(tiles)(y, ldy, a, row, step, b, ldb, rows, depth, is_added, 2);
        else if (TILE_VECTORS == 4 && vectors == 3)
            OF(tiles)(y, ldy, a, row, step, b, ldb, rows, depth, is_added, 3);
        else if (TILE_VECTORS == 4)
            OF(tiles)(y, ldy, a, row, step, b, ldb, rows, depth, is_added, 4);
        y += vectors * WIDTH;
        b += vectors * WIDTH;
        left -= vectors;
    }
}

/* ---- Transposes -------------------------------------------------------------------- */

/* Squares of WIDTH x WIDTH in registers: rows i and i + WIDTH / 2 are merged element by
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
    UNROLL for (int i = 0; i < WIDTH; i++) * (VEC *)(y + i * ldy) = factor * in[i];
}
#else
static void OF(transpose_square)(REAL *y, int64_t ldy, const REAL *x, int64_t ldx,
                                 REAL factor)
{
    for (int c = 0; c < WIDTH; c++)
        for (int r = 0; r < WIDTH; r++)
            y[c * ldy + r] = factor * x[r * ldx + c];
}
#endif

static void OF(transpose)(REAL *y, int64_t ldy, const REAL *x, int64_t ldx,
                          int64_t rows, int64_t cols, REAL factor)
{
    for (int64_t r = 0; r < rows; r += WIDTH)
        for (int64_t c = 0; c < cols; c += WIDTH)
            OF(transpose_square)(y + c * ldy + r, ldy, x + r * ldx + c, ldx, factor);
}

#undef WIDTH
#undef VEC
#undef TILE_BYTES
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
