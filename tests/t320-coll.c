/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,3,4,6,17 */
/* Collectives on small integers are exact, with uneven and empty slices, along every
 * axis; what they post is what the plan says.
 */
#include "config.h"

#include "mesh/coll.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/told.h"
#include "tests/lazy.h"
#include "tests/ranks.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static struct mesh *mesh;
static struct dev *dev;
static struct dev_stream *stream;

/* A packed matrix on the device, filled by element number. */
struct own {
    struct buf buf;
    struct mat mat;
};

static void own_open(struct own *o, int64_t rows, int64_t cols)
{
    if (dev_alloc(&o->buf, dev, (size_t)(rows * cols) * sizeof(float)) != 0)
        die("%s", err_sentence());
    o->mat = mat_of(&o->buf, DTYPE_F32, rows, cols);
    dev_fill(stream, o->mat, -1000);
}

/* On the CPU devices a matrix is simply there, when its operations are done. */
static float *host(struct mat a)
{
    dev_sync(stream);
    return mat_size(a) > 0 ? mat_ptr(a) : NULL;
}

static float value(int rank, int64_t i)
{
    return (float)((i * 13 + rank * 5 + i / 7) % 17 - 8);
}

/* The sizes of slices to try; the last is mostly empty. */
static void columns(int64_t *cols, int ranks, int which)
{
    for (int j = 0; j < ranks; j++) {
        switch (which) {
        case 0:
            cols[j] = split_size(50, ranks, j);
            break;
        case 1:
            cols[j] = 3 * j + 1;
            break;
        default:
            cols[j] = j == 1 % ranks ? 5 : 0;
        }
    }
}

static void slice_bytes(int64_t *bytes, const int64_t *cols, int64_t rows, int ranks)
{
    for (int j = 0; j < ranks; j++)
        bytes[j] = rows * cols[j] * (int64_t)sizeof(float);
}

static bool is_counted(enum traffic kind, const struct traffic_count *t)
{
    return mesh->sent[kind].messages == t->messages &&
           mesh->sent[kind].bytes == t->bytes;
}

enum { ROWS = 9, RANKS = 20 };

static int64_t sum_of(const int64_t *cols, int ranks)
{
    int64_t sum = 0;

    for (int j = 0; j < ranks; j++)
        sum += cols[j];
    return sum;
}

static void test_allgather(enum axis axis, int which)
{
    const int ranks = mesh_axis_size(mesh, axis), i = mesh_axis_rank(mesh, axis);
    int64_t cols[RANKS], bytes[RANKS];
    struct traffic_count t = { 0 };
    struct own own, all;
    bool is_right = true;

    columns(cols, ranks, which);
    slice_bytes(bytes, cols, ROWS, ranks);
    own_open(&own, ROWS, cols[i]);
    own_open(&all, 1, ROWS * sum_of(cols, ranks));
    for (int64_t k = 0; k < mat_size(own.mat); k++)
        host(own.mat)[k] = value(i, k);
    mesh_count_reset(mesh);
    coll_allgather(mesh, axis, ACT_GATHER, stream, all.mat, own.mat, ROWS, cols);
    for (int j = 0; j < ranks; j++) {
        const struct mat slice = slices_at(all.mat, ROWS, cols, j);

        for (int64_t k = 0; k < mat_size(slice); k++)
            is_right &= host(slice)[k] == value(j, k);
    }
    ok(is_right, "all-gather %dx%d axis %d sizes %d", mesh->D, mesh->M, axis, which);
    traffic_allgather(&t, bytes, ranks, i);
    ok(is_counted(ACT_GATHER, &t), "posts what the plan says");

    /* In place. */
    dev_fill(stream, all.mat, -1000);
    dev_copy(stream, slices_at(all.mat, ROWS, cols, i), own.mat);
    coll_allgather(mesh, axis, ACT_GATHER, stream, all.mat,
                   slices_at(all.mat, ROWS, cols, i), ROWS, cols);
    for (int j = 0; j < ranks; j++) {
        const struct mat slice = slices_at(all.mat, ROWS, cols, j);

        for (int64_t k = 0; k < mat_size(slice); k++)
            is_right &= host(slice)[k] == value(j, k);
    }
    ok(is_right, "all-gather in place");
    dev_free(&own.buf);
    dev_free(&all.buf);
}

