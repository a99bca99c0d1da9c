/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,3,4 */
/* A trace that is read back: a process for every rank, computation whose spans lie side
 * by side or within each other, messages whose two ends are both there, in order.
 */
#include "config.h"

#include "bench/setup.h"
#include "mesh/coll.h"
#include "mesh/trace.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/step/timeline.h"
#include "tests/bed.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

enum { RANKS = 4, TRACKS = 64, TRIES = 20 };

static int size;
static double ahead; /* seconds, of this rank's clock */

/* Microseconds by which aligned clocks and ends of spans may be off here. */
#define NEAR 2000.0
#define LATE 1e5 /* rank 0 may leave the barrier last */

static double number(const json_t *e, const char *key)
{
    return json_number_value(json_object_get(e, key));
}

static const char *text(const json_t *e, const char *key)
{
    const char *t = json_string_value(json_object_get(e, key));

    return t != NULL ? t : "";
}

static double end_of(const json_t *e)
{
    return number(e, "ts") + number(e, "dur");
}

static bool is_span(const json_t *e)
{
    return strcmp(text(e, "ph"), "X") == 0;
}

/* Spans of a track are in the order of their starts; each ends before the ones that are
 * still open do.
 */
static bool is_nested(const json_t *events, int rank, int track)
{
    double open[64];
    int depth = 0;
    size_t i;
    json_t *e;

    json_array_foreach(events, i, e)
    {
        if (!is_span(e) || number(e, "pid") != rank || number(e, "tid") != track)
            continue;
        while (depth > 0 && open[depth - 1] <= number(e, "ts") + 0.002)
            depth--;
        if (depth == 64 || (depth > 0 && end_of(e) > open[depth - 1] + 0.002) ||
            number(e, "dur") < 0)
            return false;
        open[depth++] = end_of(e);
    }
    return true;
}

/* The matching end of a message that rank 'from' has sent: the n-th of its kind. */
static const json_t *received(const json_t *events, const json_t *sent, int n)
{
    char name[64];
    size_t i;
    json_t *e;

    snprintf(name, sizeof name, "%.*s from %d", (int)strcspn(text(sent, "name"), " "),
             text(sent, "name"), (int)number(sent, "pid"));
    json_array_foreach(events, i, e)
    {
        if (is_span(e) && strcmp(text(e, "name"), name) == 0 &&
            number(e, "pid") == number(json_object_get(sent, "args"), "peer") &&
            n-- == 0)
            return e;
    }
    return NULL;
}

static double bytes_of(const json_t *e)
{
    return number(json_object_get(e, "args"), "bytes");
}

struct messages {
    int sent, bad; /* all; those whose other end is missing, or of other bytes */
    int early;     /* there before they are sent */
};

/* Of activations (small ones may be gone before they are asked for). */
static struct messages messages_of(const json_t *events)
{
    struct messages m      = { 0 };
    int seen[RANKS][RANKS] = { 0 };
    size_t i;
    json_t *e;

    json_array_foreach(events, i, e)
    {
        const int rank = (int)number(e, "pid");
        const json_t *other;
        int peer;

        if (!is_span(e) || strncmp(text(e, "name"), "act_gather to", 13) != 0)
            continue;
        peer  = (int)number(json_object_get(e, "args"), "peer");
        other = received(events, e, seen[rank][peer]++);
        m.sent++;
        m.bad += other == NULL || bytes_of(other) != bytes_of(e);
        m.early += other != NULL && end_of(other) < number(e, "ts") - NEAR;
    }
    return m;
}

/* All is within the time of a step, and no message is there before it is sent: as
 * clocks tell once ranks that share cores run while they are asked, and leave a
 * barrier together.
 */
static bool is_timely(const json_t *events, double seconds)
{
    double last = 0, first = 1e12;
    size_t i;
    json_t *e;

    json_array_foreach(events, i, e)
    {
        if (!is_span(e))
            continue;
        first = fmin(first, number(e, "ts"));
        last  = fmax(last, end_of(e));
    }
    return first > -LATE && last < 1e6 * seconds + LATE &&
           messages_of(events).early == 0;
}

