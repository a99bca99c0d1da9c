/* SPDX-License-Identifier: BSD-3-Clause */
/* Pictures of runs: the Pareto frontier of a grid, learning curves, planned points,
 * and a trial of a shape.
 */
#ifndef FIT_PLOT_RUNS_H
#define FIT_PLOT_RUNS_H

#include "src/fit/options.h"
#include "src/fit/plot.h"
#include "src/fit/points.h"
#include "src/fit/trial.h"

/* 'p' are runs with 'dims' dimensions and, last, compute. */
void plot_pareto(struct plot *plot, const struct points *p, int dims, const char *y);

/* Curves of the shapes in 'p', whose dimensions are called 'dim' [dims]; or of files
 * that have no shapes: one a file.
 */
void plot_shapes(struct plot *plot, const struct points *p, const char *const *dim,
                 int dims, const char *x, const char *y);
int plot_files(struct plot *plot, char *const *file, int files, const char *x,
               const char *y);

/* The points of plan files: the dimension that an arm varies against compute. */
int plot_design(struct plot *plot, char *const *file, int files);

/* Shapes at equal compute, side by side: every run, the mean, and what
 * the law expects.
 */
void plot_trial(struct plot *plot, const struct trial *t, const char *y);

#endif
