/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=2 long */
/* Messages of more than 2^31 bytes: a wire in chunks, counted by chunk, and a
 * broadcast. Takes about 5 GiB.
 */
#include "config.h"

#include "mesh/coll.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "tests/ranks.h"

/* Write or check a pattern that does not repeat from one chunk to the next. */
static void fill(uint64_t *at, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        at[i] = (uint64_t)i * 0x9e3779b97f4a7c15u;
}

static bool is_filled(const uint64_t *at, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (at[i] != (uint64_t)i * 0x9e3779b97f4a7c15u)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    const int64_t words = ((int64_t)1 << 28) + 12345, bytes = words * 8;
    const int size = ranks_open(&argc, &argv, "t390-long-wire");
    struct mesh *mesh;
    struct wire w;
    void *at = NULL;
    bool has_room;

    if (size != 2)
        tap_skip_all("for two ranks");
    if (mem_available() < 3 * bytes)
        has_room = false;
    else
        has_room = mem_alloc(&at, (size_t)bytes) == 0;
    if (!ranks_all(has_room)) {
        MPI_Finalize();
        tap_skip_all("no room for two buffers of 2 GiB");
    }
    if (mesh_open(&mesh, MPI_COMM_WORLD, 1, 2) != 0)
        die("%s", err_sentence());
    if (mesh->m == 0) {
        fill(at, words);
        wire_send(&w, mesh, ACT_GATHER, AXIS_MODEL, 1, TAG_GATHER, at, bytes);
    } else {
        wire_recv(&w, mesh, ACT_GATHER, AXIS_MODEL, 0, TAG_GATHER, at, bytes);
    }
    wire_wait(&w);
    ok(mesh->m == 0 || is_filled(at, words), "more than 2^31 bytes arrive whole");
    ok(mesh->m == 1 ||
           (mesh->sent[ACT_GATHER].messages == (bytes + WIRE_CHUNK - 1) / WIRE_CHUNK &&
            mesh->sent[ACT_GATHER].bytes == bytes),
       "and count a message for every chunk");
    if (mesh->m == 1)
        ((uint64_t *)at)[0] = ((uint64_t *)at)[words - 1] = 1;
    else
        ((uint64_t *)at)[0] = ((uint64_t *)at)[words - 1] = 2;
    coll_broadcast(mesh, AXIS_MODEL, 1, at, bytes);
    ok(((uint64_t *)at)[0] == 1 && ((uint64_t *)at)[words - 1] == 1,
       "so does a broadcast");
    mesh_close(&mesh);
    mem_free(at);
    return ranks_done();
}
