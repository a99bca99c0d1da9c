/* SPDX-License-Identifier: BSD-3-Clause */
/* Systems are drawn with doubles, pictures with floats; no function of the C library is
 * in the loop over points, and nothing depends on the order of threads.
 */
#include "config.h"

#include "src/data/fractal.h"

#include "src/base/mem.h"
#include "src/base/rng.h"

#include <math.h>
#include <stdbool.h>

#define TURN 6.28318530717958648

/* ---- systems --------------------------------------------------------------------- */

/* Random numbers of one system, one after another. */
struct draws {
    uint64_t key, next;
};

static double draw(struct draws *d, double lo, double hi)
{
    return lo + (hi - lo) * rng_uniform(d->key, 0, d->next++);
}

/* Singular values s[i][0] >= s[i][1] of n maps, all within 0 .. 1, such that the sum of
 * s[i][0] + 2 s[i][1] is 'total': each is drawn between the bounds that leave the rest
 * a way to reach the total.
 */
static void draw_scales(double s[][2], int n, double total, struct draws *d)
{
    double rest = total, least = total - 3 * n + 3;

    for (int i = 0; i < n - 1; i++) {
        s[i][0] = draw(d, fmax(0, least / 3), fmin(1, rest));
        least -= s[i][0];
        rest -= s[i][0];
        s[i][1] = draw(d, fmax(0, least / 2), fmin(s[i][0], rest / 2));
        least += 3 - 2 * s[i][1];
        rest -= 2 * s[i][1];
    }
    s[n - 1][1] = draw(d, fmax(0, (rest - 1) / 2), rest / 3);
    s[n - 1][0] = rest - 2 * s[n - 1][1];
}

static void draw_map(struct fractal_map *m, const double s[2], struct draws *d)
{
    const double r = draw(d, 0, TURN), q = draw(d, 0, TURN);
    const double flip_x = draw(d, -1, 1) < 0 ? -1 : 1;
    const double flip_y = draw(d, -1, 1) < 0 ? -1 : 1;
    const double cr = cos(r), sr = sin(r), cq = cos(q), sq = sin(q);

    /* turn by r, scale by s, turn by q, mirror */
    m->a = (float)((cr * s[0] * cq - sr * s[1] * sq) * flip_x);
    m->b = (float)((-cr * s[0] * sq - sr * s[1] * cq) * flip_y);
    m->c = (float)((sr * s[0] * cq + cr * s[1] * sq) * flip_x);
    m->d = (float)((-sr * s[0] * sq + cr * s[1] * cq) * flip_y);
    m->e = (float)draw(d, -1, 1);
    m->f = (float)draw(d, -1, 1);
}

/* Maps are drawn in proportion to the area that they keep. */
static void set_chances(struct fractal *f)
{
    double area[FRACTAL_MAPS_MOST], sum = 0, below = 0;
    int next = 0;

    for (int i = 0; i < f->maps; i++) {
        const struct fractal_map *m = &f->map[i];

        area[i] = fmax(fabs((double)m->a * m->d - (double)m->b * m->c), 0.01);
        sum += area[i];
    }
    for (int i = 0; i < f->maps; i++) {
        below += area[i] / sum * FRACTAL_CHANCES;
        while (next < FRACTAL_CHANCES && (next < below || i == f->maps - 1))
            f->chance[next++] = (uint8_t)i;
    }
}

static void draw_system(struct fractal *f, uint64_t key)
{
    struct draws d = { key, 0 };
    double s[FRACTAL_MAPS_MOST][2];

    f->maps = 2 + (int)draw(&d, 0, FRACTAL_MAPS_MOST - 1);
    draw_scales(s, f->maps, 0.5 * (f->maps + draw(&d, 5, 6)), &d);
    for (int i = 0; i < f->maps; i++)
        draw_map(&f->map[i], s[i], &d);
    set_chances(f);
}

/* ---- points ---------------------------------------------------------------------- */

/* A point on its way through the maps; 'tint' tells which it went through of late. */
struct walk {
    const struct fractal *f;
    uint64_t random;
    float x, y, tint;
};

