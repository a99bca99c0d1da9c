/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,3 */
/* A thread that moves messages: they arrive while the main thread computes and calls no
 * MPI, also many at a time and beside library collectives; without MPI_THREAD_MULTIPLE
 * there is none.
 */
#include "config.h"

#include "mesh/coll.h"
#include "mesh/trace.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "tests/lazy.h"
#include "tests/ranks.h"

#include <string.h>

static struct mesh *mesh;
static int size, rank;

/* Compute until both wires are done, or for 'most' seconds; true if they are. */
static bool compute(struct wire *a, struct wire *b, double most)
{
    const double start = MPI_Wtime();
    volatile double x  = 1;

    while ((a->is_active || b->is_active) && MPI_Wtime() < start + most) {
        for (int i = 0; i < 100000; i++)
            x = x * 1.0000001 + 1e-9;
    }
    return !a->is_active && !b->is_active;
}

/* A message of 'n' bytes once round, and nobody who asks for it. */
static bool arrives(int64_t n, double most)
{
    const int up = (rank + 1) % size, down = (rank + size - 1) % size;
    char *out = mem_new((size_t)n, 1), *in = mem_new((size_t)n, 1);
    struct wire send, recv;
    bool is_there;

    memset(out, 'a' + rank, (size_t)n);
    wire_recv(&recv, mesh, GRAD_SCATTER, AXIS_ALL, down, TAG_DIRECT, in, n);
    wire_send(&send, mesh, GRAD_SCATTER, AXIS_ALL, up, TAG_DIRECT, out, n);
    is_there = compute(&recv, &send, most);
    wire_wait(&recv);
    wire_wait(&send);
    is_there &= in[0] == 'a' + down && in[n - 1] == 'a' + down;
    mem_free(out);
    mem_free(in);
    return is_there;
}

/* Messages under way while the main thread waits, starts others, and calls MPI. */
static void test_load(void)
{
    enum { MANY = 10, BYTES = 200000, TIMES = 30 };
    const int up = (rank + 1) % size, down = (rank + size - 1) % size;
    char *out = mem_new(MANY, BYTES), *in = mem_new(MANY, BYTES);
    struct wire send[MANY], recv[MANY];
    bool is_right = true;

    mesh_count_reset(mesh);
    for (int t = 0; t < TIMES; t++) {
        for (int i = 0; i < MANY; i++) {
            memset(out + i * BYTES, (rank + i + t) % 100, BYTES);
            wire_recv(&recv[i], mesh, REDUCE, AXIS_ALL, down, TAG_DIRECT,
                      in + i * BYTES, BYTES);
            wire_send(&send[i], mesh, REDUCE, AXIS_ALL, up, TAG_DIRECT, out + i * BYTES,
                      BYTES);
            if (i % 3 == 0)
                is_right &= coll_sum(mesh, AXIS_ALL, 1) == size;
            progress_poll(mesh);
        }
        for (int i = 0; i < MANY; i++) {
            wire_wait(&send[i]);
            wire_wait(&recv[MANY - 1 - i]);
        }
        for (int i = 0; i < MANY; i++)
            is_right &= in[i * BYTES] == (down + i + t) % 100 &&
                        in[i * BYTES + BYTES - 1] == (down + i + t) % 100;
    }
    ok(is_right && mesh->sent[REDUCE].messages == MANY * TIMES,
       "%d messages beside collectives are whole", MANY * TIMES);
    mem_free(out);
    mem_free(in);
}

/* What the record of a trace says of one message. */
static void test_trace(void)
{
    struct trace *t;
    int messages = 0, waits = 0;
    bool is_right = true;

    trace_start(mesh, 100);
    arrives(5000, 0);
    t = trace_stop(mesh);
    for (int i = 0; i < trace_count(t); i++) {
        const struct trace_span *s = &t->span[i];

        messages += s->track == TRACE_MESSAGES;
        waits += s->track == TRACE_COMPUTE && strcmp(s->name, "wait") == 0;
        is_right &= s->start <= s->end;
        if (s->track == TRACE_MESSAGES)
            is_right &= s->bytes == 5000 && strcmp(s->name, "grad_scatter") == 0 &&
                        s->peer == (rank + (s->is_send ? 1 : size - 1)) % size;
    }
    ok(messages == 2 && waits <= 2 && is_right,
       "a record has both ends, and at most two waits");
    mem_free(t);
    trace_start(mesh, 1);
    arrives(5000, 0);
    t = trace_stop(mesh);
    ok(trace_count(t) == 1 && atomic_load(&t->count) > 1, "and knows what it lost");
    mem_free(t);
}

/* Messages of a device that runs behind the host: it is the main thread's alone. */
static void test_device(void)
{
    enum { N = 100 };
    const int up = (rank + 1) % size, down = (rank + size - 1) % size;
    struct buf room[2];
    struct mat a[2];
    struct dev *dev;
    struct wire send, recv;
    float number[N];

    if (dev_open(&dev, "cpu:ref", DTYPE_F32, 1) != 0)
        die("%s", err_sentence());
    lazy_make(dev);
    for (int i = 0; i < 2; i++) {
        if (dev_alloc(&room[i], dev, sizeof number) != 0)
            die("%s", err_sentence());
        a[i] = mat_of(&room[i], DTYPE_F32, 1, N);
        dev_fill(dev_stream(dev, LANE_COMPUTE), a[i], i * (rank + 1));
    }
    progress_set(mesh, PROGRESS_THREAD);
    coll_recv(&recv, mesh, GRAD_SCATTER, AXIS_ALL, down, TAG_DIRECT, a[0], NULL);
    coll_send(&send, mesh, GRAD_SCATTER, AXIS_ALL, up, TAG_DIRECT, a[1], NULL);
    ok(progress_of(mesh) == PROGRESS_POLL, "a device's messages are no thread's");
    wire_wait(&recv);
    wire_wait(&send);
    dev_get(dev_stream(dev, LANE_COMPUTE), number, a[0]);
    ok(number[0] == (float)(down + 1) && number[N - 1] == number[0], "and arrive");
    for (int i = 0; i < 2; i++)
        dev_free(&room[i]);
    dev_close(&dev);
}

int main(int argc, char **argv)
{
    bool moves_alone;
    int level;

    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    log_open("t317-thread", rank);
    tap_reduce   = ranks_all;
    tap_is_quiet = rank > 0;
    if (mesh_open(&mesh, MPI_COMM_WORLD, 1, size) != 0)
        die("%s", err_sentence());
    if (level < MPI_THREAD_MULTIPLE) {
        ok(progress_set(mesh, PROGRESS_THREAD) == PROGRESS_POLL,
           "an MPI without threads polls");
        mesh_close(&mesh);
        return ranks_done();
    }
    moves_alone = arrives(8 << 20, 0.2); /* most MPIs leave it until somebody asks */
    ok(progress_set(mesh, PROGRESS_THREAD) == PROGRESS_THREAD, "a thread starts");
    ok(arrives(100, 20), "a small message arrives while the main thread computes");
    ok(arrives(8 << 20, 20), "so does a large one");
    test_load();
    test_trace();
    ok(progress_set(mesh, PROGRESS_POLL) == PROGRESS_POLL, "the thread ends");
    ok(arrives(8 << 20, 0.2) == moves_alone, "and messages move as before");
    test_device();
    progress_set(mesh, PROGRESS_THREAD);
    mesh_close(&mesh);
    ok(mesh == NULL, "a mesh closes with its thread");
    return ranks_done();
}
