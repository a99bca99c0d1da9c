/* SPDX-License-Identifier: BSD-3-Clause */
/* The exchange of one slab: from the device to packed boxes, from there to the shares
 * of the ranks of the group, and back.
 */
#include "config.h"

#include "ckpt/boxes.h"

#include "ckpt/boxes_impl.h"
#include "ckpt/digest.h"
#include "src/base/err.h"

#include <limits.h>
#include <string.h>

/* ---- between device and host ----------------------------------------------------- */

/* Rows of a piece that are elements p .. q of its box. */
static struct mat rows_of(const struct boxes *b, const struct held *h, struct part part)
{
    const struct mat at = b->list->piece[h->piece].at;

    if (part.p % at.cols != 0 || part.q % at.cols != 0)
        die("a slab cuts a row of a piece");
    return mat_rows(at, part.p / at.cols, part.q / at.cols);
}

static void fetch(struct boxes *b, float *to, const struct held *h, struct part part)
{
    struct dev_stream *stream = dev_stream(b->dev, LANE_COMPUTE);
    struct mat from;

    if (part.p == part.q)
        return;
    from = rows_of(b, h, part);
    if (from.dtype == DTYPE_F32) {
        dev_get(stream, to, from);
        return;
    }
    dev_get(stream, b->raw, from);
    for (int64_t i = 0; i < part.q - part.p; i++)
        to[i] = (float)dtype_load(from.dtype, b->raw, i);
}

static void store(struct boxes *b, const struct held *h, struct part part,
                  const float *from)
{
    struct dev_stream *stream = dev_stream(b->dev, LANE_COMPUTE);
    struct mat to;

    if (part.p == part.q)
        return;
    to = rows_of(b, h, part);
    if (to.dtype == DTYPE_F32) {
        dev_put(stream, to, from);
        return;
    }
    for (int64_t i = 0; i < part.q - part.p; i++)
        dtype_store(to.dtype, b->raw, i, from[i]);
    dev_put(stream, to, b->raw);
}

/* ---- between box and share ------------------------------------------------------- */

/* Where element 'x' of the tensor lies in the share: in the last extent that does not
 * start after it.
 */
static int64_t place_of(const struct slab *s, int64_t x)
{
    int lo = 0, hi = s->extents;

    while (hi - lo > 1) {
        const int middle = (lo + hi) / 2;

        if (s->extent[middle].start <= x)
            lo = middle;
        else
            hi = middle;
    }
    return s->extent[lo].at + x - s->extent[lo].start;
}

static void box_to_share(float *share, const struct slab *s, const struct box *box,
                         struct part part, const float *from)
{
    while (part.p < part.q) {
        const struct run run = box_run(box, part.p, part.q);

        memcpy(share + place_of(s, run.start), from, (size_t)run.count * sizeof *from);
        from += run.count;
        part.p += run.count;
    }
}

static void share_to_box(float *to, const struct slab *s, const struct box *box,
                         struct part part, const float *share)
{
    while (part.p < part.q) {
        const struct run run = box_run(box, part.p, part.q);

        memcpy(to, share + place_of(s, run.start), (size_t)run.count * sizeof *to);
        to += run.count;
        part.p += run.count;
    }
}

uint64_t boxes_digest(const struct boxes *b, int i, const float *share, int64_t index)
{
    const struct slab *s  = &b->slab[i];
    const struct range in = boxes_share(b, s, b->mesh->m);
    uint64_t sum          = 0;

    for (int rank = 0; rank < b->mesh->M; rank++) {
        for (int k = first_held(b, rank, s->tensor); k < end_held(b, rank, s->tensor);
             k++) {
            const struct held *h = &b->held[k];
            struct part part     = part_of(&h->box, in.lo, in.hi);

            while (h->is_first && part.p < part.q) {
                const struct run run = box_run(&h->box, part.p, part.q);

                sum += digest_of(share + place_of(s, run.start), run.count,
                                 index + run.start);
                part.p += run.count;
            }
        }
    }
    return sum;
}

/* ---- messages -------------------------------------------------------------------- */

/* Start to send (or receive) a part of a box; 'tag' is the box's number on its rank. */
static void post(struct boxes *b, bool is_sent, float *at, struct part part, int peer,
                 int tag)
{
    const MPI_Comm comm = b->mesh->comm[AXIS_MODEL];
    const int64_t n     = part.q - part.p;

    if (n == 0)
        return;
    if (n > INT_MAX)
        die("a row of %lld elements", (long long)n);
    if (is_sent)
        TRY_MPI(MPI_Isend(at, (int)n, MPI_FLOAT, peer, tag, comm,
                          &b->request[b->requests++]));
    else
        TRY_MPI(MPI_Irecv(at, (int)n, MPI_FLOAT, peer, tag, comm,
                          &b->request[b->requests++]));
}

static void wait_all(struct boxes *b)
{
    TRY_MPI(MPI_Waitall(b->requests, b->request, MPI_STATUSES_IGNORE));
    b->requests = 0;
}

