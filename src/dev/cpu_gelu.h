/* SPDX-License-Identifier: BSD-3-Clause */
/* gelu and its derivative in double, the plain way.
 *
 *   tanh:   x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
 *   exact:  x / 2 (1 + erf(x / sqrt(2)))
 */
#ifndef DEV_CPU_GELU_H
#define DEV_CPU_GELU_H

#include "src/plan/spec.h"

#include <math.h>

#define GELU_A 0.79788456080286536 /* sqrt(2 / pi) */
#define GELU_B 0.044715

static inline double gelu(double x, enum gelu_form form)
{
    if (form == GELU_EXACT)
        return 0.5 * x * (1.0 + erf(x * 0.70710678118654752));
    return 0.5 * x * (1.0 + tanh(GELU_A * (x + GELU_B * x * x * x)));
}

static inline double gelu_slope(double x, enum gelu_form form)
{
    double t;

    if (form == GELU_EXACT)
        return 0.5 * (1.0 + erf(x * 0.70710678118654752)) +
               x * 0.39894228040143268 * exp(-0.5 * x * x);
    t = tanh(GELU_A * (x + GELU_B * x * x * x));
    return 0.5 * (1.0 + t) +
           0.5 * x * (1.0 - t * t) * GELU_A * (1.0 + 3.0 * GELU_B * x * x);
}

#endif
