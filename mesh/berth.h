/* SPDX-License-Identifier: BSD-3-Clause */
/* Host memory through which messages pass whose matrices lie where MPI cannot reach: on
 * a GPU, with an MPI that was built without it.  A message has one room for all of it;
 * rooms are kept for the messages to come.
 */
#ifndef MESH_BERTH_H
#define MESH_BERTH_H

#include "mesh/mesh.h"
#include "src/dev/dev.h"

struct berth {
    struct berth *next;
    bool is_used, is_arriving;
    struct mat part[2]; /* the message: one behind the other; either may be empty */
    char *room;
    size_t bytes; /* of room */
};

/* Whether this MPI was built for CUDA, and says so. */
bool berth_mpi_reaches_gpus(void);

/* True if MPI can be given the addresses of matrices on 'dev'. */
bool berth_is_needless(const struct mesh *mesh, const struct dev *dev);

/* Room for a message of these two parts; what is sent is copied there now. */
struct berth *berth_take(struct mesh *mesh, const struct mat part[2], bool is_arriving);

/* The message is there (gone): what has arrived is copied to the device. */
void berth_finish(struct berth *s);

/* The room is not needed after all: there is no message. */
void berth_drop(struct berth *s);

void berths_close(struct mesh *mesh);

#endif
