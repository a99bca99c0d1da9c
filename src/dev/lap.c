/* SPDX-License-Identifier: BSD-3-Clause */
/* Marks wait in a ring until their events are past.  A mark ends the lap that the one
 * before it has begun; the last mark that is past stays, since a lap may begin with it.
 * Those on a tape are a list, whose events are past anew each time that it is played.
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

struct laps {
    struct dev_stream *s;
    double *seconds; /* [parts] */
    int parts;
    double since;       /* by the host's clock */
    struct mark *mark;  /* [MARKS]; NULL: the host's clock tells */
    int64_t first, end; /* marks that wait: numbers first .. end - 1, modulo MARKS */
    struct mark tape[TAPED];
    int taped;
    bool is_taping;
    bool is_played; /* and not yet taken */
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
    for (int i = 0; i < TAPED; i++)
        dev_event_close(&l->tape[i].event);
    mem_free(l->mark);
    mem_free(l->seconds);
    mem_free(l);
    *w = NULL;
}

/* ---- marks ------------------------------------------------------------------------- */

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
static void settle_tape(struct laps *w, bool is_waiting)
{
    if (!w->is_played ||
        (!is_waiting && !dev_event_is_done(w->tape[w->taped - 1].event)))
        return;
    for (int i = 1; i < w->taped; i++)
        take_lap(w, &w->tape[i - 1], &w->tape[i], true);
    w->is_played = false;
}

/* Take the laps whose ends are past; 'is_waiting': as far as there are any. */
static void settle(struct laps *w, bool is_waiting)
{
    settle_tape(w, is_waiting);
    while (w->end - w->first > 1 &&
           take_lap(w, mark_at(w, w->first), mark_at(w, w->first + 1), is_waiting))
        w->first++;
}

static void mark(struct laps *w, struct mark *m, int part)
{
    if (m->event == NULL && dev_event_open_timed(&m->event, w->s->dev) != 0)
        die("%s", err_sentence());
    dev_event_record(m->event, w->s);
    m->part = part;
}

static void set_mark(struct laps *w, int part)
{
    if (w->is_taping) {
        if (w->taped == TAPED)
            die("more than %d laps on a tape", TAPED);
        mark(w, &w->tape[w->taped++], part);
        return;
    }
    if (w->end - w->first == MARKS)
        settle(w, true);
    mark(w, mark_at(w, w->end++), part);
}

/* ---- laps -------------------------------------------------------------------------- */

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

void laps_tape(struct laps *w, bool is_on)
{
    settle_tape(w, true);
    w->is_taping = is_on;
    if (is_on)
        w->taped = 0;
}

void laps_play(struct laps *w)
{
    settle_tape(w, true);
    w->is_played = w->taped > 0;
}

void laps_reset(struct laps *w)
{
    settle(w, true);
    for (int i = 0; i < w->parts; i++)
        w->seconds[i] = 0;
}
