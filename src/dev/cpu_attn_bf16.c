/* SPDX-License-Identifier: BSD-3-Clause */
/* Attention in bf16, built as in f32 (cpu_attn_real.h): a few queries at a time meet
 * all keys of an image's head, within a thread's block, and no more of the weights is
 * ever written.  Both factors of all products are bf16, and sums f32; logits, softmax
 * and its gradient are f32, and weights and gradients of logits are rounded where a
 * product takes them up.
 *
 * Products want pairs of numbers along their depth side by side.  Along a head
 * that is how rows lie, and keys are turned a pair at a time; along keys or
 * queries two rows are zipped.
 *
 * FLOPs: 4 B H Nq Nk E forward and 10 backward, where logits are made again.
 */
#include "config.h"

#include "src/dev/cpu_team.h"

#include <math.h>
#include <string.h>

#define FORMAT f32
#include "src/dev/cpu_rows_real.h"
#include "src/dev/cpu_attn_room.h"

/* Of weights in hand: sums over queries are read and written once for so
 * many, so that few would cost.
 */
enum { MOST_ROWS = 96 };

/* How a job's scratch is laid out: leading dimensions, of words or f32 elements. */
struct room {
    int64_t rows;   /* queries at a time */
    int64_t keys;   /* Nk in whole lines */
    int64_t along;  /* of what is as long as the keys */
    int64_t across; /* of what is as long as a head: E in whole lines */
    int64_t words;  /* of a head's pairs */
    int64_t pairs;  /* of those how many: E / 2, rounded up */
    float factor;   /* 1 / sqrt(E) */
};

static struct room room_for(const struct attn *a)
{
    struct room m = { .keys   = whole_lines(a->Nk),
                      .along  = odd_lines(a->Nk),
                      .across = whole_lines(a->E),
                      .words  = whole_lines((a->E + 1) / 2),
                      .pairs  = (a->E + 1) / 2,
                      .factor = (float)(1.0 / sqrt((double)a->E)) };

    m.rows = rows_in_hand(m.along, MOST_ROWS);
    return m;
}

/* The next 'size' words of a thread's block. */
static void *take(char **block, int64_t size)
{
    char *taken = *block;

    *block += size * (int64_t)sizeof(uint32_t);
    return taken;
}

/* 'n' numbers of row r of 'a' from column c on, where they lie or in 'room'. */
static const uint16_t *halves(struct dev_stream *s, uint16_t *room, struct mat a,
                              int64_t r, int64_t c, int64_t n)
{
    if (is_bf16(a))
        return at_bf16(a, r) + c;
    loops(s)->narrow(room, at(a, r) + c, n);
    return room;
}

/* y [rows in whole lines, words] = rows 'first' on of head h of 'a', with zeros around.
 */
static void pack(struct dev_stream *s, const struct room *m, uint32_t *y, struct mat a,
                 int64_t first, int64_t rows, int64_t h, int64_t E)
{
    for (int64_t r = 0; r < rows; r++) {
        uint16_t *row        = (uint16_t *)(y + r * m->words);
        const uint16_t *from = halves(s, row, a, first + r, h * E, E);

        row_ahead(a, first + r + ROWS_AHEAD, h * E, E);
        if (from != row)
            memcpy(row, from, (size_t)E * sizeof *row);
        memset(row + E, 0, (size_t)(2 * m->words - E) * sizeof *row);
    }
    memset(y + rows * m->words, 0,
           (size_t)((whole_lines(rows) - rows) * m->words) * sizeof *y);
}

/* y [pairs of rows, across]: two rows of the packed x [rows, words] together. */
static void zip_rows(struct dev_stream *s, const struct room *m, uint32_t *y,
                     const uint32_t *x, int64_t rows)
{
    pair_loops(s)->zip(y, m->across, (const uint16_t *)x, 2 * m->words, rows,
                       m->across);
}

/* y [pairs along the head, along] of the packed x [keys, words]. */
static void turn(struct dev_stream *s, const struct room *m, uint32_t *y,
                 const uint32_t *x, const struct attn *a)
{
    loops(s)->transpose((float *)y, m->along, (const float *)x, m->words, a->Nk,
                        m->pairs, 1);
}

