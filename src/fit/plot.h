/* SPDX-License-Identifier: BSD-3-Clause */
/* Pictures through gnuplot: a script is written, with the data in it, and run.  A name
 * that ends in .gp keeps the script instead, for machines without gnuplot.
 */
#ifndef FIT_PLOT_H
#define FIT_PLOT_H

#include <stdio.h>

struct plot {
    FILE *script; /* into 'text' */
    char *text;
    size_t size;
    char path[512];
};

/* Begin a picture of width x height pixels for 'path' (.svg, .png, .gp): 0 or ERR_USAGE.
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

/* From 'lo' to 'hi' with some room on a logarithmic axis: "[lo:hi]". */
void plot_range(struct plot *p, const char *axis, double lo, double hi, double room);

#endif
