/* SPDX-License-Identifier: BSD-3-Clause */
/* The model once more, to compare with: one rank, double precision, and no derivative
 * worked out by hand.  The formulas are written number by number on a tape, and
 * gradients come from running the tape backwards.  It shares the table of tensors with
 * the model and nothing else.
 */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include "src/plan/param.h"
#include "tests/tape.h"
#include "tests/update.h"

struct oracle {
    struct spec spec;
    struct params params;
    struct updated *tensor; /* params.count */
    int *first;             /* the place of each tensor's first number on the tape */
    struct tape tape;
    int **block; /* memory of a pass, 'blocks' pieces */
    int blocks;
    double peak; /* largest attention logit of the blocks */
    int64_t t;   /* updates so far */
};

/* A model with the initial values for 'seed'; dies without memory. */
struct oracle *oracle_open(const struct spec *s, enum head_init head, uint64_t seed);
void oracle_close(struct oracle *o);

/* The loss of 'B' images [B, image * image * 3] with targets [B, K], and every tensor's
 * gradient.
 */
double oracle_gradients(struct oracle *o, int B, const double *images,
                        const double *targets);

/* The norm of all gradients, and one step of 'method' with decoupled decay. */
double oracle_norm(const struct oracle *o);
void oracle_update(struct oracle *o, enum optimizer method, double step, double decay,
                   double head_decay, double clip);

#endif
