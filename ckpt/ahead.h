/* SPDX-License-Identifier: BSD-3-Clause */
/* A crew fetches things number 0, 1, .. into rooms, a few ahead of the main thread,
 * which takes them in order:
 *
 *      room 0     1        2        3
 *        thing 4  thing 5  thing 2  thing 3
 *        is read  is read  in use   is there
 */
#ifndef CKPT_AHEAD_H
#define CKPT_AHEAD_H

#include "ckpt/crew.h"

enum { AHEAD_ROOMS = 4 };

struct ahead;

/* Fetch thing number 'i' into room 'room': 0, or a code with its sentence.  Two threads
 * do this at once, never with the same room.
 */
typedef int (*ahead_fetch_fn)(void *ctx, int i, int room);

/* Start to fetch 'count' things: 0 or ERR_ENV.  Closing drops those that are left. */
int ahead_open(struct ahead **a, int count, ahead_fetch_fn fetch, void *ctx);
void ahead_close(struct ahead **a);

/* Wait for the next thing; the room of the one before is free then.  What fetch() left
 * behind may be looked at only now.  Returns 0, or what went wrong with this or another
 * thing: none follows then.
 */
int ahead_next(struct ahead *a);

#endif
