/* SPDX-License-Identifier: BSD-3-Clause */
/* Attention that never writes more of the weights than a few rows of one head, once for
 * each number format (cpu_real.h).
 *
 * Every (image, head) is a job of one thread, all of it in the thread's own block: keys
 * and values are packed once, so that the products of cpu_tile_real.h find whole
 * vectors; then a few queries at a time meet all keys.  Their weights, whole rows, stay
 * in cache from the product that makes logits to the product with the values.  Working
 * memory is linear in the number of keys.
 *
 * FLOPs: 4 B H Nq Nk E forward and 10 backward, where logits are made again.
 */
#include "src/dev/cpu_team.h"

#include <math.h>
#include <string.h>

#include "src/dev/cpu_rows_real.h"
#include "src/dev/cpu_attn_room.h"

/* Of weights in hand: with more of them the nearest cache would not help. */
enum { MOST_ROWS = 48 };

/* How a job's scratch is laid out, in elements. */
struct room {
    int64_t rows;   /* queries at a time */
    int64_t keys;   /* Nk in whole lines */
    int64_t along;  /* leading dimension of what is as long as the keys */
    int64_t across; /* of what is as long as a head: E in whole lines */
    REAL factor;    /* 1 / sqrt(E) */
};

static struct room room_for(const struct attn *a)
{
    struct room m = { .keys   = whole_lines(a->Nk),
                      .along  = odd_lines(a->Nk),
                      .across = whole_lines(a->E),
                      .factor = (REAL)(1.0 / sqrt((double)a->E)) };

    m.rows = rows_in_hand(m.along, MOST_ROWS);
    return m;
}

/* The next 'size' elements of a thread's block. */
static REAL *take(REAL **block, int64_t size)
{
    REAL *taken = *block;

    *block += size;
    return taken;
}

/* y [rows in whole lines, across] = rows 'first' on of head h of 'a', with zeros
 * around.
 */
static void pack(struct dev_stream *s, const struct room *m, REAL *y, struct mat a,
                 int64_t first, int64_t rows, int64_t h, int64_t E)
{
    for (int64_t r = 0; r < rows; r++) {
        REAL *row = y + r * m->across;

        row_ahead(a, first + r + ROWS_AHEAD, h * E, E);
        row_read(loops(s), row, a, first + r, h * E, E);
        memset(row + E, 0, (size_t)(m->across - E) * sizeof *row);
    }
    memset(y + rows * m->across, 0,
           (size_t)((whole_lines(rows) - rows) * m->across) * sizeof *y);
}

/* ---- Forward --------------------------------------------------------------------- */

static void attend(struct dev_stream *s, const struct room *m, REAL *block,
                   struct mat o, REAL *kept, struct mat q, struct mat k, struct mat v,
                   const struct attn *a, int64_t b, int64_t h)
{
    const struct OF(kernels) *f = loops(s);
    REAL *keys                  = take(&block, m->across * m->along);
    REAL *values                = take(&block, m->keys * m->across);
    REAL *weights               = take(&block, m->rows * m->along);
    REAL *rows                  = take(&block, whole_lines(m->rows) * m->across);

    pack(s, m, values, k, b * a->Nk, a->Nk, h, a->E);
    f->transpose(keys, m->along, values, m->across, a->Nk, a->E, m->factor);
    pack(s, m, values, v, b * a->Nk, a->Nk, h, a->E);
    for (int64_t lo = 0; lo < a->Nq; lo += m->rows) {
        const int64_t n = a->Nq - lo < m->rows ? a->Nq - lo : m->rows;

        pack(s, m, rows, q, b * a->Nq + lo, n, h, a->E);
        f->product(weights, m->along, rows, m->across, 1, keys, m->along, n, a->Nk,
                   a->E, false);
        for (int64_t r = 0; r < n; r++)
            f->softmax(weights + r * m->along, kept + 2 * (lo + r), a->Nk);
        f->product(rows, m->across, weights, m->along, 1, values, m->across, n, a->E,
                   a->Nk, false);
        for (int64_t r = 0; r < n; r++)
            f->scale(rows + r * m->across, rows + r * m->across,
                     1 / kept[2 * (lo + r) + 1], a->E);
        unpack(s, m->across, o, rows, b * a->Nq + lo, n, h, a->E);
    }
}

