/* SPDX-License-Identifier: BSD-3-Clause */
/* How well a model does on images that it was not trained on.
 *
 *   loss   the training loss, mean over the images
 *   top1   share of images whose first choice is among their labels
 *   ece    expected calibration error: images by the probability p of their first
 *          choice in 15 bins of equal width; sum over bins of their share times
 *          |share of right choices - mean p|.  p is sigmoid(logit) with the sigmoid
 *          loss, softmax else.
 */
#ifndef STEP_METRIC_H
#define STEP_METRIC_H

#include "src/step/step.h"

struct metric {
    int64_t examples;
    double loss, top1, ece;
    bool is_stopped; /* on the way, and the rest is of the images seen so far */
};

/* Run the images 0 .. n - 1 of 'data' through the model, B at a time.  After each batch
 * the ranks agree whether to go on: 'must_stop' (NULL: never) is asked on every rank.
 * The same bits on all ranks.  Collective over the mesh.
 */
void metric_run(struct metric *metric, struct step *step, struct data *data, int64_t n,
                bool (*must_stop)(void *ctx), void *ctx);

#endif