static void check_events(const json_t *events, const int64_t *messages)
{
    const struct messages m = messages_of(events);
    int names[RANKS] = { 0 }, products[RANKS] = { 0 }, calls[RANKS] = { 0 };
    bool is_right = true;
    size_t i;
    json_t *e;

    if (!ok(json_is_array(events), "the file is JSON with a list of events"))
        return;
    json_array_foreach(events, i, e)
    {
        const int rank = (int)number(e, "pid");

        names[rank] += strcmp(text(e, "name"), "process_name") == 0;
        if (!is_span(e))
            continue;
        products[rank] += strncmp(text(e, "name"), "gemm", 4) == 0;
        calls[rank] += strncmp(text(e, "name"), "gather in", 9) == 0;
    }
    for (int rank = 0; rank < size; rank++)
        is_right &= names[rank] == 1 && products[rank] > 5 && calls[rank] == 2;
    ok(is_right,
       "every rank has a name, products, and the call for each of two blocks");
    is_right = true;
    for (int rank = 0; rank < size; rank++) {
        for (int track = 0; track < TRACKS; track++)
            is_right &= is_nested(events, rank, track);
    }
    ok(is_right, "spans of a track lie side by side or within each other");
    ok(m.sent == messages[ACT_GATHER] && m.bad == 0,
       "%d messages of activations have two ends (%d have not)", m.sent, m.bad);
}

/* Trace a step into 'path'; what is in the file, on rank 0. */
static json_t *traced(int64_t *messages, struct setup *setup, struct mesh *mesh,
                      double *seconds, const char *path)
{
    struct step_result ignored;
    json_t *file = NULL;

    mesh_count_reset(mesh);
    *seconds = clock_now();
    if (timeline_step(setup->step, 1.0, &ignored, path) != 0)
        die("%s", err_sentence());
    *seconds = clock_now() - *seconds;
    for (int k = 0; k < TRAFFIC_KINDS; k++)
        messages[k] = (int64_t)coll_sum(mesh, AXIS_ALL, (double)mesh->sent[k].messages);
    if (mesh->rank == 0) {
        file = json_load_file(path, 0, NULL);
        remove(path);
    }
    return file;
}

static void test_step(enum cmm_form form)
{
    const struct spec spec = bed_spec("48/2/96/4", WIRING_SEQUENTIAL, POOL_GAP);
    int64_t messages[TRAFFIC_KINDS];
    struct step_result ignored;
    struct setup setup;
    struct mesh *mesh;
    struct bed bed;
    json_t *file = NULL, *events;
    char path[64];
    double seconds;
    bool is_good = false;
    int id       = (int)getpid();

    bed_open(&bed, 1, size, "cpu:ref", DTYPE_F32, form);
    mesh = bed.bench.mesh;
    MPI_Bcast(&id, 1, MPI_INT, 0, MPI_COMM_WORLD);
    snprintf(path, sizeof path, "t662-%d.json", id);
    if (setup_open(&setup, &bed.bench, &spec, 2, 1) != 0)
        MPI_Abort(MPI_COMM_WORLD, 99);
    step_run(setup.step, 1.0, &ignored);
    for (int i = 0; i < TRIES && !is_good; i++) {
        json_decref(file);
        file    = traced(messages, &setup, mesh, &seconds, path);
        events  = json_object_get(file, "traceEvents");
        is_good = mesh->rank == 0 && is_timely(events, seconds);
        coll_broadcast(mesh, AXIS_ALL, 0, &is_good, sizeof is_good);
    }
    ok(is_good, "%s: a step is written, in its time, no message before it is sent",
       cmm_form_name[form]);
    ok(mesh->trace == NULL, "and nothing is recorded after it");
    if (mesh->rank == 0) {
        bool (*reduce)(bool) = tap_reduce;

        tap_reduce = NULL;
        check_events(events, messages);
        tap_reduce = reduce;
    }
    json_decref(file);
    ok(timeline_step(setup.step, 1.0, &ignored, "/nowhere/at/all.json") == ERR_IO,
       "a file that cannot be written is an error on all ranks");
    err_forget();
    setup_close(&setup);
    bed_close(&bed);
}

/* The first span of 'rank' whose name begins and ends so; NULL without. */
static const json_t *span_of(const json_t *events, int rank, const char *begin,
                             const char *group)
{
    const size_t length = strlen(begin), tail = strlen(group);
    size_t i;
    json_t *e;

    json_array_foreach(events, i, e)
    {
        const char *name = text(e, "name");

        if (is_span(e) && number(e, "pid") == rank &&
            strncmp(name, begin, length) == 0 && strlen(name) >= length + tail &&
            strcmp(name + strlen(name) - tail, group) == 0)
            return e;
    }
    return NULL;
}

