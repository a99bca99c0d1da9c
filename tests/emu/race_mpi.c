/* SPDX-License-Identifier: BSD-3-Clause */
/* What MPI reads and writes, for race.cc: the calls of mesh/ that start messages and
 * end them are linked to these instead (--wrap).
 */
#include "tests/emu/race.h"

#include <mpi.h>
#include <stdlib.h>

__typeof__(MPI_Isend) __real_MPI_Isend, __wrap_MPI_Isend;
__typeof__(MPI_Irecv) __real_MPI_Irecv, __wrap_MPI_Irecv;
__typeof__(MPI_Test) __real_MPI_Test, __wrap_MPI_Test;
__typeof__(MPI_Wait) __real_MPI_Wait, __wrap_MPI_Wait;
__typeof__(MPI_Testall) __real_MPI_Testall, __wrap_MPI_Testall;
__typeof__(MPI_Waitany) __real_MPI_Waitany, __wrap_MPI_Waitany;
__typeof__(MPI_Allgatherv) __real_MPI_Allgatherv, __wrap_MPI_Allgatherv;

enum { FLYING = 256 };

/* Messages under way that are of concern. */
static struct {
    MPI_Request request;
    uint32_t message;
} flying[FLYING];

static uint32_t posted(const void *at, int count, MPI_Datatype type, int is_write)
{
    int size;

    MPI_Type_size(type, &size);
    return race_posted(at, (size_t)count * (size_t)size, is_write);
}

enum { STRETCHES = 2 };

/* A letter, which may be of two stretches. */
static void post_letter(uint32_t message[STRETCHES], const void *at, int count,
                        MPI_Datatype type, int is_write)
{
    int numbers, places, types, combiner, number[1 + STRETCHES];
    MPI_Aint place[STRETCHES];
    MPI_Datatype of;

    message[0] = message[1] = 0;
    MPI_Type_get_envelope(type, &numbers, &places, &types, &combiner);
    if (combiner == MPI_COMBINER_NAMED) {
        message[0] = posted(at, count, type, is_write);
        return;
    }
    if (combiner != MPI_COMBINER_HINDEXED || places != STRETCHES)
        abort();
    MPI_Type_get_contents(type, 1 + STRETCHES, STRETCHES, 1, number, place, &of);
    for (int k = 0; k < STRETCHES; k++)
        message[k] = posted((const char *)at + place[k], number[1 + k], of, is_write);
}

static void note(MPI_Request request, uint32_t message)
{
    int k = 0;

    if (message == 0)
        return;
    while (k < FLYING && flying[k].message != 0)
        k++;
    if (k == FLYING)
        abort();
    flying[k].request = request;
    flying[k].message = message;
}

static void note_over(MPI_Request before, MPI_Request after)
{
    for (int k = 0; k < FLYING && before != MPI_REQUEST_NULL; k++) {
        if (after == MPI_REQUEST_NULL && flying[k].message != 0 &&
            flying[k].request == before) {
            race_over(flying[k].message);
            flying[k].message = 0;
        }
    }
}

static void keep(MPI_Request before[FLYING], const MPI_Request *request, int count)
{
    if (count > FLYING)
        abort();
    memcpy(before, request, (size_t)count * sizeof *before);
}

static void note_some_over(const MPI_Request *before, const MPI_Request *after, int n)
{
    for (int i = 0; i < n; i++)
        note_over(before[i], after[i]);
}

int __wrap_MPI_Isend(const void *at, int count, MPI_Datatype type, int to, int tag,
                     MPI_Comm comm, MPI_Request *request)
{
    uint32_t message[STRETCHES];
    int rc;

    post_letter(message, at, count, type, 0);
    rc = __real_MPI_Isend(at, count, type, to, tag, comm, request);
    for (int k = 0; k < STRETCHES; k++)
        note(*request, message[k]);
    return rc;
}

int __wrap_MPI_Irecv(void *at, int count, MPI_Datatype type, int from, int tag,
                     MPI_Comm comm, MPI_Request *request)
{
    uint32_t message[STRETCHES];
    int rc;

    post_letter(message, at, count, type, 1);
    rc = __real_MPI_Irecv(at, count, type, from, tag, comm, request);
    for (int k = 0; k < STRETCHES; k++)
        note(*request, message[k]);
    return rc;
}

int __wrap_MPI_Test(MPI_Request *request, int *is_done, MPI_Status *status)
{
    const MPI_Request before = *request;
    const int rc             = __real_MPI_Test(request, is_done, status);

    note_over(before, *request);
    return rc;
}

int __wrap_MPI_Wait(MPI_Request *request, MPI_Status *status)
{
    const MPI_Request before = *request;
    const int rc             = __real_MPI_Wait(request, status);

    note_over(before, *request);
    return rc;
}

int __wrap_MPI_Testall(int count, MPI_Request request[], int *is_done,
                       MPI_Status status[])
{
    MPI_Request before[FLYING];
    int rc;

    keep(before, request, count);
    rc = __real_MPI_Testall(count, request, is_done, status);
    note_some_over(before, request, count);
    return rc;
}

int __wrap_MPI_Waitany(int count, MPI_Request request[], int *index, MPI_Status *status)
{
    MPI_Request before[FLYING];
    int rc;

    keep(before, request, count);
    rc = __real_MPI_Waitany(count, request, index, status);
    note_some_over(before, request, count);
    return rc;
}

/* In place: the others' parts come. */
int __wrap_MPI_Allgatherv(const void *mine, int count, MPI_Datatype type, void *all,
                          const int counts[], const int first[], MPI_Datatype unit,
                          MPI_Comm comm)
{
    const int rc =
        __real_MPI_Allgatherv(mine, count, type, all, counts, first, unit, comm);
    int rank, ranks, size;

    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &ranks);
    MPI_Type_size(unit, &size);
    for (int i = 0; i < ranks; i++)
        race_over(posted((char *)all + (ptrdiff_t)first[i] * size, counts[i], unit,
                         i != rank));
    return rc;
}
