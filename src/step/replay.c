/* SPDX-License-Identifier: BSD-3-Clause */
/* Replays. */
#include "config.h"

#include "src/step/replay.h"

#include "src/base/err.h"

static struct dev_stream *stream_of(const struct replay *r)
{
    return dev_stream(r->dev, LANE_COMPUTE);
}

static void tape_laps(struct replay *r, bool is_on)
{
    for (int i = 0; i < REPLAY_WATCHES; i++)
        laps_tape(r->watch[i], is_on);
}

static void record(struct replay *r, replay_fn work, void *ctx)
{
    replay_close(r);
    for (int i = 0; i < r->variants; i++) {
        tape_laps(r, true);
        dev_tape_start(stream_of(r));
        work(ctx, i);
        dev_tape_stop(&r->tape[i], stream_of(r));
        tape_laps(r, false);
    }
}

/* In parts, which are recorded while they are done. */
static void run_cut(struct replay *r, int which, replay_fn work, void *ctx)
{
    dev_reel_start(&r->reel[which], stream_of(r));
    work(ctx, which);
    dev_reel_stop(stream_of(r));
    r->tapes = dev_reel_tapes(r->reel[which]);
}

void replay_run(struct replay *r, int which, uint64_t key, replay_fn work, void *ctx)
{
    const bool is_known = r->is_warm && r->last == key;

    r->is_warm = true;
    r->last    = key;
    r->tapes   = 0;
    if (!is_known || !dev_has_tapes(r->dev)) {
        work(ctx, which);
        return;
    }
    if (r->key != key)
        replay_close(r);
    r->key = key;
    if (r->is_cut) {
        run_cut(r, which, work, ctx);
        return;
    }
    r->tapes = 1;
    if (r->tape[which] == NULL || !dev_tape_is_good(r->tape[which]))
        record(r, work, ctx);
    for (int i = 0; i < REPLAY_WATCHES; i++)
        laps_play(r->watch[i]);
    if (!dev_tape_play(r->tape[which], stream_of(r)))
        die("a tape is bad before it is played");
}

void replay_close(struct replay *r)
{
    for (int i = 0; i < REPLAY_VARIANTS; i++) {
        dev_tape_close(&r->tape[i]);
        dev_reel_close(&r->reel[i]);
    }
}
