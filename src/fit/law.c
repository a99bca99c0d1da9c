/* SPDX-License-Identifier: BSD-3-Clause */
/* The tables of terms, and the optimum that follows from a dimension's constants. */
#include "config.h"

#include "src/fit/law.h"

#include "src/base/err.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const law_dim_name[LAW_DIMS] = { "width", "depth", "mlp" };

/* ---- building -------------------------------------------------------------------- */

static void set_name(char name[LAW_NAME], const char *what, const char *of)
{
    snprintf(name, LAW_NAME, "%s%s%.20s", what, of[0] != '\0' ? "_" : "", of);
}

static void set_vars(struct law *l, const char *const *var, int vars)
{
    for (int v = 0; v < vars; v++)
        snprintf(l->var[l->vars++], LAW_NAME, "%s", var[v]);
}

static int add_exp(struct law *l, const char *what, const char *of)
{
    if (l->exps == POWERS_EXPS)
        die("a law of more than %d exponents", POWERS_EXPS);
    set_name(l->exp_name[l->exps], what, of);
    return l->exps++;
}

static struct term *add_term(struct law *l, const char *what, const char *of, int arm)
{
    struct term *t = &l->term[l->coefs];

    if (l->coefs == POWERS_COEFS)
        die("a law of more than %d terms", POWERS_COEFS);
    set_name(t->name, what, of);
    t->arm = arm;
    l->coefs++;
    return t;
}

static void times(struct term *t, int var, int exponent, int sign)
{
    t->factor[t->factors++] = (struct factor){ var, exponent, sign };
}

static void add_slope(struct law *l, const char *name, int num, int a, int b, int alpha,
                      int beta)
{
    struct slope *s = &l->slope[l->slopes++];

    *s = (struct slope){ .num = num, .den = { a, b }, .coef = { alpha, beta } };
    snprintf(s->name, sizeof s->name, "%s", name);
}

/* The two terms of dimension k, with a and b; c is the exponent of compute. */
static void add_dim(struct law *l, int k, int compute, int a, int b, int c, int arm)
{
    const int first = l->coefs;
    char name[LAW_NAME];
    struct term *t;

    memcpy(name, l->var[k], sizeof name);
    t = add_term(l, "alpha", name, arm);
    times(t, k, a, -1);
    t = add_term(l, "beta", name, arm);
    times(t, k, b, 1);
    times(t, compute, c, -1);
    add_slope(l, name, c, a, b, first, first + 1);
}

static void add_rest(struct law *l, const char *of, int compute, int c, int arm)
{
    struct term *t = add_term(l, "xi", of, arm);

    times(t, compute, c, -1);
    add_term(l, "eps", of, arm);
}

static void sovit_vars(struct law *l, const char *const *dim, int dims,
                       const char *compute)
{
    *l = (struct law){ .kind = LAW_SOVIT };
    set_vars(l, dim, dims);
    set_vars(l, &compute, 1);
    l->along = dims;
}

void law_sovit_arm(struct law *l, const char *const *dim, int dims, int k,
                   const char *compute)
{
    int a, b, c;

    sovit_vars(l, dim, dims, compute);
    a = add_exp(l, "a", dim[k]);
    b = add_exp(l, "b", dim[k]);
    c = add_exp(l, "c", dim[k]);
    add_dim(l, k, dims, a, b, c, k);
    add_rest(l, dim[k], dims, c, k);
}

/* Exponents a_0, b_0, a_1, b_1, .., c: the order that varpro_search_shared() knows. */
static void sovit_exps(struct law *l, const char *const *dim, int dims)
{
    for (int k = 0; k < dims; k++) {
        add_exp(l, "a", dim[k]);
        add_exp(l, "b", dim[k]);
    }
    add_exp(l, "c", "");
}

void law_sovit_shared(struct law *l, const char *const *dim, int dims,
                      const char *compute)
{
    sovit_vars(l, dim, dims, compute);
    sovit_exps(l, dim, dims);
    for (int k = 0; k < dims; k++) {
        add_dim(l, k, dims, 2 * k, 2 * k + 1, 2 * dims, k);
        add_rest(l, dim[k], dims, 2 * dims, k);
    }
}

