/* SPDX-License-Identifier: BSD-3-Clause */
/* Most elements are any 32 bits, NaN and -0 among them; those of datasets whose names
 * say another format are small whole numbers, which every format holds.
 */
#include "config.h"

#include "tests/tensors.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/base/split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECES = 4000, GAP = 3 }; /* elements between the rows of a piece */

struct form {
    const char *dataset;
    int64_t layers;
    int dims, fold, split;
    int64_t dim[CKPT_DIMS];
    int scaled; /* the dimension that 'scale' makes larger */
    enum dtype dtype;
};

static const struct form forms[] = {
    { "params/a/matrix", 0, 2, 1, 1, { 97, 53 }, 0, DTYPE_F32 },
    { "params/a/heads", 0, 3, 1, 1, { 11, 6, 5 }, 2, DTYPE_F32 },
    { "params/b/out", 3, 3, 2, 0, { 6, 5, 13 }, 2, DTYPE_F32 },
    { "params/b/up", 2, 2, 1, 1, { 14, 7 }, 0, DTYPE_F32 },
    { "params/b/scale", 3, 1, 0, 0, { 7 }, 0, DTYPE_F32 },
    { "params/patch", 0, 4, 3, 3, { 4, 2, 3, 7 }, 3, DTYPE_F32 },
    { "params/probe", 0, 3, 2, -1, { 1, 1, 9 }, 2, DTYPE_F32 },
    { "params/few", 0, 2, 1, 1, { 5, 2 }, 0, DTYPE_F32 }, /* too few for some ranks */
    { "opt/bf16", 0, 2, 1, 0, { 20, 6 }, 0, DTYPE_BF16 },
    { "opt/f64", 2, 2, 1, 1, { 6, 20 }, 0, DTYPE_F64 },
};

enum { FORMS = sizeof forms / sizeof forms[0] };

float tensors_value(const char *dataset, int64_t seed, int64_t i)
{
    const uint64_t bits = rng_bits((uint64_t)seed, rng_hash(dataset), (uint64_t)i);
    const uint32_t low  = (uint32_t)bits;
    float value;

    if (strncmp(dataset, "opt/", 4) == 0)
        return (float)(bits % 256);
    memcpy(&value, &low, sizeof value);
    return value;
}

/* ---- the list -------------------------------------------------------------------- */

static int64_t volume(const struct ckpt_tensor *t, int lo, int hi)
{
    int64_t size = 1;

    for (int i = lo; i < hi; i++)
        size *= t->dim[i];
    return size;
}

/* The box 'lo' .. 'hi' of the tensor, behind what is there; 'bytes' are in use. */
static void add_piece(struct tensors *all, int64_t *bytes, const struct ckpt_tensor *t,
                      const struct form *f, const int64_t *lo, const int64_t *hi,
                      bool is_first)
{
    struct ckpt_piece *p = &all->list.piece[all->list.pieces++];
    int64_t rows = 1, cols = 1;

    if (all->list.pieces > PIECES)
        die("too many pieces");
    for (int i = 0; i < t->dims; i++) {
        p->lo[i] = lo[i];
        p->hi[i] = hi[i];
        if (i < t->fold)
            rows *= hi[i] - lo[i];
        else
            cols *= hi[i] - lo[i];
    }
    if (rows * cols == 0) {
        all->list.pieces--;
        return;
    }
    p->is_first = is_first;
    p->at       = (struct mat){ .buf    = &all->memory,
                                .dtype  = f->dtype,
                                .offset = *bytes / (int64_t)dtype_size(f->dtype),
                                .rows   = rows,
                                .cols   = cols,
                                .ld     = cols + GAP };
    *bytes += (rows * p->at.ld * (int64_t)dtype_size(f->dtype) + 63) / 64 * 64;
}

/* The part of rank m; of that, row after row, the rows of data rank d. */
static void add_pieces(struct tensors *all, int64_t *bytes, struct ckpt_tensor *t,
                       const struct form *f, const struct mesh *mesh,
                       enum tensors_way way, int number)
{
    int64_t lo[CKPT_DIMS] = { 0 }, hi[CKPT_DIMS];
    int64_t rows          = 1;
    struct range mine;

