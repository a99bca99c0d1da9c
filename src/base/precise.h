/* SPDX-License-Identifier: BSD-3-Clause */
/* What config.h ends with, and configure tries flags by.  A compiler that takes NaN for
 * a number, or sums for exact, goes no further: its program would find all valid.
 */
#ifndef BASE_PRECISE_H
#define BASE_PRECISE_H

#if defined __FAST_MATH__ || defined __ASSOCIATIVE_MATH__ || __FINITE_MATH_ONLY__ > 0
#error "NaN has to be seen: CFLAGS must not end with -ffast-math, -Ofast or their kind"
#endif

#endif
