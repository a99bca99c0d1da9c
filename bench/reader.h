/* SPDX-License-Identifier: BSD-3-Clause */
/* A matrix of a device as doubles on the host, some rows at a time: what every check
 * reads its numbers with, in any format, without a copy of the whole.
 */
#ifndef BENCH_READER_H
#define BENCH_READER_H

#include "src/dev/dev.h"

struct reader {
    struct dev *dev; /* borrowed */
    void *raw;       /* 'room' elements as the device has them */
    double *value;
    int64_t room;
};

void reader_open(struct reader *r, struct dev *dev);
void reader_close(struct reader *r);

/* Threads for what is read: the device's, or one where it is a model of another. */
int reader_threads(const struct reader *r);

/* How many rows of 'a' are read at once; at least one. */
int64_t reader_rows(const struct reader *r, struct mat a);

/* Rows lo .. hi - 1 of 'a', packed; borrowed, valid until the next call. */
const double *reader_get(struct reader *r, struct mat a, int64_t lo, int64_t hi);

/* What the checks compute from a matrix, each in one reading of it, by all threads of
 * the device's ranks; sums are taken in an order that depends on their number alone:
 *   reader_combine()  for each of 'n' weights, sum [n, a.cols] += sum over rows of
 *                     weight[.., row] * a[row, :], rows of 'weight' a.rows apart;
 *                     by_col [a.cols]: sums of squares; NULL: not wanted
 *   reader_apply()    dot [n, a.rows] = weight [n, a.cols] a^T;
 *                     by_row [a.rows]: sums of squares; NULL: not wanted
 *   reader_norm()     the sum of squares of all
 */
void reader_combine(struct reader *r, double *sum, double *by_col, int n,
                    const double *weight, struct mat a);
void reader_apply(struct reader *r, double *dot, double *by_row, int n, struct mat a,
                  const double *weight);
double reader_norm(struct reader *r, struct mat a);

/* The sum over rows of 'row' (its place in the matrix, its numbers), by all threads;
 * and the sum of squares of all in 'square'.
 */
typedef double (*reader_fn)(const void *ctx, int64_t row, const double *value);
double reader_sum(struct reader *r, double *square, struct mat a, reader_fn row,
                  const void *ctx);

#endif