/* One step. */
static inline void walk_on(struct walk *w)
{
    const struct fractal *f = w->f;
    const struct fractal_map *m;
    const float x = w->x, y = w->y;
    int i;

    w->random = w->random * UINT64_C(6364136223846793005) + 1442695040888963407U;
    i         = f->chance[w->random >> 56];
    m         = &f->map[i];
    w->x      = m->a * x + m->b * y + m->e;
    w->y      = m->c * x + m->d * y + m->f;
    w->tint += 0.5F * ((float)i * (1.0F / FRACTAL_MAPS_MOST) - w->tint);
    /* A map that was changed to stretch may send the point away. */
    if (!(w->x > -100 && w->x < 100 && w->y > -100 && w->y < 100))
        w->x = w->y = 0;
}

/* A point of the figure. */
static struct walk walk_from(const struct fractal *f, uint64_t key)
{
    enum { ARRIVAL = 40 };
    struct walk w = { .f = f, .random = key };

    for (int i = 0; i < ARRIVAL; i++)
        walk_on(&w);
    return w;
}

/* ---- frames ---------------------------------------------------------------------- */

/* What is in view: turned by (c, s), then x_lo .. x_lo + 1 / x_scale, likewise y. */
struct frame {
    float c, s, x_lo, y_lo, x_scale, y_scale;
};

enum { STRAYS = 8 };

/* Keep in 'least' [STRAYS], in order, the smallest of all that were given. */
static inline void keep_least(float *least, float x)
{
    int i = STRAYS - 1;

    if (x >= least[i])
        return;
    for (; i > 0 && x < least[i - 1]; i--)
        least[i] = least[i - 1];
    least[i] = x;
}

/* The frame that holds nearly all of the figure, turned by 'angle': all but a few of
 * many points, since some figures have far outposts.
 */
static struct frame frame_of(const struct fractal *f, double angle, uint64_t key)
{
    enum { POINTS = 1024 };
    struct frame frame = { .c = (float)cos(angle), .s = (float)sin(angle) };
    struct walk w      = walk_from(f, key);
    float side[4][STRAYS]; /* least x, y, -x, -y */

    for (int i = 0; i < 4 * STRAYS; i++)
        side[i / STRAYS][i % STRAYS] = 1e9F;
    for (int i = 0; i < POINTS; i++) {
        float x, y;

        walk_on(&w);
        x = frame.c * w.x - frame.s * w.y;
        y = frame.s * w.x + frame.c * w.y;
        keep_least(side[0], x);
        keep_least(side[1], y);
        keep_least(side[2], -x);
        keep_least(side[3], -y);
    }
    frame.x_lo    = side[0][STRAYS - 1];
    frame.y_lo    = side[1][STRAYS - 1];
    frame.x_scale = 1 / fmaxf(-side[2][STRAYS - 1] - frame.x_lo, 1e-6F);
    frame.y_scale = 1 / fmaxf(-side[3][STRAYS - 1] - frame.y_lo, 1e-6F);
    return frame;
}

/* Show the middle 1 / zoom of the frame, moved by shares of its sides. */
static void frame_zoom(struct frame *f, double zoom, double x, double y)
{
    f->x_lo += (float)((0.5 - 0.5 / zoom + x) / f->x_scale);
    f->y_lo += (float)((0.5 - 0.5 / zoom + y) / f->y_scale);
    f->x_scale *= (float)zoom;
    f->y_scale *= (float)zoom;
}

/* The pixel of 'w' on a size x size picture, or -1 if it is not in view. */
static inline int pixel_of(const struct frame *f, const struct walk *w, int size)
{
    const float x = (f->c * w->x - f->s * w->y - f->x_lo) * f->x_scale * (float)size;
    const float y = (f->s * w->x + f->c * w->y - f->y_lo) * f->y_scale * (float)size;

    if (!(x >= 0 && y >= 0 && x < (float)size && y < (float)size))
        return -1;
    return (int)y * size + (int)x;
}

/* ---- classes --------------------------------------------------------------------- */

/* The share of the frame that the figure covers, on a coarse grid. */
static double coverage(const struct fractal *f, uint64_t key)
{
    enum { SIDE = 32, POINTS = 4 * SIDE * SIDE };
    const struct frame frame = frame_of(f, 0, key);
    bool is_hit[SIDE * SIDE] = { false };
    struct walk w            = walk_from(f, key);
    int hits                 = 0;

    for (int i = 0; i < POINTS; i++) {
        int at;

        walk_on(&w);
        at = pixel_of(&frame, &w, SIDE);
        if (at >= 0 && !is_hit[at]) {
            is_hit[at] = true;
            hits++;
        }
    }
    return (double)hits / (SIDE * SIDE);
}

