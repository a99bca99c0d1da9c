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

/* How many rows of 'a' are read at once; at least one. */
int64_t reader_rows(const struct reader *r, struct mat a);

/* Rows lo .. hi - 1 of 'a', packed; borrowed, valid until the next call. */
const double *reader_get(struct reader *r, struct mat a, int64_t lo, int64_t hi);

/* What the checks compute from a matrix:
 *   reader_combine()  sum [cols] += sum over rows of weight[row] * a[row, :]
 *   reader_apply()    dot [rows]  = a weight [cols]
 *   reader_squares()  by_row [rows] and by_col [cols]: sums of squares; NULL: not wanted
 *   reader_norm()     the sum of squares of all
 */
void reader_combine(struct reader *r, double *sum, const double *weight, struct mat a);
void reader_apply(struct reader *r, double *dot, struct mat a, const double *weight);
void reader_squares(struct reader *r, double *by_row, double *by_col, struct mat a);
double reader_norm(struct reader *r, struct mat a);

#endif
