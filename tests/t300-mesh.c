/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,4,6 */
/* The grid: places of ranks, agreement on errors, planted faults. */
#include "config.h"

#include "mesh/mesh.h"

#include "src/base/clock.h"
#include "src/base/err.h"
#include "tests/ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int size, rank;

static void test_refused(void)
{
    static const int bad[][2] = {
        { 0, 1 }, { -1, -1 }, { 7, 5 }, { 1, 0 }, { 65536, 65536 }
    };
    struct mesh *mesh = NULL;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ok(mesh_open(&mesh, MPI_COMM_WORLD, bad[i][0], bad[i][1]) == ERR_SHAPE &&
               mesh == NULL && err_sentence() != NULL,
           "a mesh of %dx%d is refused everywhere", bad[i][0], bad[i][1]);
        err_forget();
    }
    mesh_close(&mesh);
    ok(true, "nothing can be closed");
}

static void test_places(struct mesh *mesh, int D, int M)
{
    int sum[AXES], own = 1 << rank;
    double before, now;

    ok(mesh->D == D && mesh->M == M && mesh->rank == rank && mesh->size == size &&
           mesh->d == rank / M && mesh->m == rank % M,
       "%dx%d: rank = d M + m", D, M);
    for (int axis = 0; axis < AXES; axis++) {
        int r, n;

        MPI_Comm_rank(mesh->comm[axis], &r);
        MPI_Comm_size(mesh->comm[axis], &n);
        ok(r == mesh_axis_rank(mesh, axis) && n == mesh_axis_size(mesh, axis),
           "%dx%d: axis %d knows its ranks", D, M, axis);
        MPI_Allreduce(&own, &sum[axis], 1, MPI_INT, MPI_SUM, mesh->comm[axis]);
    }

    int row = 0, column = 0;

    for (int m = 0; m < M; m++)
        row += 1 << (mesh->d * M + m);
    for (int d = 0; d < D; d++)
        column += 1 << (d * M + mesh->m);
    ok(sum[AXIS_MODEL] == row && sum[AXIS_DATA] == column &&
           sum[AXIS_ALL] == (1 << size) - 1,
       "%dx%d: the axes are rows and columns of the grid", D, M);
    ok(mesh->nodes >= 1 && mesh->node_rank < mesh->node_size && mesh->node_size <= size,
       "%dx%d: nodes are counted", D, M);
    ok(mesh->node_size < size || (mesh->nodes == 1 && mesh->near == D),
       "%dx%d: on one node all data ranks are near", D, M);
    before = clock_monotonic();
    now    = clock_now();
    ok(before <= now && now <= clock_monotonic(),
       "%dx%d: the clock is one that nobody sets", D, M);
}

/* Lines that all ranks together write on stderr while they agree on 'rc'. */
static int lines_said(struct mesh *mesh, int rc, int *agreed)
{
    FILE *file     = tmpfile();
    const int keep = dup(STDERR_FILENO);
    int lines      = 0;

    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    *agreed = mesh_agree(mesh, rc);
    fflush(stderr);
    dup2(keep, STDERR_FILENO);
    close(keep);
    rewind(file);
    for (int c; (c = getc(file)) != EOF;)
        lines += c == '\n';
    fclose(file);
    return lines;
}

/* Rank r brings rc[r]; 'worst' comes out, said by rank 'who' alone. */
static void expect_agree(struct mesh *mesh, const char *what, int rc, int worst,
                         int who)
{
    int agreed, lines;

    err_forget();
    if (rc != 0)
        (void)ERR(rc, "trouble on rank %d", rank);
    lines = lines_said(mesh, rc, &agreed);
    ok(agreed == worst && lines == (rank == who) && err_sentence() == NULL,
       "%s: one speaks, all know", what);
}

static void test_agree(struct mesh *mesh)
{
    const int last = size - 1;

    expect_agree(mesh, "no error", 0, 0, -1);
    expect_agree(mesh, "one rank's error", rank == last ? ERR_IO : 0, ERR_IO, last);
    expect_agree(mesh, "everyone's error", ERR_USAGE, ERR_USAGE, 0);
    expect_agree(mesh, "a larger status wins", rank == last ? ERR_MEMORY : ERR_CHECK,
                 ERR_MEMORY, last);
    expect_agree(mesh, "the lowest rank wins", rank == 0 ? ERR_DEVICE : ERR_IO,
                 ERR_DEVICE, 0);
    ok(mesh_agree_comm(MPI_COMM_WORLD, 0) == 0, "without a mesh too");
}

static void test_fault(const char *value, enum fault on_last)
{
    struct mesh *mesh;

    setenv("VITBENCH_FAULT", value, 1);
    if (mesh_open(&mesh, MPI_COMM_WORLD, size, 1) != 0)
        die("%s", err_sentence());
    ok(mesh->fault == (rank == size - 1 ? on_last : FAULT_NONE), "VITBENCH_FAULT=%s",
       value);
    mesh_close(&mesh);
    unsetenv("VITBENCH_FAULT");
}

static void test_faults(void)
{
    char value[32];

    snprintf(value, sizeof value, "slice:%d", size - 1);
    test_fault(value, FAULT_SLICE);
    snprintf(value, sizeof value, "drop:%d", size - 1);
    test_fault(value, FAULT_DROP);
    snprintf(value, sizeof value, "moments:%d", size - 1);
    test_fault(value, FAULT_MOMENTS);
    snprintf(value, sizeof value, "slow:%d", size - 1);
    test_fault(value, FAULT_SLOW);
    snprintf(value, sizeof value, "drops:%d", size - 1);
    test_fault(value, FAULT_NONE);
    test_fault("drop", FAULT_NONE);
}

/* In a child, which has no part in messages. */
static void test_mpi_error(void)
{
    int status = 0;
    pid_t child;

    if (size > 1)
        return;
    fflush(stdout);
    child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        mesh_mpi_died(MPI_ERR_OTHER, "MPI_Send()");
    }
    waitpid(child, &status, 0);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 3, "an error of MPI ends with 3");
}

int main(int argc, char **argv)
{
    size = ranks_open(&argc, &argv, "t300-mesh");
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    unsetenv("VITBENCH_FAULT");
    test_mpi_error();
    test_refused();
    for (int D = 1; D <= size; D++) {
        struct mesh *mesh;

        if (size % D != 0)
            continue;
        if (mesh_open(&mesh, MPI_COMM_WORLD, D, size / D) != 0)
            die("%s", err_sentence());
        test_places(mesh, D, size / D);
        test_agree(mesh);
        ok(mesh->fault == FAULT_NONE, "no fault is planted");
        mesh_mute(mesh, REDUCE, true);
        ok(mesh->is_muted[REDUCE] && !mesh->is_muted[ACT_GATHER], "one kind is muted");
        mesh->sent[REDUCE].bytes = mesh->rings = mesh->bidirs = 5;
        mesh->waited[REDUCE]                                  = 5;
        mesh_count_reset(mesh);
        ok(mesh->sent[REDUCE].bytes == 0 && mesh->rings == 0 && mesh->bidirs == 0 &&
               mesh->waited[REDUCE] == 0,
           "counters start again");
        mesh_close(&mesh);
    }
    test_faults();
    return ranks_done();
}
