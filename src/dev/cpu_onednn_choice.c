/* SPDX-License-Identifier: BSD-3-Clause */
/* Which way of doing a product is fastest: it depends on the shape, above all for the
 * gradient of weights, where nothing can be packed beforehand.  Timed on a part, so
 * that the largest product costs a fraction of a second.  Without timing it is a guess.
 */
#include "config.h"

#include "src/dev/cpu_onednn.h"

#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/told.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What makes a product another one, as far as speed goes. */
struct measure {
    int64_t rows, cols, depth;
    enum call_kind kind;
    bool is_added;
};

static struct measure measure_of(const struct call *c)
{
    const struct measure dw = { c->y.rows, c->y.cols, c->x.rows, c->kind, c->is_added };
    struct measure s        = dw;

    if (c->kind != CALL_DW)
        s.depth = c->x.cols;
    return s;
}

static bool is_same(const struct measure *a, const struct measure *b)
{
    return a->rows == b->rows && a->cols == b->cols && a->depth == b->depth &&
           a->kind == b->kind && a->is_added == b->is_added;
}

_Static_assert((int)WAYS <= (int)DEV_WAYS, "a choice holds all ways");

/* The ways that a product has, the best guess first; their number.  What nothing was
 * packed for beforehand is best left to a product that packs in cache, or has tiles.
 */
static int ways_of(enum way way[WAYS], const struct call *c, const struct library *l)
{
    const bool is_dw = c->kind == CALL_DW, is_f32 = c->x.dtype == DTYPE_F32;
    const bool has_tiles = l->has_tiles;
    int n                = 0;

    if (is_dw && is_refused_by_tiles(l, c->x.rows)) {
        way[0] = WAY_PAIRS;
        return 1;
    }
    if (is_dw && !has_tiles)
        way[n++] = is_f32 ? WAY_PLAIN : WAY_PAIRS;
    way[n++] = WAY_ONEDNN;
    if (is_dw)
        way[n++] = WAY_TURNED;
    if (is_dw && has_tiles)
        way[n++] = WAY_PAIRS;
    if (!is_dw && is_f32)
        way[n++] = WAY_PLAIN;
#ifdef HAVE_BLIS
    if (is_f32)
        way[n++] = WAY_BLIS;
#endif
    return n;
}

/* ---- Timing ---------------------------------------------------------------------- */

static int64_t at_most(int64_t n, double most)
{
    return (double)n > most ? (int64_t)most : n;
}

/* The same product, smaller.  A weight's is cut to a square if it must be: what
 * packs its factors for the product does so for the rows and for the columns of
 * the result, and few of either would make that look dear.  A gradient's is
 * that of fewer images' rows.
 */
static struct call cut_call(const struct call *c, const struct measure *s)
{
    enum { LEAST_OF_DW = 128, LEAST = 1024 };
    const double most = 2e10; /* multiply-adds */
    struct call cut   = *c;
    struct range *of;
    int64_t rows, cols;

    if (c->kind == CALL_DW) {
        rows =
            at_most(c->x.rows, fmax(most / (double)(s->rows * s->cols), LEAST_OF_DW));
        if (rows < c->x.rows)
            rows -= rows % 64; /* is_refused_by_tiles() */
        cut.x  = mat_rows(c->x, 0, rows);
        cut.dy = mat_rows(c->dy, 0, rows);
        return cut;
    }
    rows   = at_most(s->rows, fmax(sqrt(most / (double)s->depth), LEAST));
    cols   = at_most(s->cols, fmax(most / (double)(s->depth * rows), LEAST));
    rows   = at_most(s->rows, fmax(most / (double)(s->depth * cols), LEAST));
    of     = c->kind == CALL_GEMM ? &cut.j : &cut.i;
    of->hi = of->lo + cols;
    cut.x  = mat_rows(c->x, 0, rows);
    cut.y  = mat_cols(mat_rows(c->y, 0, rows), 0, cols);
    return cut;
}

/* A packed copy is made for about one product of a step, and the plain product packs as
 * much: so it counts.
 */
static double pack_seconds(const struct call *c, enum way way)
{
    if (c->weight == NULL || way != WAY_ONEDNN)
        return 0.0;
    return onednn_pack_seconds(c->weight, c->kind == CALL_GEMM_T, c->i, c->j);
}

static double once(struct dev_stream *s, const struct call *c, const struct call *cut,
                   enum way way)
{
    const double start = clock_now();

