/* SPDX-License-Identifier: BSD-3-Clause */
/* Rooms and copies.  The host waits for each copy: what follows on any of the device's
 * streams finds what has arrived.
 */
#include "config.h"

#include "mesh/berth.h"

#include "mesh/progress.h"
#include "src/base/err.h"
#include "src/base/mem.h"

#if __has_include(<mpi-ext.h>) && !defined(SIMULATED)
#include <mpi-ext.h>
#endif

bool berth_mpi_reaches_gpus(void)
{
#if defined(MPIX_CUDA_AWARE_SUPPORT) && MPIX_CUDA_AWARE_SUPPORT
    return MPIX_Query_cuda_support() == 1;
#elif defined(MPIX_GPU_SUPPORT_CUDA)
    int is_supported = 0;

    return MPIX_GPU_query_support(MPIX_GPU_SUPPORT_CUDA, &is_supported) ==
               MPI_SUCCESS &&
           is_supported != 0;
#else
    return false;
#endif
}

bool berth_is_needless(const struct mesh *mesh, const struct dev *dev)
{
    return mesh->reaches_gpus || dev_is_host(dev);
}

/* An unused room of at least 'bytes', the smallest one; else NULL. */
static struct berth *find(const struct mesh *mesh, size_t bytes)
{
    struct berth *best = NULL;

    for (struct berth *s = mesh->berths; s != NULL; s = s->next)
        if (!s->is_used && s->bytes >= bytes &&
            (best == NULL || s->bytes < best->bytes))
            best = s;
    return best;
}

static struct berth *make(struct mesh *mesh, size_t bytes)
{
    struct berth *s = mem_new(1, sizeof *s);
    void *room;

    if (mem_alloc(&room, bytes) != 0)
        die("%s", err_sentence());
    s->room      = room;
    s->bytes     = bytes;
    s->next      = mesh->berths;
    mesh->berths = s;
    return s;
}

static struct dev_stream *lane_of(struct mat a)
{
    return dev_stream(a.buf->dev, LANE_GATHER);
}

struct berth *berth_take(struct mesh *mesh, const struct mat part[2], bool is_arriving)
{
    const size_t bytes = (size_t)(mat_bytes(part[0]) + mat_bytes(part[1]));
    struct berth *s    = find(mesh, bytes);
    char *at;

    /* Copies are made by whoever sees the end of a message: not by a second thread. */
    if (progress_of(mesh) == PROGRESS_THREAD)
        progress_set(mesh, PROGRESS_POLL);
    if (s == NULL)
        s = make(mesh, bytes);
    s->is_used     = true;
    s->is_arriving = is_arriving;
    s->part[0]     = part[0];
    s->part[1]     = part[1];
    at             = s->room;
    for (int i = 0; i < 2 && !is_arriving; at += mat_bytes(part[i++]))
        if (mat_size(part[i]) > 0)
            dev_get(lane_of(part[i]), at, part[i]);
    return s;
}

void berth_finish(struct berth *s)
{
    char *at = s->room;

    for (int i = 0; i < 2 && s->is_arriving; at += mat_bytes(s->part[i++])) {
        if (mat_size(s->part[i]) == 0)
            continue;
        dev_put(lane_of(s->part[i]), s->part[i], at);
        dev_sync(lane_of(s->part[i]));
    }
    berth_drop(s);
}

void berth_drop(struct berth *s)
{
    s->is_used = false;
}

void berths_close(struct mesh *mesh)
{
    while (mesh->berths != NULL) {
        struct berth *next = mesh->berths->next;

        mem_free(mesh->berths->room);
        mem_free(mesh->berths);
        mesh->berths = next;
    }
}