static void attn(struct dev_stream *s, struct mat o, struct mat kept, struct mat peak,
                 struct mat q, struct mat k, struct mat v, const struct attn *a)
{
    const struct room m = room_for(a);
    const size_t bytes  = (size_t)((m.across + m.rows) * m.along +
                                  (m.keys + whole_lines(m.rows)) * m.across) *
                         sizeof(REAL);

#pragma omp parallel for num_threads(s->dev->threads) schedule(dynamic)
    for (int64_t i = 0; i < a->B * a->H; i++)
        attend(s, &m, cpu_block(s->dev, member(), bytes), o,
               at(kept, 0) + 2 * i * a->Nq, q, k, v, a, i / a->H, i % a->H);
    at(peak, 0)[0] = largest_kept(at(kept, 0), a->B * a->H * a->Nq);
}

/* ---- Backward -------------------------------------------------------------------- */

/* With p the weights and delta = d_o o of a row: d logit = p (d_o v - delta). */
static void attend_back(struct dev_stream *s, const struct room *m, REAL *block,
                        struct mat dq, struct mat dk, struct mat dv, struct mat d_o,
                        struct mat o, const REAL *kept, struct mat q, struct mat k,
                        struct mat v, const struct attn *a, int64_t b, int64_t h)
{
    const struct OF(kernels) *f = loops(s);
    const int64_t E = a->E, Nk = a->Nk, tall = whole_lines(m->rows);
    REAL *keys     = take(&block, m->keys * m->across);
    REAL *keys_t   = take(&block, m->across * m->along);
    REAL *values_t = take(&block, m->across * m->along);
    REAL *dkeys    = take(&block, m->keys * m->across);
    REAL *dvalues  = take(&block, m->keys * m->across);
    REAL *p        = take(&block, m->rows * m->along);
    REAL *dp       = take(&block, m->rows * m->along);
    REAL *rows     = take(&block, tall * m->across);
    REAL *drows    = take(&block, tall * m->across);
    REAL *out      = take(&block, tall * m->across);

    pack(s, m, dvalues, v, b * a->Nk, Nk, h, E);
    f->transpose(values_t, m->along, dvalues, m->across, Nk, E, 1);
    pack(s, m, keys, k, b * a->Nk, Nk, h, E);
    f->transpose(keys_t, m->along, keys, m->across, Nk, E, m->factor);
    for (int64_t lo = 0; lo < a->Nq; lo += m->rows) {
        const int64_t n     = a->Nq - lo < m->rows ? a->Nq - lo : m->rows;
        const int64_t first = b * a->Nq + lo;

        pack(s, m, rows, q, first, n, h, E);
        pack(s, m, drows, d_o, first, n, h, E);
        pack(s, m, out, o, first, n, h, E);
        f->product(p, m->along, rows, m->across, 1, keys_t, m->along, n, Nk, E, false);
        f->product(dp, m->along, drows, m->across, 1, values_t, m->along, n, Nk, E,
                   false);
        for (int64_t r = 0; r < n; r++)
            f->softmax_back(p + r * m->along, dp + r * m->along, kept + 2 * (lo + r),
                            f->dot(drows + r * m->across, out + r * m->across, E),
                            m->factor, Nk);
        f->product(dvalues, m->across, p, 1, m->along, drows, m->across, Nk, E, n,
                   lo > 0);
        f->product(dkeys, m->across, dp, 1, m->along, rows, m->across, Nk, E, n,
                   lo > 0);
        f->product(out, m->across, dp, m->along, 1, keys, m->across, n, E, Nk, false);
        unpack(s, m->across, dq, out, first, n, h, E);
    }
    unpack(s, m->across, dk, dkeys, b * a->Nk, Nk, h, E);
    unpack(s, m->across, dv, dvalues, b * a->Nk, Nk, h, E);
}

static void attn_backward(struct dev_stream *s, struct mat dq, struct mat dk,
                          struct mat dv, struct mat d_o, struct mat o, struct mat kept,
                          struct mat q, struct mat k, struct mat v,
                          const struct attn *a)
{
    const struct room m = room_for(a);
    const size_t bytes  = (size_t)(2 * (m.across + m.rows) * m.along +
                                  3 * (m.keys + whole_lines(m.rows)) * m.across) *
                         sizeof(REAL);

#pragma omp parallel for num_threads(s->dev->threads) schedule(dynamic)
    for (int64_t i = 0; i < a->B * a->H; i++)
        attend_back(s, &m, cpu_block(s->dev, member(), bytes), dq, dk, dv, d_o, o,
                    at(kept, 0) + 2 * i * a->Nq, q, k, v, a, i / a->H, i % a->H);
}

const struct dev_ops OF(cpu_attn) = {
    .attn          = attn,
    .attn_backward = attn_backward,
};
