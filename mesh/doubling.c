/* SPDX-License-Identifier: BSD-3-Clause */
/* Doubling and halving, round by round; the host waits for each. */
#include "config.h"

#include "mesh/doubling.h"

#include "mesh/coll.h"
#include "src/base/split.h"

/* The element at which slice 'j' starts; that of slice 'ranks' is the end. */
static int64_t start_of(const struct slices *x, int ranks, int j)
{
    int64_t cols = 0;

    if (x->cols == NULL)
        return j == ranks ? mat_size(x->all)
                          : split_range(mat_size(x->all), ranks, j).lo;
    for (int k = 0; k < j; k++)
        cols += x->cols[k];
    return x->rows * cols;
}

/* Slices 'first' .. 'first' + n - 1 round the circle, as one matrix or two. */
static void find_around(struct mat part[2], const struct slices *x, int ranks,
                        int first, int n)
{
    const int lo = first % ranks, hi = lo + n;
    const int64_t from = start_of(x, ranks, lo);
    const int64_t to   = start_of(x, ranks, hi < ranks ? hi : ranks);
    const int64_t rest = hi > ranks ? start_of(x, ranks, hi - ranks) : 0;
    const struct mat a = x->all;

    part[0] = mat_at(a.buf, a.dtype, a.offset + from, 1, to - from);
    part[1] = mat_at(a.buf, a.dtype, a.offset, 1, rest);
}

/* Of the last round of doubling, the first of halving. */
static int largest_distance(int ranks)
{
    int d = 1;

    while (2 * d < ranks)
        d *= 2;
    return d;
}

void doubling_gather(struct mesh *mesh, enum axis axis, enum traffic kind, int tag,
                     struct dev_stream *s, const struct slices *x)
{
    const int ranks = mesh_axis_size(mesh, axis), i = mesh_axis_rank(mesh, axis);
    struct dev_event *const after = dev_mark(s);
    struct wire send, recv;
    struct mat out[2], in[2];

    for (int d = 1; d < ranks; d *= 2) {
        const int n = traffic_round(ranks, d);

        find_around(out, x, ranks, i, n);
        find_around(in, x, ranks, i + d, n);
        coll_recv_two(&recv, mesh, kind, axis, (i + d) % ranks, tag, in, after);
        coll_send_two(&send, mesh, kind, axis, (i + ranks - d) % ranks, tag, out,
                      after);
        wire_wait(&recv);
        wire_wait(&send);
    }
}

/* part += what has arrived in 'work'. */
static void add_arrived(struct dev_stream *s, const struct mat part[2], struct mat work)
{
    const int64_t first = part[0].cols, all = first + part[1].cols;

    dev_add(s, part[0], mat_cols(work, 0, first));
    if (all > first)
        dev_add(s, part[1], mat_cols(work, first, all));
}

void halving_scatter(struct mesh *mesh, enum axis axis, enum traffic kind, int tag,
                     struct dev_stream *s, const struct slices *x, struct mat work)
{
    const int ranks = mesh_axis_size(mesh, axis), i = mesh_axis_rank(mesh, axis);
    struct dev_event *after;
    struct wire send, recv;
    struct mat out[2], in[2];

    work = mat_at(work.buf, work.dtype, work.offset, 1, mat_size(work));
    for (int d = ranks > 1 ? largest_distance(ranks) : 0; d > 0; d /= 2) {
        const int n = traffic_round(ranks, d);

        find_around(out, x, ranks, i + d, n);
        find_around(in, x, ranks, i, n);
        after = dev_mark(s);
        coll_recv(&recv, mesh, kind, axis, (i + ranks - d) % ranks, tag,
                  mat_cols(work, 0, in[0].cols + in[1].cols), after);
        coll_send_two(&send, mesh, kind, axis, (i + d) % ranks, tag, out, after);
        wire_wait(&recv);
        add_arrived(s, in, work);
        wire_wait(&send);
    }
}