    memcpy(hi, t->dim, sizeof hi);
    if (f->split >= 0) {
        const struct range part = split_range(t->dim[f->split], mesh->M, mesh->m);

        lo[f->split] = part.lo;
        hi[f->split] = part.hi;
    }
    if (f->split < 0 || way == TENSORS_WHOLE) {
        add_piece(all, bytes, t, f, lo, hi,
                  mesh->d == 0 && (f->split >= 0 || mesh->m == 0));
        return;
    }
    if (t->fold == 0) { /* one row, of one rank */
        if (number % mesh->D == mesh->d)
            add_piece(all, bytes, t, f, lo, hi, true);
        return;
    }
    for (int i = 0; i < t->fold; i++)
        rows *= hi[i] - lo[i];
    mine = split_range(rows, mesh->D, mesh->d);
    if (t->fold == 1) {
        hi[0] = lo[0] + mine.hi;
        lo[0] += mine.lo;
        add_piece(all, bytes, t, f, lo, hi, true);
        return;
    }
    for (int64_t row = mine.lo; row < mine.hi; row++) {
        int64_t from[CKPT_DIMS], to[CKPT_DIMS], rest = row;

        memcpy(from, lo, sizeof from);
        memcpy(to, hi, sizeof to);
        for (int i = t->fold - 1; i >= 0; i--) {
            from[i] = lo[i] + rest % (hi[i] - lo[i]);
            to[i]   = from[i] + 1;
            rest /= hi[i] - lo[i];
        }
        add_piece(all, bytes, t, f, from, to, true);
    }
}

void tensors_open(struct tensors *all, struct mesh *mesh, struct dev *dev,
                  enum tensors_way way, int scale)
{
    struct ckpt_list *list = &all->list;
    int64_t bytes          = 0;

    *all         = (struct tensors){ .dev = dev };
    list->tensor = mem_new(4 * FORMS, sizeof *list->tensor);
    list->piece  = mem_new(PIECES, sizeof *list->piece);
    for (int i = 0; i < FORMS; i++) {
        const struct form *f = &forms[i];

        for (int64_t layer = 0; layer < (f->layers > 0 ? f->layers : 1); layer++) {
            struct ckpt_tensor *t = &list->tensor[list->tensors++];

            snprintf(t->dataset, sizeof t->dataset, "%s", f->dataset);
            t->dims   = f->dims;
            t->fold   = f->fold;
            t->layer  = layer;
            t->layers = f->layers;
            memcpy(t->dim, f->dim, sizeof t->dim);
            t->dim[f->scaled] *= scale;
            t->first = list->pieces;
            add_pieces(all, &bytes, t, f, mesh, way, list->tensors);
            t->count = list->pieces - t->first;
        }
    }
    if (dev_alloc(&all->memory, dev, (size_t)bytes + 64) != 0)
        die("no memory for tensors");
}

void tensors_close(struct tensors *all)
{
    dev_free(&all->memory);
    mem_free(all->list.tensor);
    mem_free(all->list.piece);
}

/* ---- their elements -------------------------------------------------------------- */

/* The number in its dataset of element 'i' of a piece. */
static int64_t index_of(const struct ckpt_tensor *t, const struct ckpt_piece *p,
                        int64_t i)
{
    int64_t index = t->layer * volume(t, 0, t->dims);

    for (int k = t->dims - 1; k >= 0; k--) {
        const int64_t side = p->hi[k] - p->lo[k];

        index += (p->lo[k] + i % side) * volume(t, k + 1, t->dims);
        i /= side;
    }
    return index;
}

typedef int64_t (*visit_fn)(void *values, enum dtype dtype, int64_t i, float value);

/* Hand every element to 'visit', packed by pieces; the sum of what it returns. */
static int64_t visit_all(const struct tensors *all, int64_t seed, bool is_written,
                         visit_fn visit)
{
    struct dev_stream *stream = dev_stream(all->dev, LANE_COMPUTE);
    int64_t sum               = 0;

    for (int k = 0; k < all->list.tensors; k++) {
        const struct ckpt_tensor *t = &all->list.tensor[k];

        for (int i = t->first; i < t->first + t->count; i++) {
            const struct ckpt_piece *p = &all->list.piece[i];
            void *values               = malloc((size_t)mat_bytes(p->at));

            if (values == NULL)
                die("no memory for a piece");
            dev_get(stream, values, p->at);
            for (int64_t e = 0; e < mat_size(p->at); e++)
                sum += visit(values, p->at.dtype, e,
                             tensors_value(t->dataset, seed, index_of(t, p, e)));
            if (is_written)
                dev_put(stream, p->at, values);
            free(values);
        }
    }
    return sum;
}

static int64_t fill(void *values, enum dtype dtype, int64_t i, float value)
{
    if (dtype == DTYPE_F32)
        memcpy((float *)values + i, &value, sizeof value); /* any bits */
    else
        dtype_store(dtype, values, i, value);
    return 0;
}

static int64_t spoil(void *values, enum dtype dtype, int64_t i, float value)
{
    (void)value;
    return fill(values, dtype, i, 77);
}

static int64_t is_wrong(void *values, enum dtype dtype, int64_t i, float value)
{
    if (dtype == DTYPE_F32)
        return memcmp((float *)values + i, &value, sizeof value) != 0;
    return dtype_load(dtype, values, i) != (double)value;
}

void tensors_fill(struct tensors *all, int64_t seed)
{
    visit_all(all, seed, true, fill);
}

void tensors_spoil(struct tensors *all)
{
    visit_all(all, 0, true, spoil);
}

int64_t tensors_wrong(const struct tensors *all, int64_t seed)
{
    return visit_all(all, seed, false, is_wrong);
}
