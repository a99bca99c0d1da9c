/* SPDX-License-Identifier: BSD-3-Clause */
/* At open every rank of a model group learns all boxes of the group; from then on each
 * computes by itself who holds what of a slab and who wants it.
 */
#include "config.h"

#include "ckpt/boxes.h"

#include "ckpt/boxes_impl.h"
#include "src/base/err.h"
#include "src/base/mem.h"

#include <limits.h>
#include <stdlib.h>

static int64_t row_size(const struct ckpt_tensor *t)
{
    int64_t size = 1;

    for (int i = t->fold; i < t->dims; i++)
        size *= t->dim[i];
    return size;
}

/* ---- who holds what -------------------------------------------------------------- */

enum { WORDS = 2 * CKPT_DIMS + 1 }; /* of a box in a message */

/* This rank's boxes as numbers: of every tensor how many, then those.  Returns how many
 * numbers; 'word' NULL only counts.
 */
static int64_t tell(int64_t *word, const struct ckpt_list *list, bool is_first_only)
{
    int64_t n = 0;

    for (int t = 0; t < list->tensors; t++) {
        const struct ckpt_tensor *tensor = &list->tensor[t];
        const int64_t count_at           = n++;
        int64_t count                    = 0;

        for (int i = tensor->first; i < tensor->first + tensor->count; i++) {
            const struct ckpt_piece *p = &list->piece[i];

            if (is_first_only && !p->is_first)
                continue;
            count++;
            for (int k = 0; k < CKPT_DIMS && word != NULL; k++) {
                word[n + k]             = p->lo[k];
                word[n + CKPT_DIMS + k] = p->hi[k];
            }
            if (word != NULL)
                word[n + WORDS - 1] = p->is_first;
            n += WORDS;
        }
        if (word != NULL)
            word[count_at] = count;
    }
    return n;
}

static void learn_box(struct held *h, const struct ckpt_tensor *t, const int64_t *word)
{
    h->box.dims = t->dims;
    for (int k = 0; k < t->dims; k++) {
        h->box.dim[k] = t->dim[k];
        h->box.lo[k]  = word[k];
        h->box.hi[k]  = word[CKPT_DIMS + k];
    }
    h->is_first = word[WORDS - 1] != 0;
    h->piece    = -1;
}

/* What all ranks have told, one after the other. */
static void learn(struct boxes *b, const int64_t *word, int64_t words)
{
    const struct ckpt_list *list = b->list;
    const int tables             = b->mesh->M * list->tensors;
    int held                     = 0;

    b->held  = mem_new((size_t)(words / WORDS) + 1, sizeof *b->held);
    b->start = mem_new((size_t)tables + 1, sizeof *b->start);
    for (int i = 0; i < tables; i++) {
        const int64_t count = *word++;

        b->start[i] = held;
        for (int64_t k = 0; k < count; k++, word += WORDS)
            learn_box(&b->held[held++], &list->tensor[i % list->tensors], word);
    }
    b->start[tables] = held;
}

/* Which of this rank's pieces its own boxes are. */
static void find_pieces(struct boxes *b, bool is_first_only)
{
    const struct ckpt_list *list = b->list;

    for (int t = 0; t < list->tensors; t++) {
        const struct ckpt_tensor *tensor = &list->tensor[t];
        int held                         = first_held(b, b->mesh->m, t);

        for (int i = tensor->first; i < tensor->first + tensor->count; i++) {
            if (is_first_only && !list->piece[i].is_first)
                continue;
            if (mat_size(list->piece[i].at) != box_size(&b->held[held].box))
                die("a piece of %s is not as large as its box", tensor->dataset);
            b->held[held++].piece = i;
        }
    }
}

static void share_boxes(struct boxes *b, bool is_first_only)
{
    const MPI_Comm comm = b->mesh->comm[AXIS_MODEL];
    const int M         = b->mesh->M;
    const int64_t words = tell(NULL, b->list, is_first_only);
    int64_t *own        = mem_new((size_t)words, sizeof *own);
    int *count          = mem_new((size_t)M, sizeof *count);
    int *place          = mem_new((size_t)M, sizeof *place);
    int64_t all_words   = 0, *all;
    int n;

    tell(own, b->list, is_first_only);
    if (words > INT_MAX / M)
        die("%lld numbers describe a rank's pieces", (long long)words);
    n = (int)words;
    TRY_MPI(MPI_Allgather(&n, 1, MPI_INT, count, 1, MPI_INT, comm));
    for (int i = 0; i < M; i++) {
        place[i] = (int)all_words;
        all_words += count[i];
    }
    all = mem_new((size_t)all_words, sizeof *all);
    TRY_MPI(MPI_Allgatherv(own, n, MPI_INT64_T, all, count, place, MPI_INT64_T, comm));
    learn(b, all, all_words);
    find_pieces(b, is_first_only);
    mem_free(all);
    mem_free(place);
    mem_free(count);
    mem_free(own);
}

