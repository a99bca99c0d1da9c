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
    /* Of the whole batch; the same bits on all ranks of a data row. */
    double loss, grad_norm;
    double peak_logit; /* largest attention logit over all ranks */
    bool is_finite;
    bool is_stopped;  /* some rank was asked to stop (step_ask_stop) */
    bool is_save_due; /* some rank asks for a save (step_ask_save) */
    bool is_written;  /* every rank has written its share (step_say_written) */
};

struct step;

/* Allocate what a step needs besides the model: the batch.  'vit', 'optim' (NULL:
 * forward alone) and 'data' are borrowed.  Returns 0, ERR_MEMORY or ERR_ENV, the same
 * on all ranks.  Collective over the mesh.
 */
int step_open(struct step **step, struct vit *vit, struct optim *optim,
              struct data *data);
void step_close(struct step **step);

/* Run the next step (number step_count()).  'schedule' multiplies the learning rate.
 * Of several ranks one MPI_Allgather before the update carries loss, norm and flags.
 * Collective over the mesh.
 */
void step_run(struct step *step, double schedule, struct step_result *result);

/* The batch of the next step, forward and backward, without the update.
 * Collective over the mesh.
 */
void step_gradients(struct step *step, struct step_result *result);

struct vit *step_vit(struct step *step); /* borrowed, as step_open() was given it */

/* The batch on the device, for vit_forward(): that of the last step or
 * step_gradients(). */
struct mat step_images(struct step *step);
struct mat step_targets(struct step *step);

/* What this rank has to tell the others, which learn it by the result of the next step:
 * that it wants to stop; whether it wants to save; whether it has written its share of
 * a save.  The last two hold from step to step until it says otherwise.
 */
void step_ask_stop(struct step *step);
void step_ask_save(struct step *step, bool is_due);
void step_say_written(struct step *step, bool is_written);

/* How many steps were run, the number of the next one; set it to go on from
 * a state that was loaded.
 */
int64_t step_count(const struct step *step);
void step_set_count(struct step *step, int64_t count);

/* Forward alone on micro-batch 'micro' of batch 's' of 'data', which may be any source;
 * micro-batches must come in order.  Returns the loss as vit_loss() does.  The batch of
 * the last step is lost.  Collective over the mesh.
 */
double step_forward(struct step *step, struct data *data, int64_t s, int micro);

/* From how many tapes the last step was played (replay.h); 0: it was not recorded. */
int step_tapes(const struct step *step);

/* Seconds of each stage on this rank since step_reset_times(), as far as the device is
 * done.  Where it returns early, the end of an update is counted in the next step.
 */
const double *step_seconds(struct step *step);
void step_reset_times(struct step *step);

#endif
