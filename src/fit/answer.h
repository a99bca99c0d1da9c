/* SPDX-License-Identifier: BSD-3-Clause */
/* What 'vitfit shape' answers: the shape for a budget by each reading of the rule, what
 * rounding costs, and what to expect of it.
 */
#ifndef FIT_ANSWER_H
#define FIT_ANSWER_H

#include "src/fit/fitfile.h"
#include "src/fit/options.h"
#include "src/fit/shape.h"
#include "src/fit/sweep.h"

#include <jansson.h>
#include <stdio.h>

extern const char *const answer_dim[LAW_DIMS]; /* "width", "depth", "MLP" */

/* Shapes are by reading of the rule; the answer is READING_SHARED, the others are shown
 * beside it.
 */
struct answer {
    const struct options *o; /* borrowed, as are 'fit' and 'machine' */
    struct rule rule;
    struct fitfile *fit;        /* NULL: none given */
    struct machine *machine;    /* NULL: none given */
    double budget;              /* as given: device-seconds or FLOP */
    bool is_seconds;            /* the budget is in device-seconds */
    bool is_guess[LAW_DIMS];    /* a growth exponent that the fit does not identify */
    int64_t multiple[LAW_DIMS]; /* that sizes are rounded to */
    double t;                   /* compute, forward FLOP */
    double exact[READINGS][LAW_DIMS];
    bool is_shape[READINGS];    /* else it is too large, or too small, for one */
    struct spec spec[READINGS]; /* rounded */
    struct cost cost[READINGS];
    struct sweep trial; /* with --out */
};

/* Print the answer, and the shapes of the trial beside it. */
void answer_print(FILE *out, const struct answer *a);
void answer_print_trial(FILE *out, const struct answer *a);

/* The answer as an object, which the caller owns. */
json_t *answer_json(const struct answer *a);

#endif
