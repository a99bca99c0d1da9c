/* SPDX-License-Identifier: BSD-3-Clause */
/* The optimizer: one update of every tensor from its gradient, by AdamW, Adafactor or
 * SGD with momentum, which are rows of one table (method.h).
 */
#ifndef OPTIM_OPTIM_H
#define OPTIM_OPTIM_H

#include "mesh/shard.h"

struct optim_options {
    enum optimizer method;
    double lr;
    double beta1; /* of the momentum, also of SGD */
    double beta2; /* of the second moments; of Adafactor's the most, 1 - t^-0.8 else */
    double eps;   /* AdamW's */
    double decay, head_decay;
    double clip; /* global norm above which gradients are scaled down; 0: never */
};

/* One step is: param -= schedule lr (u + decay multiplier param), u from the moments;
 * the multiplier is the tensor's, times 'head_decay' for the classifier's kernel.
 */

/* Adam's usual 0.9, 0.999, 1e-8, with SoViT's decay 0.03, clip 1.0 and lr 8e-4 (its
 * optimizer is Adafactor).
 */
struct optim_options optim_defaults(void);

const char *optim_name(enum optimizer method); /* "adamw", "adafactor", "sgd" */

struct optim;

/* Allocate the moments of the parameters of 'shard' (borrowed), zero.  Returns 0 or
 * ERR_MEMORY (local: agree afterwards).
 */
int optim_open(struct optim **o, struct shard *shard,
               const struct optim_options *options);
void optim_close(struct optim **o);

/* Have this rank's share of the squared global norm added up: the sum over the first
 * pieces of its items, each logical element counted once over the mesh; it will lie in
 * optim_squares(), [1, 1] of f64.  Local.
 */
void optim_square(struct optim *o);
struct mat optim_squares(const struct optim *o);

/* Begin with those of 'group', which are what they will be: this rank is
 * alone.  They are summed beside what else is put on its way, on devices that
 * have a side, and not again.
 */
void optim_square_group(struct optim *o, int group);

/* Update with gradients scaled by clip / norm where 'norm' is above clip; 'schedule'
 * multiplies the step.  Adafactor sums averages over ranks.  Collective over the mesh;
 * local for the others.
 */
void optim_update(struct optim *o, double norm, double schedule);

/* The same where this rank is alone and the device has a pace, without waiting for the
 * norm: after optim_square(), with 'losses' [1, n] that must be finite too, else
 * nothing is changed.  optim_pace() brings the numbers of this update to the device
 * beforehand, and optim_took() is told when it is known to have been done.
 */
void optim_pace(struct optim *o, double schedule);
void optim_update_ahead(struct optim *o, struct mat losses);
void optim_took(struct optim *o);

/* The same by a norm that the host knows: optim_pace_clipped() brings all numbers to
 * the device, and what optim_update_paced() puts on the stream is the same in every
 * step.  Collective as optim_update() is.
 */
void optim_pace_clipped(struct optim *o, double norm, double schedule);
void optim_update_paced(struct optim *o);

int64_t optim_steps(const struct optim *o);           /* updates so far */
void optim_set_steps(struct optim *o, int64_t steps); /* of a state that was loaded */

/* What must be saved and loaded of a tensor to go on: state of one kind, "mu", "nu",
 * "v", "v_row" or "v_col", as a tensor [dim[0], ..] and the boxes of it that this rank
 * holds.  The first 'fold' dimensions are the rows of 'at'.  The first pieces of all
 * ranks tile the tensor exactly once.
 */
struct optim_piece {
    int64_t lo[PARAM_DIMS], hi[PARAM_DIMS];
    struct mat at;
    bool is_first;
};

struct optim_state {
    const char *kind;
    const struct param *param; /* whose state it is; borrowed from the layout */
    int dims, fold, pieces;
    int64_t dim[PARAM_DIMS];
    struct optim_piece piece[LAYOUT_PIECES];
};

/* All state, kind after kind, each in the order of the layout's items; the same on all
 * ranks but for the pieces.  '*list' is the caller's (mem_free).  Returns how many.
 */
int optim_states(struct optim_state **list, const struct optim *o);

#endif
