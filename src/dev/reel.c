/* SPDX-License-Identifier: BSD-3-Clause */
/* Reels, on tapes. */
#include "config.h"

#include "src/dev/reel.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/dev/dev_impl.h"

enum { PATIENCE = 4096 /* questions after an operation */, FIRST_ROOM = 64 };

/* So many operations, whose names and sizes make 'sum'. */
struct part {
    struct dev_tape *tape; /* NULL: they are done as they come */
    int ops;
    uint64_t sum;
};

struct dev_reel {
    struct part *part;
    int parts, room;
    bool is_recording, is_capturing;
    int at;         /* the part being played */
    struct part in; /* what came since the last cut */
    bool *answer;   /* [answers], of which so many were used */
    int answers, answer_room, used;
    int questions;
};

/* ---- open and close -------------------------------------------------------------- */

void dev_reel_close(struct dev_reel **r)
{
    if (*r == NULL)
        return;
    for (int i = 0; i < (*r)->parts; i++)
        dev_tape_close(&(*r)->part[i].tape);
    mem_free((*r)->answer);
    mem_free((*r)->part);
    mem_free(*r);
    *r = NULL;
}

int dev_reel_tapes(const struct dev_reel *r)
{
    int tapes = 0;

    for (int i = 0; r != NULL && i < r->parts; i++)
        tapes += r->part[i].tape != NULL;
    return tapes;
}

static bool is_good(const struct dev_reel *r)
{
    for (int i = 0; i < r->parts; i++)
        if (r->part[i].tape != NULL && !dev_tape_is_good(r->part[i].tape))
            return false;
    return true;
}

/* 'old' or, if all of its '*room' elements are 'used', a copy that is twice as long. */
static void *with_room(void *old, int used, int *room, size_t size)
{
    if (used < *room)
        return old;
    *room = *room > 0 ? 2 * *room : FIRST_ROOM;
    return mem_grow(old, (size_t)used, (size_t)*room, size);
}

static void add(struct dev_reel *r, struct part p)
{
    r->part             = with_room(r->part, r->parts, &r->room, sizeof *r->part);
    r->part[r->parts++] = p;
}

/* ---- recording and playing ------------------------------------------------------- */

void dev_reel_start(struct dev_reel **r, struct dev_stream *s)
{
    if (*r != NULL && !is_good(*r))
        dev_reel_close(r);
    if (*r == NULL) {
        *r                 = mem_new(1, sizeof **r);
        (*r)->is_recording = true;
    }
    (*r)->at     = 0;
    (*r)->used   = 0;
    (*r)->in     = (struct part){ 0 };
    s->dev->reel = *r;
}

static _Noreturn void is_other(const struct dev_reel *r)
{
    die("operation %d of part %d of a step is another than when it was recorded: "
        "--no-graph takes steps without graphs",
        r->in.ops, r->at);
}

/* Those before the cut are a part of their own. */
static void end_part(struct dev_reel *r, struct dev_stream *s)
{
    struct part p = r->in;

    r->is_capturing = false;
    dev_tape_stop(&p.tape, s);
    if (!dev_tape_play(p.tape, s))
        die("a tape is bad before it is played");
    if (p.ops < REEL_LEAST)
        dev_tape_close(&p.tape);
    add(r, p);
    r->in = (struct part){ 0 };
}

void reel_cut(struct dev_stream *s)
{
    struct dev_reel *r = s->lane == LANE_COMPUTE ? s->dev->reel : NULL;

    if (r == NULL)
        return;
    if (r->is_capturing)
        end_part(r, s);
    else if (r->in.ops > 0)
        is_other(r);
}

void dev_reel_stop(struct dev_stream *s)
{
    struct dev_reel *r = s->dev->reel;

    reel_cut(s);
    if (!r->is_recording && r->at != r->parts)
        is_other(r);
    r->is_recording = false;
    s->dev->reel    = NULL;
}

/* What tells an operation from others. */
static uint64_t sum_of(uint64_t sum, const struct dev_work *work)
{
    const uint64_t prime = 0x100000001b3u;

    sum = (sum ^ (uint64_t)(uintptr_t)work->op) * prime;
    sum = (sum ^ (uint64_t)work->bytes) * prime;
    for (int i = 0; i < (int)(sizeof work->shape / sizeof *work->shape); i++)
        sum = (sum ^ (uint64_t)work->shape[i]) * prime;
    return sum;
}

/* It is played by now, or does what it did. */
static bool next_of_part(struct dev_reel *r, struct dev_stream *s)
{
    const struct part *p = &r->part[r->at];

    if (r->at == r->parts || r->in.ops > p->ops)
        is_other(r);
    if (r->in.ops < p->ops)
        return p->tape == NULL;
    if (r->in.sum != p->sum)
        is_other(r);
    r->at++;
    r->in = (struct part){ 0 };
    if (p->tape == NULL)
        return true;
    if (!dev_tape_play(p->tape, s))
        die("memory of operations moved within a step");
    return false;
}

bool reel_admits(struct dev_stream *s, const struct dev_work *work)
{
    struct dev_reel *r = s->lane == LANE_COMPUTE ? s->dev->reel : NULL;

    if (r == NULL)
        return true;
    if (work->is_host) {
        reel_cut(s);
        return true;
    }
    r->in.sum = sum_of(r->in.sum, work);
    r->in.ops++;
    if (!r->is_recording)
        return next_of_part(r, s);
    if (!r->is_capturing)
        dev_tape_start(s);
    r->is_capturing = true;
    r->questions    = 0;
    return true;
}

bool reel_answer(struct dev_stream *s, bool answer)
{
    struct dev_reel *r = s->lane == LANE_COMPUTE ? s->dev->reel : NULL;

    if (r == NULL)
        return answer;
    if (!r->is_recording) {
        if (r->used == r->answers)
            is_other(r);
        return r->answer[r->used++];
    }
    r->answer = with_room(r->answer, r->answers, &r->answer_room, sizeof *r->answer);
    r->answer[r->answers++] = answer;
    return answer;
}

bool reel_is_recording(struct dev *dev)
{
    struct dev_reel *r = dev->reel;

    if (r == NULL || !r->is_capturing)
        return false;
    if (++r->questions < PATIENCE)
        return true;
    reel_cut(dev_stream(dev, LANE_COMPUTE));
    return false;
}
