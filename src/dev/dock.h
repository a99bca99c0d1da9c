/* SPDX-License-Identifier: BSD-3-Clause */
/* Docks: memory of the host that a device copies from and to while everybody else goes
 * on, in places of one size.  What is on the device and MPI cannot reach there comes
 * and goes through them, place by place.
 *
 * Copies are on lanes of their own, LANE_OUT and LANE_IN, one for each direction.  They
 * wait for no other lane: whoever starts one knows that what it reads is written, and
 * that what it writes over is read.  They are part of messages, so they are made on a
 * muted device, too, and cost nothing in dev_costs().
 */
#ifndef DEV_DOCK_H
#define DEV_DOCK_H

#include "src/dev/dev.h"

enum { DOCK_PLACES = 4 }; /* at most */

struct dock;

/* Take a dock of 'dev' with 'places' of 'bytes' each; the device keeps it for whoever
 * takes it next.  Dies without memory.
 */
struct dock *dock_take(struct dev *dev, size_t bytes, int places);
void dock_give(struct dock **d);

char *dock_place(const struct dock *d, int k);

/* Begin to copy the 'bytes' from byte 'from' on of two packed matrices, one behind the
 * other (either may be empty), to place 'k'; and back.
 */
void dock_out(struct dock *d, int k, const struct mat part[2], int64_t from,
              int64_t bytes);
void dock_in(struct dock *d, int k, const struct mat part[2], int64_t from,
             int64_t bytes);

/* Whether the last copy of place 'k' is done. */
bool dock_is_done(const struct dock *d, int k);

/* For dev_close(). */
void docks_close(struct dev *dev);

#endif
