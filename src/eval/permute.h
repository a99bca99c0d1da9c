/* SPDX-License-Identifier: BSD-3-Clause */
/* Permutations as numpy.random.default_rng(seed) gives them, so that few-shot probes
 * draw the images that the papers' code draws from the same set.
 *
 * default_rng is PCG64 (O'Neill's XSL-RR 128/64), seeded by way of SeedSequence;
 * permutation() shuffles from the end, with numbers of 32 bits, masked and drawn again
 * where they are too large.
 */
#ifndef EVAL_PERMUTE_H
#define EVAL_PERMUTE_H

#include <stdbool.h>
#include <stdint.h>

struct permute {
    uint64_t state[2], step[2]; /* high word first */
    bool has_half;              /* of the last 64 bits the upper half is still there */
    uint32_t half;
};

/* What default_rng(seed) is before its first number. */
void permute_open(struct permute *p, uint64_t seed);

/* Shuffle the 'n' < 2^32 numbers of 'x'. */
void permute_shuffle(struct permute *p, int64_t *x, int64_t n);

#endif
