/* SPDX-License-Identifier: BSD-3-Clause */
/* Features for tests of probes: clouds of points, one a class, whose rows lie anywhere
 * on the ranks; and all of them on every rank, for oracles.
 */
#ifndef TESTS_CLOUDS_H
#define TESTS_CLOUDS_H

#include "src/eval/feature.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"

#include <string.h>

struct clouds {
    struct features f;
    float *all; /* [count, width] */
};

/* 'apart' is the distance of the classes' middles in units of the
 * clouds' deviations.
 */
static inline void clouds_open(struct clouds *c, struct mesh *mesh, int64_t count,
                               int64_t width, int64_t classes, double apart,
                               uint64_t seed)
{
    const size_t numbers = (size_t)(count * width);
    int64_t own          = 0;

    c->all = mem_new(numbers, sizeof *c->all);
    c->f   = (struct features){ .mesh    = mesh,
                                .count   = count,
                                .width   = width,
                                .classes = classes,
                                .x       = mem_new(numbers, sizeof(float)),
                                .owner   = mem_new((size_t)count, sizeof(int32_t)),
                                .place   = mem_new((size_t)count, sizeof(int32_t)),
                                .label   = mem_new((size_t)count, sizeof(int32_t)) };
    for (int64_t i = 0; i < count; i++) {
        float *x = c->all + i * width;
        c->f.label[i] =
            (int32_t)(rng_bits(seed, RNG_TEST, (uint64_t)i) % (uint64_t)classes);
        c->f.owner[i] =
            (int32_t)(rng_bits(seed + 1, RNG_TEST, (uint64_t)i) % (uint64_t)mesh->size);
        for (int64_t k = 0; k < width; k++) {
            const uint64_t at = (uint64_t)(i * width + k);
            const uint64_t of = (uint64_t)(c->f.label[i] * width + k);

            x[k] = (float)(rng_normal(seed + 2, RNG_TEST, at) +
                           apart * rng_normal(7, RNG_LABEL, of) + (double)k);
        }
        if (c->f.owner[i] != mesh->rank)
            continue;
        c->f.place[i] = (int32_t)own;
        memcpy(c->f.x + own++ * width, x, (size_t)width * sizeof *x);
    }
    c->f.own = own;
}

static inline void clouds_close(struct clouds *c)
{
    features_free(&c->f);
    mem_free(c->all);
}

#endif
