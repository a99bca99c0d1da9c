/* SPDX-License-Identifier: BSD-3-Clause */
/* The batches of a run on the device, micro-batch by micro-batch.
 *
 * On a device whose memory is apart from the host's there are two places: while the
 * device computes one micro-batch, the host brings the next one to the other place.
 */
#ifndef STEP_BATCH_H
#define STEP_BATCH_H

#include "src/data/data.h"
#include "src/vit/vit.h"

struct batches;

/* 'vit' and 'data' are borrowed.  Returns 0, ERR_MEMORY or ERR_ENV.  Local. */
int batches_open(struct batches **batches, struct vit *vit, const struct data *data);
void batches_close(struct batches **batches);

/* Make micro-batch 'micro' of step 'step' the one at hand.  It was brought ahead, or is
 * made now.  Collective over the model axis, as are the next two.
 */
void batches_next(struct batches *b, int64_t step, int micro);

/* While the device computes micro-batch 'micro' of 'step', bring the one after it (if
 * this is the last, the first of the next step), once the images in its place have been
 * read.
 */
void batches_ahead(struct batches *b, int64_t step, int micro);

/* The same as batches_next() of another source, 'data'; micro-batches must come in
 * order.  The batch that was at hand is lost.  No other one is made beside it, but of
 * pictures, for which it dies where there is no memory.
 */
void batches_other(struct batches *b, const struct data *data, int64_t step, int micro);

/* Which of the two places, 0 or 1, is at hand, and what lies in one. */
int batches_at(const struct batches *b);
struct mat batches_images(struct batches *b, int at);
struct mat batches_targets(struct batches *b, int at);

#endif
