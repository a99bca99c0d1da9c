/* SPDX-License-Identifier: BSD-3-Clause */
/* Counter-based random numbers: a value depends on (seed, stream, index) alone, never
 * on the rank that asks or on what was asked before.
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

/* The streams in use: what is drawn, so that no two draws share their numbers.  For
 * parameters the stream is RNG_PARAM + rng_hash(name).
 */
enum rng_stream {
    RNG_PARAM = 1,
    RNG_IMAGE,
    RNG_LABEL,
    RNG_CHECK,
    RNG_BENCH,
    RNG_TEST,
    RNG_ORDER,
    RNG_HOLDOUT,
    RNG_AUGMENT,
    RNG_MIXUP,
    RNG_FRACTAL
};

uint64_t rng_mix(uint64_t x);        /* a bijection of 64 bits that mixes well */
uint64_t rng_hash(const char *text); /* FNV-1a, mixed */

uint64_t rng_bits(uint64_t seed, uint64_t stream, uint64_t index);
double rng_uniform(uint64_t seed, uint64_t stream, uint64_t index); /* [0, 1) */
double rng_normal(uint64_t seed, uint64_t stream, uint64_t index);  /* N(0, 1) */
double rng_sign(uint64_t seed, uint64_t stream, uint64_t index);    /* -1 or 1 */

/* Fill 'x' with the uniform numbers of [-scale, scale) of indices 'first' ..
 * 'first' + n - 1: scale (2 rng_uniform() - 1).
 */
void rng_fill_uniform(float *x, int64_t n, double scale, uint64_t seed, uint64_t stream,
                      uint64_t first);

/* Fill 'x' with the normal numbers of indices 'first' .. 'first' + n - 1;
 * the same numbers as n single calls, faster.
 */
void rng_fill_normal(float *x, int64_t n, uint64_t seed, uint64_t stream,
                     uint64_t first);

#endif
