/* SPDX-License-Identifier: BSD-3-Clause */
/* AdamW: Adam with bias correction and decoupled weight decay. */
#include "config.h"

#include "src/optim/method.h"

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
              });
}

const struct optim_method optim_adamw = {
    .name   = "adamw",
    .has_nu = true,
    .update = update,
};
