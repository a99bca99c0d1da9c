/* SPDX-License-Identifier: BSD-3-Clause */
/* Planned points and the information in them, for design*.c. */
#ifndef FIT_DESIGN_IMPL_H
#define FIT_DESIGN_IMPL_H

#include "src/fit/design.h"

/* The constants of an arm, in this order: alpha, beta, xi, eps, a, b, c. */
enum { CONSTANTS = 7 };

struct design_point {
    int64_t x[LAW_DIMS], step;
    int arm;
    double cost;         /* forward FLOP of the run by itself */
    double g[CONSTANTS]; /* the gradient of log f by the constants */
};

struct design {
    const struct design_law *law; /* borrowed */
    int points, room;
    struct design_point *point; /* 'points' of them */
};

/* The points of 's', with gradients relative to the middle of the points of 'around'.
 */
void design_open(struct design *d, const struct sweep *s, const struct design_law *l,
                 const struct sweep *around);
void design_close(struct design *d);
void design_add(struct design *d, const struct design_point *p);

/* The Fisher information of points of one arm, in units of the noise: the sum of g g'.
 */
struct information {
    double at[CONSTANTS][CONSTANTS];
};
struct information design_information(const struct design *d, int arm);

/* Add that of 'p' to 'I'; with 'sign' -1 take it away. */
void design_inform(struct information *I, const struct design_point *p, double sign);

/* The variance of the growth exponent, in units of the noise's; infinite if the points
 * do not tell.
 */
double design_variance(const struct information *I, const struct law_dim *d);

#endif
