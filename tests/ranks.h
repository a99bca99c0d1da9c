/* SPDX-License-Identifier: BSD-3-Clause */
/* Start and end of a test program on several ranks: one verdict of all, printed by
 * the first.
 */
#ifndef TESTS_RANKS_H
#define TESTS_RANKS_H

#include "src/base/log.h"
#include "src/base/mem.h"
#include "tests/tap.h"

#include <mpi.h>

static inline bool ranks_all(bool is_ok)
{
    int all = is_ok;

    MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD);
    return all != 0;
}

/* Returns how many ranks there are. */
static inline int ranks_open(int *argc, char ***argv, const char *program)
{
    int rank, size, provided;

    MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    log_open(program, rank);
    tap_reduce   = ranks_all;
    tap_is_quiet = rank > 0;
    return size;
}

static inline int ranks_done(void)
{
    int status;

    if (!ok(mem_now() == 0, "all memory has been given back"))
        tap_note("%lld bytes have not", (long long)mem_now());
    status = tap_done();
    MPI_Finalize();
    return status;
}

#endif
