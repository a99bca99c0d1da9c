/* SPDX-License-Identifier: BSD-3-Clause */
/* Marks wait in a ring until their events are past.  A mark ends the lap that the one
 * before it has begun; the last mark that is past stays, since a lap may begin with it.
 * Those on a tape are a list, whose events are past anew each time that it is played;
 * they are taken before it is played again.
 */
#include "config.h"

#include "src/dev/lap.h"

#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/dev/dev_impl.h"

enum { MARKS = 1024, TAPED = 64, NOBODY = -1 };

struct mark {
    struct dev_event *event;
    int part; /* of the lap that ends here */
};

/* What is marked on a tape. */
struct taped {
    struct taped *next;
    int number;
    struct mark mark[TAPED];
    int count;
    bool is_played; /* and not yet taken */
};

struct laps {
    struct dev_stream *s;
    double *seconds; /* [parts] */
    int parts;
    double since;       /* by the host's clock */
    struct mark *mark;  /* [MARKS]; NULL: the host's clock tells */
    int64_t first, end; /* marks that wait: numbers first .. end - 1, modulo MARKS */
    struct taped *tapes;
    struct taped *taping; /* the one that marks go to, or NULL */
};

void laps_open(struct laps **w, struct dev_stream *s, int parts)
{
    struct laps *made = mem_new(1, sizeof *made);

    made->s       = s;
    made->parts   = parts;
    made->seconds = mem_new((size_t)parts, sizeof *made->seconds);
    if (s->dev->ops.event_seconds != NULL)
        made->mark = mem_new(MARKS, sizeof *made->mark);
    *w = made;
}

void laps_close(struct laps **w)
{
    struct laps *l = *w;

    if (l == NULL)
        return;
    for (int i = 0; i < MARKS && l->mark != NULL; i++)
        dev_event_close(&l->mark[i].event);
    while (l->tapes != NULL) {
        struct taped *t = l->tapes;

        l->tapes = t->next;
        for (int i = 0; i < TAPED; i++)
            dev_event_close(&t->mark[i].event);
        mem_free(t);
    }
    mem_free(l->mark);
    mem_free(l->seconds);
    mem_free(l);
    *w = NULL;
}

/* ---- marks ----------------------------------------------------------------------- */

static struct mark *mark_at(const struct laps *w, int64_t i)
{
    return &w->mark[i % MARKS];
}

/* Take the lap between two marks, if the second is past or waited for. */
static bool take_lap(struct laps *w, const struct mark *from, const struct mark *to,
                     bool is_waiting)
{
    if (is_waiting)
        dev_event_sync(to->event);
    else if (!dev_event_is_done(to->event))
        return false;
    if (to->part != NOBODY)
        w->seconds[to->part] += w->s->dev->ops.event_seconds(from->event, to->event);
    return true;
}

/* Those of the tape are taken together, when its last one is past. */
static void settle_tape(struct laps *w, struct taped *t, bool is_waiting)
{
    if (!t->is_played ||
        (!is_waiting && !dev_event_is_done(t->mark[t->count - 1].event)))
        return;
    for (int i = 1; i < t->count; i++)
        take_lap(w, &t->mark[i - 1], &t->mark[i], true);
    t->is_played = false;
}

/* Take the laps whose ends are past; 'is_waiting': as far as there are any. */
static void settle(struct laps *w, bool is_waiting)
{
    for (struct taped *t = w->tapes; t != NULL; t = t->next)
        settle_tape(w, t, is_waiting);
    while (w->end - w->first > 1 &&
           take_lap(w, mark_at(w, w->first), mark_at(w, w->first + 1), is_waiting))
        w->first++;
}

static void mark(struct laps *w, struct mark *m, int part)
{
    int rc = 0;

    if (m->event == NULL)
        rc = dev_event_open_timed(&m->event, w->s->dev);
    if (rc != 0)
        err_end(rc);
    dev_event_record(m->event, w->s);
    m->part = part;
}

static void set_mark(struct laps *w, int part)
{
    if (w->taping != NULL) {
        if (w->taping->count == TAPED)
            die("more than %d laps on a tape", TAPED);
        mark(w, &w->taping->mark[w->taping->count++], part);
        return;
    }
    if (w->end - w->first == MARKS)
        settle(w, true);
    mark(w, mark_at(w, w->end++), part);
}

/* ---- laps ------------------------------------------------------------------------ */

void laps_start(struct laps *w)
{
    if (w->mark != NULL)
        set_mark(w, NOBODY);
    else
        w->since = clock_now();
}

void laps_take(struct laps *w, int part)
{
    double now;

    if (w->mark != NULL) {
        set_mark(w, part);
        return;
    }
    now = clock_now();
    w->seconds[part] += now - w->since;
    w->since = now;
}

const double *laps_known(struct laps *w)
{
    settle(w, false);
    return w->seconds;
}

const double *laps_all(struct laps *w)
{
    settle(w, true);
    return w->seconds;
}

/* Tape 'number', which is made the first time. */
static struct taped *tape_at(struct laps *w, int number)
{
    struct taped *t = w->tapes;

    while (t != NULL && t->number != number)
        t = t->next;
    if (t != NULL)
        return t;
    t         = mem_new(1, sizeof *t);
    t->number = number;
    t->next   = w->tapes;
    w->tapes  = t;
    return t;
}

void laps_tape_start(struct laps *w, int number)
{
    w->taping = tape_at(w, number);
    settle_tape(w, w->taping, true);
    w->taping->count = 0;
}

void laps_tape_stop(struct laps *w)
{
    w->taping = NULL;
}

void laps_play(struct laps *w, int number)
{
    struct taped *t = tape_at(w, number);

    settle_tape(w, t, true);
    t->is_played = t->count > 0;
}

void laps_reset(struct laps *w)
{
    settle(w, true);
    for (int i = 0; i < w->parts; i++)
        w->seconds[i] = 0;
}
