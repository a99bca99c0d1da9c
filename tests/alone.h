/* SPDX-License-Identifier: BSD-3-Clause */
/* What one rank alone finds of a model, to hold meshes against: the loss and every
 * tensor's gradient of the first step, and what becomes of the parameters in three.
 */
#ifndef TESTS_ALONE_H
#define TESTS_ALONE_H

#include "tests/model.h"

enum { ALONE_STEPS = 3 };

struct alone {
    struct step_result first, last;
    int count;
    double **grad, **param;
};

/* Run 'o' on this rank alone, in one batch, with nothing sharded or made again. */
void alone_run(struct alone *a, struct model_options o);
void alone_free(struct alone *a);

/* Run the same on the fresh model 'm' and give two verdicts: on the first step, and on
 * the parameters after the others, whose learning rate is 'lr'.  'what' says which.
 * ALONE_STEPS + 1 forwards and backwards.  Collective.
 */
void alone_compare(struct model *m, const struct alone *a, double lr, const char *what);

#endif
