/* SPDX-License-Identifier: BSD-3-Clause */
/* What devices have in common that are done when their operations return: nothing to
 * wait for, one way of doing each product, weights that need nothing of their own.  The
 * last goes for GPUs, too.
 */
#include "config.h"

#include "src/dev/dev_impl.h"

#include "src/plan/act.h"

static void tune(struct dev *dev, bool is_on)
{
    (void)dev;
    (void)is_on;
}

static struct dev_choice *choices(struct dev *dev, int *count)
{
    (void)dev;
    *count = 0;
    return NULL;
}

static int event_open(struct dev_event *e)
{
    e->state = NULL;
    return 0;
}

static void event_nothing(struct dev_event *e)
{
    (void)e;
}

static void event_record(struct dev_event *e, struct dev_stream *s)
{
    (void)e;
    (void)s;
}

static void event_wait(struct dev_stream *s, struct dev_event *e)
{
    (void)s;
    (void)e;
}

static bool event_is_done(struct dev_event *e)
{
    (void)e;
    return true;
}

static void stream_sync(struct dev_stream *s)
{
    (void)s;
}

static int weight_open(struct dev_weight *weight)
{
    weight->state = NULL;
    return 0;
}

static void weight_close(struct dev_weight *weight)
{
    (void)weight;
}

static void weight_changed(struct dev_stream *s, struct dev_weight *weight)
{
    (void)s;
    (void)weight;
}

static int64_t attn_kept(const struct dev *dev, const struct attn *a)
{
    (void)dev;
    return act_attn_kept(a->B, a->H, a->Nq);
}

const struct dev_ops dev_at_once = {
    .name           = "at once",
    .is_host        = true,
    .tune           = tune,
    .choices        = choices,
    .event_open     = event_open,
    .event_close    = event_nothing,
    .event_record   = event_record,
    .event_wait     = event_wait,
    .event_is_done  = event_is_done,
    .event_sync     = event_nothing,
    .sync           = stream_sync,
    .weight_open    = weight_open,
    .weight_close   = weight_close,
    .weight_changed = weight_changed,
    .attn_kept      = attn_kept,
};
