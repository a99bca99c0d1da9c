/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers that remember what they were made of, and their derivatives by running back.
 * A number is its place on the tape; place 0 is no number.
 */
#ifndef TESTS_TAPE_H
#define TESTS_TAPE_H

#include "src/plan/spec.h"

/* A number, its derivative of the loss, and what it was made of: up to three numbers,
 * each with the derivative of this one by it.  Place 0 is nothing.
 */
struct node {
    double value, grad, by[3];
    int from[3];
};

struct tape {
    struct node *node;
    int count, capacity;
};

void tape_open(struct tape *t);
void tape_close(struct tape *t);
void tape_clear(struct tape *t);

double tape_value(const struct tape *t, int a);
int tape_constant(struct tape *t, double x);

int tape_add(struct tape *t, int a, int b);
int tape_mul(struct tape *t, int a, int b);
int tape_mul_add(struct tape *t, int a, int b, int c); /* a b + c */
int tape_times(struct tape *t, int a, double factor);
int tape_plus(struct tape *t, int a, double term);
int tape_exponential(struct tape *t, int a);
int tape_logarithm(struct tape *t, int a);
int tape_power(struct tape *t, int a, double p);
int tape_softplus(struct tape *t, int a); /* log(1 + exp(a)) */
int tape_gelu(struct tape *t, int x, enum gelu_form form);

/* The derivatives of number 'last' by all before it, into their 'grad'. */
void tape_run_back(struct tape *t, int last);

/* 'memory', or the end of the program if it is NULL. */
void *tape_claim(void *memory);

#endif
