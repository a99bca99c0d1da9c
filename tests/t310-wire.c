/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,3,6 */
/* Wires: messages of any length to a neighbour and back, none at all, muted ones, many
 * under way; polling; what the hang guard is told.
 */
#include "config.h"

#include "mesh/await.h"
#include "mesh/progress.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "tests/ranks.h"
#include "tests/scratch.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE = 4000 }; /* looks */

static struct mesh *mesh;
static int size, rank;

static void fill(char *at, int64_t n, int who)
{
    for (int64_t i = 0; i < n; i++)
        at[i] = (char)(i * 31 + who * 7 + i / 251);
}

static bool is_filled(const char *at, int64_t n, int who)
{
    for (int64_t i = 0; i < n; i++) {
        if (at[i] != (char)(i * 31 + who * 7 + i / 251))
            return false;
    }
    return true;
}

/* 'n' bytes of two stretches to the neighbour, who cuts them elsewhere. */
static void test_two(int64_t n, int64_t cut_out, int64_t cut_in)
{
    const int up = (rank + 1) % size, down = (rank + size - 1) % size;
    char *all = mem_new((size_t)n + 1, 1), *out = mem_new(2 * (size_t)n + 1, 1);
    char *in = mem_new(2 * (size_t)n + 1, 1), *joined = mem_new((size_t)n + 1, 1);
    const struct stretch from[2] = { { out + n, cut_out }, { out, n - cut_out } };
    const struct stretch to[2]   = { { in + n, cut_in }, { in, n - cut_in } };
    struct wire send, recv;

    fill(all, n, rank);
    memcpy(out + n, all, (size_t)cut_out);
    memcpy(out, all + cut_out, (size_t)(n - cut_out));
    mesh_count_reset(mesh);
    wire_recv_two(&recv, mesh, REDUCE, AXIS_ALL, down, TAG_DIRECT, to);
    wire_send_two(&send, mesh, REDUCE, AXIS_ALL, up, TAG_DIRECT, from);
    wire_wait(&recv);
    wire_wait(&send);
    memcpy(joined, in + n, (size_t)cut_in);
    memcpy(joined + cut_in, in, (size_t)(n - cut_in));
    ok(is_filled(joined, n, down) && mesh->sent[REDUCE].messages == (n > 0) &&
           mesh->sent[REDUCE].bytes == n,
       "%lld bytes in two stretches are one message", (long long)n);
    mem_free(all);
    mem_free(out);
    mem_free(in);
    mem_free(joined);
}

/* 'n' bytes once round the neighbours, polled to their end or waited for. */
static void test_length(int64_t n, bool is_polled)
{
    const int up = (rank + 1) % size, down = (rank + size - 1) % size;
    char *out = mem_new((size_t)n + 1, 1), *in = mem_new((size_t)n + 1, 1);
    struct wire send, recv;

    fill(out, n, rank);
    mesh_count_reset(mesh);
    mesh->waited[GRAD_SCATTER] = 1;
    wire_recv(&recv, mesh, GRAD_SCATTER, AXIS_ALL, down, TAG_DIRECT, in, n);
    wire_send(&send, mesh, GRAD_SCATTER, AXIS_ALL, up, TAG_DIRECT, out, n);
    ok(recv.is_active == (n > 0) && send.is_active == (n > 0), "%lld bytes are %s",
       (long long)n, n > 0 ? "under way" : "no message");
    while (is_polled && (recv.is_active || send.is_active))
        progress_poll(mesh);
    wire_wait(&send);
    wire_wait(&recv);
    ok(is_filled(in, n, down) && !recv.is_active && !send.is_active,
       "%lld bytes arrive when %s", (long long)n, is_polled ? "polled" : "waited for");
    ok(mesh->sent[GRAD_SCATTER].bytes == n &&
           mesh->sent[GRAD_SCATTER].messages == (n > 0),
       "and are counted");
    ok(is_polled || n == 0 || mesh->waited[GRAD_SCATTER] > 1,
       "and waiting adds to that before");
    mem_free(out);
    mem_free(in);
}

static void test_muted(void)
{
    char in = 17, out = 4;
    struct wire send, recv;

    mesh_mute(mesh, ACT_GATHER, true);
    mesh_count_reset(mesh);
    wire_recv(&recv, mesh, ACT_GATHER, AXIS_ALL, 0, TAG_GATHER, &in, 1);
    wire_send(&send, mesh, ACT_GATHER, AXIS_ALL, 0, TAG_GATHER, &out, 1);
    wire_wait(&recv);
    wire_wait(&send);
    ok(in == 17 && mesh->sent[ACT_GATHER].messages == 0, "a muted kind moves nothing");
    mesh_mute(mesh, ACT_GATHER, false);
}

/* Wires of two kinds and tags under way together, ended in another order. */
static void test_many(void)
{
    enum { MANY = 12, BYTES = 1000 };
    const int up = (rank + 1) % size, down = (rank + size - 1) % size;
    struct wire send[MANY], recv[MANY];
    static char in[MANY][BYTES], out[MANY][BYTES];
    bool is_right = true;

    memset(in, 0, sizeof in);
    for (int i = 0; i < MANY; i++) {
        const int tag = i % 2 == 0 ? TAG_GATHER : TAG_SCATTER;

        fill(out[i], BYTES, 100 * i + rank);
        wire_recv(&recv[i], mesh, REDUCE, AXIS_ALL, down, tag, in[i], BYTES);
        wire_send(&send[i], mesh, REDUCE, AXIS_ALL, up, tag, out[i], BYTES);
        progress_poll(mesh);
    }
    for (int i = MANY - 1; i >= 0; i--) {
        wire_wait(&recv[i]);
        wire_wait(&send[(i + 5) % MANY]);
        is_right &= is_filled(in[i], BYTES, 100 * i + down);
    }
    ok(is_right, "many messages keep their order");
    progress_set(mesh, PROGRESS_NONE);
    progress_poll(mesh);
    progress_set(mesh, PROGRESS_POLL);
}

