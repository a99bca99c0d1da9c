/* SPDX-License-Identifier: BSD-3-Clause */
/* Crops and bilinear resizing.
 *
 * Output place i of n along an axis of length m looks at s = (i + 1/2) m / n; input
 * pixel j, centred at j + 1/2, weighs max(0, 1 - |j + 1/2 - s| / r), where r is 1, or
 * m / n for antialiased shrinking.  The weights that lie inside the box are scaled to
 * add up to 1.  Rows are summed before columns: one row of floats is all it keeps.
 */
#include "config.h"

#include "src/data/augment.h"

#include "src/base/mem.h"
#include "src/base/rng.h"

#include <math.h>
#include <string.h>

/* ---- which part ------------------------------------------------------------------ */

enum draw { DRAW_FLIP, DRAW_ASPECT, DRAW_HEIGHT, DRAW_Y, DRAW_X };

/* A whole number of 0 .. n - 1. */
static int draw_below(int n, uint64_t key, enum draw what, int attempt)
{
    return (int)(rng_uniform(key, what, (uint64_t)attempt) * n);
}

/* One attempt at a crop: an aspect, then a height that keeps the area within bounds. */
static bool try_crop(struct box *box, int height, int width, uint64_t key, int attempt)
{
    const double area_min = 0.05, aspect_min = 3.0 / 4, aspect_max = 4.0 / 3;
    const double area = (double)height * width;
    const double aspect =
        aspect_min +
        (aspect_max - aspect_min) * rng_uniform(key, DRAW_ASPECT, (uint64_t)attempt);
    int lowest  = (int)lrint(sqrt(area_min * area / aspect));
    int highest = (int)lrint(sqrt(area / aspect));
    struct box b;

    if (highest * aspect > width)
        highest = (int)(width / aspect);
    if (highest > height)
        highest = height;
    if (lowest > highest)
        lowest = highest;
    b.height = lowest + draw_below(highest - lowest + 1, key, DRAW_HEIGHT, attempt);
    b.width  = (int)lrint(b.height * aspect);
    if (b.height < 1 || b.width < 1 || b.width > width ||
        (double)b.height * b.width < area_min * area)
        return false;
    b.y  = draw_below(height - b.height + 1, key, DRAW_Y, attempt);
    b.x  = draw_below(width - b.width + 1, key, DRAW_X, attempt);
    *box = b;
    return true;
}

/* The whole picture if a hundred attempts fail, as for very long ones. */
static struct box crop_box(int height, int width, uint64_t key)
{
    enum { ATTEMPTS = 100 };
    struct box box = { 0, 0, height, width };

    for (int i = 0; i < ATTEMPTS; i++) {
        if (try_crop(&box, height, width, key, i))
            break;
    }
    return box;
}

struct view augment_view(int height, int width, int size, enum augment how,
                         uint64_t seed, int64_t index)
{
    const uint64_t key = rng_bits(seed, RNG_AUGMENT, (uint64_t)index);
    const int whole    = height == size && width == size ? size : (size * 8 + 3) / 7;
    struct view v      = {
             .from       = { 0, 0, height, width },
             .height     = whole,
             .width      = whole,
             .part       = { (whole - size) / 2, (whole - size) / 2, size, size },
             .is_smooth  = true,
             .is_flipped = how != AUGMENT_NONE && rng_uniform(key, DRAW_FLIP, 0) < 0.5,
    };

    if (how == AUGMENT_CROP) {
        v.from   = crop_box(height, width, key);
        v.height = v.width = size;
        v.part             = (struct box){ 0, 0, size, size };
        v.is_smooth        = false;
    }
    return v;
}

struct view augment_middle(int height, int width, int size)
{
    const int less     = height < width ? height : width;
    const double scale = (double)size / less;
    struct view v      = { .from      = { 0, 0, height, width },
                           .height    = (int)lrint(height * scale),
                           .width     = (int)lrint(width * scale),
                           .is_smooth = true };

    v.part = (struct box){ (v.height - size) / 2, (v.width - size) / 2, size, size };
    return v;
}

/* ---- resizing -------------------------------------------------------------------- */

/* Which input places make an output place: 'count' from 'first' on. */
struct taps {
    int first, count;
    float *weight;
};

/* The most input places that one output place sees. */
static int taps_most(int from, int to, bool is_smooth)
{
    return is_smooth && from > to ? 2 * ((from + to - 1) / to) + 1 : 2;
}