    library_of(s->dev)->time(s, cut, way);
    return clock_now() - start + pack_seconds(c, way);
}

/* Those within this of the fastest are timed twice more, by turns, and the best counts:
 * a processor whose clock wanders would choose at random.
 */
static const double CLOSE = 1.25;

/* Into the result itself, which is still to come; a sum needs memory of its own, and so
 * do a few columns, which are to lie as close as all.
 */
static void time_ways(struct dev_stream *s, const struct call *c,
                      const struct measure *measure, const enum way way[WAYS],
                      struct dev_choice *choice)
{
    struct library *l  = library_of(s->dev);
    struct call cut    = cut_call(c, measure);
    const size_t bytes = (size_t)(cut.y.rows * cut.y.ld) * dtype_size(cut.y.dtype);
    struct buf room    = { .dev = s->dev, .bytes = bytes };
    void *at           = NULL;

    if (c->is_added || cut.y.cols < c->y.cols) {
        if (mem_alloc(&at, bytes) != 0)
            err_end(ERR_MEMORY);
        memset(at, 0, bytes);
        room.at      = at;
        cut.y.buf    = &room;
        cut.y.offset = 0;
        if (cut.y.cols < c->y.cols)
            cut.y.ld = cut.y.cols;
    }
    for (int i = 0; i < choice->ways; i++) {
        l->time(s, &cut, way[i]); /* makes plans, warms caches */
        choice->seconds[i] = once(s, c, &cut, way[i]);
    }
    for (int again = 0; again < 2; again++) {
        const double best = choice->seconds[dev_fastest(choice)];

        for (int i = 0; i < choice->ways; i++)
            if (choice->seconds[i] < CLOSE * best)
                choice->seconds[i] = fmin(choice->seconds[i], once(s, c, &cut, way[i]));
    }
    choice->way = dev_fastest(choice);
    mem_free(at);
}

/* ---- The list -------------------------------------------------------------------- */

static void grow(struct library *l)
{
    const int room            = 2 * l->room + 32;
    struct dev_choice *choice = mem_new((size_t)room, sizeof *choice);
    struct measure *shape     = mem_new((size_t)room, sizeof *shape);

    if (l->choices > 0) {
        memcpy(choice, l->choice, (size_t)l->choices * sizeof *choice);
        memcpy(shape, l->shape, (size_t)l->choices * sizeof *shape);
    }
    choices_free(l);
    l->choice = choice;
    l->shape  = shape;
    l->room   = room;
}

void choices_free(struct library *l)
{
    mem_free(l->choice);
    mem_free(l->shape);
}

static void name_choice(struct dev_choice *choice, const struct measure *m,
                        const enum way way[WAYS])
{
    static const char *const kind[]     = { "x W", "x W^T", "x^T dy" };
    static const char *const way_name[] = { [WAY_ONEDNN] = "oneDNN",
                                            [WAY_TURNED] = "oneDNN, x^T packed",
                                            [WAY_PLAIN]  = "oneDNN, nothing packed",
                                            [WAY_BLIS]   = "BLIS",
                                            [WAY_PAIRS]  = "pairs of rows" };

    snprintf(choice->name, sizeof choice->name, "%s %lldx%lldx%lld%s", kind[m->kind],
             (long long)m->rows, (long long)m->cols, (long long)m->depth,
             m->is_added ? " added" : "");
    for (int i = 0; i < choice->ways; i++)
        choice->way_name[i] = way_name[way[i]];
}

enum way choice_of(struct dev_stream *s, const struct call *c)
{
    const struct measure shape = measure_of(c);
    struct library *l          = library_of(s->dev);
    struct dev_choice *new;
    enum way way[WAYS];
    const int ways = ways_of(way, c, l);

    if (ways == 1)
        return way[0];
    for (int i = 0; i < l->choices; i++)
        if (is_same(&l->shape[i], &shape))
            return way[l->choice[i].way];
    if (l->time == NULL || told_to_end())
        return way[0];
    if (l->choices == l->room)
        grow(l);
    new  = &l->choice[l->choices];
    *new = (struct dev_choice){ .ways = ways };
    name_choice(new, &shape, way);
    l->shape[l->choices++] = shape;
    time_ways(s, c, &shape, way, new);
    return way[new->way];
}

struct dev_choice *choices_of(struct dev *dev, int *count)
{
    *count = library_of(dev)->choices;
    return library_of(dev)->choice;
}
