/* SPDX-License-Identifier: BSD-3-Clause */
/* Number formats.  These functions are exact and slow, for tables, checks and files;
 * a device converts arrays with loops of its own.
 */
#include "config.h"

#include "src/base/dtype.h"

#include "src/base/err.h"

#include <string.h>

static const struct {
    const char *name;
    size_t size;
    double eps;
} dtypes[] = {
    [DTYPE_F64]  = { "f64", 8, 0x1p-46 },
    [DTYPE_F32]  = { "f32", 4, 0x1p-23 },
    [DTYPE_BF16] = { "bf16", 2, 0x1p-8 },
};

size_t dtype_size(enum dtype t)
{
    return dtypes[t].size;
}

const char *dtype_name(enum dtype t)
{
    return dtypes[t].name;
}

int dtype_parse(enum dtype *t, const char *name)
{
    for (int i = 0; i < DTYPES; i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            *t = (enum dtype)i;
            return 0;
        }
    }
    return ERR(ERR_USAGE, "'%s' is not a number format: f64, f32 and bf16 are", name);
}

double dtype_eps(enum dtype t)
{
    return dtypes[t].eps;
}

uint16_t dtype_to_bf16(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) /* rounding could carry a NaN to infinity */
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float dtype_from_bf16(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

double dtype_load(enum dtype t, const void *array, int64_t i)
{
    switch (t) {
    case DTYPE_F64:
        return ((const double *)array)[i];
    case DTYPE_F32:
        return ((const float *)array)[i];
    case DTYPE_BF16:
        return dtype_from_bf16(((const uint16_t *)array)[i]);
    }
    die("dtype %d", (int)t);
}

void dtype_store(enum dtype t, void *array, int64_t i, double value)
{
    switch (t) {
    case DTYPE_F64:
        ((double *)array)[i] = value;
        return;
    case DTYPE_F32:
        ((float *)array)[i] = (float)value;
        return;
    case DTYPE_BF16:
        ((uint16_t *)array)[i] = dtype_to_bf16((float)value);
        return;
    }
    die("dtype %d", (int)t);
}
