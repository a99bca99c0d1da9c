/* SPDX-License-Identifier: BSD-3-Clause */
/* Cores and memory of a node, from the affinity masks of its ranks. */
#include "config.h"

#include "bench/node.h"

#include "mesh/mesh.h"
#include "src/base/mem.h"

#include <sched.h>
#include <stdio.h>

/* The first of the processors that are threads of the same core as 'cpu'. */
static int core_of(int cpu)
{
    char path[96];
    FILE *file;
    int first = cpu;

    snprintf(path, sizeof path,
             "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    file = fopen(path, "r");
    if (file == NULL)
        return cpu;
    if (fscanf(file, "%d", &first) != 1 || first < 0 || first >= CPU_SETSIZE)
        first = cpu;
    fclose(file);
    return first;
}

/* The cores that this process may run on, each by its first thread. */
static void own_cores(cpu_set_t *cores)
{
    cpu_set_t mask;

    CPU_ZERO(cores);
    if (sched_getaffinity(0, sizeof mask, &mask) != 0)
        CPU_ZERO(&mask);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &mask))
            CPU_SET(core_of(cpu), cores);
    }
    if (CPU_COUNT(cores) == 0)
        CPU_SET(0, cores);
}

/* Compare this rank's mask with those of the 'ranks' of its node. */
static void compare(struct node *n, const cpu_set_t *all, int ranks, int rank)
{
    const cpu_set_t own = all[rank];
    cpu_set_t together, common;

    CPU_ZERO(&together);
    n->cores      = CPU_COUNT(&own);
    n->sharers    = 0;
    n->is_doubled = false;
    for (int i = 0; i < ranks; i++) {
        CPU_OR(&together, &together, &all[i]);
        CPU_AND(&common, &own, &all[i]);
        n->sharers += CPU_COUNT(&common) > 0;
        if (i != rank && n->cores == 1 && CPU_EQUAL(&own, &all[i]))
            n->is_doubled = true;
    }
    n->cores_all = CPU_COUNT(&together);
}

void node_find(struct node *n, MPI_Comm comm)
{
    int64_t bytes = mem_available();
    cpu_set_t own, *all;
    MPI_Comm peers;
    int rank;

    TRY_MPI(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &peers));
    TRY_MPI(MPI_Comm_size(peers, &n->ranks));
    TRY_MPI(MPI_Comm_rank(peers, &rank));
    own_cores(&own);
    all = mem_new((size_t)n->ranks, sizeof *all);
    TRY_MPI(
        MPI_Allgather(&own, sizeof own, MPI_BYTE, all, sizeof own, MPI_BYTE, peers));
    compare(n, all, n->ranks, rank);
    mem_free(all);
    TRY_MPI(MPI_Comm_free(&peers));

    TRY_MPI(MPI_Allreduce(&n->ranks, &n->ranks_most, 1, MPI_INT, MPI_MAX, comm));
    TRY_MPI(MPI_Allreduce(&bytes, &n->bytes, 1, MPI_INT64_T, MPI_MIN, comm));
}

int node_threads(const struct node *n)
{
    const int share = n->cores / n->sharers;

    return share > 0 ? share : 1;
}
