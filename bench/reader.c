/* SPDX-License-Identifier: BSD-3-Clause */
/* Chunks of rows, widened to doubles.  A chunk stays within a core's cache, so that
 * reading a matrix costs about what its memory traffic does.
 */
#include "config.h"

#include "bench/reader.h"

#include "src/base/mem.h"
#include "src/base/split.h"

#include <string.h>

/* Elements of a thread; more only where one row is longer.  A copy from another device
 * takes long to begin.
 */
enum { READER_ROOM = 1 << 17, READER_ROOM_APART = 1 << 20 };

/* Below this many elements threads cost more than they bring. */
enum { THREADED = 1 << 14 };

/* A modelled device's threads are those of the machine that it models. */
int reader_threads(const struct reader *r)
{
    return dev_is_hollow(r->dev) ? 1 : dev_threads(r->dev);
}

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
    make_room(r,
              dev_is_host(dev) ? READER_ROOM * reader_threads(r) : READER_ROOM_APART);
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

/* The elements lo .. hi - 1 of 'in'.  The loops are apart by format, so that
 * each of them vectorises.
 */
static void widen(double *out, const void *in, enum dtype t, int64_t lo, int64_t hi)
{
    if (t == DTYPE_F64) {
        memcpy(out + lo, (const double *)in + lo, (size_t)(hi - lo) * sizeof *out);
    } else if (t == DTYPE_F32) {
        const float *x = in;

        for (int64_t i = lo; i < hi; i++)
            out[i] = x[i];
    } else {
        const uint16_t *x = in;

        for (int64_t i = lo; i < hi; i++)
            out[i] = dtype_from_bf16(x[i]);
    }
}

/* Rows lo .. hi - 1 of 'a' as the device has them. */
static void get_raw(struct reader *r, struct mat a, int64_t lo, int64_t hi)
{
    make_room(r, (hi - lo) * a.cols);
    dev_get(dev_stream(r->dev, LANE_COMPUTE), r->raw, mat_rows(a, lo, hi));
}

const double *reader_get(struct reader *r, struct mat a, int64_t lo, int64_t hi)
{
    get_raw(r, a, lo, hi);
    widen(r->value, r->raw, a.dtype, 0, (hi - lo) * a.cols);
    return r->value;
}

/* The rows lo .. hi - 1 of the chunk that starts at 'lo'. */
static int64_t chunk_end(const struct reader *r, struct mat a, int64_t lo)
{
    const int64_t hi = lo + reader_rows(r, a);

    return hi < a.rows ? hi : a.rows;
}

/* ---- sums ------------------------------------------------------------------------ */

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

/* Four rows, 'apart' elements apart, at a time: sums are read and written once. */
static void add_multiples(double *restrict sum, const double *factor,
                          const double *restrict x, int64_t apart, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        sum[i] += (factor[0] * x[i] + factor[1] * x[i + apart]) +
                  (factor[2] * x[i + 2 * apart] + factor[3] * x[i + 3 * apart]);
}

/* What a thread adds from 'rows' rows at hand: its columns 'c'. */
static void combine_columns(double *sum, double *by_col, int n, const double *weight,
                            const struct mat *a, const double *row, int64_t rows,
                            struct range c)
{
    enum { FOUR = 4 };
    int64_t i = 0;

    for (; i + FOUR <= rows; i += FOUR)
        for (int k = 0; k < n; k++)
            add_multiples(sum + k * a->cols + c.lo, weight + k * a->rows + i,
                          row + i * a->cols + c.lo, a->cols, range_size(c));
    for (; i < rows; i++)
        for (int k = 0; k < n; k++)
            add_multiple(sum + k * a->cols + c.lo, weight[k * a->rows + i],
                         row + i * a->cols + c.lo, range_size(c));
    for (i = 0; by_col != NULL && i < rows; i++)
        add_squares(by_col + c.lo, row + i * a->cols + c.lo, range_size(c));
}

