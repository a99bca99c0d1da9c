/* SPDX-License-Identifier: BSD-3-Clause */
/* Optimizers for tests. */
#include "config.h"

#include "tests/update.h"

#include "src/base/dtype.h"
#include "tests/tape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Decay of a tensor by its name. */
static double pull_of(const struct updated *u, const struct update *with)
{
    const char *name = u->param->name, *end = strrchr(name, '/');

    if (strcmp(name, "head/kernel") == 0)
        return with->decay * with->head_decay;
    return end != NULL && strcmp(end, "/kernel") == 0 ? with->decay : 0;
}

static double adamw(struct updated *u, const struct update *with, int64_t k)
{
    const double b1 = with->beta1, b2 = with->beta2;
    const double g = with->clip * u->grad[k];

    u->mu[k] += (1 - b1) * (g - u->mu[k]);
    u->nu[k] += (1 - b2) * (g * g - u->nu[k]);
    return u->mu[k] / (1 - pow(b1, (double)with->t)) /
           (sqrt(u->nu[k] / (1 - pow(b2, (double)with->t))) + with->eps);
}

/* ---- Adafactor ------------------------------------------------------------------- */

/* The axes in growing order, equal ones as they stand. */
static void order_axes(int order[PARAM_DIMS], const struct param *p)
{
    for (int i = 0; i < p->dims; i++) {
        int at = i;

        for (; at > 0 && p->dim[order[at - 1]] > p->dim[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
}

/* The mean of x over all elements that differ from element k along 'axis' alone. */
static double mean_over(const struct param *p, const double *x, int axis, int64_t k)
{
    int64_t stride = 1;
    double sum     = 0;

    for (int i = axis + 1; i < p->dims; i++)
        stride *= p->dim[i];

    const int64_t first = k - k / stride % p->dim[axis] * stride;

    for (int64_t i = 0; i < p->dim[axis]; i++)
        sum += x[first + i * stride];
    return sum / (double)p->dim[axis];
}

static double rounded_to_bf16(double x)
{
    return dtype_from_bf16(dtype_to_bf16((float)x));
}

static void adafactor(struct updated *u, const struct update *with)
{
    const struct param *p = u->param;
    const double b1       = with->beta1;
    const double beta     = fmin(with->beta2, 1 - pow((double)with->t, -0.8));
    const double pull     = pull_of(u, with);
    double *square        = tape_claim(calloc((size_t)u->size + 1, sizeof *square));
    int order[PARAM_DIMS] = { 0 };
    bool is_factored;

    order_axes(order, p);
    is_factored = p->dims >= 2 && p->dim[order[p->dims - 2]] >= 32;

    const int d0 = p->dims > 0 ? order[p->dims - 1] : 0;
    const int d1 = is_factored ? order[p->dims - 2] : 0;

    for (int64_t k = 0; k < u->size; k++)
        square[k] = pow(with->clip * u->grad[k], 2) + 1e-30;
    for (int64_t k = 0; k < u->size; k++) {
        const double row = is_factored ? mean_over(p, square, d0, k) : square[k];

        u->nu[k] = beta * u->nu[k] + (1 - beta) * row;
        if (is_factored)
            u->col[k] = beta * u->col[k] + (1 - beta) * mean_over(p, square, d1, k);
    }
    for (int64_t k = 0; k < u->size; k++) {
        double by = pow(u->nu[k], -0.5);

        if (is_factored)
            by =
                pow(u->nu[k] / mean_over(p, u->nu, d1, k), -0.5) * pow(u->col[k], -0.5);

        const double mu = b1 * u->mu[k] + (1 - b1) * by * with->clip * u->grad[k];

        u->mu[k] = rounded_to_bf16(mu);
        u->value[k] -= with->step * (mu + pull * u->value[k]);
    }
    free(square);
}

/* ---- a step ---------------------------------------------------------------------- */

void update_tensor(struct updated *u, const struct update *with)
{
    const double pull = pull_of(u, with);

    if (with->method == OPTIMIZER_ADAFACTOR) {
        adafactor(u, with);
        return;
    }
    for (int64_t k = 0; k < u->size; k++) {
        double direction;

        if (with->method == OPTIMIZER_SGD)
            direction = u->mu[k] = with->beta1 * u->mu[k] + with->clip * u->grad[k];
        else
            direction = adamw(u, with, k);
        u->value[k] -= with->step * (direction + pull * u->value[k]);
    }
}

void update_open(struct updated *u, const struct param *p, uint64_t seed)
{
    *u       = (struct updated){ .param = p, .size = param_size(p) };
    u->value = tape_claim(calloc((size_t)u->size * 5 + 1, sizeof(double)));
    u->grad  = u->value + u->size;
    u->mu    = u->grad + u->size;
    u->nu    = u->mu + u->size;
    u->col   = u->nu + u->size;
    for (int64_t k = 0; k < u->size; k++)
        u->value[k] = param_init(p, seed, k);
}

void update_close(struct updated *u)
{
    free(u->value);
}
