/* SPDX-License-Identifier: BSD-3-Clause */
/* Products of matrices that are in cache, for attention, once for each set of
 * instructions and number format; who includes this defines FORMAT, and TILE_WIDTH_f32
 * and _f64, the elements of a vector, and TILE_VECTORS, 2 or 4.  In format bf16 what is
 * multiplied are pairs of numbers along the depth, two in a word, and sums are f32.
 *
 * A tile of the result, TILE_ROWS rows of up to TILE_VECTORS vectors, stays in
 * registers while the products are added: for every step of the depth a row of 'b' is
 * loaded and each element of 'a' meets it.  With 24 (or 12) sums under way the
 * multiply-add units never wait, and loads are fewer than multiply-adds.  All rows of
 * 'b' and 'y' start at whole vectors, and are as long as their leading dimension says:
 * so there are no edges.
 */
#include "src/dev/cpu_real.h"

#define WIDTH      JOIN(TILE_WIDTH, FORMAT)
#define VEC        OF(tile_vec)
#define FACTORS    OF(tile_factors)
#define TILE_BYTES (JOIN(TILE_WIDTH, FORMAT) * sizeof(REAL))

#define TILE_WIDTH_bf16 TILE_WIDTH_f32

#define FACTOR_f64  double
#define FACTOR_f32  float
#define FACTOR_bf16 uint32_t
#define FACTOR      JOIN(FACTOR, FORMAT)

#define ADD_PRODUCT_f64(sum, a, b)  (sum) += (a) * (b)
#define ADD_PRODUCT_f32(sum, a, b)  (sum) += (a) * (b)
#define ADD_PRODUCT_bf16(sum, a, b) (sum) = add_pairs(sum, a, b)
#define ADD_PRODUCT                 JOIN(ADD_PRODUCT, FORMAT)

/* Steps of the depth; 'a' may come from memory, at two bytes a cycle. */
#define STEPS_AHEAD 96

typedef REAL VEC __attribute__((vector_size(TILE_BYTES), may_alias));
typedef FACTOR FACTORS __attribute__((vector_size(TILE_BYTES), may_alias));

/* y [rows, vectors] = or += a b, with constants for 'rows' and 'vectors'. */
static inline __attribute__((always_inline)) void
OF(tile)(REAL *y, int64_t ldy, const FACTOR *a, int64_t row, int64_t step,
         const FACTOR *b, int64_t ldb, int64_t depth, bool is_added, const int rows,
         const int vectors)
{
    VEC sum[6][4];

    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++)
        sum[r][v] = is_added ? ((const VEC *)(y + r * ldy))[v] : (VEC){ 0 };
    for (int64_t k = 0; k < depth; k++) {
        FACTORS along[4];

        __builtin_prefetch(a + STEPS_AHEAD * step);
        UNROLL for (int v = 0; v < vectors; v++) along[v] = ((const FACTORS *)b)[v];
        UNROLL for (int r = 0; r < rows; r++)
        {
            const FACTOR factor = a[r * row];

            UNROLL for (int v = 0; v < vectors; v++)
                ADD_PRODUCT(sum[r][v], factor, along[v]);
        }
        a += step;
        b += ldb;
    }
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < vectors; v++)((VEC *)(y + r * ldy))[v] = sum[r][v];
}

/* A column of tiles: the part of 'b' stays in the nearest cache. */
static inline __attribute__((always_inline)) void
OF(tiles)(REAL *y, int64_t ldy, const FACTOR *a, int64_t row, int64_t step,
          const FACTOR *b, int64_t ldb, int64_t rows, int64_t depth, bool is_added,
          const int vectors)
{
    int64_t r = 0;

    for (; r + 6 <= rows; r += 6)
        OF(tile)
    (y + r * ldy, ldy, a + r * row, row, step, b, ldb, depth, is_added, 6, vectors);
    for (; r + 4 <= rows; r += 4)
        OF(tile)
    (y + r * ldy, ldy, a + r * row, row, step, b, ldb, depth, is_added, 4, vectors);
    for (; r < rows; r++)
        OF(tile)
    (y + r * ldy, ldy, a + r * row, row, step, b, ldb, depth, is_added, 1, vectors);
}

static void OF(product)(REAL *y, int64_t ldy, const FACTOR *a, int64_t row,
                        int64_t step, const FACTOR *b, int64_t ldb, int64_t rows,
                        int64_t cols, int64_t depth, bool is_added)
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