/* ---- Forward --------------------------------------------------------------------- */

static size_t forward_bytes(const struct room *m)
{
    const int64_t tall = whole_lines(m->rows);

    return (size_t)((m->words + 2 * m->rows) * m->along + m->keys * m->words +
                    m->keys * m->across + tall * (m->words + m->across)) *
           sizeof(uint32_t);
}

static void attend(struct dev_stream *s, const struct room *m, char *block,
                   struct mat o, float *kept, struct mat q, struct mat k, struct mat v,
                   const struct attn *a, int64_t b, int64_t h)
{
    const struct kernels_bf16 *f = pair_loops(s);
    const int64_t tall           = whole_lines(m->rows);
    uint32_t *keys               = take(&block, m->words * m->along);
    uint32_t *packed             = take(&block, m->keys * m->words);
    uint32_t *values             = take(&block, m->keys * m->across);
    float *logits                = take(&block, m->rows * m->along);
    uint32_t *weights            = take(&block, m->rows * m->along);
    uint32_t *rows               = take(&block, tall * m->words);
    float *out                   = take(&block, tall * m->across);

    pack(s, m, packed, k, b * a->Nk, a->Nk, h, a->E);
    turn(s, m, keys, packed, a);
    pack(s, m, packed, v, b * a->Nk, a->Nk, h, a->E);
    zip_rows(s, m, values, packed, a->Nk);
    for (int64_t lo = 0; lo < a->Nq; lo += m->rows) {
        const int64_t n = a->Nq - lo < m->rows ? a->Nq - lo : m->rows;

        pack(s, m, rows, q, b * a->Nq + lo, n, h, a->E);
        f->product(logits, m->along, rows, m->words, 1, keys, m->along, n, a->Nk,
                   m->pairs, false);
        for (int64_t r = 0; r < n; r++)
            f->softmax((uint16_t *)(weights + r * m->along), logits + r * m->along,
                       kept + 2 * (lo + r), m->factor, a->Nk);
        f->product(out, m->across, weights, m->along, 1, values, m->across, n, a->E,
                   (a->Nk + 1) / 2, false);
        for (int64_t r = 0; r < n; r++)
            loops(s)->scale(out + r * m->across, out + r * m->across,
                            1 / kept[2 * (lo + r) + 1], a->E);
        unpack(s, m->across, o, out, b * a->Nq + lo, n, h, a->E);
    }
}

static void attn(struct dev_stream *s, struct mat o, struct mat kept, struct mat peak,
                 struct mat q, struct mat k, struct mat v, const struct attn *a)
{
    const struct room m = room_for(a);

#pragma omp parallel for num_threads(s->dev->threads) schedule(dynamic)
    for (int64_t i = 0; i < a->B * a->H; i++)
        attend(s, &m, cpu_block(s->dev, member(), forward_bytes(&m)), o,
               at(kept, 0) + 2 * i * a->Nq, q, k, v, a, i / a->H, i % a->H);
    at(peak, 0)[0] = largest_kept(at(kept, 0), a->B * a->H * a->Nq);
}

/* ---- Backward -------------------------------------------------------------------- */

static size_t backward_bytes(const struct room *m)
{
    const int64_t tall = whole_lines(m->rows);

    return (size_t)((2 * m->words + 3 * m->rows + m->rows / 2) * m->along +
                    m->keys * m->words + (2 * m->keys + m->keys / 2) * m->across +
                    2 * tall * (m->words + m->across)) *
           sizeof(uint32_t);
}

/* delta = d_o o of 'n' rows, with a zero behind; 'room' is for two rows. */
static void deltas(struct dev_stream *s, const struct room *m, float *delta,
                   float *room, struct mat d_o, struct mat o, int64_t first, int64_t n,
                   int64_t h, int64_t E)
{
    for (int64_t r = 0; r < n; r++) {
        row_read(loops(s), room, d_o, first + r, h * E, E);
        row_read(loops(s), room + m->across, o, first + r, h * E, E);
        delta[r] = loops(s)->dot(room, room + m->across, E);
    }
    delta[n] = 0;
}

