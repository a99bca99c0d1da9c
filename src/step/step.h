/* SPDX-License-Identifier: BSD-3-Clause */
/* One training step: input, forward, backward with the gradient exchange, clipping,
 * update.  The trainer and the benchmark run this and nothing else.
 */
#ifndef STEP_STEP_H
#define STEP_STEP_H

#include "src/data/data.h"
#include "src/optim/optim.h"
#include "src/vit/vit.h"

enum stage { STAGE_INPUT, STAGE_EMBED, STAGE_BLOCKS, STAGE_HEAD, STAGE_UPDATE, STAGES };
extern const char *const stage_name[STAGES];

struct step_result {
    double loss,
        grad_norm;     /* of the whole batch; the same bits on all ranks of a group */
    double peak_logit; /* largest attention logit over all ranks */
    bool is_finite;
    bool is_stopped; /* some rank was asked to stop (step_ask_stop) */
};

struct step;

/* 'vit', 'optim' and 'data' are borrowed.  Allocates the batch.  Returns 0 or
 * ERR_MEMORY, the same on all ranks.  Collective over the mesh.
 */
int step_open(struct step **step, struct vit *vit, struct optim *optim,
              struct data *data);
void step_close(struct step **step);

/* Run the next step (number step_count()).  'schedule' multiplies the learning rate.
 * One library all-gather at its end carries loss, norm, flags of every rank.
 * Collective over the mesh.
 */
void step_run(struct step *step, double schedule, struct step_result *result);

/* The batch of the next step, forward and backward, without the update. */
void step_gradients(struct step *step, struct step_result *result);

/* The batch on the device, for vit_forward(): that of the last step or
 * step_gradients(). */
struct mat step_images(struct step *step);
struct mat step_targets(struct step *step);

/* Say that this rank wants to stop: all learn it at the end of the next step. */
void step_ask_stop(struct step *step);

int64_t step_count(const struct step *step);

/* Seconds of each stage since step_reset_times(), on this rank. */
const double *step_seconds(const struct step *step);
void step_reset_times(struct step *step);

#endif
