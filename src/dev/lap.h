/* SPDX-License-Identifier: BSD-3-Clause */
/* A stopwatch on a stream: where its time goes, by parts that whoever holds the watch
 * numbers.  Devices that are done when they return are timed by the host's clock; of
 * others a lap is what lies between two events, and is known when the second is past.
 */
#ifndef DEV_LAP_H
#define DEV_LAP_H

#include "src/dev/dev.h"

struct laps;

/* A watch on 's', which is borrowed, with 'parts' parts.  Close with laps_close(). */
void laps_open(struct laps **w, struct dev_stream *s, int parts);
void laps_close(struct laps **w);

/* The first lap begins here; what passed since the last one is nobody's. */
void laps_start(struct laps *w);

/* What the stream was given since the last call belongs to 'part'; the
 * next lap begins.
 */
void laps_take(struct laps *w, int part);

/* Seconds of each part in the laps that are known so far, without waiting; or of all
 * laps taken, when the stream is done with them.
 */
const double *laps_known(struct laps *w);
const double *laps_all(struct laps *w);

/* Marks of the calls between these two go on a tape of the stream (dev.h), and are
 * known here by 'number', from 0 on; laps_play() says each time that it will be played
 * next.  It waits for the time before, whose laps nobody may have asked for: after the
 * tape has been put on the stream that would be a wait for this one.
 */
void laps_tape_start(struct laps *w, int number);
void laps_tape_stop(struct laps *w);
void laps_play(struct laps *w, int number);

/* Forget all laps. */
void laps_reset(struct laps *w);

#endif
