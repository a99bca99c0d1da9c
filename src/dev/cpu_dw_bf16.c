/* SPDX-License-Identifier: BSD-3-Clause */
/* The gradient of a weight in bf16, dw = x^T dy, by the products of pairs that
 * attention has.  Pairs are along the rows of both, the tokens: two rows are zipped,
 * and nothing is turned.
 *
 * The narrower factor is zipped once, in stripes as wide as a tile is high, each the
 * words of a tile one after the other.  The wider one is zipped a panel of columns at a
 * time, by the thread that needs it, and stays in the second level cache while all
 * stripes meet it.  A tile is added up over all tokens that this cache holds.  Where
 * the narrower factor is dy, what comes out is turned on its way to dw.
 *
 * FLOPs: 2 rows of x by its columns by those of dy.
 */
#include "config.h"

#include "src/dev/cpu_team.h"

#include "src/base/mem.h"

#include <string.h>

#define FORMAT f32
#include "src/dev/cpu_rows_real.h"

/* Rows and columns of a tile; stripes that a thread takes together; and the pairs that
 * it adds at a time: a panel of them is half of a usual second level cache.
 */
enum {
    TILE    = 6,
    PANEL   = CPU_PANEL,
    STRIPES = 16,
    CHUNK   = STRIPES * TILE,
    DEPTH   = 2048
};

/* A product, and its zipped narrow factor. */
struct gradient {
    struct mat dw, narrow, wide;
    bool is_added, is_turned;
    int64_t pairs, apart; /* words from stripe to stripe */
    uint32_t *stripe;
};

/* A thread's. */
struct room {
    float sum[CHUNK * PANEL], turned[PANEL * CHUNK];
    uint32_t panel[]; /* [pairs, PANEL]; while stripes are zipped, two rows */
};

/* The stripes' words of this thread's share of tokens. */
static void zip_stripes(struct dev_stream *s, const struct gradient *g,
                        struct room *room)
{
    const int64_t cols      = g->narrow.cols;
    const struct range mine = my_share(g->pairs);

    for (int64_t k = mine.lo; k < mine.hi; k++) {
        const int64_t left = g->narrow.rows - 2 * k;
        uint32_t *to       = g->stripe + k * TILE;

        pair_loops(s)->zip(room->panel, 0, at_bf16(g->narrow, 2 * k), g->narrow.ld,
                           left < 2 ? left : 2, cols);
        for (int64_t c = 0; c < cols; c += TILE, to += g->apart)
            memcpy(to, room->panel + c, TILE * sizeof *to);
    }
}

/* 'n' columns of 'rows' rows of dw, from r and c on. */
static void leave(struct dev_stream *s, const struct gradient *g, float *from,
                  int64_t ld, int64_t r, int64_t c, int64_t rows, int64_t n)
{
    float room[PANEL > CHUNK ? PANEL : CHUNK];

    for (int64_t i = 0; i < rows; i++, from += ld) {
        if (g->is_added)
            loops(s)->add(from, row_in(loops(s), g->dw, r + i, c, n, room), n);
        row_write(loops(s), g->dw, from, r + i, c, n);
    }
}

/* Columns 'i' on of the narrow factor, a chunk, with 'j' on of the wide
 * one, a panel.
 */
static void multiply(struct dev_stream *s, const struct gradient *g, struct room *room,
                     int64_t i, int64_t j)
{
    const int64_t high = g->narrow.cols - i < CHUNK ? g->narrow.cols - i : CHUNK;
    const int64_t wide = g->wide.cols - j < PANEL ? g->wide.cols - j : PANEL;

    for (int64_t k = 0; k < g->pairs; k += DEPTH) {
        const int64_t depth = g->pairs - k < DEPTH ? g->pairs - k : DEPTH;

        for (int64_t r = 0; r < high; r += TILE)
            pair_loops(s)->product(room->sum + r * PANEL, PANEL,
                                   g->stripe + (i + r) / TILE * g->apart + k * TILE, 1,
                                   TILE, room->panel + k * PANEL, PANEL, TILE, wide,
                                   depth, k > 0);
    }
    if (!g->is_turned) {
        leave(s, g, room->sum, PANEL, i, j, high, wide);
    } else {
        loops(s)->transpose(room->turned, CHUNK, room->sum, PANEL, CHUNK, PANEL, 1);
        leave(s, g, room->turned, CHUNK, j, i, wide, high);
    }
}

void cpu_dw_bf16(struct dev_stream *s, struct mat dw, struct mat x, struct mat dy,
                 bool is_added)
{
    const bool is_turned  = dy.cols < x.cols;
    struct gradient g     = { .dw        = dw,
                              .narrow    = is_turned ? dy : x,
                              .wide      = is_turned ? x : dy,
                              .is_added  = is_added,
                              .is_turned = is_turned,
                              .pairs     = (x.rows + 1) / 2 };
    const int64_t line    = CPU_LINE / (int64_t)sizeof(uint32_t);
    const int64_t stripes = (g.narrow.cols + TILE - 1) / TILE;
    const int64_t chunks  = (stripes + STRIPES - 1) / STRIPES;
    const int64_t panels  = (g.wide.cols + PANEL - 1) / PANEL;
    const int64_t words   = g.pairs * PANEL + g.narrow.cols + TILE;
    const size_t bytes    = mem_round(sizeof(struct room) + (size_t)words * 4);

    /* An odd number of lines: stripes a power of two apart would share a part of the
     * cache.
     */
    g.apart = (g.pairs * TILE + line - 1) / line | 1;
    g.apart *= line;
    g.stripe = (uint32_t *)((char *)cpu_block(s->dev, 0,
                                              bytes + (size_t)(stripes * g.apart) * 4) +
                            bytes);
    THREADS(s, mat_size(dw) * g.pairs)
    {
        struct room *room    = cpu_block(s->dev, member(), bytes);
        const struct range r = my_share(panels * chunks);

        zip_stripes(s, &g, room);
        PARALLEL(omp barrier)
        for (int64_t job = r.lo; job < r.hi; job++) {
            const int64_t j = job / chunks * PANEL;

            if (job == r.lo || job % chunks == 0)
                pair_loops(s)->zip(room->panel, PANEL, at_bf16(g.wide, 0) + j,
                                   g.wide.ld, g.wide.rows,
                                   g.wide.cols - j < PANEL ? g.wide.cols - j : PANEL);
            multiply(s, &g, room, job % chunks * CHUNK, j);
        }
    }
}