void fractal_make(struct fractal *f, int64_t class)
{
    enum { ATTEMPTS = 64 };
    const double least = 0.25, most = 0.75;

    for (uint64_t i = 0; i < ATTEMPTS; i++) {
        const uint64_t key =
            rng_bits((uint64_t) class, RNG_FRACTAL, i); /* of no run's seed */
        double share;

        draw_system(f, key);
        share = coverage(f, key);
        if (share >= least && share <= most)
            return;
    }
}

/* ---- pictures -------------------------------------------------------------------- */

enum part {
    PART_WALK,
    PART_TURN,
    PART_ZOOM,
    PART_X,
    PART_Y,
    PART_HUE,
    PART_SPAN,
    PART_MAP
};

static double part(uint64_t key, enum part what, double lo, double hi)
{
    return lo + (hi - lo) * rng_uniform(key, what, 0);
}

/* The system with its numbers changed a little; places more than shapes, which are
 * sensitive where a map hardly shrinks.
 */
static void vary(struct fractal *to, const struct fractal *f, uint64_t key)
{
    const double most_of_shape = 0.05, most_of_place = 0.15;

    *to = *f;
    for (int i = 0; i < 6 * f->maps; i++) {
        float *number     = &to->map[i / 6].a + i % 6;
        const double most = i % 6 < 4 ? most_of_shape : most_of_place;

        *number *=
            (float)(1 + most * (2 * rng_uniform(key, PART_MAP, (uint64_t)i) - 1));
    }
}

/* How often the walk came by, and where it then came from. */
struct spot {
    float count, tint;
};

enum { TINTS = 64 };

/* Colours of the circle of hues, from 'hue' on, as the tint grows to 1. */
static void make_palette(double palette[TINTS][3], double hue, double span)
{
    for (int i = 0; i < TINTS; i++) {
        for (int c = 0; c < 3; c++) {
            const double turn = hue + span * i / TINTS + c / 3.0;

            palette[i][c] = 255 * (0.25 + 0.75 * (0.5 + 0.5 * cos(TURN * turn)));
        }
    }
}

/* Several walks at once: each waits for its own last step alone. */
static void visit(struct spot *spot, int size, const struct frame *frame,
                  const struct fractal *f, int64_t points, uint64_t key)
{
    enum { WALKS = 4 };
    struct walk w[WALKS];

    for (int k = 0; k < WALKS; k++)
        w[k] = walk_from(f, rng_bits(key, PART_WALK, (uint64_t)k));
    for (int64_t i = 0; i < points / WALKS; i++) {
        for (int k = 0; k < WALKS; k++) {
            int at;

            walk_on(&w[k]);
            at = pixel_of(frame, &w[k], size);
            if (at >= 0) {
                spot[at].count += 1;
                spot[at].tint += w[k].tint;
            }
        }
    }
}

void fractal_draw(uint8_t *rgb, int size, const struct fractal *f, uint64_t key)
{
    const int64_t pixels = (int64_t)size * size, points = 3 * pixels + 1000;
    struct spot *spot = mem_new((size_t)pixels, sizeof *spot);
    double palette[TINTS][3];
    struct fractal own;
    struct frame frame;

    vary(&own, f, key);
    frame = frame_of(&own, part(key, PART_TURN, -0.3, 0.3), key);
    frame_zoom(&frame, part(key, PART_ZOOM, 0.9, 1.2), part(key, PART_X, -0.08, 0.08),
               part(key, PART_Y, -0.08, 0.08));
    make_palette(palette, part(key, PART_HUE, 0, 1), part(key, PART_SPAN, 0.1, 0.5));
    visit(spot, size, &frame, &own, points, key);
    for (int64_t i = 0; i < pixels; i++) {
        const float n = spot[i].count;
        const int t   = n > 0 ? (int)(TINTS * spot[i].tint / n) : 0;

        for (int c = 0; c < 3; c++)
            rgb[3 * i + c] = (uint8_t)(n / (n + 1.5F) * palette[t][c] + 0.5);
    }
    mem_free(spot);
}
