/* SPDX-License-Identifier: BSD-3-Clause */
/* Recording a step, aligning the clocks, and writing the time line.
 *
 * Spans on one track of Chrome's format must lie side by side or within each other.
 * Those of computing do.  Messages overlap, so each is put on the first track that is
 * free at the time; there are as many tracks as messages under way at once.
 */
#include "config.h"

#include "src/step/timeline.h"

#include "mesh/await.h"
#include "mesh/trace.h"
#include "src/base/clock.h"
#include "src/base/draft.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"

#include <math.h>
#include <stdlib.h>

enum { SPANS = 1 << 17, LANES_MOST = 256, PIECE = 1 << 18, TRIPS = 12 };
enum { TAG_CLOCK = 101, TAG_OFFSET, TAG_ASK, TAG_TEXT };

/* ---- clocks ---------------------------------------------------------------------- */

/* Answer a child's questions with the time here. */
static void answer(MPI_Comm all, int child)
{
    for (int i = 0; i < TRIPS; i++) {
        double now;

        TRY_MPI(
            MPI_Recv(&now, 1, MPI_DOUBLE, child, TAG_CLOCK, all, MPI_STATUS_IGNORE));
        now = clock_now();
        TRY_MPI(MPI_Send(&now, 1, MPI_DOUBLE, child, TAG_CLOCK, all));
    }
}

/* What the parent's clock is ahead: of several round trips the quickest one counts. */
static double ask(MPI_Comm all, int parent)
{
    double best = INFINITY, offset = 0;

    for (int i = 0; i < TRIPS; i++) {
        double start = clock_now(), there, end;

        TRY_MPI(MPI_Send(&start, 1, MPI_DOUBLE, parent, TAG_CLOCK, all));
        TRY_MPI(
            MPI_Recv(&there, 1, MPI_DOUBLE, parent, TAG_CLOCK, all, MPI_STATUS_IGNORE));
        end = clock_now();
        if (end - start < best) {
            best   = end - start;
            offset = there - (start + end) / 2;
        }
    }
    return offset;
}

/* The parent of a rank has its lowest bit cleared; a rank that knows its own offset
 * serves its children, the one with the largest family first.
 */
double timeline_clock_offset(struct mesh *mesh)
{
    const MPI_Comm all = mesh->comm[AXIS_ALL];
    const int rank     = mesh->rank;
    int bit            = 1;
    double offset      = 0, above;

    await_axis(mesh, REDUCE, AXIS_ALL);
    while (bit < mesh->size && (rank & bit) == 0)
        bit *= 2;
    if (rank > 0) {
        offset = ask(all, rank - bit);
        TRY_MPI(MPI_Recv(&above, 1, MPI_DOUBLE, rank - bit, TAG_OFFSET, all,
                         MPI_STATUS_IGNORE));
        offset += above;
    }
    for (bit /= 2; bit > 0; bit /= 2) {
        if (rank + bit >= mesh->size)
            continue;
        answer(all, rank + bit);
        TRY_MPI(MPI_Send(&offset, 1, MPI_DOUBLE, rank + bit, TAG_OFFSET, all));
    }
    await_end(mesh);
    return offset;
}

/* ---- a rank's part --------------------------------------------------------------- */

static int by_start(const void *a, const void *b)
{
    const struct trace_span *x = a, *y = b;

    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return x->end > y->end ? -1 : x->end < y->end; /* the outer one first */
}

/* The first lane that is free at 'start'; the last of all if none is. */
static int lane_for(double end_of[LANES_MOST], const struct trace_span *s)
{
    int lane = 0;

    while (lane < LANES_MOST - 1 && end_of[lane] > s->start)
        lane++;
    end_of[lane] = s->end;
    return lane;
}

static void write_track(FILE *out, int rank, int track, const char *name, int lane)
{
    fprintf(out,
            ",\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"args\":"
            "{\"name\":\"%s",
            rank, track, name);
    if (lane > 0)
        fprintf(out, " %d", lane + 1);
    fprintf(out,
            "\"}},\n{\"name\":\"thread_sort_index\",\"ph\":\"M\",\"pid\":%d,"
            "\"tid\":%d,\"args\":{\"sort_index\":%d}}",
            rank, track, track);
}

static void write_head(FILE *out, const struct mesh *mesh)
{
    fprintf(out,
            "%s\n{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%d,\"args\":{\"name\":"
            "\"rank %d (%d, %d) on %s\"}}",
            mesh->rank == 0 ? "" : ",", mesh->rank, mesh->rank, mesh->d, mesh->m,
            log_host());
    fprintf(out,
            ",\n{\"name\":\"process_sort_index\",\"ph\":\"M\",\"pid\":%d,\"args\":"
            "{\"sort_index\":%d}}",
            mesh->rank, mesh->rank);
    write_track(out, mesh->rank, 0, "compute", 0);
}

/* " of block 3": the group of parameters that a span is about. */
static void write_group(FILE *out, const struct spec *spec, int group)
{
    if (group == GROUP_EMBED)
        fprintf(out, " of embed");
    else if (group == group_head(spec))
        fprintf(out, " of head");
    else if (group == group_replicated(spec))
        fprintf(out, " of replicated");
    else
        fprintf(out, " of block %d", group - group_block(0));
}

