/* SPDX-License-Identifier: BSD-3-Clause */
/* A small product is made again and again, with a poll after each, as the rings of
 * mesh/ do it; with a message under way it takes longer by what the core spends on
 * that.
 */
#include "config.h"

#include "bench/busy.h"

#include "bench/result.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/mem.h"

#include <math.h>

enum { ROWS = 128, COLS = 256, DEPTH = 256, TIMES = 7 };

struct work {
    struct dev_stream *stream;
    struct buf buf[3];
    struct mat x, y, w;
    struct dev_weight *weight;
};

static int alloc(struct mat *a, struct buf *b, struct work *k, struct dev *dev,
                 int64_t rows, int64_t cols)
{
    const enum dtype t = dev_dtype(dev);

    TRY(dev_alloc(b, dev, (size_t)(rows * cols) * dtype_size(t)));
    *a = mat_of(b, t, rows, cols);
    dev_fill(k->stream, *a, 1);
    return 0;
}

static int work_open(struct work *k, struct dev *dev)
{
    *k = (struct work){ .stream = dev_stream(dev, LANE_COMPUTE) };
    TRY(alloc(&k->x, &k->buf[0], k, dev, ROWS, DEPTH));
    TRY(alloc(&k->y, &k->buf[1], k, dev, ROWS, COLS));
    TRY(alloc(&k->w, &k->buf[2], k, dev, DEPTH, COLS));
    TRY(dev_weight_open(&k->weight, dev, k->w));
    dev_weight_changed(k->stream, k->weight);
    return 0;
}

static void work_close(struct work *k)
{
    dev_weight_close(&k->weight);
    for (int i = 0; i < 3; i++)
        dev_free(&k->buf[i]);
}

/* Seconds of 'n' products, with a look at 'requests' after each if there are any. */
static double compute(struct work *k, int n, MPI_Request *requests, int count)
{
    const double start = clock_now();

    for (int i = 0; i < n; i++) {
        int flag;

        dev_gemm(k->stream, k->y, k->x, k->weight, (struct range){ 0, DEPTH },
                 (struct range){ 0, COLS }, false, NULL);
        dev_sync(k->stream);
        if (count > 0)
            TRY_MPI(MPI_Testall(count, requests, &flag, MPI_STATUSES_IGNORE));
    }
    return clock_now() - start;
}

static double exchange(struct work *k, int n, MPI_Comm comm, int peer, char *to,
                       char *from, int bytes)
{
    const double start = clock_now();
    MPI_Request requests[2];

    TRY_MPI(MPI_Irecv(to, bytes, MPI_BYTE, peer, 0, comm, &requests[0]));
    TRY_MPI(MPI_Isend(from, bytes, MPI_BYTE, peer, 0, comm, &requests[1]));
    compute(k, n, requests, 2);
    TRY_MPI(MPI_Waitall(2, requests, MPI_STATUSES_IGNORE));
    return clock_now() - start;
}

static double median(double seconds[TIMES])
{
    struct stat stat;

    stat_of(&stat, seconds, TIMES, 0);
    return stat.median;
}

static void measure(double *busy, struct work *k, MPI_Comm comm, int peer, char *room,
                    int bytes, double seconds)
{
    double alone[TIMES], both[TIMES];
    int n = 1, other;

    compute(k, 1, NULL, 0); /* makes plans */
    while (n < 1 << 20 && compute(k, n, NULL, 0) < 2 * seconds)
        n *= 2;
    TRY_MPI(MPI_Sendrecv(&n, 1, MPI_INT, peer, 1, &other, 1, MPI_INT, peer, 1, comm,
                         MPI_STATUS_IGNORE));
    n = n > other ? n : other;
    exchange(k, 1, comm, peer, room, room + bytes, bytes);
    for (int i = 0; i < TIMES; i++) {
        alone[i] = compute(k, n, NULL, 0);
        both[i]  = exchange(k, n, comm, peer, room, room + bytes, bytes);
    }
    *busy = fmin(fmax((median(both) - median(alone)) / seconds, 0), 1);
}

double busy_measure(struct mesh *mesh, struct dev *dev, int peer, int bytes,
                    double seconds)
{
    char *room = mem_new(2 * (size_t)bytes, 1);
    struct work work;
    double busy;
    const int rc = work_open(&work, dev);

    if (rc != 0)
        err_end(rc);
    measure(&busy, &work, mesh->comm[AXIS_ALL], peer, room, bytes, seconds);
    work_close(&work);
    mem_free(room);
    return busy;
}
