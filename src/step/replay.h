/* SPDX-License-Identifier: BSD-3-Clause */
/* Work that is the same in every step, but for what lies in the device's memory:
 * recorded once and then put on its stream by a single call, where the device has tapes
 * (dev.h); or by a call for each part between messages, where it has some (reel.h).
 *
 * The first time it is done as it is, so that memory and plans are made; the second
 * time it is recorded; from then on it is played.  It is done as it is, too, while
 * operations are timed or noted one by one, and with --no-graph.
 *
 * What it depends on is summed up in a key.  Work of several keys is kept,
 * each with times of its own, so that steps with and without some of their
 * messages may take turns.
 */
#ifndef STEP_REPLAY_H
#define STEP_REPLAY_H

#include "src/dev/lap.h"
#include "src/dev/reel.h"

/* Put the work on the compute stream, of variant 'which'. */
typedef void (*replay_fn)(void *ctx, int which);

enum { REPLAY_VARIANTS = 2, REPLAY_WATCHES = 2, REPLAY_KINDS = 8 };

struct replay_kind {
    uint64_t key;
    int64_t used; /* the number of the run that was its last; 0: none was */
    struct dev_tape *tape[REPLAY_VARIANTS];
    struct dev_reel *reel[REPLAY_VARIANTS]; /* where it is cut */
};

struct replay {
    struct dev *dev;                    /* borrowed, as are the next */
    struct laps *watch[REPLAY_WATCHES]; /* whose laps are taken within the work */
    int number;                         /* of its tapes there */
    bool is_cut;                        /* the work has messages in it */
    struct replay_kind kind[REPLAY_KINDS];
    int64_t runs;
    int tapes; /* played the last time */
};

/* 'key' is another one whenever the work is. */
void replay_run(struct replay *r, int which, uint64_t key, replay_fn work, void *ctx);
void replay_close(struct replay *r); /* forget what is recorded */

#endif