/* What a rank does is told by groups, and whose parameters are on their way: those of
 * block 1 set out while block 0 goes forward, its gradients while it goes backward.
 */
static void check_groups(const json_t *events, int rank)
{
    const json_t *first    = span_of(events, rank, "forward", " of block 0");
    const json_t *second   = span_of(events, rank, "forward", " of block 1");
    const json_t *back     = span_of(events, rank, "backward", " of block 0");
    const json_t *gathered = span_of(events, rank, "param_gather from", " of block 1");
    const json_t *summed   = span_of(events, rank, "grad_scatter to", " of block 1");

    ok(first != NULL && second != NULL && back != NULL &&
           span_of(events, rank, "forward", " of embed") != NULL &&
           span_of(events, rank, "backward", " of head") != NULL &&
           span_of(events, rank, "input", "") != NULL &&
           span_of(events, rank, "update", "") != NULL &&
           number(second, "ts") + 0.002 >= end_of(first) &&
           number(back, "ts") > end_of(second),
       "rank %d: blocks pass one after the other, forward and back", rank);
    if (size == 1)
        return;
    ok(gathered != NULL && number(gathered, "ts") >= number(first, "ts") &&
           number(gathered, "ts") <= end_of(first),
       "parameters of the next block set out while one goes forward");
    ok(summed != NULL && number(summed, "ts") <= number(back, "ts") + NEAR &&
           span_of(events, rank, "wait param_gather", " of embed") != NULL,
       "gradients of a block while the next one goes back; waits have a name, too");
}

static void test_groups(void)
{
    const struct spec spec = bed_spec("48/2/96/4", WIRING_SEQUENTIAL, POOL_GAP);
    struct step_result ignored;
    struct setup setup;
    struct bed bed;
    char path[64];
    int id = (int)getpid();

    bed_open(&bed, size, 1, "cpu:ref", DTYPE_F32, CMM_RING);
    bed.choices.way.shard = SHARD_FULL;
    MPI_Bcast(&id, 1, MPI_INT, 0, MPI_COMM_WORLD);
    snprintf(path, sizeof path, "t662-%d.json", id);
    if (setup_open(&setup, &bed.bench, &spec, size, 1) != 0)
        MPI_Abort(MPI_COMM_WORLD, 99);
    step_run(setup.step, 1.0, &ignored);
    ok(timeline_step(setup.step, 1.0, &ignored, path) == 0, "parameters that are cut");
    if (bed.bench.mesh->rank == 0) {
        bool (*reduce)(bool) = tap_reduce;
        json_t *file         = json_load_file(path, 0, NULL);

        tap_reduce = NULL;
        for (int rank = 0; rank < size; rank++)
            check_groups(json_object_get(file, "traceEvents"), rank);
        tap_reduce = reduce;
        json_decref(file);
        remove(path);
    }
    setup_close(&setup);
    bed_close(&bed);
}

/* Ranks here have clocks of their own, as those of two nodes are. */
static double own_clock(void)
{
    return clock_monotonic() + ahead;
}

/* The offset is what the clocks differ by, once ranks that share cores run while they
 * are asked.
 */
static void test_clock(void)
{
    struct bed bed;
    struct mesh *mesh;
    double epoch, first, off, are_near = 0;

    bed_open(&bed, 1, size, "cpu:ref", DTYPE_F32, CMM_RING);
    mesh = bed.bench.mesh;
    for (int i = 0; i < TRIES && are_near == 0; i++) {
        epoch = clock_monotonic() - clock_now();
        first = epoch;
        MPI_Bcast(&first, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD);
        off      = timeline_clock_offset(mesh) - (epoch - first);
        are_near = coll_smallest(mesh, AXIS_ALL, fabs(off) < 1e-6 * NEAR);
    }
    ok(are_near > 0, "the offset is what clocks differ by");
    bed_close(&bed);
}

int main(int argc, char **argv)
{
    int rank;

    size = ranks_open(&argc, &argv, "t662-trace");
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    ahead = -0.5 * rank;
    clock_set(own_clock);
    test_clock();
    test_step(CMM_RING);
    test_step(CMM_BIDIR);
    test_groups();
    return ranks_done();
}
