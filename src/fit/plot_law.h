/* SPDX-License-Identifier: BSD-3-Clause */
/* Pictures of a law: IsoFLOP curves, growth exponents, optima against compute. */
#ifndef FIT_PLOT_LAW_H
#define FIT_PLOT_LAW_H

#include "src/fit/fitfile.h"
#include "src/fit/plot.h"
#include "src/fit/points.h"

/* 'p' are runs with the law's variables and, last, compute.  Return 0, or ERR_DATA
 * where the fit has nothing to draw.
 */
void plot_isoflop(struct plot *plot, const struct fitfile *f, const struct points *p);
int plot_exponents(struct plot *plot, const struct fitfile *f);
int plot_frontier(struct plot *plot, const struct fitfile *f, const struct points *p);

#endif
