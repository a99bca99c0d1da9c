/* SPDX-License-Identifier: BSD-3-Clause */
/* AdamW: Adam with bias correction and decoupled weight decay. */
#include "config.h"

#include "src/optim/method.h"

#include <math.h>

static void update(struct optim *o, double clip, double schedule)
{
    dev_adamw(o->stream, o->segment, o->segments,
              &(struct adamw){
                  .lr       = o->options.lr,
                  .beta1    = o->options.beta1,
                  .beta2    = o->options.beta2,
                  .eps      = o->options.eps,
                  .schedule = schedule,
                  .clip     = clip,
                  .t        = o->steps,
                  .pace     = o->pace,
              });
}

static void pace(double pace[PACES], const struct optim *o, double schedule)
{
    const double t = (double)(o->steps + 1);

    pace[PACE_RATE]   = schedule * o->options.lr;
    pace[PACE_FIRST]  = 1.0 / (1.0 - pow(o->options.beta1, t));
    pace[PACE_SECOND] = 1.0 / (1.0 - pow(o->options.beta2, t));
}

const struct optim_method optim_adamw = {
    .name   = "adamw",
    .has_nu = true,
    .update = update,
    .pace   = pace,
};
