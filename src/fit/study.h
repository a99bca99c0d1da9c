/* SPDX-License-Identifier: BSD-3-Clause */
/* 'vitfit fit': runs, the fits that the chosen form of the law asks for (one for every
 * arm of a star, or one in all), and their report.
 */
#ifndef FIT_STUDY_H
#define FIT_STUDY_H

#include "src/fit/fit.h"
#include "src/fit/options.h"

#include <stdio.h>

enum form { FORM_ARMS, FORM_SHARED, FORM_JOINT, FORM_PLAIN };

struct study {
    const struct options *options; /* borrowed, as the next */
    char *const *file;
    int files;
    enum form form;
    enum objective objective;
    char y[OPTIONS_WORD];
    int dims; /* of sovit */
    char dim[LAW_VARS][OPTIONS_WORD];
    double centre[LAW_VARS];  /* NaN on the arm of a star that has no other */
    struct points points;     /* that were fitted */
    struct points middle;     /* the star's centre */
    struct points held;       /* --hold-out */
    int dropped, off_arms;    /* rows that were left out */
    struct fit fit[LAW_DIMS]; /* one, or one an arm */
    char why[LAW_DIMS][512];  /* an arm could not be fitted */
    int fits;
    struct errors held_errors, middle_errors;
    double seconds;
};

/* Read the files and fit.  Returns 0 or a code with its sentence. */
int study_open(struct study *s, const struct options *o, char *const *file, int files);
void study_close(struct study *s);

/* The fit, and the slope in it, that tell of dimension k; NULL if it could not be
 * fitted.
 */
const struct fit *study_fit_of(const struct study *s, int k, int *slope);

/* 80 columns of text; the JSON object, which the caller owns. */
void study_print(FILE *out, const struct study *s);
json_t *study_json(const struct study *s);

#endif
