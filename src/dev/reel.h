/* SPDX-License-Identifier: BSD-3-Clause */
/* Reels: work on the compute stream that is the same each time, but in which the host,
 * messages and other streams have parts: what lies between two such parts is a tape
 * (dev.h), and the tapes are played in their order.
 *
 * The caller does all of it every time.  The first time what it puts on the stream
 * is recorded, up to each call that waits for the stream, marks how far it is, lets
 * it wait or flushes it, and is played at once.  From then on operations are
 * counted and left out, and a tape is played when its last one comes.  Parts of
 * less than REEL_LEAST operations are no tapes.  It dies if the operations are not
 * those that were recorded.
 *
 * While it records no event is past, so that those who ask for one do not cut tapes at
 * random; who asks very often seems to wait, and does.
 */
#ifndef DEV_REEL_H
#define DEV_REEL_H

#include "src/dev/dev.h"

enum { REEL_LEAST = 3 };

struct dev_reel;

/* From here on to dev_reel_stop() what is put on 's', the compute stream, is recorded
 * on '*r' if it is NULL, or was made before memory of operations moved; else it is
 * played.  The device must have tapes.
 */
void dev_reel_start(struct dev_reel **r, struct dev_stream *s);
void dev_reel_stop(struct dev_stream *s);
void dev_reel_close(struct dev_reel **r);
int dev_reel_tapes(const struct dev_reel *r); /* how many it has */

/* For dev*.c: whether an operation is to be put on 's' now; 'work' names it. */
struct dev_work;
bool reel_admits(struct dev_stream *s, const struct dev_work *work);

/* What an operation said, on which others depend: as it was when that was recorded, for
 * one that is left out says nothing.
 */
bool reel_answer(struct dev_stream *s, bool answer);

/* The stream is marked, or waits, or is waited for. */
void reel_cut(struct dev_stream *s);

/* True if an event may not be asked for now. */
bool reel_is_recording(struct dev *dev);

#endif
