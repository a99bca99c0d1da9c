/* SPDX-License-Identifier: BSD-3-Clause */
/* A letter: what MPI is told of a message, which is where it goes or comes from and the
 * memory on this side.  It is posted in parts of a length that MPI can count.
 */
#ifndef MESH_LETTER_H
#define MESH_LETTER_H

#include "mesh/mesh.h"

/* Memory that MPI reaches. */
struct stretch {
    char *at;
    int64_t bytes; /* 0: none */
};

struct letter {
    bool is_send;
    enum axis axis;
    int peer, tag;
    struct stretch part[2]; /* one behind the other */
};

/* Post 'bytes' of it from byte 'from' on, which may lie in both stretches.  Local. */
void letter_post(const struct letter *l, const struct mesh *mesh, int64_t from,
                 int bytes, MPI_Request *request);

#endif
