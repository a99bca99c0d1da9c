/* SPDX-License-Identifier: BSD-3-Clause */
/* Berths, in the order in which they were taken.  A piece passes three stations, and
 * what has passed each is counted:
 *
 *   sent       copied to a place of the dock   posted                  gone
 *   received   posted                          come, copied from it    there
 *
 * A place is used again when its piece has passed the last one.  Where MPI reaches the
 * device there is no dock, and pieces are as long as MPI can count.
 */
#include "config.h"

#include "mesh/berth.h"

#include "mesh/guard.h"
#include "mesh/progress.h"
#include "src/base/mem.h"
#include "src/dev/dock.h"

#include <stdlib.h>
#include <string.h>

#if __has_include(<mpi-ext.h>) && !defined(SIMULATED)
#include <mpi-ext.h>
#endif

struct berth {
    struct berth *next;
    bool is_used;
    const struct mesh *mesh;
    struct letter letter;
    struct mat part[2];
    struct dev_event *after; /* NULL from when it is past */
    struct dock *dock;       /* NULL: MPI reaches the memory */
    int64_t bytes, piece;    /* of the message; of all pieces but the last */
    int pieces, copied, posted, come, over;
    MPI_Request request[DOCK_PLACES];
};

#ifndef SIMULATED
bool berth_mpi_is_on(const char *variable)
{
    MPI_T_cvar_handle handle;
    int level, index, count, value = 0;
    bool is_known;

    TRY_MPI(MPI_T_init_thread(MPI_THREAD_SINGLE, &level));
    is_known = MPI_T_cvar_get_index(variable, &index) == MPI_SUCCESS &&
               MPI_T_cvar_handle_alloc(index, NULL, &handle, &count) == MPI_SUCCESS;
    if (is_known) {
        is_known = count == 1 && MPI_T_cvar_read(handle, &value) == MPI_SUCCESS;
        MPI_T_cvar_handle_free(&handle);
    }
    MPI_T_finalize();
    return !is_known || value != 0;
}
#endif

bool berth_mpi_reaches_gpus(void)
{
#if defined(MPIX_CUDA_AWARE_SUPPORT) && MPIX_CUDA_AWARE_SUPPORT
    /* Open MPI 4 says what it was built for, also where that is off. */
    return MPIX_Query_cuda_support() == 1 && berth_mpi_is_on("opal_cuda_support");
#elif defined(MPIX_GPU_SUPPORT_CUDA)
    const char *told = getenv("MPICH_GPU_SUPPORT_ENABLED");
    char version[MPI_MAX_LIBRARY_VERSION_STRING];
    int is_supported = 0, length;

    /* Cray's may know how, but does not unless it is told to. */
    MPI_Get_library_version(version, &length);
    if (strstr(version, "CRAY") != NULL && (told == NULL || atoi(told) == 0))
        return false;
    return MPIX_GPU_query_support(MPIX_GPU_SUPPORT_CUDA, &is_supported) ==
               MPI_SUCCESS &&
           is_supported != 0;
#else
    return false;
#endif
}

/* ---- taking and leaving ---------------------------------------------------------- */

/* A berth that nobody uses, behind all others. */
static struct berth *find(struct mesh *mesh)
{
    struct berth **at = &mesh->berths, *b;

    while (*at != NULL && (*at)->is_used)
        at = &(*at)->next;
    b = *at;
    if (b != NULL)
        *at = b->next;
    else
        b = mem_new(1, sizeof *b);
    while (*at != NULL)
        at = &(*at)->next;
    *at = b;
    return b;
}

struct berth *berth_take(struct mesh *mesh, const struct letter *l,
                         const struct mat part[2], struct dev_event *after)
{
    const int64_t bytes = l->part[0].bytes + l->part[1].bytes;
    struct dev *dev     = part[mat_size(part[0]) > 0 ? 0 : 1].buf->dev;
    const int64_t piece = mesh->reaches_gpus ? WIRE_CHUNK : BERTH_PIECE;
    struct berth *b     = find(mesh);

    /* The device is one thread's: no second one may push. */
    if (progress_of(mesh) == PROGRESS_THREAD)
        progress_set(mesh, PROGRESS_POLL);
    *b        = (struct berth){ .is_used = true,
                                .mesh    = mesh,
                                .letter  = *l,
                                .part    = { part[0], part[1] },
                                .after   = after,
                                .bytes   = bytes,
                                .piece   = piece };
    b->pieces = (int)((bytes + piece - 1) / piece);
    if (!mesh->reaches_gpus)
        b->dock = dock_take(dev, (size_t)(bytes < piece ? bytes : piece),
                            b->pieces < DOCK_PLACES ? b->pieces : DOCK_PLACES);
    return b;
}

