/* SPDX-License-Identifier: BSD-3-Clause */
/* The device that a simulation runs: it does no arithmetic and owns no memory.  Each
 * operation costs the time that a machine's description gives it (plan/cost.h), spent
 * on this process's clock; all buffers lie over each other in one block that nobody
 * reads or writes, and that is never more than addresses.
 */
#ifndef DEV_DEV_MODEL_H
#define DEV_DEV_MODEL_H

#include "src/dev/dev.h"
#include "src/plan/cost.h"

/* Bytes of addresses that a block must have: more than any buffer. */
#define DEV_MODEL_BLOCK ((size_t)1 << 40)

/* Open one that computes like 'rank', which is copied but for its machine.  'block' is
 * where buffers lie, borrowed, or NULL: addresses of its own.  Returns 0, or ERR_ENV
 * where the system gives no addresses.
 */
int dev_model_open(struct dev **dev, const struct cost_rank *rank, void *block);

/* From now on what is read from 'dev' is not zero but drawn from 'seed' (0: zero
 * again): nothing that a simulated rank does may depend on it.
 */
void dev_model_invent(struct dev *dev, uint64_t seed);

#endif
