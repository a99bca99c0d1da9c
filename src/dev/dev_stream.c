/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams: what orders the operations on them and waits for them, which works on a
 * muted device too, and the tapes that keep operations to be done again.
 *
 * A reel that is being recorded or played may hold operations back: before its stream
 * is marked, waits or is waited for, reel_cut() begins them.
 */
#include "config.h"

#include "src/dev/dev_impl.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/dev/reel.h"

struct dev_stream *dev_stream(struct dev *dev, enum dev_lane lane)
{
    return &dev->stream[lane];
}

/* ---- Events ---------------------------------------------------------------------- */

static int open_event(struct dev_event **e, struct dev *dev, bool is_timed)
{
    struct dev_event *event = mem_new(1, sizeof *event);
    int rc;

    event->dev      = dev;
    event->is_timed = is_timed;
    rc              = dev->ops.event_open(event);
    if (rc != 0) {
        mem_free(event);
        return rc;
    }
    *e = event;
    return 0;
}

int dev_event_open(struct dev_event **e, struct dev *dev)
{
    return open_event(e, dev, false);
}

int dev_event_open_timed(struct dev_event **e, struct dev *dev)
{
    return open_event(e, dev, true);
}

void dev_event_close(struct dev_event **e)
{
    if (*e == NULL)
        return;
    (*e)->dev->ops.event_close(*e);
    mem_free(*e);
    *e = NULL;
}

void dev_event_record(struct dev_event *e, struct dev_stream *s)
{
    reel_cut(s);
    s->dev->ops.event_record(e, s);
}

void dev_event_wait(struct dev_stream *s, struct dev_event *e)
{
    reel_cut(s);
    s->dev->ops.event_wait(s, e);
}

bool dev_event_is_done(struct dev_event *e)
{
    return !reel_is_recording(e->dev) && e->dev->ops.event_is_done(e);
}

void dev_event_sync(struct dev_event *e)
{
    if (reel_is_recording(e->dev))
        reel_cut(dev_stream(e->dev, LANE_COMPUTE));
    e->dev->ops.event_sync(e);
}

void dev_sync(struct dev_stream *s)
{
    reel_cut(s);
    s->dev->ops.sync(s);
}

/* ---- Streams among each other ---------------------------------------------------- */

/* True while operations are timed one by one. */
static bool is_timed(const struct dev *dev)
{
    bool is = false;

    for (int lane = 0; lane < LANES; lane++)
        is |= dev->laps[lane] != NULL;
    return is;
}

bool dev_has_side(const struct dev *dev)
{
    return dev->ops.join != NULL && !is_timed(dev);
}

void dev_join(struct dev_stream *s, struct dev_stream *other)
{
    reel_cut(s);
    reel_cut(other);
    s->dev->ops.join(s, other);
}

struct dev_event *dev_mark(struct dev_stream *s)
{
    int rc = 0;

    if (dev_is_host(s->dev) || dev_is_hollow(s->dev)) {
        dev_sync(s);
        return NULL;
    }
    if (s->mark == NULL)
        rc = dev_event_open(&s->mark, s->dev);
    if (rc != 0)
        err_end(rc);
    dev_event_record(s->mark, s);
    return s->mark;
}

void dev_flush(struct dev_stream *s)
{
    reel_cut(s);
}

/* ---- Tapes ----------------------------------------------------------------------- */

bool dev_has_tapes(const struct dev *dev)
{
    return dev->has_tapes && dev->ops.tape_start != NULL && !dev->is_muted &&
           !is_timed(dev) && dev->note == NULL;
}

void dev_tape_start(struct dev_stream *s)
{
    s->dev->ops.tape_start(s);
}

void dev_tape_stop(struct dev_tape **t, struct dev_stream *s)
{
    *t        = mem_new(1, sizeof **t);
    (*t)->dev = s->dev;
    s->dev->ops.tape_stop(*t, s);
}

bool dev_tape_play(struct dev_tape *t, struct dev_stream *s)
{
    return s->dev->ops.tape_play(t, s);
}

bool dev_tape_is_good(const struct dev_tape *t)
{
    return t->dev->ops.tape_is_good(t);
}

void dev_tape_close(struct dev_tape **t)
{
    if (*t == NULL)
        return;
    (*t)->dev->ops.tape_close(*t);
    mem_free(*t);
    *t = NULL;
}
