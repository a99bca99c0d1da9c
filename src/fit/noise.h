/* SPDX-License-Identifier: BSD-3-Clause */
/* The noise of runs in two parts: what chance did to a run alone, and what it did to
 * all runs of one shape, which are forks of one trunk, or miss the law together.
 */
#ifndef FIT_NOISE_H
#define FIT_NOISE_H

#include "src/fit/powers.h"

struct noise {
    double own, shared; /* relative variances */
    int freedom;        /* degrees of freedom with which they are known */
    double alone;       /* what 'own' is if nothing is shared */
    /* Derivatives of log f by the parameters, relative to their size: */
    int p, groups;
    double scale[POWERS_PARAMS];             /* one over that size, or 0 */
    double G[POWERS_PARAMS * POWERS_PARAMS]; /* factor of the rows' J'J */
    double *J;                               /* [groups, p] sums over their rows */
};

/* The part of the variance that is taken for shared where runs do not tell: metrics of
 * two seeds differ at 1000, 2000 and 4000 steps alike, with correlations of 0.46 to
 * 0.80 (doc/fitting.md).
 */
extern const double noise_usual;

/* Part the noise of the rows around the fit 'theta' by their 'group' [rows], numbers
 * below 'groups'.  Nothing is shared where every row is a group, or rows of a group are
 * no more alike than others; 'noise_usual' is where the law follows all groups.
 * noise_close() takes one that is all zeros, too.
 */
void noise_open(struct noise *n, const struct powers *m, const double *theta,
                const int *group, int groups);
void noise_close(struct noise *n);

/* The variance with which a quantity is known whose derivatives by the parameters are
 * 'by' [params], relative to that if all noise were the runs' own.
 */
double noise_excess(const struct noise *n, const double *by);

#endif