static void nap(double seconds)
{
    const struct timespec t = { (time_t)seconds,
                                (long)(1e9 * (seconds - (double)(time_t)seconds)) };

    nanosleep(&t, NULL);
}

/* Another thread looks at what rank 0 waits for; then the file "seen" lets it come. */
static char looked[96];
static const char *seen;

static void *look(void *unused)
{
    (void)unused;
    for (int i = 0; i < PATIENCE && looked[0] == '\0'; i++) {
        nap(0.005);
        await_text(looked, sizeof looked, mesh);
    }
    close(open(seen, O_WRONLY | O_CREAT, 0600));
    return NULL;
}

/* Who is waited for along an axis, by what MPI knows of its ranks. */
static void who_of(char *text, size_t room, const struct mesh *grid, enum axis axis)
{
    enum { MOST = 16 };
    int here[MOST], there[MOST], count;
    MPI_Group all, some;

    MPI_Comm_group(grid->comm[AXIS_ALL], &all);
    MPI_Comm_group(grid->comm[axis], &some);
    MPI_Group_size(some, &count);
    if (count > MOST)
        die("this test has room for %d ranks an axis, not %d", MOST, count);
    for (int i = 0; i < count; i++)
        here[i] = i;
    MPI_Group_translate_ranks(some, count, here, all, there);
    if (count == 2)
        snprintf(text, room, "reduce from rank %d", there[there[0] == rank ? 1 : 0]);
    else if (there[1] == there[0] + 1)
        snprintf(text, room, "reduce among ranks %d to %d", there[0], there[count - 1]);
    else
        snprintf(text, room, "reduce among ranks %d, %d to %d", there[0], there[1],
                 there[count - 1]);
    MPI_Group_free(&all);
    MPI_Group_free(&some);
}

static void test_axes(int D, int M)
{
    struct mesh *grid;

    if (mesh_open(&grid, MPI_COMM_WORLD, D, M) != 0)
        die("%s", err_sentence());
    for (int axis = 0; axis < AXES; axis++) {
        const int n = mesh_axis_size(grid, axis), i = mesh_axis_rank(grid, axis);
        char text[96], who[96], in = -1, out = (char)rank;
        struct wire send, recv;

        if (mesh_axis_size(grid, axis) == 1)
            continue;
        await_axis(grid, REDUCE, axis);
        await_text(text, sizeof text, grid);
        await_end(grid);
        who_of(who, sizeof who, grid, axis);
        ok(strcmp(text, who) == 0, "%dx%d, axis %d: %s, by MPI %s", D, M, axis, text,
           who);
        wire_recv(&recv, grid, REDUCE, axis, (i + 1) % n, TAG_DIRECT, &in, 1);
        wire_send(&send, grid, REDUCE, axis, (i + n - 1) % n, TAG_DIRECT, &out, 1);
        wire_wait(&recv);
        wire_wait(&send);
        ok(recv.peer == in, "a message along it is one from rank %d", in);
    }
    mesh_close(&grid);
}

static void test_state(void)
{
    char at = 1, text[96];
    struct wire w;
    pthread_t thread;

    await_text(text, sizeof text, mesh);
    ok(text[0] == '\0', "nothing is waited for between calls");
    for (int M = 1; M <= size; M++) {
        if (size % M == 0)
            test_axes(size / M, M);
    }
    if (size == 1)
        return;
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) {
        pthread_create(&thread, NULL, look, NULL);
        wire_recv(&w, mesh, ACT_GATHER, AXIS_ALL, size - 1, TAG_GATHER, &at, 1);
        wire_wait(&w);
        pthread_join(thread, NULL);
        snprintf(text, sizeof text, "act_gather from rank %d", size - 1);
    } else if (rank == size - 1) {
        for (int i = 0; i < PATIENCE && access(seen, F_OK) != 0; i++)
            nap(0.005);
        wire_send(&w, mesh, ACT_GATHER, AXIS_ALL, 0, TAG_GATHER, &at, 1);
        wire_wait(&w);
    }
    ok(rank != 0 || strcmp(looked, text) == 0, "a wire names kind and peer");
}

int main(int argc, char **argv)
{
    static const int64_t lengths[] = { 0, 1, 7, 4096, 100000, 3000001 };

    size = ranks_open(&argc, &argv, "t310-wire");
    if (mesh_open(&mesh, MPI_COMM_WORLD, 1, size) != 0)
        die("%s", err_sentence());
    rank = mesh->rank;
    scratch_open();
    seen = scratch_path("seen");
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        test_length(lengths[i], false);
        test_length(lengths[i], true);
    }
    test_two(0, 0, 0);
    test_two(1000, 0, 1000);
    test_two(1000, 1000, 300);
    test_two(200003, 70001, 3);
    test_muted();
    test_many();
    test_state();
    mesh_close(&mesh);
    ok(mesh == NULL, "closed");
    return ranks_done();
}
