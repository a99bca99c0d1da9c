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

/* A whole tensor in its logical order. */
struct oracle_tensor {
    const struct param *param;
    int64_t size;
    double *value, *grad, *mu, *nu;
    int first; /* place of its first number on the tape */
};

struct oracle {
    struct spec spec;
    struct params params;
    struct oracle_tensor *tensor; /* params.count */
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

/* The norm of all gradients, and one step of AdamW with decoupled decay. */
double oracle_norm(const struct oracle *o);
void oracle_adamw(struct oracle *o, double step, double decay, double head_decay,
                  double clip);

#endif