void law_sovit_joint(struct law *l, const char *const *dim, int dims,
                     const char *compute)
{
    sovit_vars(l, dim, dims, compute);
    sovit_exps(l, dim, dims);
    for (int k = 0; k < dims; k++)
        add_dim(l, k, dims, 2 * k, 2 * k + 1, 2 * dims, LAW_EVERY);
    add_rest(l, "", dims, 2 * dims, LAW_EVERY);
}

void law_chinchilla(struct law *l, const char *params, const char *tokens)
{
    const char *const var[] = { params, tokens };
    struct term *t;
    int alpha, beta;

    *l = (struct law){ .kind = LAW_CHINCHILLA, .along = 1 };
    set_vars(l, var, 2);
    alpha = add_exp(l, "alpha", "");
    beta  = add_exp(l, "beta", "");
    t     = add_term(l, "A", "", LAW_EVERY);
    times(t, 0, alpha, -1);
    t = add_term(l, "B", "", LAW_EVERY);
    times(t, 1, beta, -1);
    add_term(l, "E", "", LAW_EVERY);
    /* With compute = 6 N D the best N grows as C^(beta / (alpha + beta)). */
    add_slope(l, params, beta, alpha, beta, 0, 1);
    add_slope(l, tokens, alpha, alpha, beta, 0, 1);
}

void law_additive(struct law *l, const char *const *var, int vars)
{
    *l = (struct law){ .kind = LAW_ADDITIVE, .along = -1 };
    set_vars(l, var, vars);
    for (int v = 0; v < vars; v++) {
        struct term *t = add_term(l, "A", var[v], LAW_EVERY);

        times(t, v, add_exp(l, "alpha", var[v]), -1);
    }
    add_term(l, "E", "", LAW_EVERY);
}

/* ---- use ------------------------------------------------------------------------- */

double law_value(const struct law *l, const double *theta, int arm, const double *x)
{
    double sum = 0;

    for (int j = 0; j < l->coefs; j++) {
        const struct term *t = &l->term[j];
        double log_shape     = 0;

        if (t->arm != LAW_EVERY && t->arm != arm)
            continue;
        for (int i = 0; i < t->factors; i++)
            log_shape += t->factor[i].sign * theta[l->coefs + t->factor[i].exp] *
                         log(x[t->factor[i].var]);
        sum += theta[j] * exp(log_shape);
    }
    return sum;
}

double law_slope(const struct law *l, const double *theta, int i)
{
    const struct slope *s = &l->slope[i];
    const double *e       = theta + l->coefs;

    return e[s->num] / (e[s->den[0]] + e[s->den[1]]);
}

double law_dim_value(const struct law_dim *d, double x, double t)
{
    return d->alpha * pow(x, -d->a) + (d->beta * pow(x, d->b) + d->xi) * pow(t, -d->c) +
           d->eps;
}

double law_dim_best(const struct law_dim *d, double t)
{
    return pow(d->alpha * d->a * pow(t, d->c) / (d->beta * d->b), 1 / (d->a + d->b));
}

double law_dim_growth(const struct law_dim *d)
{
    return d->c / (d->a + d->b);
}

void law_dim_of(struct law_dim *d, const struct law *l, const double *theta, int k,
                const double *x)
{
    const double *e       = theta + l->coefs;
    const struct slope *s = NULL;

    for (int i = 0; i < l->slopes; i++) {
        if (strcmp(l->slope[i].name, l->var[k]) == 0)
            s = &l->slope[i];
    }
    if (l->kind != LAW_SOVIT || s == NULL)
        die("no dimension %d in the law", k);
    *d = (struct law_dim){ .a     = e[s->den[0]],
                           .b     = e[s->den[1]],
                           .c     = e[s->num],
                           .alpha = theta[s->coef[0]],
                           .beta  = theta[s->coef[1]] };
    for (int j = 0; j < l->coefs; j++) {
        const struct term *t = &l->term[j];
        double part          = theta[j];
        bool falls           = false;

        if (j == s->coef[0] || j == s->coef[1] || (t->arm != LAW_EVERY && t->arm != k))
            continue;
        for (int i = 0; i < t->factors; i++) {
            if (t->factor[i].var == l->vars - 1)
                falls = true;
            else
                part *=
                    pow(x[t->factor[i].var], t->factor[i].sign * e[t->factor[i].exp]);
        }
        *(falls ? &d->xi : &d->eps) += part;
    }
}
