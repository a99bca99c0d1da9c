/* SPDX-License-Identifier: BSD-3-Clause */
/* Letters to MPI. */
#include "config.h"

#include "mesh/letter.h"

/* Post 'count' times 'type' at 'at'. */
static void post(const struct letter *l, const struct mesh *mesh, void *at, int count,
                 MPI_Datatype type, MPI_Request *request)
{
    const MPI_Comm comm = mesh->comm[l->axis];

    if (l->is_send)
        TRY_MPI(MPI_Isend(at, count, type, l->peer, l->tag, comm, request));
    else
        TRY_MPI(MPI_Irecv(at, count, type, l->peer, l->tag, comm, request));
}

void letter_post(const struct letter *l, const struct mesh *mesh, int64_t from,
                 int bytes, MPI_Request *request)
{
    const int64_t first = l->part[0].bytes - from; /* in the first stretch */
    MPI_Datatype both;
    MPI_Aint at[2];
    int length[2];

    if (first >= bytes) {
        post(l, mesh, l->part[0].at + from, bytes, MPI_BYTE, request);
    } else if (first <= 0) {
        post(l, mesh, l->part[1].at - first, bytes, MPI_BYTE, request);
    } else {
        length[0] = (int)first;
        length[1] = bytes - length[0];
        TRY_MPI(MPI_Get_address(l->part[0].at + from, &at[0]));
        TRY_MPI(MPI_Get_address(l->part[1].at, &at[1]));
        /* Not from MPI_BOTTOM: by the address that it is told an MPI sees whether the
         * memory is a GPU's.
         */
        at[1] -= at[0];
        at[0] = 0;
        TRY_MPI(MPI_Type_create_hindexed(2, length, at, MPI_BYTE, &both));
        TRY_MPI(MPI_Type_commit(&both));
        post(l, mesh, l->part[0].at + from, 1, both, request);
        TRY_MPI(MPI_Type_free(&both)); /* when the message is done */
    }
}
