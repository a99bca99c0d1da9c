/* SPDX-License-Identifier: BSD-3-Clause */
/* Iterated function systems and their pictures, after FractalDB (Kataoka et al., 2020).
 *
 * A system is a handful of affine maps of the plane.  A point that is sent through them
 * again and again, each time through one drawn at random, wanders over a figure that
 * belongs to the system alone: a class.  Pictures of a class differ in small changes of
 * the maps, the turn, the part in view and the colours, so that the figure is all that
 * tells classes apart.
 *
 * The singular values of the maps are drawn as Anderson and Farrell (2021) do, which
 * gives figures that are neither dust nor a blot; of these, systems whose figure covers
 * too little or too much of its frame are dropped.
 */
#ifndef DATA_FRACTAL_H
#define DATA_FRACTAL_H

#include <stdint.h>

enum { FRACTAL_MAPS_MOST = 8, FRACTAL_CHANCES = 256 };

/* x, y -> a x + b y + e, c x + d y + f */
struct fractal_map {
    float a, b, c, d, e, f;
};

struct fractal {
    int maps;
    struct fractal_map map[FRACTAL_MAPS_MOST];
    uint8_t chance[FRACTAL_CHANCES]; /* which map is drawn: each place as likely */
};

/* The system of class 'class': the same in every run. */
void fractal_make(struct fractal *f, int64_t class);

/* rgb [size, size, 3] = the picture of 'f' that 'key', a random number, draws.
 * About 3 size^2 steps through a map.
 */
void fractal_draw(uint8_t *rgb, int size, const struct fractal *f, uint64_t key);

#endif
