/* SPDX-License-Identifier: BSD-3-Clause */
/* ldmatrix and mma.sync.m16n8k16 as the PTX manual lays their fragments out; copies
 * that may be done at once, and no later than they are waited for.
 */
#ifndef TESTS_EMU_MMA_H
#define TESTS_EMU_MMA_H

#include "tests/emu/emu.h"

#include <cuda_bf16.h>

typedef __nv_bfloat16 bf16;

/* COUNT 8 x 8 matrices; lane 8 i + r shows row r of matrix i. */
template <int COUNT> static inline void emu_show_rows(const bf16 *at)
{
    if (emu_lane() < 8 * COUNT)
        emu_show_row(at);
    else
        emu_show(&at, sizeof at);
}

template <int COUNT> static inline void emu_load(uint32_t (&r)[4], const bf16 *at)
{
    const int lane = emu_lane();

    emu_show_rows<COUNT>(at);
    for (int i = 0; i < COUNT; i++) {
        const bf16 *row = *(const bf16 *const *)emu_seen(8 * i + lane / 4);

        __builtin_memcpy(&r[i], row + lane % 4 * 2, sizeof r[i]);
    }
    emu_seen_all();
}

template <int COUNT>
static inline void emu_load_turned(uint32_t (&r)[4], const bf16 *at)
{
    const int lane = emu_lane();

    emu_show_rows<COUNT>(at);
    for (int i = 0; i < COUNT; i++) {
        bf16 two[2];

        for (int k = 0; k < 2; k++)
            two[k] =
                (*(const bf16 *const *)emu_seen(8 * i + lane % 4 * 2 + k))[lane / 4];
        __builtin_memcpy(&r[i], two, sizeof r[i]);
    }
    emu_seen_all();
}

static inline void load_four(uint32_t (&r)[4], const bf16 *at)
{
    emu_load<4>(r, at);
}

static inline void load_four_turned(uint32_t (&r)[4], const bf16 *at)
{
    emu_load_turned<4>(r, at);
}

static inline void load_two(uint32_t (&r)[4], const bf16 *at)
{
    emu_load<2>(r, at);
}

static inline void load_two_turned(uint32_t (&r)[4], const bf16 *at)
{
    emu_load_turned<2>(r, at);
}

struct emu_fragments {
    uint32_t a[4], b[2];
};

/* Half 'k % 2' of a register as a number. */
static inline float emu_half(uint32_t pair, int k)
{
    return __uint_as_float(k % 2 == 0 ? pair << 16 : pair & 0xffff0000u);
}

static inline void mma(float (&acc)[4], const uint32_t (&a)[4], uint32_t b0,
                       uint32_t b1)
{
    const emu_fragments mine = { { a[0], a[1], a[2], a[3] }, { b0, b1 } };
    const int lane           = emu_lane();

    emu_show(&mine, sizeof mine);
    for (int i = 0; i < 4; i++) {
        const int row = lane / 4 + i / 2 * 8, col = lane % 4 * 2 + i % 2;
        float sum = acc[i];

        for (int k = 0; k < 16; k++) {
            const emu_fragments *of_a =
                (const emu_fragments *)emu_seen(row % 8 * 4 + k % 8 / 2);
            const emu_fragments *of_b =
                (const emu_fragments *)emu_seen(col * 4 + k % 8 / 2);

            sum +=
                emu_half(of_a->a[row / 8 + k / 8 * 2], k) * emu_half(of_b->b[k / 8], k);
        }
        acc[i] = sum;
    }
}

static inline void mma_half(float (&acc)[4], const uint32_t (&a)[4], uint32_t b0)
{
    const uint32_t left[4] = { a[0], a[1], 0, 0 };

    mma(acc, left, b0, 0);
}

template <int BYTES>
static inline void copy_start(void *to, const void *from, bool is_in)
{
    emu_copy_start(to, from, BYTES, is_in);
}

static inline void copies_close()
{
    emu_copies_close();
}

template <int LEFT> static inline void copies_wait()
{
    emu_copies_wait(LEFT);
}

static inline float power_of_two(float x)
{
    return exp2f(x);
}

#endif
