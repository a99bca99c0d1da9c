/* SPDX-License-Identifier: BSD-3-Clause */
/* Ping-pong: a message takes half of a round trip.  alpha is the time of a small
 * message, beta the slope between two large ones; both are medians.
 */
#include "config.h"

#include "bench/link.h"

#include "bench/busy.h"
#include "bench/result.h"
#include "mesh/coll.h"
#include "src/base/clock.h"
#include "src/base/mem.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>

enum { SMALL = 8, LARGE = 1 << 20, LARGER = 4 << 20, TIMES = 31, FEW_TIMES = 9 };

/* Where a rank is. */
struct place {
    int node, package;
};

/* ---- pairs ----------------------------------------------------------------------- */

/* The processor package of the core that this rank is on, 0 where this is not known. */
static int find_package(void)
{
    char path[96];
    int package = 0;
    FILE *file;

    snprintf(path, sizeof path,
             "/sys/devices/system/cpu/cpu%d/topology/physical_package_id",
             sched_getcpu());
    file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%d", &package) != 1)
        package = 0;
    fclose(file);
    return package;
}

/* The lowest rank that shares memory stands for the node. */
static int find_node(const struct mesh *mesh)
{
    int first = mesh->rank;
    MPI_Comm node;

    TRY_MPI(MPI_Comm_split_type(mesh->comm[AXIS_ALL], MPI_COMM_TYPE_SHARED, mesh->rank,
                                MPI_INFO_NULL, &node));
    TRY_MPI(MPI_Bcast(&first, 1, MPI_INT, 0, node));
    TRY_MPI(MPI_Comm_free(&node));
    return first;
}

static enum machine_level level_of(struct place a, struct place b)
{
    if (a.node != b.node)
        return LEVEL_NETWORK;
    return a.package != b.package ? LEVEL_NODE : LEVEL_CORE;
}

/* The first rank at this level from rank 0, or 0. */
static int find_peer(const struct mesh *mesh, const struct place *place,
                     enum machine_level level)
{
    for (int r = 1; r < mesh->size; r++) {
        if (level_of(place[0], place[r]) == level)
            return r;
    }
    return 0;
}

/* ---- ping-pong ------------------------------------------------------------------- */

/* Seconds of a message of 'bytes' between rank 0 and 'peer', on these two. */
static double ping(struct mesh *mesh, int peer, char *room, int bytes)
{
    const MPI_Comm all = mesh->comm[AXIS_ALL];
    const int times    = bytes > SMALL ? FEW_TIMES : TIMES;
    double seconds[TIMES];
    struct stat stat;

    for (int i = 0; i < times; i++) {
        const double start = clock_now();

        if (mesh->rank == 0) {
            TRY_MPI(MPI_Send(room, bytes, MPI_BYTE, peer, 0, all));
            TRY_MPI(MPI_Recv(room, bytes, MPI_BYTE, peer, 0, all, MPI_STATUS_IGNORE));
        } else {
            TRY_MPI(MPI_Recv(room, bytes, MPI_BYTE, 0, 0, all, MPI_STATUS_IGNORE));
            TRY_MPI(MPI_Send(room, bytes, MPI_BYTE, 0, 0, all));
        }
        seconds[i] = (clock_now() - start) / 2;
    }
    stat_of(&stat, seconds, times, 0);
    return stat.median;
}

static void time_link(struct machine_link *link, struct mesh *mesh, struct dev *dev,
                      int peer, char *room)
{
    ping(mesh, peer, room, LARGER); /* a first message opens the connection */

    const double small = ping(mesh, peer, room, SMALL);
    const double large = ping(mesh, peer, room, LARGE);
    const double slope = ping(mesh, peer, room, LARGER) - large;

    link->alpha_s         = small;
    link->beta_s_per_byte = fmax(slope, 1e-9) / (LARGER - LARGE);
    link->busy =
        busy_measure(mesh, dev, mesh->rank == 0 ? peer : 0, LARGER, large + slope);
}

static char pattern_at(int64_t i)
{
    return (char)(i * 7 + i / 251);
}

/* What rank 0 has sent has come back as it was: the peer sends what it received. */
static int64_t time_and_check(struct machine_link *link, struct mesh *mesh,
                              struct dev *dev, int peer)
{
    char *room    = mem_new(LARGER, 1);
    int64_t wrong = 0;

    for (int64_t i = 0; mesh->rank == 0 && i < LARGER; i++)
        room[i] = pattern_at(i);
    time_link(link, mesh, dev, peer, room);
    for (int64_t i = 0; i < LARGER; i++)
        wrong += room[i] != pattern_at(i);
    mem_free(room);
    return wrong;
}

int link_measure(struct machine_link link[MACHINE_LINKS], int64_t *wrong,
                 struct mesh *mesh, struct dev *dev)
{
    const struct place own = { find_node(mesh), find_package() };
    struct place *place    = mem_new((size_t)mesh->size, sizeof *place);
    int links              = 0;

    *wrong = 0;
    TRY_MPI(MPI_Allgather(&own, sizeof own, MPI_BYTE, place, sizeof own, MPI_BYTE,
                          mesh->comm[AXIS_ALL]));
    for (int level = 0; level < MACHINE_LEVELS; level++) {
        const int peer = find_peer(mesh, place, (enum machine_level)level);
        int64_t bad    = 0;

        if (peer == 0)
            continue;
        link[links] = (struct machine_link){ .lanes = 1 };
        snprintf(link[links].level, sizeof link[links].level, "%s",
                 machine_level_name[level]);
        if (mesh->rank == 0 || mesh->rank == peer)
            bad = time_and_check(&link[links], mesh, dev, peer);
        coll_broadcast(mesh, AXIS_ALL, 0, &link[links], sizeof link[links]);
        *wrong += (int64_t)coll_sum(mesh, AXIS_ALL, (double)bad);
        links++;
    }
    mem_free(place);
    return links;
}
