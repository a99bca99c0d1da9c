/* SPDX-License-Identifier: BSD-3-Clause */
/* Number formats: names, sizes, and the rounding of bf16. */
#include "config.h"

#include "src/base/dtype.h"
#include "src/base/err.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

/* The nearest bf16 by trying both neighbours in double. */
static float nearest(float x)
{
    uint32_t bits;
    float low, high;

    memcpy(&bits, &x, sizeof bits);
    bits &= 0xffff0000;
    memcpy(&low, &bits, sizeof low);
    bits += 0x10000;
    memcpy(&high, &bits, sizeof high);
    if (fabs((double)x - low) != fabs((double)x - high))
        return fabs((double)x - low) < fabs((double)x - high) ? low : high;
    return (bits >> 16 & 1) != 0 ? low : high;
}

static void test_bf16(void)
{
    bool are_nearest = true, are_same = true;

    for (uint32_t i = 0; i < 0x7f00; i++) {
        for (uint32_t low = 0; low < 0x10000; low += 0x1fff) {
            const uint32_t bits = i << 16 | low;
            float x;

            memcpy(&x, &bits, sizeof x);
            are_nearest = are_nearest &&
                          dtype_from_bf16(dtype_to_bf16(x)) == nearest(x) &&
                          dtype_from_bf16(dtype_to_bf16(-x)) == -nearest(x);
        }
        are_same = are_same && dtype_to_bf16(dtype_from_bf16((uint16_t)i)) == i;
    }
    ok(are_nearest, "bf16 rounds to the nearest, ties to even");
    ok(are_same, "bf16 comes back as it was");
    ok(dtype_to_bf16(1.00390625f) == 0x3f80 && dtype_to_bf16(1.01171875f) == 0x3f82,
       "halfway goes to the even neighbour");
    ok(isnan(dtype_from_bf16(dtype_to_bf16(NAN))), "NaN stays NaN");
    ok(dtype_from_bf16(dtype_to_bf16(INFINITY)) == INFINITY, "infinity stays infinity");
    ok(dtype_from_bf16(dtype_to_bf16(3.4e38f)) == INFINITY,
       "what is too large rounds up");
}

static void test_nan_bits(void)
{
    const uint32_t bits = 0x7f800001; /* its upper half alone would be infinity */
    float x;

    memcpy(&x, &bits, sizeof x);
    ok(isnan(dtype_from_bf16(dtype_to_bf16(x))), "a NaN of low bits stays NaN");
}

int main(void)
{
    enum dtype t = DTYPE_F64;
    double f64[3];
    float f32[3];
    uint16_t bf16[3];
    const char *names[] = { "f64", "f32", "bf16" };
    void *arrays[]      = { f64, f32, bf16 };

    ok(dtype_parse(&t, "f16") == ERR_USAGE && t == DTYPE_F64, "f16 is refused");
    ok(dtype_parse(&t, "") == ERR_USAGE, "so is nothing");
    for (int i = 0; i < 3; i++) {
        ok(dtype_parse(&t, names[i]) == 0 && strcmp(dtype_name(t), names[i]) == 0,
           "%s has its name", names[i]);
        for (int j = 0; j < 3; j++)
            dtype_store(t, arrays[i], j, -0.75 * j);
        ok(dtype_load(t, arrays[i], 0) == 0 && dtype_load(t, arrays[i], 1) == -0.75 &&
               dtype_load(t, arrays[i], 2) == -1.5,
           "%s keeps small fractions", names[i]);
    }
    ok(dtype_size(DTYPE_F64) == 8 && dtype_size(DTYPE_F32) == 4 &&
           dtype_size(DTYPE_BF16) == 2,
       "sizes are in bytes");
    ok(dtype_eps(DTYPE_F64) == 0x1p-46 && dtype_eps(DTYPE_F32) == 0x1p-23 &&
           dtype_eps(DTYPE_BF16) == 0x1p-8,
       "units of error are those of the checks");
    test_bf16();
    test_nan_bits();
    return tap_done();
}
