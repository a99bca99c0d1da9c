/* SPDX-License-Identifier: BSD-3-Clause */
/* Pictures through gnuplot: a script is written, with the data in it, and run.  A name
 * that ends in .gp keeps the script instead, for machines without gnuplot.
 */
#ifndef FIT_PLOT_H
#define FIT_PLOT_H

#include "src/base/draft.h"

#include <stdio.h>

struct plot {
    FILE *script; /* into 'text' */
    char *text;
    size_t size;
    char path[512];
    struct draft draft;
};

/* Begin a picture of width x height pixels for 'path' (.svg, .png,
 * .gp): 0, ERR_USAGE or ERR_IO.
 */
int plot_open(struct plot *p, const char *path, int width, int height);

/* Run the script, or keep it.  Returns 0, ERR_ENV without gnuplot, or ERR_IO. */
int plot_finish(struct plot *p);
void plot_close(struct plot *p);

/* A title, above the picture; text as it is, without gnuplot's mark-up. */
void plot_title(struct plot *p, const char *text);

/* 'text' within quotes, its marks made harmless. */
void plot_quote(struct plot *p, const char *text);

/* The colour of series i. */
const char *plot_colour(int i);

/* The range of positive numbers seen; all zeros before the first. */
struct bounds {
    double lo, hi;
};
void plot_widen(struct bounds *b, double x);

/* The range of a logarithmic axis ("x", "y"), with some room on both sides, and at
 * least three marks with numbers, however short it is.
 */
void plot_range(struct plot *p, const char *axis, struct bounds b, double room);

/* The different sizes that runs have, rising, if they are few. */
enum { SIZES_MOST = 8 };
struct sizes {
    double x[SIZES_MOST];
    int count; /* more than SIZES_MOST: not all are here */
};
void plot_size(struct sizes *z, double x);

/* Marks at few sizes on the axis "x", instead of those of plot_range(). */
void plot_sizes(struct plot *p, const struct sizes *z);

#endif
