/* SPDX-License-Identifier: BSD-3-Clause */
/* Flights.  In hop h of a scatter rank i sends the sum of part i + 1 + h down, to i - 1,
 * and adds what comes from i + 1 to its own part i + 2 + h; in hop h of a gather it sends
 * part i - h up and receives part i - h - 1.  A hop begins when the one before is over.
 */
#include "config.h"

#include "mesh/flight.h"

#include "mesh/coll.h"

/* ---- the parts of a hop ---------------------------------------------------------- */

static int ranks_of(const struct flight *f)
{
    return mesh_axis_size(f->plan.mesh, f->plan.axis);
}

/* The rank (and the part) 'steps' above this one. */
static int above(const struct flight *f, int steps)
{
    const int ranks = ranks_of(f);

    return ((mesh_axis_rank(f->plan.mesh, f->plan.axis) + steps) % ranks + ranks) %
           ranks;
}

static struct mat part_of(const struct flight *f, int j)
{
    return mat_cols(f->plan.x, f->plan.cut[j], f->plan.cut[j + 1]);
}

/* Whether this hop is one of the scatter, and its number among those of its kind. */
static bool is_adding(const struct flight *f, int *number)
{
    const int half = f->form == FLIGHT_SUM ? f->hops / 2 : f->hops;
    const bool is  = f->form != FLIGHT_GATHER && f->hop < half;

    *number = f->form == FLIGHT_SUM && !is ? f->hop - half : f->hop;
    return is;
}

static struct mat arriving(const struct flight *f, bool is_sum, int number)
{
    const struct mat part =
        part_of(f, is_sum ? above(f, number + 2) : above(f, -number - 1));

    return is_sum ? mat_cols(f->plan.work, 0, part.cols) : part;
}

/* ---- the flight ------------------------------------------------------------------ */

/* The host waits for the stream: what is sent is written, what is received over read. */
static void take_off(struct flight *f)
{
    const struct flight_plan *p = &f->plan;
    int number;
    const bool is_sum = is_adding(f, &number);
    const int tag = is_sum ? TAG_SCATTER : f->form == FLIGHT_SUM ? TAG_SUM : TAG_GATHER;

    dev_sync(p->stream);
    coll_recv(&f->recv, p->mesh, p->kind, p->axis, above(f, is_sum ? 1 : -1), tag,
              arriving(f, is_sum, number));
    coll_send(&f->send, p->mesh, p->kind, p->axis, above(f, is_sum ? -1 : 1), tag,
              part_of(f, is_sum ? above(f, number + 1) : above(f, -number)));
}

static void land(struct flight *f)
{
    int number;

    if (is_adding(f, &number))
        dev_add(f->plan.stream, part_of(f, above(f, number + 2)),
                arriving(f, true, number));
    f->hop++;
}

/* As many hops as the messages that have arrived allow. */
static void step(void *ctx)
{
    struct flight *f = ctx;

    while (f->is_active && !f->recv.is_active && !f->send.is_active) {
        land(f);
        f->is_active = f->hop < f->hops;
        if (f->is_active)
            take_off(f);
    }
}

void flight_start(struct flight *f, enum flight_form form,
                  const struct flight_plan *plan)
{
    const int ranks = mesh_axis_size(plan->mesh, plan->axis);

    *f           = (struct flight){ .plan = *plan, .form = form };
    f->hops      = (form == FLIGHT_SUM ? 2 : 1) * (ranks - 1);
    f->is_active = f->hops > 0;
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
    progress_until(f->plan.mesh, f->plan.kind, &f->is_active);
    progress_remove(f->plan.mesh, &f->task);
    f->task.step = NULL;
}
