/* SPDX-License-Identifier: BSD-3-Clause */
/* Parameters and optimizer's state, copied to host memory before a fork of a run and
 * put back after it, bit for bit, in every number format.
 */
#ifndef TRAIN_SNAPSHOT_H
#define TRAIN_SNAPSHOT_H

#include "src/optim/optim.h"
#include "src/vit/vit.h"

struct snapshot;

/* Copy this rank's state.  Returns 0 or ERR_MEMORY (local: agree afterwards). */
int snapshot_take(struct snapshot **snapshot, struct vit *vit, struct optim *optim);

/* Put it back, and tell the model.  Local. */
void snapshot_restore(const struct snapshot *snapshot);

void snapshot_free(struct snapshot **snapshot);

#endif