static void test_reduce_scatter(enum axis axis, int which)
{
    const int ranks = mesh_axis_size(mesh, axis), i = mesh_axis_rank(mesh, axis);
    int64_t cols[RANKS], bytes[RANKS];
    struct traffic_count t = { 0 };
    struct own own, all, work;
    int64_t room  = 0;
    bool is_right = true;

    columns(cols, ranks, which);
    slice_bytes(bytes, cols, ROWS, ranks);
    for (int j = 0; j < ranks && ranks > 16; j++)
        room = cols[j] * (ranks + 1) / 2 > room ? cols[j] * (ranks + 1) / 2 : room;
    if (ranks <= 16)
        room = (ranks - 1) * cols[i];
    own_open(&own, ROWS, cols[i]);
    own_open(&all, 1, ROWS * sum_of(cols, ranks));
    own_open(&work, 1, ROWS * room);
    for (int j = 0; j < ranks; j++) {
        const struct mat slice = slices_at(all.mat, ROWS, cols, j);

        for (int64_t k = 0; k < mat_size(slice); k++)
            host(slice)[k] = value(i, k + 3 * j);
    }
    mesh_count_reset(mesh);
    coll_reduce_scatter(mesh, axis, ACT_SCATTER, stream, own.mat, all.mat, work.mat,
                        ROWS, cols);
    for (int64_t k = 0; k < mat_size(own.mat); k++) {
        float sum = 0;

        for (int j = 0; j < ranks; j++)
            sum += value(j, k + 3 * i);
        is_right &= host(own.mat)[k] == sum;
    }
    ok(is_right, "reduce-scatter %dx%d axis %d sizes %d", mesh->D, mesh->M, axis,
       which);
    traffic_reduce_scatter(&t, bytes, ranks, i);
    ok(is_counted(ACT_SCATTER, &t), "posts what the plan says");
    dev_free(&own.buf);
    dev_free(&all.buf);
    dev_free(&work.buf);
}

static void test_allreduce(enum axis axis, int64_t n)
{
    const int ranks = mesh_axis_size(mesh, axis), i = mesh_axis_rank(mesh, axis);
    struct traffic_count t = { 0 };
    struct own x, work;
    bool is_right = true;

    own_open(&x, 1, n);
    own_open(&work, 1, traffic_allreduce_room(n, sizeof(float), ranks));
    for (int64_t k = 0; k < n; k++)
        host(x.mat)[k] = value(i, k);
    mesh_count_reset(mesh);
    coll_allreduce(mesh, axis, GRAD_SCATTER, stream, x.mat, work.mat);
    for (int64_t k = 0; k < n; k++) {
        float sum = 0;

        for (int j = 0; j < ranks; j++)
            sum += value(j, k);
        is_right &= host(x.mat)[k] == sum;
    }
    ok(is_right, "all-reduce %dx%d axis %d of %lld", mesh->D, mesh->M, axis,
       (long long)n);
    traffic_allreduce(&t, n, sizeof(float), ranks, i);
    ok(is_counted(GRAD_SCATTER, &t), "posts what the plan says");
    dev_free(&x.buf);
    dev_free(&work.buf);
}

/* Numbers whose sums are rounded. */
static void test_same_bits(enum axis axis, int64_t n)
{
    const int i = mesh_axis_rank(mesh, axis), ranks = mesh_axis_size(mesh, axis);
    struct own x, work;
    double sum = 0;

    own_open(&x, 1, n);
    own_open(&work, 1, traffic_allreduce_room(n, sizeof(float), ranks));
    for (int64_t k = 0; k < n; k++)
        host(x.mat)[k] = value(i, k) / 7 + 1000 * (float)(k % 3);
    coll_allreduce(mesh, axis, GRAD_SCATTER, stream, x.mat, work.mat);
    for (int64_t k = 0; k < n; k++)
        sum += host(x.mat)[k] * (double)(k + 1);
    ok(coll_largest(mesh, axis, sum) == coll_smallest(mesh, axis, sum),
       "an all-reduce of %lld leaves the same bits on all", (long long)n);
    dev_free(&x.buf);
    dev_free(&work.buf);
}

static void test_host(enum axis axis)
{
    const int ranks = mesh_axis_size(mesh, axis), i = mesh_axis_rank(mesh, axis);
    double x[3] = { i + 1, 0.1 * i, -i }, all[3 * RANKS], sum[3] = { 0 };
    bool is_right = true;

    mesh_count_reset(mesh);
    coll_host_gather(mesh, axis, all, x, 3);
    for (int j = 0; j < ranks; j++) {
        is_right &= all[3 * j] == j + 1 && all[3 * j + 1] == 0.1 * j;
        for (int k = 0; k < 3; k++)
            sum[k] += all[3 * j + k];
    }
    coll_host_sum(mesh, axis, x, 3);
    ok(is_right && memcmp(x, sum, sizeof sum) == 0, "numbers of the host, axis %d",
       axis);
    ok(mesh->sent[REDUCE].messages == (ranks > 1 ? 2 : 0) &&
           mesh->sent[REDUCE].bytes == (ranks > 1 ? 2 * 24 : 0) &&
           (mesh->waited[REDUCE] > 0) == (ranks > 1),
       "count as one message a call, and as waiting");
    ok(coll_sum(mesh, axis, i) == ranks * (ranks - 1) / 2 &&
           coll_largest(mesh, axis, i) == ranks - 1 &&
           coll_smallest(mesh, axis, i) == 0,
       "sum, largest, smallest");
    ok(mesh->sent[REDUCE].messages == (ranks > 1 ? 2 : 0), "are not counted");

    char text[8] = "no";

    if (i == ranks - 1)
        strcpy(text, "yes");
    coll_broadcast(mesh, axis, ranks - 1, text, sizeof text);
    ok(strcmp(text, "yes") == 0, "broadcast");
}

