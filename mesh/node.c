/* SPDX-License-Identifier: BSD-3-Clause */
/* Cores and memory of a node, from the affinity masks of its ranks. */
#include "config.h"

#include "mesh/node.h"

#include "mesh/mesh.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/dev/cpu_info.h"
#include "src/dev/dev.h"

#include <stdio.h>
#include <string.h>

static bool is_overlapping(const struct cpu_set *a, const struct cpu_set *b)
{
    for (int i = 0; i < CPU_CORES_MOST / 64; i++) {
        if ((a->word[i] & b->word[i]) != 0)
            return true;
    }
    return false;
}

/* Whether any two of 'n' sets do. */
static bool are_overlapping(const struct cpu_set *set, int n)
{
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < i; k++) {
            if (is_overlapping(&set[i], &set[k]))
                return true;
        }
    }
    return false;
}

static void add(struct cpu_set *to, const struct cpu_set *set)
{
    for (int i = 0; i < CPU_CORES_MOST / 64; i++)
        to->word[i] |= set->word[i];
}

/* Compare this rank's cores with those of the 'ranks' of its node. */
static void compare(struct node *n, const struct cpu_set *all, int ranks, int rank)
{
    const struct cpu_set *own = &all[rank];
    struct cpu_set together   = { 0 };

    n->cores      = cpu_count(own);
    n->sharers    = 0;
    n->is_doubled = false;
    for (int i = 0; i < ranks; i++) {
        const bool is_shared = is_overlapping(own, &all[i]);

        add(&together, &all[i]);
        n->sharers += is_shared;
        if (i != rank && n->cores == 1 && is_shared && cpu_count(&all[i]) == 1)
            n->is_doubled = true;
    }
    n->cores_all = cpu_count(&together);
}

void node_find(struct node *n, MPI_Comm comm)
{
    int64_t bytes = mem_available();
    struct cpu_set own[2], *all;
    MPI_Comm peers;
    int rank;

    TRY_MPI(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &peers));
    TRY_MPI(MPI_Comm_size(peers, &n->ranks));
    TRY_MPI(MPI_Comm_rank(peers, &rank));
    cpu_team_cores(&own[0]);
    cpu_own_cores(&own[1]);
    all = mem_new((size_t)n->ranks, sizeof *all);
    /* Where teams share cores, OpenMP has bound their first threads to the same one. */
    for (int i = 0; i < 2 && (i == 0 || are_overlapping(all, n->ranks)); i++)
        TRY_MPI(MPI_Allgather(&own[i], sizeof own[i], MPI_BYTE, all, sizeof own[i],
                              MPI_BYTE, peers));
    compare(n, all, n->ranks, rank);
    mem_free(all);
    TRY_MPI(MPI_Comm_free(&peers));

    TRY_MPI(MPI_Allreduce(&n->ranks, &n->ranks_most, 1, MPI_INT, MPI_MAX, comm));
    TRY_MPI(MPI_Allreduce(&bytes, &n->bytes, 1, MPI_INT64_T, MPI_MIN, comm));
}

int node_same_device(MPI_Comm comm, const char *name, enum dtype dtype)
{
    struct {
        char name[64];
        enum dtype dtype;
    } first = { .dtype = dtype };
    int rc  = 0;

    snprintf(first.name, sizeof first.name, "%s", name);
    TRY_MPI(MPI_Bcast(&first, sizeof first, MPI_BYTE, 0, comm));
    if (strcmp(first.name, name) != 0 || first.dtype != dtype)
        rc = ERR(ERR_DEVICE,
                 "this rank has %s in %s, rank 0 has %s in %s: all need the same "
                 "(--device, --dtype)",
                 name, dtype_name(dtype), first.name, dtype_name(first.dtype));
    return mesh_agree_comm(comm, rc);
}

/* How many ranks of this rank's node have the same unit, itself among them, and whether
 * it 'is_first' of them.  Nobody shares one without a name.
 */
static int share(bool *is_first, MPI_Comm comm, const char *unit)
{
    char own[DEV_UNIT] = "", (*all)[DEV_UNIT];
    int ranks, rank, sharers = 0;
    MPI_Comm peers;

    snprintf(own, sizeof own, "%s", unit);
    TRY_MPI(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &peers));
    TRY_MPI(MPI_Comm_size(peers, &ranks));
    TRY_MPI(MPI_Comm_rank(peers, &rank));
    all = mem_new((size_t)ranks, sizeof *all);
    TRY_MPI(MPI_Allgather(own, DEV_UNIT, MPI_CHAR, all, DEV_UNIT, MPI_CHAR, peers));
    *is_first = true;
    for (int i = 0; i < ranks; i++) {
        const bool is_same = own[0] != '\0' ? strcmp(all[i], own) == 0 : i == rank;

        *is_first &= i >= rank || !is_same;
        sharers += is_same;
    }
    mem_free(all);
    TRY_MPI(MPI_Comm_free(&peers));
    return sharers;
}

/* A rank may see all GPUs of its node, or its own alone, as launchers bind them. */
int node_use(struct node *n, MPI_Comm comm, const char *name, enum dtype dtype)
{
    struct dev_units units;
    int64_t bytes;
    bool is_first;

    TRY(node_same_device(comm, dev_first(name, dtype), dtype));
    units = dev_units(name, dtype, true);
    bytes = units.bytes / share(&is_first, comm, units.unit);
    TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, &bytes, 1, MPI_INT64_T, MPI_MIN, comm));
    if (bytes > 0)
        n->bytes = bytes * n->ranks_most;
    return 0;
}

int node_units(MPI_Comm comm, const char *unit)
{
    bool is_first;
    int units;

    share(&is_first, comm, unit);
    units = is_first;
    TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, &units, 1, MPI_INT, MPI_SUM, comm));
    return units;
}

int node_threads(const struct node *n)
{
    const int share = n->cores / n->sharers;

    return share > 0 ? share : 1;
}