/* ---- slabs and shares ------------------------------------------------------------ */

struct range boxes_share(const struct boxes *b, const struct slab *s, int rank)
{
    const int M       = b->mesh->M;
    const int k       = (rank - s->first + M) % M;
    const int64_t row = row_size(&b->list->tensor[s->tensor]);
    struct range rows;

    if (k >= s->writers)
        return (struct range){ s->lo, s->lo };
    rows = split_range((s->hi - s->lo) / row, s->writers, k);
    return (struct range){ s->lo + rows.lo * row, s->lo + rows.hi * row };
}

/* Elements that the group holds, of lo .. hi. */
static int64_t count_held(const struct boxes *b, int tensor, int64_t lo, int64_t hi)
{
    int64_t sum = 0;

    for (int rank = 0; rank < b->mesh->M; rank++) {
        for (int i = first_held(b, rank, tensor); i < end_held(b, rank, tensor); i++) {
            const struct part part = part_of(&b->held[i].box, lo, hi);

            sum += part.q - part.p;
        }
    }
    return sum;
}

static int compare_extents(const void *left, const void *right)
{
    const struct extent *a = left, *b = right;

    return a->start < b->start ? -1 : a->start > b->start;
}

/* Sort, and join those that touch or overlap. */
static int join(struct extent *e, int n)
{
    int joined = 0;

    qsort(e, (size_t)n, sizeof *e, compare_extents);
    for (int i = 0; i < n; i++) {
        struct extent *last = joined > 0 ? &e[joined - 1] : NULL;

        if (last != NULL && e[i].start <= last->start + last->count) {
            if (e[i].start + e[i].count > last->start + last->count)
                last->count = e[i].start + e[i].count - last->start;
        } else {
            e[joined++] = e[i];
        }
    }
    return joined;
}

/* The runs of all boxes of the group in lo .. hi, into 'e' if it is not NULL; returns
 * how many.
 */
static int list_runs(struct extent *e, const struct boxes *b, int tensor,
                     struct range in)
{
    int n = 0;

    for (int rank = 0; rank < b->mesh->M; rank++) {
        for (int i = first_held(b, rank, tensor); i < end_held(b, rank, tensor); i++) {
            const struct box *box = &b->held[i].box;
            struct part part      = part_of(box, in.lo, in.hi);

            while (part.p < part.q) {
                const struct run run = box_run(box, part.p, part.q);

                if (e != NULL)
                    e[n] = (struct extent){ .start = run.start, .count = run.count };
                n++;
                part.p += run.count;
            }
        }
    }
    return n;
}

static void find_extents(struct boxes *b, struct slab *s)
{
    const struct range in = boxes_share(b, s, b->mesh->m);
    const int runs        = list_runs(NULL, b, s->tensor, in);
    struct extent *run    = mem_new((size_t)runs, sizeof *run);

    list_runs(run, b, s->tensor, in);
    s->extents = join(run, runs);
    s->extent  = mem_new((size_t)s->extents, sizeof *s->extent);
    for (int i = 0; i < s->extents; i++) {
        s->extent[i]    = run[i];
        s->extent[i].at = s->share;
        s->share += run[i].count;
    }
    mem_free(run);
}

/* The whole rows of a tensor that hold all boxes of the group. */
static struct range hull_of(const struct boxes *b, int tensor)
{
    const int64_t row = row_size(&b->list->tensor[tensor]);
    struct range hull = { INT64_MAX, 0 };

    for (int rank = 0; rank < b->mesh->M; rank++) {
        for (int i = first_held(b, rank, tensor); i < end_held(b, rank, tensor); i++) {
            const struct box *box = &b->held[i].box;
            const int64_t size    = box_size(box);
            int64_t lo, hi;

            if (size == 0)
                continue;
            lo      = box_run(box, 0, 1).start;
            hi      = box_run(box, size - 1, size).start + 1;
            hull.lo = lo < hull.lo ? lo : hull.lo;
            hull.hi = hi > hull.hi ? hi : hull.hi;
        }
    }
    if (hull.hi == 0)
        return (struct range){ 0, 0 };
    return (struct range){ hull.lo / row * row, (hull.hi + row - 1) / row * row };
}

