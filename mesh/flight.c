/* SPDX-License-Identifier: BSD-3-Clause */
/* Flights: a hop begins when the one before it is over. */
#include "config.h"

#include "mesh/flight.h"

#include "mesh/coll.h"

static struct mat parts_of(const struct flight *f, struct parts p)
{
    return mat_cols(f->plan.x, f->plan.cut[p.lo], f->plan.cut[p.hi]);
}

/* Whether what travels is rounded: parameters that are gathered have
 * the right format.
 */
static bool is_rounded(const struct flight *f)
{
    return f->hops.form != HOPS_GATHER && f->plan.work.dtype != f->plan.x.dtype;
}

/* Where what comes in a hop is received: sums are made later, at landing. */
static struct mat arrival(const struct flight *f, const struct hop *h)
{
    const struct mat in = parts_of(f, h->in);

    return h->is_sum || is_rounded(f) ? mat_cols(f->plan.work, 0, in.cols) : in;
}

/* 'out' as it travels. */
static struct mat departure(const struct flight *f, struct mat out)
{
    const struct mat work = f->plan.work;
    struct mat rounded;

    if (!is_rounded(f))
        return out;
    rounded = mat_cols(work, work.cols / 2, work.cols / 2 + out.cols);
    dev_copy(f->plan.stream, rounded, out);
    return rounded;
}

/* The sums are complete: this rank keeps its own as others will get it. */
static void round_own(const struct flight *f)
{
    const int i = f->hops.part;
    struct mat own;

    if (!is_rounded(f) || f->hops.form != HOPS_SUM || 2 * f->hop != f->hops.count)
        return;
    own = mat_cols(f->plan.x, f->plan.cut[i], f->plan.cut[i + 1]);
    dev_copy(f->plan.stream, own, departure(f, own));
}

/* Start the hop's messages. */
static void depart(struct flight *f)
{
    const struct flight_plan *p = &f->plan;
    const struct hop h          = hops_get(&f->hops, f->hop);
    const int tag               = h.is_sum                   ? TAG_SCATTER
                                  : f->hops.form == HOPS_SUM ? TAG_SUM
                                                             : TAG_GATHER;
    const int before            = p->mesh->group; /* a wait of another one's, perhaps */

    p->mesh->group = p->group;
    if (h.from != HOPS_NOBODY)
        coll_recv(&f->recv, p->mesh, p->kind, p->axis, h.from, tag, arrival(f, &h),
                  p->ready);
    if (h.to != HOPS_NOBODY)
        coll_send(&f->send, p->mesh, p->kind, p->axis, h.to, tag, f->out, p->ready);
    p->mesh->group      = before;
    f->recv.is_for_task = f->send.is_for_task = true;
}

/* Depart; messages leave and arrive when the stream has come so far. */
static void take_off(struct flight *f)
{
    const struct flight_plan *p = &f->plan;
    const struct hop h          = hops_get(&f->hops, f->hop);

    f->out = h.to != HOPS_NOBODY ? departure(f, parts_of(f, h.out)) : mat_none();
    if (p->ready != NULL)
        dev_event_record(p->ready, p->stream);
    else
        dev_sync(p->stream);
    depart(f);
}

static void land(struct flight *f)
{
    const struct hop h = hops_get(&f->hops, f->hop);

    if (h.is_sum && h.from != HOPS_NOBODY)
        dev_add(f->plan.stream, parts_of(f, h.in), arrival(f, &h));
    else if (is_rounded(f) && h.from != HOPS_NOBODY)
        dev_copy(f->plan.stream, parts_of(f, h.in), arrival(f, &h));
    f->hop++;
    round_own(f);
}

/* As many hops as the messages that have arrived allow. */
static void step(void *ctx)
{
    struct flight *f = ctx;

    while (f->is_active && !f->recv.is_active && !f->send.is_active) {
        land(f);
        f->is_active = f->hop < f->hops.count;
        if (f->is_active)
            take_off(f);
    }
}

void flight_start(struct flight *f, enum hops_form form, const struct flight_plan *plan)
{
    *f = (struct flight){ .plan = *plan };
    hops_make(&f->hops, form, mesh_axis_size(plan->mesh, plan->axis),
              mesh_axis_rank(plan->mesh, plan->axis), plan->near, plan->ring_most);
    f->is_active = f->hops.count > 0;
    if (!f->is_active)
        return;
    f->task = (struct progress_task){ .step = step, .ctx = f };
    progress_add(plan->mesh, &f->task);
    take_off(f);
}

void flight_finish(struct flight *f)
{
    if (f->task.step == NULL)
        return;
    f->plan.mesh->group = f->plan.group;
    progress_until(f->plan.mesh, f->plan.kind, f->plan.axis, &f->is_active);
    f->plan.mesh->group = 0;
    progress_remove(f->plan.mesh, &f->task);
    f->task.step = NULL;
}
