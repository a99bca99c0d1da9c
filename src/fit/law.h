/* SPDX-License-Identifier: BSD-3-Clause */
/* The laws, as tables of terms over named variables.
 *
 *   sovit, an arm k   alpha x^-a + beta x^b t^-c + xi t^-c + eps
 *   sovit, all        sum_k (alpha_k x_k^-a_k + beta_k x_k^b_k t^-c) + xi t^-c + eps
 *   chinchilla        A N^-alpha + B D^-beta + E
 *   additive          sum_v A_v v^-alpha_v + E
 *
 * x_k is a dimension of the shape, t compute.  At compute t the first two are least at
 *
 *   x* = (alpha a t^c / (beta b))^(1 / (a + b)),  which grows as t^s,  s = c / (a + b)
 *
 * and there the arm's law is alpha (1 + a/b) x*^-a + xi t^-c + eps.
 */
#ifndef FIT_LAW_H
#define FIT_LAW_H

#include "src/fit/powers.h"

enum { LAW_VARS = 8, LAW_DIMS = 3, LAW_NAME = 32, LAW_SLOPES = 3 };

/* The dimensions of a shape, in this order wherever there are three of them, by the
 * names that they have in plans and records: "width", "depth", "mlp".
 */
extern const char *const law_dim_name[LAW_DIMS];
enum { LAW_EVERY = -1 }; /* an arm: all rows */

struct factor {
    int var, exp, sign;
};

struct term {
    char name[LAW_NAME];
    int arm; /* the arm whose rows have it */
    int factors;
    struct factor factor[2];
};

/* How an optimum grows with compute: exp[num] / (exp[den[0]] + exp[den[1]]); it means
 * nothing where one of its coefficients is zero.
 */
struct slope {
    char name[LAW_NAME];
    int num, den[2], coef[2];
};

enum law_kind { LAW_SOVIT, LAW_CHINCHILLA, LAW_ADDITIVE };

struct law {
    enum law_kind kind;
    int vars, coefs, exps, slopes;
    int along; /* the variable that grows along a run, -1: none; forks differ in it */
    char var[LAW_VARS][LAW_NAME]; /* the columns */
    struct term term[POWERS_COEFS];
    char exp_name[POWERS_EXPS][LAW_NAME];
    struct slope slope[LAW_SLOPES];
};

/* Make 'l' a sovit law of the columns 'dim' [dims] and 'compute', its variables in this
 * order: of arm k alone; of every arm, each with its own terms, but one c for all; or
 * of everything in one sum.
 */
void law_sovit_arm(struct law *l, const char *const *dim, int dims, int k,
                   const char *compute);
void law_sovit_shared(struct law *l, const char *const *dim, int dims,
                      const char *compute);
void law_sovit_joint(struct law *l, const char *const *dim, int dims,
                     const char *compute);

/* The same of the other two laws; the last's caller says what grows along a run. */
void law_chinchilla(struct law *l, const char *params, const char *tokens);
void law_additive(struct law *l, const char *const *var, int vars);

/* The law at the variables 'x' [vars]; 'theta' as the law is written, not centred. */
double law_value(const struct law *l, const double *theta, int arm, const double *x);

/* The growth exponent of slope i. */
double law_slope(const struct law *l, const double *theta, int i);

/* Seven constants of one dimension, and what follows from them: the value, the best x
 * at compute t (the law's minimum), and the exponent with which that grows.
 */
struct law_dim {
    double a, b, c, alpha, beta, xi, eps;
};
double law_dim_value(const struct law_dim *d, double x, double t);
double law_dim_best(const struct law_dim *d, double t);
double law_dim_growth(const struct law_dim *d); /* s */

/* The constants of dimension k in a sovit law, and of everything else at 'x' what is
 * constant and what falls with t^-c: a joint law's other dimensions stand still.
 */
void law_dim_of(struct law_dim *d, const struct law *l, const double *theta, int k,
                const double *x);

#endif
