/* SPDX-License-Identifier: BSD-3-Clause */
/* Chunks of rows, widened to doubles.  A chunk stays within a core's cache, so that
 * reading a matrix costs about what its memory traffic does.
 */
#include "config.h"

#include "bench/reader.h"

#include "src/base/mem.h"

#include <string.h>

/* Elements; more only where one row is longer.  A copy from another device takes long to
 * begin.
 */
enum { READER_ROOM = 1 << 15, READER_ROOM_APART = 1 << 18 };

static void make_room(struct reader *r, int64_t elements)
{
    if (elements <= r->room)
        return;
    mem_free(r->raw);
    mem_free(r->value);
    r->raw   = mem_new((size_t)elements, sizeof(double));
    r->value = mem_new((size_t)elements, sizeof(double));
    r->room  = elements;
}

void reader_open(struct reader *r, struct dev *dev)
{
    *r = (struct reader){ .dev = dev };
    make_room(r, dev_is_host(dev) ? READER_ROOM : READER_ROOM_APART);
}

void reader_close(struct reader *r)
{
    mem_free(r->raw);
    mem_free(r->value);
    *r = (struct reader){ 0 };
}

int64_t reader_rows(const struct reader *r, struct mat a)
{
    const int64_t rows = a.cols > 0 ? r->room / a.cols : a.rows;

    return rows > 0 ? rows : 1;
}

/* The loops are apart by format, so that each of them vectorises. */
static void widen(double *out, const void *in, enum dtype t, int64_t n)
{
    if (t == DTYPE_F64) {
        memcpy(out, in, (size_t)n * sizeof *out);
    } else if (t == DTYPE_F32) {
        const float *x = in;

        for (int64_t i = 0; i < n; i++)
            out[i] = x[i];
    } else {
        const uint16_t *x = in;

        for (int64_t i = 0; i < n; i++)
            out[i] = dtype_from_bf16(x[i]);
    }
}

const double *reader_get(struct reader *r, struct mat a, int64_t lo, int64_t hi)
{
    make_room(r, (hi - lo) * a.cols);
    dev_get(dev_stream(r->dev, LANE_COMPUTE), r->raw, mat_rows(a, lo, hi));
    widen(r->value, r->raw, a.dtype, (hi - lo) * a.cols);
    return r->value;
}

/* The rows lo .. hi - 1 of the chunk that starts at 'lo'. */
static int64_t chunk_end(const struct reader *r, struct mat a, int64_t lo)
{
    const int64_t hi = lo + reader_rows(r, a);

    return hi < a.rows ? hi : a.rows;
}

/* Several sums side by side, since one alone waits for every addition. */
static double sum_products(const double *x, const double *y, int64_t n)
{
    enum { SUMS = 8 };
    double part[SUMS] = { 0 }, sum = 0;
    int64_t i;

    for (i = 0; i + SUMS <= n; i += SUMS) {
        for (int k = 0; k < SUMS; k++)
            part[k] += x[i + k] * y[i + k];
    }
    for (; i < n; i++)
        sum += x[i] * y[i];
    for (int k = 0; k < SUMS; k++)
        sum += part[k];
    return sum;
}

static double sum_squares(const double *x, int64_t n)
{
    return sum_products(x, x, n);
}

static void add_squares(double *restrict sum, const double *restrict x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        sum[i] += x[i] * x[i];
}

static void add_multiple(double *restrict sum, double factor, const double *restrict x,
                         int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        sum[i] += factor * x[i];
}

void reader_combine(struct reader *r, double *sum, const double *weight, struct mat a)
{
    for (int64_t lo = 0, hi; lo < a.rows; lo = hi) {
        hi = chunk_end(r, a, lo);

        const double *row = reader_get(r, a, lo, hi);

        for (int64_t i = lo; i < hi; i++, row += a.cols)
            add_multiple(sum, weight[i], row, a.cols);
    }
}

void reader_apply(struct reader *r, double *dot, struct mat a, const double *weight)
{
    for (int64_t lo = 0, hi; lo < a.rows; lo = hi) {
        hi = chunk_end(r, a, lo);

        const double *row = reader_get(r, a, lo, hi);

        for (int64_t i = lo; i < hi; i++, row += a.cols)
            dot[i] = sum_products(row, weight, a.cols);
    }
}

void reader_squares(struct reader *r, double *by_row, double *by_col, struct mat a)
{
    if (by_col != NULL)
        memset(by_col, 0, (size_t)a.cols * sizeof *by_col);
    for (int64_t lo = 0, hi; lo < a.rows; lo = hi) {
        hi = chunk_end(r, a, lo);

        const double *row = reader_get(r, a, lo, hi);

        for (int64_t i = lo; i < hi; i++, row += a.cols) {
            if (by_row != NULL)
                by_row[i] = sum_squares(row, a.cols);
            if (by_col != NULL)
                add_squares(by_col, row, a.cols);
        }
    }
}

double reader_norm(struct reader *r, struct mat a)
{
    double sum = 0;

    for (int64_t lo = 0, hi; lo < a.rows; lo = hi) {
        hi = chunk_end(r, a, lo);

        sum += sum_squares(reader_get(r, a, lo, hi), (hi - lo) * a.cols);
    }
    return sum;
}
