/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs whose law is known, one set for every form but that of a single arm (planted.h):
 *
 *   shared      the paper's star, one c for all arms
 *   joint       the star's shapes and a grid of 27, one law of all (eq. 3)
 *   chinchilla  60 sizes and numbers of tokens, drawn evenly in logarithms
 *   additive    60 shapes and amounts of compute
 *
 * Every term is a comparable share of the metric somewhere among the runs.
 */
#ifndef TESTS_FORMS_H
#define TESTS_FORMS_H

#include "src/fit/law.h"
#include "src/fit/points.h"

enum form_kind { FORM_SHARED, FORM_JOINT, FORM_CHINCHILLA, FORM_ADDITIVE, FORMS };

extern const char *const form_name[FORMS];

struct form {
    struct law law;
    struct points points;
    double theta[POWERS_PARAMS]; /* the law's constants */
};

/* The runs, without noise. */
void form_open(struct form *f, enum form_kind kind);
void form_close(struct form *f);

/* The metric anew, with relative 'noise'; data set 'seed'. */
void form_measure(struct form *f, double noise, int seed);

/* The largest difference of a fit's exponents, 'raw', from those of the law. */
double form_worst(const struct form *f, const double *raw);

#endif