/* 'zero' is the start of the time line on this rank's clock. */
static void write_span(FILE *out, const struct mesh *mesh, const struct spec *spec,
                       const struct trace_span *s, int track, double zero)
{
    const double micro = 1e6;

    fprintf(out, ",\n{\"name\":\"%s%s%s", s->name, s->what != NULL ? " " : "",
            s->what != NULL ? s->what : "");
    if (s->track == TRACE_MESSAGES)
        fprintf(out, " %s %d", s->is_send ? "to" : "from", s->peer);
    if (s->group > 0)
        write_group(out, spec, s->group - 1);
    fprintf(out,
            "\",\"cat\":\"%s\",\"ph\":\"X\",\"pid\":%d,\"tid\":%d,\"ts\":%.3f,"
            "\"dur\":%.3f",
            s->track == TRACE_MESSAGES ? "messages" : "compute", mesh->rank, track,
            micro * (s->start - zero), micro * (s->end - s->start));
    if (s->track == TRACE_MESSAGES)
        fprintf(out, ",\"args\":{\"bytes\":%lld,\"peer\":%d,\"order\":%lld}",
                (long long)s->bytes, s->peer, (long long)s->order);
    fprintf(out, "}");
}

/* What rank 0's file has of this rank; sorts the record. */
static void write_part(FILE *out, const struct mesh *mesh, const struct spec *spec,
                       struct trace *t, double zero)
{
    const int count = trace_count(t);
    double end_of[LANES_MOST];
    int lanes = 0;

    for (int lane = 0; lane < LANES_MOST; lane++)
        end_of[lane] = -INFINITY;
    qsort(t->span, (size_t)count, sizeof t->span[0], by_start);
    write_head(out, mesh);
    for (int i = 0; i < count; i++) {
        const struct trace_span *s = &t->span[i];
        const bool is_message      = s->track == TRACE_MESSAGES;
        const int lane             = is_message ? lane_for(end_of, s) : -1;

        if (lane >= lanes)
            write_track(out, mesh->rank, lane + 1, "messages", lanes++);
        write_span(out, mesh, spec, s, lane + 1, zero);
    }
}

/* ---- to the file ----------------------------------------------------------------- */

/* Rank 0 asks the others one after another, and each sends its text in pieces; a piece
 * of nothing is the end.
 */
static void send_part(struct mesh *mesh, const char *text, size_t size)
{
    const MPI_Comm all = mesh->comm[AXIS_ALL];

    TRY_MPI(MPI_Recv(NULL, 0, MPI_CHAR, 0, TAG_ASK, all, MPI_STATUS_IGNORE));
    for (size_t from = 0, n = 1; n > 0; from += n) {
        n = size - from < PIECE ? size - from : PIECE;
        TRY_MPI(MPI_Send(text + from, (int)n, MPI_CHAR, 0, TAG_TEXT, all));
    }
}

static void collect(FILE *out, struct mesh *mesh)
{
    const MPI_Comm all = mesh->comm[AXIS_ALL];
    char *piece        = mem_new(PIECE, 1);

    for (int rank = 1; rank < mesh->size; rank++) {
        int n = 1;

        TRY_MPI(MPI_Send(NULL, 0, MPI_CHAR, rank, TAG_ASK, all));
        while (n > 0) {
            MPI_Status status;

            TRY_MPI(MPI_Recv(piece, PIECE, MPI_CHAR, rank, TAG_TEXT, all, &status));
            TRY_MPI(MPI_Get_count(&status, MPI_CHAR, &n));
            fwrite(piece, 1, (size_t)n, out);
        }
        guard_alive();
    }
    mem_free(piece);
}

static int write_all(struct mesh *mesh, const struct spec *spec, struct trace *t,
                     double zero, const char *path)
{
    struct draft d, nowhere;
    const int rc = draft_open(&d, path);

    if (rc != 0) { /* what the others send is still taken */
        if (draft_open(&nowhere, "/dev/null") != 0)
            die("/dev/null cannot be opened");
        collect(nowhere.file, mesh);
        draft_drop(&nowhere);
        return rc;
    }
    fprintf(d.file, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[");
    write_part(d.file, mesh, spec, t, zero);
    collect(d.file, mesh);
    fprintf(d.file, "\n]}\n");
    return draft_finish(&d);
}

static void write_mine(struct mesh *mesh, const struct spec *spec, struct trace *t,
                       double zero)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        err_end(ERR(ERR_MEMORY, "no memory for the text of a trace"));
    write_part(out, mesh, spec, t, zero);
    fclose(out);
    await_axis(mesh, REDUCE, AXIS_ALL);
    send_part(mesh, text, size);
    await_end(mesh);
    free(text);
}

/* ---- the step -------------------------------------------------------------------- */

static void note_operation(void *ctx, const char *op, double start, double end)
{
    trace_add(ctx,
              (struct trace_span){
                  .track = TRACE_COMPUTE, .name = op, .start = start, .end = end });
}

int timeline_step(struct step *step, double schedule, struct step_result *result,
                  const char *path)
{
    const struct spec *spec = vit_spec(step_vit(step));
    struct mesh *mesh       = vit_mesh(step_vit(step));
    struct dev *dev         = vit_dev(step_vit(step));
    struct trace *t;
    double offset, zero;
    int rc = 0;

    offset = timeline_clock_offset(mesh);
    coll_barrier(mesh);
    zero = clock_now();
    trace_start(mesh, SPANS);
    dev_note(dev, note_operation, mesh);
    step_run(step, schedule, result);
    dev_note(dev, NULL, NULL);
    t = trace_stop(mesh);
    coll_broadcast(mesh, AXIS_ALL, 0, &zero, sizeof zero); /* rank 0's counts */
    if (atomic_load(&t->count) > SPANS)
        WARN("the trace lacks %d spans of this rank", atomic_load(&t->count) - SPANS);
    if (mesh->rank == 0)
        rc = write_all(mesh, spec, t, zero - offset, path);
    else
        write_mine(mesh, spec, t, zero - offset);
    mem_free(t);
    return mesh_agree(mesh, rc);
}
