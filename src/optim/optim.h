/* SPDX-License-Identifier: BSD-3-Clause */
/* The optimizer: one update of every tensor from its gradient.  AdamW. */
#ifndef OPTIM_OPTIM_H
#define OPTIM_OPTIM_H

#include "mesh/shard.h"

struct optim_options {
    double lr, beta1, beta2, eps, decay, head_decay;
    double clip; /* global norm above which gradients are scaled down; 0: never */
};

/* One step is: param -= schedule lr (u + decay multiplier param), u from the moments;
 * the multiplier is the tensor's, times 'head_decay' for the classifier's kernel.
 */

/* The defaults of the papers: AdamW 0.9, 0.999, 1e-8; decay 0.03; clip 1.0; lr 8e-4. */
struct optim_options optim_defaults(void);

struct optim;

/* Allocate the moments of the parameters of 'shard' (borrowed), zero.  Returns 0 or
 * ERR_MEMORY (local: agree afterwards).
 */
int optim_open(struct optim **o, struct shard *shard,
               const struct optim_options *options);
void optim_close(struct optim **o);

/* This rank's share of the squared global norm: the sum over the first pieces of its
 * items, each logical element counted once over the mesh.  Local; waits for the device.
 */
double optim_norm_squared(struct optim *o);

/* Update with gradients scaled by clip / norm where 'norm' is above clip; 'schedule'
 * multiplies the step.  Local.
 */
void optim_update(struct optim *o, double norm, double schedule);

int64_t optim_steps(const struct optim *o); /* updates so far */

/* The moments of a piece that this rank owns. */
struct mat optim_mu(const struct optim *o, const struct item *it,
                    const struct piece *p);
struct mat optim_nu(const struct optim *o, const struct item *it,
                    const struct piece *p);

#endif
