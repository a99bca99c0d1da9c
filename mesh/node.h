/* SPDX-License-Identifier: BSD-3-Clause */
/* What the ranks of a node share: its cores and its memory.  This is found out before
 * there is a mesh, for the mesh is chosen by it.
 */
#ifndef MESH_NODE_H
#define MESH_NODE_H

#include "src/base/dtype.h"

#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

struct node {
    int ranks;      /* on this rank's node */
    int ranks_most; /* on the fullest node */
    int64_t
        bytes;   /* that the ranks of a node may use together, the least of all nodes */
    int cores;   /* that this rank may run on; threads of one core count once */
    int sharers; /* ranks of the node that may run on any of these, and this one */
    int cores_all;   /* that some rank of the node may run on */
    bool is_doubled; /* bound to a single core, as another rank is to the same */
};

/* Collective over 'comm', which holds all ranks. */
void node_find(struct node *n, MPI_Comm comm);

/* All ranks must compute on the same kind of device in the same format: what they do is
 * planned, and messages are cut, by it.  Returns 0, or ERR_DEVICE on all, with the
 * sentence of the first that differs from rank 0.  Collective over 'comm', as above.
 */
int node_same_device(MPI_Comm comm, const char *name, enum dtype dtype);

/* Let 'bytes' be of the device 'name', which dev_open() will be asked for, where it has
 * memory of its own: what the fullest node's ranks have of their GPUs' together.
 * Returns what node_same_device() does.  Collective over 'comm', as above.
 */
int node_use(struct node *n, MPI_Comm comm, const char *name, enum dtype dtype);

/* How many units the ranks of 'comm' compute on, where 'unit' is this rank's as
 * dev_unit() has it: GPUs, of which one may have several ranks, or all ranks.
 * Collective over 'comm'.
 */
int node_units(MPI_Comm comm, const char *unit);

/* Threads that this rank gets: its share of the cores that it may run on, at least 1.
 */
int node_threads(const struct node *n);

#endif
