/* SPDX-License-Identifier: BSD-3-Clause */
/* A metric as a sum of power laws, in the one form that all laws here have:
 *
 *   f_i = sum_j coef_j exp(sum_k h_ijk exp_k)        coef_j >= 0
 *
 * h_ijk is the logarithm of a row's variable, with a sign, relative to the mean over
 * the rows; so a coefficient is its term's value in the middle of the data, and
 * parameters are as little correlated as they can be.  f is linear in the coefficients,
 * and its first and second derivatives are sums of the same terms.
 */
#ifndef FIT_POWERS_H
#define FIT_POWERS_H

#include <stdbool.h>

enum {
    POWERS_COEFS  = 16,
    POWERS_EXPS   = 10,
    POWERS_PARAMS = POWERS_COEFS + POWERS_EXPS
};

/* What is minimised:
 *   relative   sum_i w_i (f_i / y_i - 1)^2
 *   huber      sum_i w_i rho(log f_i - log y_i), rho(r) = r^2/2 up to |r| = delta,
 *              delta (|r| - delta/2) beyond: the sum, never the mean, whose small value
 *              makes minimisers stop too early
 */
enum objective { OBJECTIVE_RELATIVE, OBJECTIVE_HUBER };

struct powers {
    int rows, coefs, exps;
    double *y;      /* [rows] above 0 */
    double *weight; /* [rows] how often a row counts */
    double *h;      /* [rows, coefs, exps] */
    bool *has;      /* [rows, coefs] whether the row has the term at all */
    enum objective objective;
    double delta;
    /* Parameters: coefficients, then exponents. */
    double lo[POWERS_PARAMS], hi[POWERS_PARAMS];
};

static inline int powers_params(const struct powers *m)
{
    return m->coefs + m->exps;
}

/* Room for all arrays, zeroed; weights 1, coefficients from 0 on. */
void powers_open(struct powers *m, int rows, int coefs, int exps);
void powers_close(struct powers *m);

/* A copy with its own 'y', 'weight' and 'h'; close it, too. */
void powers_copy(struct powers *copy, const struct powers *m);

/* f of row i, and its derivatives by the parameters, into 'first' [params]. */
double powers_gradient(double *first, const struct powers *m, const double *theta,
                       int i);

/* f of row i; the objective's value; and the same with gradient [params] and second
 * derivatives [params, params].  Infinite where f is not above 0.
 */
double powers_predict(const struct powers *m, const double *theta, int i);
double powers_value(const struct powers *m, const double *theta);
double powers_derive(const struct powers *m, const double *theta, double *gradient,
                     double *hessian);

struct polish {
    double value;
    double gradient; /* largest slope, a parameter's change relative to its size */
    int iterations;
};

/* Minimise from 'theta' on by a damped Newton method within the bounds. */
void powers_polish(struct polish *p, const struct powers *m, double *theta);

/* True if a parameter is at one of its bounds (of different values). */
bool powers_at_bound(const struct powers *m, const double *theta, int k);

#endif