/* The parts of this rank's box 'k' that other ranks write or read; its elements in the
 * slab are 'whole' and lie packed at 'packed'.
 */
static void post_mine(struct boxes *b, bool is_sent, const struct slab *s, int k,
                      struct part whole, float *packed)
{
    const int tag = k - first_held(b, b->mesh->m, s->tensor);

    for (int rank = 0; rank < b->mesh->M; rank++) {
        const struct range in  = boxes_share(b, s, rank);
        const struct part part = part_of(&b->held[k].box, in.lo, in.hi);

        if (rank != b->mesh->m)
            post(b, is_sent, packed + (part.p - whole.p), part, rank, tag);
    }
}

/* List what this rank writes or reads of other ranks' boxes; returns how many. */
static int list_theirs(struct boxes *b, const struct slab *s)
{
    const struct range own = boxes_share(b, s, b->mesh->m);
    float *at              = b->theirs;
    int n                  = 0;

    for (int rank = 0; rank < b->mesh->M; rank++) {
        const int first = first_held(b, rank, s->tensor);
        const int end   = end_held(b, rank, s->tensor);

        for (int k = first; k < end && rank != b->mesh->m; k++) {
            struct theirs *t = &b->of_theirs[n++];

            *t = (struct theirs){ .box  = &b->held[k].box,
                                  .part = part_of(&b->held[k].box, own.lo, own.hi),
                                  .at   = at,
                                  .rank = rank,
                                  .tag  = k - first };
            at += t->part.q - t->part.p;
        }
    }
    return n;
}

/* ---- whole slabs ----------------------------------------------------------------- */

/* With one rank in the group and one run there is nothing to sort: the part's place in
 * the share, else -1.
 */
static int64_t direct(const struct boxes *b, const struct slab *s,
                      const struct box *box, struct part part)
{
    struct run run;

    if (b->mesh->M > 1 || part.p == part.q)
        return -1;
    run = box_run(box, part.p, part.q);
    return run.count == part.q - part.p ? place_of(s, run.start) : -1;
}

void boxes_get(struct boxes *b, int i, float *share)
{
    const struct slab *s   = &b->slab[i];
    const struct range own = boxes_share(b, s, b->mesh->m);
    const int theirs       = list_theirs(b, s);
    const int first        = first_held(b, b->mesh->m, s->tensor);
    const int end          = end_held(b, b->mesh->m, s->tensor);
    float *packed          = b->mine;

    for (int k = 0; k < theirs; k++)
        post(b, false, b->of_theirs[k].at, b->of_theirs[k].part, b->of_theirs[k].rank,
             b->of_theirs[k].tag);
    for (int k = first; k < end; k++) {
        const struct held *h    = &b->held[k];
        const struct part whole = part_of(&h->box, s->lo, s->hi);
        const struct part kept  = part_of(&h->box, own.lo, own.hi);
        const int64_t place     = direct(b, s, &h->box, whole);

        fetch(b, place >= 0 ? share + place : packed, h, whole);
        if (place >= 0)
            continue;
        post_mine(b, true, s, k, whole, packed);
        box_to_share(share, s, &h->box, kept, packed + (kept.p - whole.p));
        packed += whole.q - whole.p;
    }
    wait_all(b);
    for (int k = 0; k < theirs; k++)
        box_to_share(share, s, b->of_theirs[k].box, b->of_theirs[k].part,
                     b->of_theirs[k].at);
}

void boxes_put(struct boxes *b, int i, const float *share)
{
    const struct slab *s   = &b->slab[i];
    const struct range own = boxes_share(b, s, b->mesh->m);
    const int theirs       = list_theirs(b, s);
    const int first        = first_held(b, b->mesh->m, s->tensor);
    const int end          = end_held(b, b->mesh->m, s->tensor);
    float *packed          = b->mine;

    for (int k = first; k < end; k++) {
        const struct held *h    = &b->held[k];
        const struct part whole = part_of(&h->box, s->lo, s->hi);
        const struct part kept  = part_of(&h->box, own.lo, own.hi);

        post_mine(b, false, s, k, whole, packed);
        if (direct(b, s, &h->box, whole) < 0)
            share_to_box(packed + (kept.p - whole.p), s, &h->box, kept, share);
        packed += whole.q - whole.p;
    }
    for (int k = 0; k < theirs; k++) {
        const struct theirs *t = &b->of_theirs[k];

        share_to_box(t->at, s, t->box, t->part, share);
        post(b, true, t->at, t->part, t->rank, t->tag);
    }
    wait_all(b);
    packed = b->mine;
    for (int k = first; k < end; k++) {
        const struct held *h    = &b->held[k];
        const struct part whole = part_of(&h->box, s->lo, s->hi);
        const int64_t place     = direct(b, s, &h->box, whole);

        store(b, h, whole, place >= 0 ? share + place : packed);
        packed += whole.q - whole.p;
    }
}
