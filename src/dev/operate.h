/* SPDX-License-Identifier: BSD-3-Clause */
/* How an operation is done: it is skipped on a muted device or where a reel plays it,
 * it is charged for on a hollow one, and what it took is added to the device's sums.
 * For dev*.c and picture.c, which have the operations.
 */
#ifndef DEV_OPERATE_H
#define DEV_OPERATE_H

#include "src/dev/dev_impl.h"
#include "src/dev/reel.h"

/* An operation begins; its time on clock_now(). */
double operate_begin(struct dev_stream *s);

/* The operation that began at 'start' is over, or under way on a device that returns
 * early: events around it tell how long it takes, where somebody asks.
 */
void operate_end(struct dev_stream *s, const struct dev_work *work, double start);

/* Die unless 'a' is [rows, cols]; or none, if it may be. */
void operate_expect(const char *op, const char *what, struct mat a, int64_t rows,
                    int64_t cols);
void operate_expect_optional(const char *op, const char *what, struct mat a,
                             int64_t rows, int64_t cols);

#define EXPECT(a, rows, cols) operate_expect(__func__, #a, (a), (rows), (cols))
#define EXPECT_OPTIONAL(a, rows, cols)                                                 \
    operate_expect_optional(__func__, #a, (a), (rows), (cols))

/* Do 'call', a slot with its arguments, on the device of stream 's', or let the time of
 * 'work' pass, whose members follow.
 */
#define OPERATE(s, call, ...)                                                          \
    do {                                                                               \
        struct dev *const dev_      = (s)->dev;                                        \
        const struct dev_work work_ = { .op = __func__ + sizeof "dev_" - 1,            \
                                        __VA_ARGS__ };                                 \
        if (!dev_->is_muted && reel_admits((s), &work_)) {                             \
            const double start_ = operate_begin(s);                                    \
            if (dev_->ops.charge != NULL)                                              \
                dev_->ops.charge(dev_, &work_);                                        \
            else                                                                       \
                dev_->ops.call;                                                        \
            operate_end(s, &work_, start_);                                            \
        }                                                                              \
    } while (0)

#define MOVE(s, moved, call) OPERATE(s, call, .bytes = (double)(moved))

#endif
