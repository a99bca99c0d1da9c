/* SPDX-License-Identifier: BSD-3-Clause */
/* Our collectives over all ranks, by size, as nccl-tests report theirs:
 *
 *   size    bytes of the whole: what an all-gather leaves, what the others start from
 *   algbw   size / time
 *   busbw   algbw times (n - 1) / n, twice that for an all-reduce: what a link carries
 *
 * Of numbers in the format that sums have: f32 in runs of bf16, too.
 *
 * Checked on small whole numbers, whose sums are exact: the error of a row is the
 * number of elements that are wrong.
 */
#include "config.h"

#include "bench/case.h"
#include "bench/reader.h"

#include "src/base/err.h"
#include "src/base/mem.h"

#include <stdio.h>

enum { PERIOD = 3, CHUNK = 1 << 14 /* elements */ };
enum { FIRST = 8, LAST = 64 << 20, FACTOR = 4 }; /* of sizes */

/* A factor like the square root of 10 has few digits: by how much of the last size its
 * powers may miss it.
 */
static const double near_last = 1e-5;

struct job {
    struct bench *bench;
    struct dev_stream *stream;
    struct reader reader;
    struct buf buf[3];
    struct mat all, own, work; /* of the size at hand */
    int64_t *cols;             /* [ranks] */
};

struct collective {
    const char *name;
    double bus; /* busbw / algbw in units of (n - 1) / n */
    timed_fn run;
    bool is_sum; /* values are added up */
    bool is_all; /* the result is in 'all', else in 'own' */
    bool is_own; /* the input is in 'own', else in 'all' */
};

static void run_allgather(void *ctx)
{
    struct job *j = ctx;

    coll_allgather(j->bench->mesh, AXIS_ALL, REDUCE, j->stream, j->all, j->own, 1,
                   j->cols);
}

static void run_reduce_scatter(void *ctx)
{
    struct job *j = ctx;

    coll_reduce_scatter(j->bench->mesh, AXIS_ALL, REDUCE, j->stream, j->own, j->all,
                        j->work, 1, j->cols);
}

static void run_allreduce(void *ctx)
{
    struct job *j = ctx;

    coll_allreduce(j->bench->mesh, AXIS_ALL, REDUCE, j->stream, j->all, j->work);
}

static const struct collective collectives[] = {
    { "allgather", 1, run_allgather, .is_all = true, .is_own = true },
    { "reduce_scatter", 1, run_reduce_scatter, .is_sum = true },
    { "allreduce", 2, run_allreduce, .is_sum = true, .is_all = true },
};

enum { COLLECTIVES = sizeof collectives / sizeof collectives[0] };

/* ---- exact values ---------------------------------------------------------------- */

/* What rank 'rank' brings for element 'i' of the whole; the sum of what all bring. */
static double value_of(int rank, int64_t i)
{
    return (double)((rank + i) % PERIOD);
}

static double sum_of(int ranks, int64_t i)
{
    double sum = (double)(ranks / PERIOD) * (PERIOD * (PERIOD - 1) / 2);

    for (int r = 0; r < ranks % PERIOD; r++)
        sum += value_of(r, i);
    return sum;
}

/* Set 'a', which starts at element 'first' of the whole, to this rank's values. */
static void fill(struct job *j, struct mat a, int64_t first)
{
    double chunk[CHUNK];

    for (int64_t lo = 0; lo < a.cols; lo += CHUNK) {
        const int64_t hi = lo + CHUNK < a.cols ? lo + CHUNK : a.cols;

        for (int64_t i = lo; i < hi; i++)
            dtype_store(a.dtype, chunk, i - lo,
                        value_of(j->bench->mesh->rank, first + i));
        dev_put(j->stream, mat_cols(a, lo, hi), chunk);
    }
}

static int64_t count_wrong(struct job *j, struct mat a, int64_t first, bool is_sum)
{
    const int ranks     = j->bench->mesh->size;
    const int64_t whole = j->all.cols;
    int64_t wrong       = 0;

    for (int64_t lo = 0; lo < a.cols; lo += CHUNK) {
        const int64_t hi = lo + CHUNK < a.cols ? lo + CHUNK : a.cols;
        const double *x  = reader_get(&j->reader, mat_cols(a, lo, hi), 0, 1);

        for (int64_t i = first + lo; i < first + hi; i++, x++)
            wrong += *x != (is_sum ? sum_of(ranks, i)
                                   : value_of(split_owner(whole, ranks, i), i));
    }
    return wrong;
}

