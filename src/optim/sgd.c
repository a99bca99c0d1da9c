/* SPDX-License-Identifier: BSD-3-Clause */
/* Stochastic gradient descent with momentum, which sums gradients: u = b1 u + g. */
#include "config.h"

#include "src/optim/method.h"

static void update(struct optim *o, double clip, double schedule)
{
    dev_sgd(o->stream, o->segment, o->segments,
            &(struct sgd){
                .lr       = o->options.lr,
                .momentum = o->options.beta1,
                .schedule = schedule,
                .clip     = clip,
                .pace     = o->pace,
            });
}

static void pace(double pace[PACES], const struct optim *o, double schedule)
{
    pace[PACE_RATE] = schedule * o->options.lr;
}

const struct optim_method optim_sgd = {
    .name   = "sgd",
    .update = update,
    .pace   = pace,
};
