/* SPDX-License-Identifier: BSD-3-Clause */
/* Recording work, and playing it from then on. */
#include "config.h"

#include "src/step/replay.h"

#include "src/base/err.h"

static struct dev_stream *stream_of(const struct replay *r)
{
    return dev_stream(r->dev, LANE_COMPUTE);
}

static void forget(struct replay_kind *k)
{
    for (int i = 0; i < REPLAY_VARIANTS; i++) {
        dev_tape_close(&k->tape[i]);
        dev_reel_close(&k->reel[i]);
    }
    k->used = 0;
}

/* The kind of work with this key, or in its place, forgotten, the one
 * that was used longest ago.
 */
static struct replay_kind *kind_of(struct replay *r, uint64_t key)
{
    struct replay_kind *oldest = r->kind;

    for (int i = 0; i < REPLAY_KINDS; i++) {
        struct replay_kind *k = &r->kind[i];

        if (k->used > 0 && k->key == key)
            return k;
        if (k->used < oldest->used)
            oldest = k;
    }
    forget(oldest);
    oldest->key = key;
    return oldest;
}

static void record(struct dev_tape **t, struct replay *r, int which, replay_fn work,
                   void *ctx)
{
    dev_tape_close(t);
    for (int i = 0; i < REPLAY_WATCHES; i++)
        laps_tape_start(r->watch[i], r->number);
    dev_tape_start(stream_of(r));
    work(ctx, which);
    dev_tape_stop(t, stream_of(r));
    for (int i = 0; i < REPLAY_WATCHES; i++)
        laps_tape_stop(r->watch[i]);
}

static int run_whole(struct dev_tape **t, struct replay *r, int which, replay_fn work,
                     void *ctx)
{
    if (*t == NULL || !dev_tape_is_good(*t))
        record(t, r, which, work, ctx);
    for (int i = 0; i < REPLAY_WATCHES; i++)
        laps_play(r->watch[i], r->number);
    if (!dev_tape_play(*t, stream_of(r)))
        die("a tape is bad before it is played");
    return 1;
}

/* In parts, which are recorded while they are done. */
static int run_cut(struct dev_reel **reel, struct replay *r, int which, replay_fn work,
                   void *ctx)
{
    dev_reel_start(reel, stream_of(r));
    work(ctx, which);
    dev_reel_stop(stream_of(r));
    return dev_reel_tapes(*reel);
}

void replay_run(struct replay *r, int which, uint64_t key, replay_fn work, void *ctx)
{
    struct replay_kind *k;
    bool is_known;

    r->tapes = 0;
    if (!dev_has_tapes(r->dev)) {
        work(ctx, which);
        return;
    }
    k        = kind_of(r, key);
    is_known = k->used > 0;
    k->used  = ++r->runs;
    if (!is_known)
        work(ctx, which);
    else if (r->is_cut)
        r->tapes = run_cut(&k->reel[which], r, which, work, ctx);
    else
        r->tapes = run_whole(&k->tape[which], r, which, work, ctx);
}

void replay_close(struct replay *r)
{
    for (int i = 0; i < REPLAY_KINDS; i++)
        forget(&r->kind[i]);
}