static double check(struct job *j, const struct collective *k)
{
    struct mesh *mesh   = j->bench->mesh;
    const int64_t first = split_range(j->all.cols, mesh->size, mesh->rank).lo;

    dev_fill(j->stream, j->all, -1);
    dev_fill(j->stream, j->own, -1);
    fill(j, k->is_own ? j->own : j->all, k->is_own ? first : 0);
    k->run(j);
    return coll_sum(mesh, AXIS_ALL,
                    (double)(k->is_all ? count_wrong(j, j->all, 0, k->is_sum)
                                       : count_wrong(j, j->own, first, k->is_sum)));
}

/* ---- sizes ----------------------------------------------------------------------- */

static void set_size(struct job *j, int64_t bytes)
{
    struct mesh *mesh      = j->bench->mesh;
    const enum dtype dtype = dev_acc(j->bench->dev);
    const int64_t n        = bytes / (int64_t)dtype_size(dtype);
    const int64_t own      = split_size(n, mesh->size, mesh->rank);

    for (int i = 0; i < mesh->size; i++)
        j->cols[i] = split_size(n, mesh->size, i);
    j->all  = mat_of(&j->buf[0], dtype, 1, n);
    j->own  = mat_of(&j->buf[1], dtype, 1, own);
    j->work = mat_of(&j->buf[2], dtype, 1, n + mesh->size); /* enough for all of them */
    dev_fill(j->stream, j->all, 0);
    dev_fill(j->stream, j->own, 0);
}

static int measure(struct case_result *c, struct job *j, const struct collective *k,
                   int64_t bytes)
{
    const double seconds = 0.1;
    const int ranks      = j->bench->mesh->size;
    struct row *row;

    TRY(bench_go_on(j->bench));
    row = case_add_row(c);
    set_size(j, bytes);
    snprintf(row->name, sizeof row->name, "%s", k->name);
    row->size      = mat_bytes(j->all);
    row->seconds   = bench_median(seconds, j->bench->mesh, k->run, j);
    row->algbw     = (double)row->size / row->seconds;
    row->busbw     = row->algbw * k->bus * (ranks - 1) / ranks;
    row->error     = check(j, k);
    row->threshold = 0;
    row_judge(row);
    return 0;
}

/* The bytes in 'at', which the product of rounded factors may miss 'last' in. */
static int64_t size_at(double at, int64_t last, int64_t least)
{
    const int64_t bytes = at > (1 - near_last) * (double)last ? last : (int64_t)at;

    return bytes > least ? bytes : least;
}

static int alloc(struct job *j, int64_t bytes)
{
    const struct bench *b = j->bench;
    const size_t most     = (size_t)bytes + (size_t)b->mesh->size * sizeof(double);
    const double on_node  = 3.0 * (double)most * b->mesh->node_size;

    if (b->node_memory > 0 && on_node > (double)b->node_memory)
        return ERR(ERR_MEMORY, "collectives of %lld bytes do not fit",
                   (long long)bytes);
    for (int i = 0; i < 3; i++)
        TRY(dev_alloc(&j->buf[i], j->bench->dev, most));
    return 0;
}

int case_coll(struct bench *b, struct case_result *c, const struct spec *spec,
              int64_t batch)
{
    const struct choices *choices = b->choices;
    const bool is_given           = choices->size_first > 0;
    const int64_t first           = is_given ? choices->size_first : FIRST;
    const int64_t last            = is_given ? choices->size_last : LAST;
    const double factor           = is_given ? choices->size_factor : FACTOR;
    const int64_t number          = (int64_t)dtype_size(dev_acc(b->dev));
    struct job j = { .bench = b, .stream = dev_stream(b->dev, LANE_COMPUTE) };
    int rc;

    (void)spec;
    (void)batch;
    c->dtype = dev_acc(b->dev);
    c->wires = "";
    guard_phase("collectives");
    j.cols = mem_new((size_t)b->mesh->size, sizeof *j.cols);
    reader_open(&j.reader, b->dev);
    rc = mesh_agree(b->mesh, alloc(&j, last));
    if (rc == ERR_MEMORY)
        case_skip(c, "not enough memory for %lld bytes", (long long)last);
    for (int i = 0; rc == 0 && i < COLLECTIVES; i++) {
        for (double at = (double)first; at <= (1 + near_last) * (double)last && rc == 0;
             at *= factor)
            rc = measure(c, &j, &collectives[i], size_at(at, last, number));
    }
    if (rc == 0)
        result_judge(c);
    for (int i = 0; i < 3; i++)
        dev_free(&j.buf[i]);
    reader_close(&j.reader);
    mem_free(j.cols);
    return rc == ERR_MEMORY ? 0 : rc;
}
