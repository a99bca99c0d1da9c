/* SPDX-License-Identifier: BSD-3-Clause */
/* How long a training step takes on a machine: the schedule of src/vit, mesh/ and
 * src/step, played with the seconds of plan/cost.h instead of work.  Pure arithmetic:
 * for 22B about 50 microseconds a micro-batch on any number of ranks.
 *
 * One rank is played, the one with the most; all others are taken to do the same at the
 * same time.
 *
 *   products over the model axis
 *     plain         collective, then products
 *     ring, bidir   M turns of products of t seconds, while M - 1 slices of l seconds
 *                   travel in p pieces: the longer of M t + (M - 1) busy l and
 *                   (M - 1) l + t / p; bidir's products are of half slices
 *   parameters and gradients over the data axis
 *                   fly while a block is computed, one flight after the other; what is
 *                   not there when it is needed is waited for: always the first gather
 *                   and the last scatter.  (Flights that share a link slow each other
 *                   down instead: together they are waited for as long, but it may be
 *                   the other one.)
 *   everything else that is sent is waited for at once
 *
 * "busy" is the part of a message's time that the cores must spend on it.  Links
 * between the same places are shared by activations and flights.
 */
#ifndef PLAN_FORECAST_H
#define PLAN_FORECAST_H

#include "src/plan/cost.h"
#include "src/plan/traffic.h"

/* Parts of a step, as src/step has them. */
enum forecast_stage {
    FORECAST_INPUT,
    FORECAST_EMBED,
    FORECAST_BLOCKS,
    FORECAST_HEAD,
    FORECAST_UPDATE,
    FORECAST_STAGES
};
extern const char
    *const forecast_stage_name[FORECAST_STAGES]; /* "input", "embed", .. */

/* Messages of one kind. */
struct forecast_comm {
    double messages, bytes;
    double alone_s;   /* if nothing else happened */
    double exposed_s; /* by which the step would be shorter without them */
};

/* Operations of one kind: FLOPs of products and attention, bytes of the others, as
 * dev_costs() counts them.
 */
struct forecast_op {
    const char *name; /* "gemm" */
    double flops, bytes, seconds;
};
enum { FORECAST_OPS = 48 };

struct forecast {
    double step_s;
    double compute_s; /* all operations */
    double exposed_s; /* all messages: step_s = compute_s + exposed_s */
    double stage_s[FORECAST_STAGES];
    double tokens_per_s, flops; /* of the job; FLOPs of the model, a step */
    double mfu;                 /* NaN where the machine's peak is not known */
    struct forecast_comm comm[TRAFFIC_KINDS];
    struct forecast_op op[FORECAST_OPS]; /* 'ops' of them */
    int ops;
};

/* Play a step of 'job' on a rank like 'c', which has job->D * job->M ranks.  CMM_AUTO
 * takes what 'tuned' says, or, without, the form that is fastest for each product.
 */
void forecast_step(struct forecast *forecast, const struct spec *s,
                   const struct traffic_job *job, const struct cost_rank *c);

#endif
