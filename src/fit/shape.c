/* SPDX-License-Identifier: BSD-3-Clause */
/* The rule and the rounding. */
#include "config.h"

#include "src/fit/shape.h"

#include <math.h>

void shape_grow(double x[LAW_DIMS], const struct rule *r, double t, enum reading how)
{
    for (int k = 0; k < LAW_DIMS; k++) {
        const double power = how == READING_SHARED    ? r->s[k] * r->w[k]
                             : how == READING_PRINTED ? r->w[k]
                                                      : r->s[k];

        x[k] = r->x0[k] * pow(t / r->t0, power);
    }
}

int64_t shape_round(double x, int64_t multiple)
{
    const int64_t n = llround(x / (double)multiple);

    return (n > 0 ? n : 1) * multiple;
}

int64_t shape_common(int64_t a, int64_t b)
{
    int64_t x = a, y = b, product;

    while (y != 0) {
        const int64_t rest = x % y;

        x = y;
        y = rest;
    }
    return __builtin_mul_overflow(a / x, b, &product) ? 0 : product;
}
