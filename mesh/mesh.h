/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks arranged as D data rows by M model columns.
 *
 *              model axis ->
 *   data  |   (0,0) (0,1) (0,2)      Ranks in a row hold pieces of one model and see
 *   axis  v   (1,0) (1,1) (1,2)      the same images.  Ranks in a column hold the same
 *                                    piece and see different images.
 *
 * The model axis is innermost: rank = d * M + m, so that a row lies within a node where
 * it fits.  The mesh also counts what it sends, by kind, and can take messages out.
 */
#ifndef MESH_MESH_H
#define MESH_MESH_H

#include "src/plan/traffic.h"

#include <mpi.h>
#include <stdbool.h>

enum axis { AXIS_DATA, AXIS_MODEL, AXIS_ALL, AXES };

/* Errors planted for tests, by VITBENCH_FAULT=NAME:RANK in the environment: the checks
 * must see them.  The first three are of the model axis.
 */
enum fault {
    FAULT_NONE,
    FAULT_SLICE,   /* "slice": a gathered slice meets its neighbour's weights */
    FAULT_DROP,    /* "drop": a gathered slice is left out of the sum         */
    FAULT_MOMENTS, /* "moments": a norm takes its own columns for all         */
    FAULT_REPLICA, /* "replica": one bit of a replicated tensor, after a step, and of
                      every group of parameters that is gathered */
    FAULT_SLOW,    /* "slow": twice the time in every step, the values right  */
    FAULT_NAN,     /* "nan": a parameter that is no number, after a step      */
};

/* What a simulation knows of messages beforehand, and where they lie: they hold nothing
 * but their first byte, which is sent from 'sign' and not 0.  What is received into one
 * of the 'places' of this rank has come when its first byte is not 0 any more; without
 * them MPI has to be asked.
 */
enum { MESH_PLACES = 32, MESH_PLACE_STEP = 64 /* bytes */ };
struct mesh;
struct mesh_model {
    /* Seconds that a message of so many bytes needs from rank 'peer' (in AXIS_ALL) if
     * it is alone, and the share of them that keeps this rank from computing.
     */
    double (*seconds)(double *busy, const struct mesh *mesh, int peer, int64_t bytes);
    const void *ctx;
    char *sign, *places; /* of MESH_PLACES, or NULL both */
};

/* The fields are for reading. */
struct mesh {
    int D, M;                 /* the grid */
    int d, m;                 /* this rank's place in it */
    int rank, size;           /* in AXIS_ALL */
    int node_rank, node_size; /* among the ranks that share this rank's memory */
    int nodes;
    int near;            /* data ranks in a row that share a node: plan/hops.h */
    MPI_Comm comm[AXES]; /* this rank's column, its row, everyone */

    struct traffic_count sent[TRAFFIC_KINDS]; /* since mesh_count_reset() */
    double waited[TRAFFIC_KINDS];             /* seconds inside waits, likewise */
    int64_t posted; /* messages sent or received so far, for the order of a trace */
    int64_t rings, bidirs; /* ring passes done, one way and both ways, likewise */
    bool is_muted[TRAFFIC_KINDS]; /* set by mesh_mute() */
    bool has_wide_sums;           /* on the wire, as has_narrow_grads: mesh_wires() */
    bool has_narrow_grads;
    enum fault fault;          /* planted on this rank */
    struct progress *progress; /* messages under way: mesh/progress.h */
    struct await *await;       /* what is waited for: mesh/await.h */
    bool reaches_gpus;         /* MPI moves GPUs' memory by itself */
    struct berth *berths;      /* of messages from and to it: mesh/berth.h */
    struct trace *trace;       /* what is being recorded, or NULL: mesh/trace.h */
    int group; /* of parameters, that is sent or waited for; from 1 on, 0: none */
    const struct mesh_model *model; /* of a simulation, borrowed; else NULL */
    unsigned places_taken;          /* of its places, a bit each */
    double idle, moved; /* simulated: seconds waited, and of them moving messages, */
    double idle_until;  /* as counted until then */
};

/* Arrange the ranks of 'comm' as 'D' by 'M' and store the mesh in 'mesh'.
 * 'comm' is duplicated; the caller keeps its own.  D * M must equal its size.
 * Sets the hook of base: die() aborts all ranks.
 * Returns 0, or ERR_SHAPE on all ranks.  Close with mesh_close().
 * Collective over 'comm'; 'D' and 'M' must agree.
 */
int mesh_open(struct mesh **mesh, MPI_Comm comm, int D, int M);
void mesh_close(struct mesh **mesh);

/* Return the worst of everyone's 'rc' (the one with the largest exit status, then the
 * lowest rank's), so that all ranks fail together.  When it is not 0, the lowest rank
 * that brought it says its sentence (err_say) and all others forget theirs.  One small
 * all-reduce.  Collective over 'mesh'.
 */
int mesh_agree(const struct mesh *mesh, int rc);

/* The same for programs that have no mesh yet.  Collective over 'comm'. */
int mesh_agree_comm(MPI_Comm comm, int rc);

/* Ranks along an axis and this rank's place. */
int mesh_axis_size(const struct mesh *mesh, enum axis axis);
int mesh_axis_rank(const struct mesh *mesh, enum axis axis);

/* Take the messages of one kind out, or put them back: what is posted then completes at
 * once, moves nothing and is not counted; buffers keep what they held.  Must agree on
 * all ranks.
 */
void mesh_mute(struct mesh *mesh, enum traffic kind, bool is_muted);

/* How partial sums of activations and gradients travel from now on, as plan/traffic.h
 * has it; what uses them is opened afterwards.  Must agree on all ranks.
 */
void mesh_wires(struct mesh *mesh, bool has_wide_sums, bool has_narrow_grads);

void mesh_count_reset(struct mesh *mesh);

/* Call an MPI function; end all ranks with MPI's own sentence, and 3, if it fails. */
#define TRY_MPI(call)                                                                  \
    do {                                                                               \
        const int mpi_rc_ = (call);                                                    \
        if (mpi_rc_ != MPI_SUCCESS)                                                    \
            mesh_mpi_died(mpi_rc_, #call);                                             \
    } while (0)
_Noreturn void mesh_mpi_died(int rc, const char *call);

#endif
