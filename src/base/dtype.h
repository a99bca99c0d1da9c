/* SPDX-License-Identifier: BSD-3-Clause */
/* Number formats: names, sizes, conversion. */
#ifndef BASE_DTYPE_H
#define BASE_DTYPE_H

#include <stddef.h>
#include <stdint.h>

enum dtype { DTYPE_F64, DTYPE_F32, DTYPE_BF16 };
enum { DTYPES = DTYPE_BF16 + 1 };

size_t dtype_size(enum dtype t);
const char *dtype_name(enum dtype t);             /* "f64", "f32", "bf16" */
int dtype_parse(enum dtype *t, const char *name); /* 0 or ERR_USAGE */

/* The unit in which this project measures errors of a run in 't': the check against the
 * oracle: 2^-46 (f64), 2^-23 (f32), 2^-8 (bf16).
 */
double dtype_eps(enum dtype t);

uint16_t dtype_to_bf16(float x); /* rounds to nearest even, keeps NaN */
float dtype_from_bf16(uint16_t x);

/* Element 'i' of an array of 't' as a double, and back. */
double dtype_load(enum dtype t, const void *array, int64_t i);
void dtype_store(enum dtype t, void *array, int64_t i, double value);

#endif
