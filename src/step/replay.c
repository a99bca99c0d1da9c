/* SPDX-License-Identifier: BSD-3-Clause */
/* Replays. */
#include "config.h"

#include "src/step/replay.h"

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

void replay_run(struct replay *r, int which, replay_fn work, void *ctx)
{
    r->is_played = r->is_warm && dev_has_tapes(r->dev);
    r->is_warm   = true;
    if (!r->is_played) {
        work(ctx, which);
        return;
    }
    if (r->tape[which] == NULL || !dev_tape_play(r->tape[which], stream_of(r))) {
        record(r, work, ctx);
        dev_tape_play(r->tape[which], stream_of(r));
    }
    for (int i = 0; i < REPLAY_WATCHES; i++)
        laps_played(r->watch[i]);
}

void replay_close(struct replay *r)
{
    for (int i = 0; i < REPLAY_VARIANTS; i++)
        dev_tape_close(&r->tape[i]);
}