/* Output place 'i' of 'to', from 'from' input places. */
static void set_taps(struct taps *t, int i, int from, int to, bool is_smooth)
{
    const double scale  = (double)from / to;
    const double radius = is_smooth && scale > 1 ? scale : 1;
    const double at     = (i + 0.5) * scale;
    const double first = ceil(at - radius - 0.5), last = floor(at + radius - 0.5);
    const int lo = first > 0 ? (int)first : 0;
    const int hi = last < from - 1 ? (int)last : from - 1;
    double sum   = 0;

    t->first = lo;
    t->count = 0;
    for (int j = lo; j <= hi; j++) {
        const double w = 1 - fabs(j + 0.5 - at) / radius;

        if (w <= 0 && t->count == 0 && j < hi) {
            t->first = j + 1; /* nothing yet: begin later */
            continue;
        }
        if (w <= 0)
            continue;
        t->weight[t->count++] = (float)w;
        sum += w;
    }
    for (int j = 0; j < t->count; j++)
        t->weight[j] = (float)(t->weight[j] / sum);
}

/* row [n] = the weighted sum of 't''s rows, which are 'stride' bytes apart. */
static void sum_rows(float *restrict row, const uint8_t *restrict from, int64_t stride,
                     int64_t n, const struct taps *t)
{
    for (int64_t i = 0; i < n; i++)
        row[i] = t->weight[0] * from[i];
    for (int j = 1; j < t->count; j++) {
        const uint8_t *next = from + j * stride;

        for (int64_t i = 0; i < n; i++)
            row[i] += t->weight[j] * next[i];
    }
}

static void sum_columns(float *to, const float *row, const struct taps *t)
{
    float sum[3] = { 0 };

    row += 3 * (int64_t)t->first;
    for (int j = 0; j < t->count; j++) {
        for (int c = 0; c < 3; c++)
            sum[c] += t->weight[j] * row[3 * j + c];
    }
    for (int c = 0; c < 3; c++)
        to[c] = sum[c] * (2 / 255.0F) - 1;
}

void augment_apply(float *image, struct pixels p, int first_row, const struct view *v)
{
    const struct box *part = &v->part;
    const int most_x       = taps_most(v->from.width, v->width, v->is_smooth);
    const int most_y       = taps_most(v->from.height, v->height, v->is_smooth);
    const int64_t stride = 3 * (int64_t)p.width, used = 3 * (int64_t)v->from.width;
    struct taps *column = mem_new((size_t)part->width, sizeof *column);
    float *weights =
        mem_new((size_t)most_x * (size_t)part->width + (size_t)most_y, sizeof *weights);
    float *row = mem_new((size_t)used, sizeof *row);
    struct taps down;

    for (int x = 0; x < part->width; x++) {
        column[x].weight = weights + (int64_t)x * most_x;
        set_taps(&column[x], part->x + x, v->from.width, v->width, v->is_smooth);
    }
    down.weight = weights + (int64_t)most_x * part->width;
    for (int y = 0; y < part->height; y++) {
        float *to = image + 3 * (int64_t)y * part->width;

        set_taps(&down, part->y + y, v->from.height, v->height, v->is_smooth);
        sum_rows(row,
                 p.rgb + (v->from.y + down.first - first_row) * stride +
                     3 * (int64_t)v->from.x,
                 stride, used, &down);
        for (int x = 0; x < part->width; x++)
            sum_columns(to + 3 * (v->is_flipped ? part->width - 1 - x : x), row,
                        &column[x]);
    }
    mem_free(row);
    mem_free(weights);
    mem_free(column);
}

void augment_cut(struct dev_picture *picture, void *room, struct pixels p,
                 int first_row, const struct view *v)
{
    const struct box *box = &v->from;
    const int image       = v->part.width;
    const size_t row = 3 * (size_t)box->width, all = row * (size_t)box->height;

    if (all > 3 * sizeof(float) * (size_t)image * (size_t)image) {
        *picture = dev_picture_image(image);
        augment_apply(room, p, first_row, v);
        return;
    }
    *picture = (struct dev_picture){ .height     = box->height,
                                     .width      = box->width,
                                     .to_height  = v->height,
                                     .to_width   = v->width,
                                     .y          = v->part.y,
                                     .x          = v->part.x,
                                     .is_smooth  = v->is_smooth,
                                     .is_flipped = v->is_flipped };
    for (int y = 0; y < box->height; y++)
        memcpy((uint8_t *)room + (size_t)y * row,
               p.rgb + 3 * ((int64_t)(box->y - first_row + y) * p.width + box->x), row);
}

void augment_bytes(uint8_t *bytes, const float *image, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const float x = (image[i] + 1) * 127.5F + 0.5F;

        bytes[i] = (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
    }
}
