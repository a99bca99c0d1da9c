/* SPDX-License-Identifier: BSD-3-Clause */
/* Work that calls the same operations in every step, on other numbers.  A device with
 * tapes (dev.h) records it once; from then on it is put on the stream by a single call,
 * or, if it contains messages, by a call for each part between them (reel.h).
 *
 * The first time the work is done as it is, so that memory is allocated and plans are
 * made; the second time it is recorded; from the third time on it is played.  While
 * operations are timed or noted one by one, and with --no-graph, nothing is played.
 *
 * A key stands for everything that the recorded calls depend on.  Recordings for
 * several keys are kept, so that, say, steps with and without messages may alternate.
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
    int64_t used; /* the number of the run that used it last; 0: it is free */
    struct dev_tape *tape[REPLAY_VARIANTS];
    struct dev_reel *reel[REPLAY_VARIANTS]; /* where it is cut */
};

struct replay {
    struct dev *dev;                    /* borrowed, as are the next */
    struct laps *watch[REPLAY_WATCHES]; /* whose laps are taken within the work */
    int number;                         /* of this replay in the laps' tapes */
    bool is_cut;                        /* the work contains messages */
    struct replay_kind kind[REPLAY_KINDS];
    int64_t runs;
    int tapes; /* how many were played the last time */
};

/* Do the work of variant 'which', or play it.  Wherever the work differs 'key' must. */
void replay_run(struct replay *r, int which, uint64_t key, replay_fn work, void *ctx);
void replay_close(struct replay *r); /* forget what is recorded */

#endif
