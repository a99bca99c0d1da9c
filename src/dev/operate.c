/* SPDX-License-Identifier: BSD-3-Clause */
/* What all operations have in common. */
#include "config.h"

#include "src/dev/operate.h"

#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/dev/lap.h"

double operate_begin(struct dev_stream *s)
{
    struct dev *dev = s->dev;

    if (dev->note != NULL && dev->ops.event_seconds != NULL)
        dev->ops.sync(s);
    if (dev->laps[s->lane] != NULL)
        laps_start(dev->laps[s->lane]);
    return clock_now();
}

/* Count an operation; returns its number.  Its name is a function's, one pointer for
 * each.
 */
static int count(struct dev *dev, const struct dev_work *work)
{
    int i = 0;

    while (i < dev->costs && dev->cost[i].name != work->op)
        i++;
    if (i == DEV_COSTS)
        die("%s: more operations than there is room for", work->op);
    if (i == dev->costs)
        dev->cost[dev->costs++] = (struct dev_cost){ .name = work->op };
    dev->cost[i].calls++;
    dev->cost[i].flops += work->flops;
    dev->cost[i].bytes += work->bytes;
    return i;
}

void operate_end(struct dev_stream *s, const struct dev_work *work, double start)
{
    struct dev *dev = s->dev;
    double seconds  = 0;
    const int i     = count(dev, work);

    if (dev->laps[s->lane] != NULL)
        laps_take(dev->laps[s->lane], i);
    if (dev->note != NULL && dev->ops.event_seconds != NULL)
        dev->ops.sync(s);
    if (dev->ops.event_seconds == NULL || dev->note != NULL)
        seconds = clock_now() - start;
    if (dev->note != NULL)
        dev->note(dev->note_ctx, work->op, start, start + seconds);
    if (dev->ops.event_seconds != NULL)
        return;
    dev->busy += seconds;
    dev->cost[i].seconds += seconds;
}

void operate_expect(const char *op, const char *what, struct mat a, int64_t rows,
                    int64_t cols)
{
    if (a.rows != rows || a.cols != cols || (a.rows > 1 && a.ld < a.cols))
        die("%s: %s is [%lld, %lld] with rows %lld apart, not [%lld, %lld]", op, what,
            (long long)a.rows, (long long)a.cols, (long long)a.ld, (long long)rows,
            (long long)cols);
}

void operate_expect_optional(const char *op, const char *what, struct mat a,
                             int64_t rows, int64_t cols)
{
    if (!mat_is_none(a))
        operate_expect(op, what, a, rows, cols);
}