/* With p the weights and delta = d_o o of a row: d logit = p (d_o v - delta).  Rows of
 * queries are taken by twos: a last one alone gets one of zeros beside it, whose
 * weights meet zeros.
 */
static void attend_back(struct dev_stream *s, const struct room *m, char *block,
                        struct mat dq, struct mat dk, struct mat dv, struct mat d_o,
                        struct mat o, const float *kept, struct mat q, struct mat k,
                        struct mat v, const struct attn *a, int64_t b, int64_t h)
{
    const struct kernels_bf16 *f = pair_loops(s);
    const int64_t E = a->E, Nk = a->Nk, along = m->along, across = m->across;
    const int64_t tall = whole_lines(m->rows);
    uint32_t *packed   = take(&block, m->keys * m->words);
    uint32_t *keys     = take(&block, m->keys / 2 * across);
    uint32_t *keys_t   = take(&block, m->words * along);
    uint32_t *values_t = take(&block, m->words * along);
    float *dkeys       = take(&block, m->keys * across);
    float *dvalues     = take(&block, m->keys * across);
    float *logits      = take(&block, m->rows * along);
    float *dp          = take(&block, m->rows * along);
    uint32_t *p        = take(&block, m->rows / 2 * along);
    uint32_t *dx       = take(&block, m->rows / 2 * along);
    uint16_t *dx_rows  = take(&block, m->rows / 2 * along);
    uint32_t *rows     = take(&block, tall * m->words);
    uint32_t *drows    = take(&block, tall * m->words);
    uint32_t *twos     = take(&block, tall / 2 * across);
    uint32_t *dtwos    = take(&block, tall / 2 * across);
    float *out         = take(&block, tall * across);
    float delta[MOST_ROWS + 1];

    pack(s, m, packed, v, b * a->Nk, Nk, h, E);
    turn(s, m, values_t, packed, a);
    pack(s, m, packed, k, b * a->Nk, Nk, h, E);
    turn(s, m, keys_t, packed, a);
    zip_rows(s, m, keys, packed, Nk);
    for (int64_t lo = 0; lo < a->Nq; lo += m->rows) {
        const int64_t n     = a->Nq - lo < m->rows ? a->Nq - lo : m->rows;
        const int64_t twice = (n + 1) / 2 * 2, first = b * a->Nq + lo;

        pack(s, m, rows, q, first, n, h, E);
        pack(s, m, drows, d_o, first, n, h, E);
        zip_rows(s, m, twos, rows, n);
        zip_rows(s, m, dtwos, drows, n);
        deltas(s, m, delta, out, d_o, o, first, n, h, E);
        f->product(logits, along, rows, m->words, 1, keys_t, along, twice, Nk, m->pairs,
                   false);
        f->product(dp, along, drows, m->words, 1, values_t, along, twice, Nk, m->pairs,
                   false);
        for (int64_t r = 0; r < n; r += 2) {
            const float *of    = kept + 2 * (lo + r);
            const float two[4] = { of[0], of[1], r + 1 < n ? of[2] : 0,
                                   r + 1 < n ? of[3] : 1 };

            f->softmax_back(p + r / 2 * along, dx + r / 2 * along, dx_rows + r * along,
                            logits + r * along, dp + r * along, along, two, delta + r,
                            m->factor, Nk);
        }
        f->product(dvalues, across, p, 1, along, dtwos, across, Nk, E, twice / 2,
                   lo > 0);
        f->product(dkeys, across, dx, 1, along, twos, across, Nk, E, twice / 2, lo > 0);
        f->product(out, across, (const uint32_t *)dx_rows, along / 2, 1, keys, across,
                   n, E, (Nk + 1) / 2, false);
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

#pragma omp parallel for num_threads(s->dev->threads) schedule(dynamic)
    for (int64_t i = 0; i < a->B * a->H; i++)
        attend_back(s, &m, cpu_block(s->dev, member(), backward_bytes(&m)), dq, dk, dv,
                    d_o, o, at(kept, 0) + 2 * i * a->Nq, q, k, v, a, i / a->H,
                    i % a->H);
}

const struct dev_ops cpu_attn_bf16 = {
    .attn          = attn,
    .attn_backward = attn_backward,
};
