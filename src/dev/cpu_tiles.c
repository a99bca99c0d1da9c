/* SPDX-License-Identifier: BSD-3-Clause */
/* Products in tiles: 32 rows by 32 columns are added up at a time, a quarter in each of
 * four, and what a depth leaves of whole tiles is added by itself.
 */
#include "config.h"

#include "src/dev/cpu_tiles.h"

#include "src/dev/cpu_kernels.h"

#if defined(__x86_64__)

/* Products with less of rows or depth leave tiles too empty. */
enum { LEAST = 8 };

/* Rows of a product at a time, two tiles high, and what of the depth is turned. */
enum { TALL = 2 * TILE, DEEP = 64 };

/* y [rows, cols] = or += a [rows, depth] b [depth, cols] */
struct product {
    float *y;
    const uint32_t *a, *b;
    int64_t ldy, lda, ldb;
    int64_t rows, cols, depth;
    bool is_added;
};

/* Tiles 0 to 3 are y's, 4 and 5 a's, 6 and 7 b's. */
static void configure(int64_t rows, int64_t pairs)
{
    const uint8_t upper       = (uint8_t)(rows < TILE ? rows : TILE);
    const uint8_t lower       = (uint8_t)(rows > TILE ? rows - TILE : TILE);
    const uint8_t deep        = (uint8_t)pairs;
    const uint16_t wide       = (uint16_t)(4 * pairs);
    struct tile_config config = {
        .palette = 1,
        .bytes   = { TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES, wide, wide,
                     TILE_BYTES, TILE_BYTES },
        .rows    = { upper, upper, lower, lower, upper, lower, deep, deep },
    };

    TILES_CONFIGURE(config);
}

/* A column of tiles, two side by side if 'is_wide' and two high if there are so many
 * rows, 'pairs' of the depth at a time.
 */
static void column(const struct product *p, float *y, const uint32_t *b, bool is_wide,
                   int64_t pairs)
{
    const bool is_tall = p->rows > TILE;
    float *const low   = y + TILE * p->ldy;

    if (p->is_added) {
        TILE_LOAD(0, y, 4 * p->ldy);
        if (is_wide)
            TILE_LOAD(1, y + TILE, 4 * p->ldy);
        if (is_tall)
            TILE_LOAD(2, low, 4 * p->ldy);
        if (is_tall && is_wide)
            TILE_LOAD(3, low + TILE, 4 * p->ldy);
    } else {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
        TILE_ZERO(3);
    }
    for (int64_t k = 0; k < p->depth; k += pairs, b += pairs * p->ldb) {
        TILE_LOAD(4, p->a + k, 4 * p->lda);
        TILE_LOAD(6, b, 4 * p->ldb);
        TILE_ADD_PRODUCT(0, 4, 6);
        if (is_wide) {
            TILE_LOAD(7, b + TILE, 4 * p->ldb);
            TILE_ADD_PRODUCT(1, 4, 7);
        }
        if (is_tall) {
            TILE_LOAD(5, p->a + TILE * p->lda + k, 4 * p->lda);
            TILE_ADD_PRODUCT(2, 5, 6);
            if (is_wide)
                TILE_ADD_PRODUCT(3, 5, 7);
        }
    }
    TILE_STORE(0, y, 4 * p->ldy);
    if (is_wide)
        TILE_STORE(1, y + TILE, 4 * p->ldy);
    if (is_tall)
        TILE_STORE(2, low, 4 * p->ldy);
    if (is_tall && is_wide)
        TILE_STORE(3, low + TILE, 4 * p->ldy);
}

/* Of up to TALL rows, and of a depth that 'pairs' divide. */
static void rows_by(const struct product *p, int64_t pairs)
{
    configure(p->rows, pairs);
    for (int64_t c = 0; c < p->cols; c += 2 * TILE)
        column(p, p->y + c, p->b + c, p->cols - c > TILE, pairs);
}

/* As many pairs at a time as divide the depth, if they fill most of a tile;
 * else TILE, and the rest by itself.
 */
static void all_rows(struct product p)
{
    const int64_t depth = p.depth;
    int64_t pairs       = depth < TILE ? depth : TILE;

    while (pairs > LEAST && depth % pairs != 0)
        pairs--;
    if (depth % pairs != 0)
        pairs = TILE;
    p.depth -= depth % pairs;
    rows_by(&p, pairs);
    if (p.depth == depth)
        return;
    p.a += p.depth;
    p.b += p.depth * p.ldb;
    p.depth    = depth - p.depth;
    p.is_added = true;
    rows_by(&p, p.depth);
}

void cpu_tiles_product(float *y, int64_t ldy, const uint32_t *a, int64_t row,
                       int64_t step, const uint32_t *b, int64_t ldb, int64_t rows,
                       int64_t cols, int64_t depth, bool is_added)
{
    _Alignas(CPU_LINE) uint32_t turned[TALL * DEEP];

    if (rows < LEAST || depth < LEAST || (step != 1 && row != 1)) {
        kernels_dots_bf16.product(y, ldy, a, row, step, b, ldb, rows, cols, depth,
                                  is_added);
        return;
    }
    for (int64_t r = 0; r < rows; r += TALL) {
        struct product p = { .y        = y + r * ldy,
                             .a        = a + r * row,
                             .b        = b,
                             .ldy      = ldy,
                             .lda      = row,
                             .ldb      = ldb,
                             .rows     = rows - r < TALL ? rows - r : TALL,
                             .cols     = cols,
                             .depth    = depth,
                             .is_added = is_added };

        if (step == 1) {
            all_rows(p);
            continue;
        }
        p.a   = turned;
        p.lda = DEEP;
        for (int64_t k = 0; k < depth; k += DEEP, p.b += DEEP * ldb) {
            p.depth    = depth - k < DEEP ? depth - k : DEEP;
            p.is_added = is_added || k > 0;
            kernels_avx512_f32.transpose((float *)turned, DEEP,
                                         (const float *)(a + r + k * step), step,
                                         p.depth, p.rows, 1);
            all_rows(p);
        }
    }
    TILES_RELEASE();
}

#endif
