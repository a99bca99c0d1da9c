/* SPDX-License-Identifier: BSD-3-Clause */
/* The grid of ranks: its communicators, and how all of them agree on an error. */
#include "config.h"

#include "mesh/mesh.h"

#include "mesh/await.h"
#include "mesh/berth.h"
#include "mesh/progress.h"
#include "src/base/err.h"
#include "src/base/mem.h"

#include <stdlib.h>
#include <string.h>

_Noreturn void mesh_mpi_died(int rc, const char *call)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int size                        = 0;

    MPI_Error_string(rc, text, &size);
    err_keep("%s: %s", call, text);
    err_end(ERR_ENV);
}

/* ---- open and close -------------------------------------------------------------- */

static void abort_all(int status)
{
    int is_finalized = 0;

    MPI_Finalized(&is_finalized);
    if (!is_finalized)
        MPI_Abort(MPI_COMM_WORLD, status);
}

/* VITBENCH_FAULT=NAME:RANK.  Other names belong to others. */
static enum fault fault_of(int rank)
{
    static const char *const name[] = {
        [FAULT_SLICE] = "slice",     [FAULT_DROP] = "drop", [FAULT_MOMENTS] = "moments",
        [FAULT_REPLICA] = "replica", [FAULT_SLOW] = "slow", [FAULT_NAN] = "nan"
    };
    const char *asked = getenv("VITBENCH_FAULT");
    const char *colon = asked != NULL ? strchr(asked, ':') : NULL;

    if (colon == NULL || atoi(colon + 1) != rank)
        return FAULT_NONE;
    for (int f = FAULT_NONE + 1; f <= FAULT_NAN; f++) {
        if (strncmp(asked, name[f], (size_t)(colon - asked)) == 0 &&
            name[f][colon - asked] == '\0')
            return f;
    }
    return FAULT_NONE;
}

/* The communicator of 'axis' is made of everyone's: those with the same 'color'. */
static void split(struct mesh *mesh, enum axis axis, int color)
{
    TRY_MPI(MPI_Comm_split(mesh->comm[AXIS_ALL], color, mesh->rank, &mesh->comm[axis]));
    TRY_MPI(MPI_Comm_set_errhandler(mesh->comm[axis], MPI_ERRORS_RETURN));
}

static void find_nodes(struct mesh *mesh)
{
    int *all  = mem_new((size_t)mesh->size, sizeof *all); /* the first rank of each */
    int first = mesh->rank;
    MPI_Comm node;

    TRY_MPI(MPI_Comm_split_type(mesh->comm[AXIS_ALL], MPI_COMM_TYPE_SHARED, mesh->rank,
                                MPI_INFO_NULL, &node));
    TRY_MPI(MPI_Comm_rank(node, &mesh->node_rank));
    TRY_MPI(MPI_Comm_size(node, &mesh->node_size));
    TRY_MPI(MPI_Bcast(&first, 1, MPI_INT, 0, node));
    TRY_MPI(MPI_Comm_free(&node));
    TRY_MPI(MPI_Allgather(&first, 1, MPI_INT, all, 1, MPI_INT, mesh->comm[AXIS_ALL]));
    for (int r = 0; r < mesh->size; r++)
        mesh->nodes += all[r] == r;
    mesh->near = hops_near(all, 0, mesh->D, mesh->M);
    mem_free(all);
}

int mesh_open(struct mesh **mesh, MPI_Comm comm, int D, int M)
{
    struct mesh *new;
    int size;

    TRY_MPI(MPI_Comm_size(comm, &size));
    if (D < 1 || M < 1 || (int64_t)D * M != size)
        return ERR(ERR_SHAPE, "a mesh of %dx%d does not have the %d ranks of this run",
                   D, M, size);
    err_set_abort(abort_all);

    new       = mem_new(1, sizeof *new);
    new->D    = D;
    new->M    = M;
    new->size = size;
    TRY_MPI(MPI_Comm_dup(comm, &new->comm[AXIS_ALL]));
    TRY_MPI(MPI_Comm_set_errhandler(new->comm[AXIS_ALL], MPI_ERRORS_RETURN));
    TRY_MPI(MPI_Comm_rank(new->comm[AXIS_ALL], &new->rank));
    new->d = new->rank / M;
    new->m = new->rank % M;
    split(new, AXIS_DATA, new->m);
    split(new, AXIS_MODEL, new->d);
    find_nodes(new);
    new->fault        = fault_of(new->rank);
    new->reaches_gpus = berth_mpi_reaches_gpus();
    await_open(new);
    progress_open(new);
    *mesh = new;
    return 0;
}

void mesh_close(struct mesh **mesh)
{
    if (*mesh == NULL)
        return;
    guard_stop(*mesh);
    progress_close(*mesh);
    await_close(*mesh);
    for (int axis = 0; axis < AXES; axis++)
        MPI_Comm_free(&(*mesh)->comm[axis]);
    berths_close(*mesh);
    mem_free(*mesh);
    *mesh = NULL;
}

/* ---- agreement ------------------------------------------------------------------- */

int mesh_agree_comm(MPI_Comm comm, int rc)
{
    enum { CODES = 64 };
    struct {
        int status, who; /* who: rank * CODES + code, so that the lowest rank wins */
    } worst;
    int rank;

    if (rc > 0 || rc <= -CODES)
        die("%d is no error code", rc);
    TRY_MPI(MPI_Comm_rank(comm, &rank));
    worst.status = err_exit_status(rc);
    worst.who    = rank * CODES - rc;
    TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, &worst, 1, MPI_2INT, MPI_MAXLOC, comm));
    if (worst.status == 0)
        return 0;
    if (worst.who / CODES == rank)
        err_say(rc);
    else
        err_forget();
    return -(worst.who % CODES);
}

int mesh_agree(const struct mesh *mesh, int rc)
{
    return mesh_agree_comm(mesh->comm[AXIS_ALL], rc);
}

/* ---- small questions ------------------------------------------------------------- */

int mesh_axis_size(const struct mesh *mesh, enum axis axis)
{
    return axis == AXIS_DATA ? mesh->D : axis == AXIS_MODEL ? mesh->M : mesh->size;
}

int mesh_axis_rank(const struct mesh *mesh, enum axis axis)
{
    return axis == AXIS_DATA ? mesh->d : axis == AXIS_MODEL ? mesh->m : mesh->rank;
}

void mesh_mute(struct mesh *mesh, enum traffic kind, bool is_muted)
{
    mesh->is_muted[kind] = is_muted;
}

void mesh_wires(struct mesh *mesh, bool has_wide_sums, bool has_narrow_grads)
{
    mesh->has_wide_sums    = has_wide_sums;
    mesh->has_narrow_grads = has_narrow_grads;
}

void mesh_count_reset(struct mesh *mesh)
{
    memset(mesh->sent, 0, sizeof mesh->sent);
    memset(mesh->waited, 0, sizeof mesh->waited);
    mesh->rings = mesh->bidirs = 0;
}