void reader_combine(struct reader *r, double *sum, double *by_col, int n,
                    const double *weight, struct mat a)
{
    enum { LINE = 8 }; /* doubles */
    const int64_t lines = (a.cols + LINE - 1) / LINE;
    const int threads   = reader_threads(r);

    (void)threads; /* the only one without OpenMP */
    if (by_col != NULL)
        memset(by_col, 0, (size_t)a.cols * sizeof *by_col);
    for (int64_t lo = 0, hi; lo < a.rows; lo = hi) {
        hi = chunk_end(r, a, lo);
        get_raw(r, a, lo, hi);
#ifdef _OPENMP
#pragma omp parallel for schedule(static)                                              \
    num_threads(threads) if ((hi - lo) * a.cols > THREADED)
#endif
        for (int t = 0; t < threads; t++) {
            struct range c = split_range(lines, threads, t);

            c.lo *= LINE;
            c.hi = c.hi * LINE < a.cols ? c.hi * LINE : a.cols;
            for (int64_t i = 0; i < hi - lo && c.lo < c.hi; i++)
                widen(r->value, r->raw, a.dtype, i * a.cols + c.lo, i * a.cols + c.hi);
            if (c.lo < c.hi)
                combine_columns(sum, by_col, n, weight + lo, &a, r->value, hi - lo, c);
        }
    }
}

/* Row 'i' of a matrix, by one of the threads. */
typedef void (*row_fn)(void *ctx, int64_t i, const double *value);

static void each_row(struct reader *r, struct mat a, row_fn use, void *ctx)
{
    const int threads = reader_threads(r);

    (void)threads; /* the only one without OpenMP */
    for (int64_t lo = 0, hi; lo < a.rows; lo = hi) {
        hi = chunk_end(r, a, lo);
        get_raw(r, a, lo, hi);
#ifdef _OPENMP
#pragma omp parallel for schedule(static)                                              \
    num_threads(threads) if ((hi - lo) * a.cols > THREADED)
#endif
        for (int64_t i = lo; i < hi; i++) {
            widen(r->value, r->raw, a.dtype, (i - lo) * a.cols, (i - lo + 1) * a.cols);
            use(ctx, i, r->value + (i - lo) * a.cols);
        }
    }
}

struct application {
    double *dot, *by_row;
    const double *weight;
    int n;
    int64_t rows, cols;
};

static void apply_row(void *ctx, int64_t i, const double *value)
{
    const struct application *to = ctx;

    for (int k = 0; k < to->n; k++)
        to->dot[k * to->rows + i] =
            sum_products(value, to->weight + k * to->cols, to->cols);
    if (to->by_row != NULL)
        to->by_row[i] = sum_products(value, value, to->cols);
}

void reader_apply(struct reader *r, double *dot, double *by_row, int n, struct mat a,
                  const double *weight)
{
    struct application to = { dot, by_row, weight, n, a.rows, a.cols };

    each_row(r, a, apply_row, &to);
}

struct summation {
    double *term, *square; /* of each row */
    reader_fn row;
    const void *ctx;
    int64_t cols;
};

static void sum_row(void *ctx, int64_t i, const double *value)
{
    const struct summation *to = ctx;

    to->term[i]   = to->row != NULL ? to->row(to->ctx, i, value) : 0;
    to->square[i] = sum_products(value, value, to->cols);
}

double reader_sum(struct reader *r, double *square, struct mat a, reader_fn row,
                  const void *ctx)
{
    double *part        = mem_new(2 * (size_t)(a.rows > 0 ? a.rows : 1), sizeof *part);
    struct summation to = { part, part + a.rows, row, ctx, a.cols };
    double sum          = 0;

    each_row(r, a, sum_row, &to);
    *square = 0;
    for (int64_t i = 0; i < a.rows; i++) {
        sum += to.term[i];
        *square += to.square[i];
    }
    mem_free(part);
    return sum;
}

double reader_norm(struct reader *r, struct mat a)
{
    double square;

    reader_sum(r, &square, a, NULL, NULL);
    return square;
}
