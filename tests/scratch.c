/* SPDX-License-Identifier: BSD-3-Clause */
/* A folder for a program's files. */
#include "config.h"

#include "tests/scratch.h"

#include "src/base/err.h"

#include <ftw.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATHS = 32, OPEN_MOST = 8 };

static char folder[] = "/tmp/vitbench-test-XXXXXX";
static pid_t owner;

static int remove_one(const char *path, const struct stat *state, int kind,
                      struct FTW *where)
{
    (void)state;
    (void)kind;
    (void)where;
    return remove(path);
}

/* Children that leave by exit() remove nothing. */
static void remove_all(void)
{
    if (getpid() == owner &&
        nftw(folder, remove_one, OPEN_MOST, FTW_DEPTH | FTW_PHYS) != 0)
        fprintf(stderr, "# %s is left over\n", folder);
}

const char *scratch_open(void)
{
    int has_mpi, rank = 0;

    MPI_Initialized(&has_mpi);
    if (has_mpi)
        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0) {
        if (mkdtemp(folder) == NULL)
            die("no folder %s can be made", folder);
        owner = getpid();
        atexit(remove_all);
    }
    if (has_mpi)
        MPI_Bcast(folder, sizeof folder, MPI_CHAR, 0, MPI_COMM_WORLD);
    return folder;
}

const char *scratch_path(const char *name)
{
    static char path[PATHS][128];
    char full[sizeof path[0]];
    int i = 0;

    snprintf(full, sizeof full, "%s/%s", folder, name);
    while (path[i][0] != '\0' && strcmp(path[i], full) != 0)
        if (++i == PATHS)
            die("no room for another path than %d", PATHS);
    return strcpy(path[i], full);
}
