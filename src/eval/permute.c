/* SPDX-License-Identifier: BSD-3-Clause */
/* 128-bit arithmetic on two words: ISO C has no such type. */
#include "config.h"

#include "src/eval/permute.h"

/* ---- SeedSequence ---------------------------------------------------------------- */

enum { POOL = 4, WORDS = 8 };

static uint32_t hash_mix(uint32_t value, uint32_t *constant)
{
    value ^= *constant;
    *constant *= 0x931e8875u;
    value *= *constant;
    return value ^ value >> 16;
}

static uint32_t mix(uint32_t x, uint32_t y)
{
    const uint32_t z = 0xca01f9ddu * x - 0x4973f715u * y;

    return z ^ z >> 16;
}

/* Four words of state from the seed's two. */
static void seed_words(uint64_t word[POOL], uint64_t seed)
{
    const uint32_t entropy[POOL] = { (uint32_t)seed, (uint32_t)(seed >> 32) };
    uint32_t pool[POOL], constant = 0x43b0d7e5u;

    for (int i = 0; i < POOL; i++)
        pool[i] = hash_mix(entropy[i], &constant);
    for (int from = 0; from < POOL; from++) {
        for (int to = 0; to < POOL; to++) {
            if (from != to)
                pool[to] = mix(pool[to], hash_mix(pool[from], &constant));
        }
    }
    constant = 0x8b51f9ddu;
    for (int i = 0; i < WORDS; i++) {
        uint32_t value = pool[i % POOL] ^ constant;

        constant *= 0x58f38dedu;
        value *= constant;
        value ^= value >> 16;
        word[i / 2] = i % 2 == 0 ? value : word[i / 2] | (uint64_t)value << 32;
    }
}

/* ---- PCG64 ----------------------------------------------------------------------- */

/* The upper word of a product. */
static uint64_t multiply_high(uint64_t a, uint64_t b)
{
    const uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    const uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32);
    const uint64_t other = a0 * b1 + (uint32_t)middle;

    return a1 * b1 + (middle >> 32) + (other >> 32);
}

static void add(uint64_t x[2], const uint64_t y[2])
{
    x[1] += y[1];
    x[0] += y[0] + (x[1] < y[1]);
}

/* state = state * multiplier + step */
static void advance(struct permute *p)
{
    const uint64_t high = UINT64_C(0x2360ed051fc65da4);
    const uint64_t low  = UINT64_C(0x4385df649fccf645);

    p->state[0] =
        multiply_high(p->state[1], low) + p->state[0] * low + p->state[1] * high;
    p->state[1] *= low;
    add(p->state, p->step);
}

void permute_open(struct permute *p, uint64_t seed)
{
    uint64_t word[POOL];

    seed_words(word, seed);
    *p = (struct permute){ .step = { word[2] << 1 | word[3] >> 63, word[3] << 1 | 1 } };
    advance(p);
    add(p->state, word);
    advance(p);
}

static uint32_t next_half(struct permute *p)
{
    uint64_t x;
    int turn;

    if (p->has_half) {
        p->has_half = false;
        return p->half;
    }
    advance(p);
    x           = p->state[0] ^ p->state[1];
    turn        = (int)(p->state[0] >> 58);
    x           = x >> turn | x << (-turn & 63);
    p->has_half = true;
    p->half     = (uint32_t)(x >> 32);
    return (uint32_t)x;
}

/* A number of 0 .. most: the first whose lowest bits are no more. */
static uint32_t next_below(struct permute *p, uint32_t most)
{
    uint32_t mask = most, x;

    for (int shift = 1; shift < 32; shift *= 2)
        mask |= mask >> shift;
    do {
        x = next_half(p) & mask;
    } while (x > most);
    return x;
}

void permute_shuffle(struct permute *p, int64_t *x, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = next_below(p, (uint32_t)i), y = x[j];

        x[j] = x[i];
        x[i] = y;
    }
}
