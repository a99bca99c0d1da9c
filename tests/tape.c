/* SPDX-License-Identifier: BSD-3-Clause */
/* The operations of the tape: each puts a number with its slopes at the end. */
#include "config.h"

#include "tests/tape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void *tape_claim(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "no memory for the oracle\n");
        abort();
    }
    return memory;
}

void tape_open(struct tape *t)
{
    *t      = (struct tape){ .capacity = 1 << 16 };
    t->node = tape_claim(calloc((size_t)t->capacity, sizeof *t->node));
    tape_clear(t);
}

void tape_close(struct tape *t)
{
    free(t->node);
    *t = (struct tape){ 0 };
}

void tape_clear(struct tape *t)
{
    t->count = 0;
    tape_constant(t, 0);
}

static int put(struct tape *t, struct node n)
{
    if (t->count == t->capacity) {
        t->capacity *= 2;
        t->node = tape_claim(realloc(t->node, (size_t)t->capacity * sizeof *t->node));
    }
    t->node[t->count] = n;
    return t->count++;
}

double tape_value(const struct tape *t, int a)
{
    return t->node[a].value;
}

int tape_constant(struct tape *t, double x)
{
    return put(t, (struct node){ .value = x });
}

/* f(a), with the slope f'(a). */
static int unary(struct tape *t, double x, int a, double slope)
{
    return put(t, (struct node){ .value = x, .by = { slope }, .from = { a } });
}

int tape_add(struct tape *t, int a, int b)
{
    return put(t, (struct node){ .value = tape_value(t, a) + tape_value(t, b),
                                 .by    = { 1, 1 },
                                 .from  = { a, b } });
}

int tape_mul(struct tape *t, int a, int b)
{
    return put(t, (struct node){ .value = tape_value(t, a) * tape_value(t, b),
                                 .by    = { tape_value(t, b), tape_value(t, a) },
                                 .from  = { a, b } });
}

int tape_mul_add(struct tape *t, int a, int b, int c)
{
    return put(t, (struct node){ .value = tape_value(t, a) * tape_value(t, b) +
                                          tape_value(t, c),
                                 .by   = { tape_value(t, b), tape_value(t, a), 1 },
                                 .from = { a, b, c } });
}

int tape_times(struct tape *t, int a, double factor)
{
    return unary(t, tape_value(t, a) * factor, a, factor);
}

int tape_plus(struct tape *t, int a, double term)
{
    return unary(t, tape_value(t, a) + term, a, 1);
}

int tape_exponential(struct tape *t, int a)
{
    return unary(t, exp(tape_value(t, a)), a, exp(tape_value(t, a)));
}

int tape_logarithm(struct tape *t, int a)
{
    return unary(t, log(tape_value(t, a)), a, 1 / tape_value(t, a));
}

int tape_power(struct tape *t, int a, double p)
{
    return unary(t, pow(tape_value(t, a), p), a, p * pow(tape_value(t, a), p - 1));
}

/* log(1 + exp(a)) */
int tape_softplus(struct tape *t, int a)
{
    const double x = tape_value(t, a);

    return unary(t, fmax(x, 0) + log1p(exp(-fabs(x))), a, 1 / (1 + exp(-x)));
}

int tape_gelu(struct tape *t, int x, enum gelu_form form)
{
    int inner;

    if (form == GELU_TANH) {
        const int cube = tape_mul(t, x, tape_mul(t, x, x));
        const double z =
            sqrt(2 / M_PI) * (tape_value(t, x) + 0.044715 * tape_value(t, cube));
        const int sum = tape_add(t, x, tape_times(t, cube, 0.044715));

        inner = tape_times(t, sum, sqrt(2 / M_PI));
        inner = unary(t, tanh(z), inner, 1 - tanh(z) * tanh(z));
    } else {
        const double z = tape_value(t, x) / sqrt(2);

        inner = tape_times(t, x, 1 / sqrt(2));
        inner = unary(t, erf(z), inner, 2 / sqrt(M_PI) * exp(-z * z));
    }
    return tape_times(t, tape_mul(t, x, tape_plus(t, inner, 1)), 0.5);
}

/* The derivatives of number 'last' by all before it. */
void tape_run_back(struct tape *t, int last)
{
    for (int i = 0; i < t->count; i++)
        t->node[i].grad = 0;
    t->node[last].grad = 1;
    for (int i = last; i > 0; i--) {
        const struct node *n = &t->node[i];

        for (int k = 0; k < 3; k++)
            t->node[n->from[k]].grad += n->grad * n->by[k];
    }
}
