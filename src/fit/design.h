/* SPDX-License-Identifier: BSD-3-Clause */
/* What a star sweep can tell before it is run: the law's derivatives at its points give
 * the Fisher information, and that the expected interval of every growth exponent; and
 * the points, at equal cost, that make the intervals narrowest.
 */
#ifndef FIT_DESIGN_H
#define FIT_DESIGN_H

#include "src/fit/sweep.h"

/* The law of one dimension that is expected, as law_dim. */
struct design_law {
    struct law_dim dim[LAW_DIMS];
    bool has[LAW_DIMS];
};

/* A law to plan with when there is none yet: growth exponents 0.22, 0.45,
 * 0.6 and c 0.65 (arXiv 2305.13035), a = b, and in the middle of the sweep
 * every term the same share.
 */
void design_guess(struct design_law *l, const struct sweep *s);

/* For noise 'sd' of the metric (relative), of whose variance the points of a shape have
 * the part 'shared' in common, s_k and its expected standard error; NaN if the points
 * cannot tell.
 */
struct expected {
    double s, error;
    int points;
};
void design_expect(struct expected e[LAW_DIMS], const struct sweep *s,
                   const struct design_law *l, double sd, double shared);

/* The compute of all points, each a run by itself. */
double design_cost(const struct sweep *s);

/* Make 'best' of 's': points are moved within the ranges of its values and steps, and
 * added, while the sum of squared relative errors of all s_k falls, within 'cost', each
 * point a run by itself; where 's' costs more, points are first left out.  Returns 0,
 * or ERR_USAGE if so few would be left that they cannot tell.
 */
int design_improve(struct sweep *best, const struct sweep *s,
                   const struct design_law *l, double cost, const struct machine *m);

/* The same for a 'budget' of what the runs cost together, the points forks of them:
 * sweep_flops(best) is at most that.
 */
int design_within(struct sweep *best, const struct sweep *s, const struct design_law *l,
                  double budget, const struct machine *m);

#endif