/* Cut one tensor into slabs, into b->slab if that is not NULL; returns how many. */
static int cut_tensor(struct boxes *b, int tensor, int made)
{
    const struct range hull = hull_of(b, tensor);
    const int64_t row       = row_size(&b->list->tensor[tensor]);
    const int64_t size      = b->share * b->mesh->M;
    const int64_t step      = (size / row > 0 ? size / row : 1) * row;
    int n                   = 0;

    for (int64_t lo = hull.lo; lo < hull.hi; lo += step) {
        const int64_t hi    = lo + step < hull.hi ? lo + step : hull.hi;
        const int64_t held  = count_held(b, tensor, lo, hi);
        const int64_t worth = held * BOXES_PARTS / b->share;
        int64_t writers     = b->mesh->M;

        if (held == 0)
            continue;
        writers = worth < writers ? worth : writers;
        writers = (hi - lo) / row < writers ? (hi - lo) / row : writers;
        writers = writers < 1 ? 1 : writers;
        if (b->slab != NULL)
            b->slab[made + n] = (struct slab){
                .tensor  = tensor,
                .lo      = lo,
                .hi      = hi,
                .first   = writers == b->mesh->M ? 0 : (made + n) % b->mesh->M,
                .writers = (int)writers,
            };
        n++;
    }
    return n;
}

static void make_slabs(struct boxes *b)
{
    int count = 0;

    for (int t = 0; t < b->list->tensors; t++)
        count += cut_tensor(b, t, count);
    b->slab = mem_new((size_t)count, sizeof *b->slab);
    for (int t = 0; t < b->list->tensors; t++)
        b->slabs += cut_tensor(b, t, b->slabs);
    for (int i = 0; i < b->slabs; i++)
        find_extents(b, &b->slab[i]);
}

/* ---- open and close -------------------------------------------------------------- */

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Room for the largest slab. */
static int alloc_room(struct boxes *b)
{
    int64_t mine = 0, theirs = 0, raw = 0;
    void *room;

    for (int i = 0; i < b->slabs; i++) {
        const struct slab *s   = &b->slab[i];
        const struct range own = boxes_share(b, s, b->mesh->m);
        int64_t of_mine = 0, of_theirs = count_held(b, s->tensor, own.lo, own.hi);

        for (int k = first_held(b, b->mesh->m, s->tensor);
             k < end_held(b, b->mesh->m, s->tensor); k++) {
            const struct held *h      = &b->held[k];
            const struct part part    = part_of(&h->box, s->lo, s->hi);
            const struct part of_them = part_of(&h->box, own.lo, own.hi);
            const struct mat at       = b->list->piece[h->piece].at;

            of_mine += part.q - part.p;
            of_theirs -= of_them.q - of_them.p;
            if (at.dtype != DTYPE_F32)
                raw = larger(raw, (part.q - part.p) * (int64_t)dtype_size(at.dtype));
        }
        mine   = larger(mine, of_mine);
        theirs = larger(theirs, of_theirs);
    }
    TRY(mem_alloc(&room, (size_t)mine * sizeof(float)));
    b->mine = room;
    TRY(mem_alloc(&room, (size_t)theirs * sizeof(float)));
    b->theirs = room;
    return mem_alloc(&b->raw, (size_t)raw);
}

/* Room for each message of the busiest slab. */
static void alloc_messages(struct boxes *b)
{
    int64_t most = 0;

    for (int t = 0; t < b->list->tensors; t++) {
        int64_t boxes = 0;

        for (int rank = 0; rank < b->mesh->M; rank++)
            boxes += end_held(b, rank, t) - first_held(b, rank, t);
        boxes += (int64_t)b->mesh->M *
                 (end_held(b, b->mesh->m, t) - first_held(b, b->mesh->m, t));
        most = larger(most, boxes);
    }
    b->request   = mem_new((size_t)most, sizeof *b->request);
    b->of_theirs = mem_new((size_t)most, sizeof *b->of_theirs);
}

int boxes_open(struct boxes **boxes, struct mesh *mesh, struct dev *dev,
               const struct ckpt_list *list, bool is_first_only, int64_t share)
{
    struct boxes *b = mem_new(1, sizeof *b);
    int rc;

    b->mesh  = mesh;
    b->dev   = dev;
    b->list  = list;
    b->share = share;
    share_boxes(b, is_first_only);
    make_slabs(b);
    alloc_messages(b);
    rc = mesh_agree(mesh, alloc_room(b));
    if (rc != 0)
        boxes_close(&b);
    else
        *boxes = b;
    return rc;
}

void boxes_close(struct boxes **boxes)
{
    struct boxes *b = *boxes;

    if (b == NULL)
        return;
    for (int i = 0; i < b->slabs; i++)
        mem_free(b->slab[i].extent);
    mem_free(b->slab);
    mem_free(b->held);
    mem_free(b->start);
    mem_free(b->mine);
    mem_free(b->theirs);
    mem_free(b->raw);
    mem_free(b->request);
    mem_free(b->of_theirs);
    mem_free(b);
    *boxes = NULL;
}

int boxes_count(const struct boxes *b)
{
    return b->slabs;
}

const struct slab *boxes_slab(const struct boxes *b, int i)
{
    return &b->slab[i];
}