struct letter berth_letter(const struct berth *b)
{
    return b->letter;
}

void berth_leave(struct berth *b)
{
    dock_give(&b->dock);
    b->is_used = false;
}

void berths_close(struct mesh *mesh)
{
    while (mesh->berths != NULL) {
        struct berth *next = mesh->berths->next;

        mem_free(mesh->berths);
        mesh->berths = next;
    }
}

/* ---- stations -------------------------------------------------------------------- */

static bool is_after(struct berth *b)
{
    if (b->after != NULL && dev_event_is_done(b->after))
        b->after = NULL;
    return b->after == NULL;
}

static int64_t size_of(const struct berth *b, int piece)
{
    const int64_t rest = b->bytes - piece * b->piece;

    return rest < b->piece ? rest : b->piece;
}

/* MPI matches in the order of posting: those before must be posted whole. */
static bool is_its_turn(const struct berth *b)
{
    for (const struct berth *o = b->mesh->berths; o != b; o = o->next)
        if (o->is_used && o->posted < o->pieces &&
            o->letter.is_send == b->letter.is_send &&
            o->letter.axis == b->letter.axis && o->letter.peer == b->letter.peer &&
            o->letter.tag == b->letter.tag)
            return false;
    return true;
}

static bool is_copied(const struct berth *b, int piece)
{
    return b->dock == NULL || dock_is_done(b->dock, piece % DOCK_PLACES);
}

/* Copy a piece, away from the device or to it. */
static void copy(struct berth *b, int piece)
{
    if (b->dock == NULL)
        return;
    if (b->letter.is_send)
        dock_out(b->dock, piece % DOCK_PLACES, b->part, piece * b->piece,
                 size_of(b, piece));
    else
        dock_in(b->dock, piece % DOCK_PLACES, b->part, piece * b->piece,
                size_of(b, piece));
}

static void post(struct berth *b, int piece)
{
    const int bytes      = (int)size_of(b, piece);
    MPI_Request *request = &b->request[piece % DOCK_PLACES];
    struct letter l      = b->letter;

    if (b->dock == NULL) {
        letter_post(&l, b->mesh, piece * b->piece, bytes, request);
        return;
    }
    l.part[0] = (struct stretch){ dock_place(b->dock, piece % DOCK_PLACES), bytes };
    l.part[1] = (struct stretch){ NULL, 0 };
    letter_post(&l, b->mesh, 0, bytes, request);
}

static bool is_through(struct berth *b, int piece)
{
    int is_done;

    TRY_MPI(MPI_Test(&b->request[piece % DOCK_PLACES], &is_done, MPI_STATUS_IGNORE));
    if (is_done)
        guard_alive();
    return is_done;
}

/* What comes last is looked at first, so that its places are free. */
static void push_out(struct berth *b)
{
    while (b->over < b->posted && is_through(b, b->over))
        b->over++;
    while (b->copied < b->pieces && b->copied < b->over + DOCK_PLACES && is_after(b))
        copy(b, b->copied++);
    while (b->posted < b->copied && is_copied(b, b->posted) && is_its_turn(b))
        post(b, b->posted++);
}

/* Into the dock messages may come before the device is ready for them. */
static void push_in(struct berth *b)
{
    while (b->come < b->posted && is_after(b) && is_through(b, b->come))
        copy(b, b->come++);
    while (b->over < b->come && is_copied(b, b->over))
        b->over++;
    while (b->posted < b->pieces && b->posted < b->over + DOCK_PLACES &&
           (b->dock != NULL || is_after(b)) && is_its_turn(b))
        post(b, b->posted++);
}

bool berth_push(struct berth *b)
{
    if (b->letter.is_send)
        push_out(b);
    else
        push_in(b);
    return b->over == b->pieces;
}
