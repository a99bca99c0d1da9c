/* SPDX-License-Identifier: BSD-3-Clause */
/* For text that is compiled once for each number format: who includes it defines
 * FORMAT, f32 or f64, before.  REAL is then the type of the elements, and OF(name) is
 * 'name' with the format at its end.
 */
#ifndef DEV_CPU_REAL_H
#define DEV_CPU_REAL_H

#define JOIN_(a, b) a##_##b
#define JOIN(a, b)  JOIN_(a, b)
#define OF(name)    JOIN(name, FORMAT)

#define REAL_f32  float
#define REAL_f64  double
#define REAL_bf16 float /* of sums */
#define REAL      JOIN(REAL, FORMAT)

#endif
