/* SPDX-License-Identifier: BSD-3-Clause */
/* Tiles of a processor (AMX), eight registers of up to 16 rows of 64 bytes.  Their
 * instructions are in bytes, for assemblers that do not know them; a tile is named by
 * its digit, 0 to 7.  For processors of which cpu_has_tiles() (cpu_info.h) is true.
 */
#ifndef DEV_CPU_TILES_H
#define DEV_CPU_TILES_H

#include <stdbool.h>
#include <stdint.h>

enum { TILE = 16 /* rows, and words of a row */, TILE_BYTES = 64 /* of a row */ };

struct tile_config {
    uint8_t palette /* 1 */, zero[15];
    uint16_t bytes[16]; /* of a row of each tile */
    uint8_t rows[16];
};

/* ldtilecfg, which empties all tiles, and tilerelease */
#define TILES_CONFIGURE(config)                                                        \
    __asm__ volatile(".byte 0xc4, 0xe2, 0x78, 0x49, 0x00"                              \
                     :                                                                 \
                     : "a"(&(config)), "m"(config)                                     \
                     : "memory")
#define TILES_RELEASE() __asm__ volatile(".byte 0xc4, 0xe2, 0x78, 0x49, 0xc0")

/* tilezero, tileloadd and tilestored; rows are 'apart' bytes from each other. */
#define TILE_ZERO(t) __asm__ volatile(".byte 0xc4, 0xe2, 0x7b, 0x49, 0xc0 + 8 * " #t)
#define TILE_LOAD(t, from, apart)                                                      \
    __asm__ volatile(".byte 0xc4, 0xe2, 0x7b, 0x4b, 0x04 + 8 * " #t ", 0x0e"           \
                     :                                                                 \
                     : "S"(from), "c"((int64_t)(apart))                                \
                     : "memory")
#define TILE_STORE(t, to, apart)                                                       \
    __asm__ volatile(".byte 0xc4, 0xe2, 0x7a, 0x4b, 0x04 + 8 * " #t ", 0x0e"           \
                     :                                                                 \
                     : "S"(to), "c"((int64_t)(apart))                                  \
                     : "memory")

/* tdpbf16ps: the f32 of tile y += pairs of bf16 along rows of a and down b. */
#define TILE_ADD_PRODUCT(y, a, b)                                                      \
    __asm__ volatile(".byte 0xc4, 0xe2, 0x7a - 8 * " #b ", 0x5c, 0xc0 + 8 * " #y       \
                     " + " #a)

/* The product of struct kernels_bf16 (cpu_kernels.h). */
void cpu_tiles_product(float *y, int64_t ldy, const uint32_t *a, int64_t row,
                       int64_t step, const uint32_t *b, int64_t ldb, int64_t rows,
                       int64_t cols, int64_t depth, bool is_added);

#endif
