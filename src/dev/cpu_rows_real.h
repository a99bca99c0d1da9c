/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows of matrices that may be bf16, for text that calculates in one number format
 * (cpu_real.h): the f32 text serves runs in bf16 too, whose matrices are bf16 or f32.
 *
 * row_read() and row_write() copy always.  row_in() and row_out() give a place to
 * read or write 'n' elements of row r from column c on: where they lie, if they are
 * in the format of the text, else 'room', which row_in() fills and row_done()
 * empties.  row_ahead() has the processor fetch them: rows that are far apart, and
 * short, it does not foresee.
 */
#include "src/dev/cpu_real.h"

#include <string.h>

#define at(a, r) OF(at)(a, r)

static const struct OF(kernels) * loops(const struct dev_stream *s)
{
    return ((const struct cpu_state *)s->dev->state)->JOIN(k, FORMAT);
}

static inline bool is_bf16(struct mat a)
{
    return a.dtype == DTYPE_BF16;
}

static inline uint16_t *at_bf16(struct mat a, int64_t r)
{
    return (uint16_t *)mat_ptr(a) + r * a.ld;
}

static inline void row_read(const struct OF(kernels) * f, REAL *y, struct mat a,
                            int64_t r, int64_t c, int64_t n)
{
    if (is_bf16(a))
        f->widen(y, at_bf16(a, r) + c, n);
    else
        memcpy(y, at(a, r) + c, (size_t)n * sizeof *y);
}

static inline void row_write(const struct OF(kernels) * f, struct mat a, const REAL *x,
                             int64_t r, int64_t c, int64_t n)
{
    if (is_bf16(a))
        f->narrow(at_bf16(a, r) + c, x, n);
    else
        memcpy(at(a, r) + c, x, (size_t)n * sizeof *x);
}

static inline void row_ahead(struct mat a, int64_t r, int64_t c, int64_t n)
{
    const int64_t size = (int64_t)dtype_size(a.dtype);
    const char *from   = (const char *)mat_ptr(a) + (r * a.ld + c) * size;

    for (int64_t i = 0; r < a.rows && i < n * size; i += CPU_LINE)
        __builtin_prefetch(from + i);
}

static inline REAL *row_out(struct mat a, int64_t r, int64_t c, REAL *room)
{
    return is_bf16(a) ? room : at(a, r) + c;
}

static inline REAL *row_in(const struct OF(kernels) * f, struct mat a, int64_t r,
                           int64_t c, int64_t n, REAL *room)
{
    if (is_bf16(a))
        f->widen(room, at_bf16(a, r) + c, n);
    return row_out(a, r, c, room);
}

static inline void row_done(const struct OF(kernels) * f, struct mat a,
                            const REAL *room, int64_t r, int64_t c, int64_t n)
{
    if (is_bf16(a))
        f->narrow(at_bf16(a, r) + c, room, n);
}