/* More numbers than there is room for, of all ranks. */
static void test_many(enum axis axis)
{
    enum { MANY = COLL_SUM_ROOM + 5 };
    const int ranks = mesh_axis_size(mesh, axis), i = mesh_axis_rank(mesh, axis);
    double *x     = mem_new(MANY, sizeof *x);
    bool is_right = true;
    int64_t before;

    for (int k = 0; k < MANY; k++)
        x[k] = k + i;
    before = mem_peak();
    coll_host_sum(mesh, axis, x, MANY);
    for (int k = 0; k < MANY; k++)
        is_right &= x[k] == (double)ranks * k + (double)ranks * (ranks - 1) / 2;
    ok(is_right, "many numbers are summed, axis %d", axis);
    ok(mem_peak() - before <= (int64_t)(COLL_SUM_ROOM * sizeof *x + MEM_ALIGN),
       "in little memory");
    mem_free(x);
}

static void test_muted(enum axis axis)
{
    const int ranks = mesh_axis_size(mesh, axis);
    int64_t cols[RANKS];
    struct own x, work;
    double number = 3;

    columns(cols, ranks, 0);
    own_open(&x, 1, ROWS * 50);
    own_open(&work, 1, ROWS * 50);
    dev_fill(stream, x.mat, 2);
    dev_fill(stream, work.mat, 0);
    for (int kind = 0; kind < TRAFFIC_KINDS; kind++)
        mesh_mute(mesh, kind, true);
    mesh_count_reset(mesh);
    coll_allreduce(mesh, axis, GRAD_SCATTER, stream, x.mat, work.mat);
    coll_allgather(mesh, axis, ACT_GATHER, stream, x.mat,
                   slices_at(x.mat, ROWS, cols, mesh_axis_rank(mesh, axis)), ROWS,
                   cols);
    coll_host_sum(mesh, axis, &number, 1);
    ok(host(x.mat)[0] == 2 && host(x.mat)[ROWS * 50 - 1] == 2 && number == 3,
       "muted, they leave what is there");
    for (int kind = 0; kind < TRAFFIC_KINDS; kind++) {
        ok(mesh->sent[kind].messages == 0, "and post no %s", traffic_name[kind]);
        mesh_mute(mesh, kind, false);
    }
    dev_free(&x.buf);
    dev_free(&work.buf);
}

static void test_all(void)
{
    static const int64_t lengths[] = { 0, 1, 5, 64, 1001, 40007 };

    for (int axis = 0; axis < AXES; axis++) {
        for (int which = 0; which < 3; which++) {
            test_allgather(axis, which);
            test_reduce_scatter(axis, which);
        }
        for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++)
            test_allreduce(axis, lengths[k]);
        test_same_bits(axis, 333);
        test_same_bits(axis, 30011);
        test_host(axis);
        test_many(axis);
        test_muted(axis);
    }
}

static void note(int number)
{
    (void)number;
}

/* The last rank is told to end: so are all. */
static void test_told(int size)
{
    if (told_by_signals(note) != 0)
        die("%s", err_sentence());
    for (int is_told = 0; is_told < 2; is_told++) {
        for (int D = 1; D <= size; D++) {
            if (size % D != 0)
                continue;
            if (mesh_open(&mesh, MPI_COMM_WORLD, D, size / D) != 0)
                die("%s", err_sentence());
            if (is_told && mesh->rank == size - 1) {
                kill(getpid(), SIGTERM);
                while (!told_to_end())
                    usleep(1000);
            }
            ok(coll_is_told(mesh) == is_told, "%dx%d: %s is told to end", D, size / D,
               is_told ? "everyone" : "nobody");
            mesh_close(&mesh);
        }
    }
}

int main(int argc, char **argv)
{
    const int size = ranks_open(&argc, &argv, "t320-coll");

    for (int way = 0; way < (size > 8 ? 1 : 3); way++) {
        if (dev_open(&dev, "cpu:ref", DTYPE_F32, 1) != 0)
            die("%s", err_sentence());
        if (way > 0)
            lazy_make(dev);
        stream = dev_stream(dev, LANE_COMPUTE);
        for (int D = 1; D <= size; D++) {
            if (size % D != 0 || (size > 8 && D > 1))
                continue;
            if (mesh_open(&mesh, MPI_COMM_WORLD, D, size / D) != 0)
                die("%s", err_sentence());
            mesh->reaches_gpus = way == 2;
            test_all();
            coll_barrier(mesh);
            mesh_close(&mesh);
        }
        dev_close(&dev);
    }
    test_told(size);
    return ranks_done();
}
