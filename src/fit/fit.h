/* SPDX-License-Identifier: BSD-3-Clause */
/* A law fitted to points: the best parameters from many starts, how far they can be
 * trusted, and what the data cannot tell.
 *
 * Two kinds of interval.  Bootstrap: the fit is repeated on data sets like the one at
 * hand, from the point estimate; designed sweeps keep their design and draw residuals
 * anew (relative objective), for each run and for what all runs of a shape share; of
 * collected runs each has a weight at random (log-Huber).
 * Profile: the values with which the rest can still be fitted about as well (relative
 * objective alone, which has a noise level).
 */
#ifndef FIT_FIT_H
#define FIT_FIT_H

#include "src/fit/noise.h"
#include "src/fit/points.h"
#include "src/fit/varpro.h"

#include <stdint.h>

enum resample { RESAMPLE_AUTO, RESAMPLE_RESIDUALS, RESAMPLE_ROWS };

struct fit_options {
    enum objective objective;
    double delta;
    int bootstrap; /* data sets; 0: none */
    enum resample resample;
    double level; /* of the intervals: 0.8 */
    bool profile;
    int threads; /* 0: as many as the process may use */
    int64_t seed;
    bool no_search; /* leave the exhaustive search out: for proofs of robustness */
    int spread; /* starts that know nothing of the data; 0: 16, of many exponents 64 */
};

/* A value with its intervals; NaN where there is none. */
enum verdict { VERDICT_NONE, VERDICT_YES, VERDICT_NO };
struct estimate {
    double value, lo, hi; /* bootstrap, or profile where there is no bootstrap */
    double profile_lo, profile_hi;
    enum verdict identified;
    const char *why; /* not */
};

enum { FIT_STARTS = 128 };

struct fit {
    struct law law;
    struct powers model; /* owns the data */
    struct centre centre;
    double theta[POWERS_PARAMS], raw[POWERS_PARAMS];
    struct polish end;
    double noise; /* relative, of a row: root mean square per degree of freedom */
    int *shape;   /* [rows] number of the row's shape; of the row where nothing tells */
    int shapes;
    struct noise parts; /* of the noise, by shape */
    int starts, agreeing;
    struct start *start; /* [starts], best end first */
    int replicas;
    double *replica; /* [replicas, params] raw; NaN where a data set had no fit */
    bool has_weighed_rows;
    struct estimate param[POWERS_PARAMS], slope[LAW_SLOPES];
};

/* Fit 'l' to 'p', whose rows are sorted onto arms if the law has arms.  Returns 0, or
 * ERR_DATA with a sentence: too few rows, or something does not vary.  fit_close()
 * takes a fit that failed or is all zeros, too.
 */
int fit_open(struct fit *f, const struct law *l, const struct points *p,
             const struct fit_options *o);
void fit_close(struct fit *f);

/* The parts of fit_open() beyond the best parameters. */
void fit_bootstrap(struct fit *f, const struct fit_options *o);
void fit_profile(struct fit *f, const struct fit_options *o);

/* Relative errors of the fit's predictions on other points: root mean square, the worst
 * and the mean.
 */
struct errors {
    int n;
    double rms, worst, mean;
};
void fit_errors(struct errors *e, const struct fit *f, const struct points *p);

/* The quantile of Student's t such that |t| stays below with probability 'level'. */
double fit_student(double level, int freedom);

#endif
