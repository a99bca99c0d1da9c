/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers for JSON, which has none that is not finite. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>
#include <math.h>

/* null for NaN and infinity. */
static inline json_t *json_finite(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

#endif
