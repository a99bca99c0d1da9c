/* SPDX-License-Identifier: BSD-3-Clause */
/* How the operations of the CPU backends deal out their work to threads: by fixed
 * rules, so that results depend on sizes and threads alone.
 */
#ifndef DEV_CPU_TEAM_H
#define DEV_CPU_TEAM_H

#include "src/dev/cpu.h"

#ifdef _OPENMP
#include <omp.h>
#endif

/* Below this many elements threads cost more than they bring. */
enum { THREADED = 16384 };

/* Line after line of 'THREADS(s, size)', then a block: done by all threads at once. */
#define THREADS(s, size)                                                               \
    PARALLEL(omp parallel num_threads((s)->dev->threads) if ((size) > THREADED))
#define PARALLEL(x) _Pragma(#x)

static inline int team(void)
{
#ifdef _OPENMP
    return omp_get_num_threads();
#else
    return 1;
#endif
}

static inline int member(void)
{
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

/* Of 'n' things this thread's. */
static inline struct range my_share(int64_t n)
{
    return split_range(n, team(), member());
}

/* Of 'n' columns this thread's, in whole lines of 'line' elements, so that no two
 * threads write one.
 */
static inline struct range my_columns(int64_t n, int64_t line)
{
    struct range r = my_share((n + line - 1) / line);

    r.lo *= line;
    r.hi = r.hi * line < n ? r.hi * line : n;
    return r;
}

/* Of a matrix this thread's part: rows, or columns where rows are few. */
struct box {
    struct range r, c;
};

static inline struct box my_box(int64_t rows, int64_t cols)
{
    enum { LINE = CPU_LINE / 2 }; /* elements of the smallest format */
    struct box box = { { 0, rows }, { 0, cols } };

    if (rows >= 4 * team())
        box.r = my_share(rows);
    else
        box.c = my_columns(cols, LINE);
    return box;
}

#endif
