/* SPDX-License-Identifier: BSD-3-Clause */
/* What the loops for all sets of instructions are written with. */
#ifndef DEV_CPU_UNROLL_H
#define DEV_CPU_UNROLL_H

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* 1.5 * 2^23: added, it leaves an integer in the last bits. */
#define MAGIC 12582912.0f

#endif
