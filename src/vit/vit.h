/* SPDX-License-Identifier: BSD-3-Clause */
/* A Vision Transformer on a mesh: forward, and backward in reverse order.
 *
 *   images -> patches -> embedding -> L blocks -> norm -> pooling -> classifier -> loss
 *
 * Between linear layers every activation is [B_l*N, C_l]: this data row's images, this
 * model rank's columns.
 */
#ifndef VIT_VIT_H
#define VIT_VIT_H

#include "mesh/cmm.h"
#include "mesh/shard.h"

struct vit_options {
    int64_t B;  /* global batch */
    int micros; /* micro-batches that it is computed in; 0: one */
    enum cmm_form form;
    int panels;                    /* of a ring's products; 0: a good default */
    const struct cmm_tuned *tuned; /* for CMM_AUTO, borrowed while opening; or NULL */
    enum param_shard shard;
    enum remat remat;
    uint64_t seed;
    enum head_init head;
    bool is_poisoned; /* see mesh/arena.h */
};

/* What the seconds of a step are told apart by. */
enum vit_part { VIT_EMBED, VIT_BLOCKS, VIT_HEAD, VIT_PARTS };

struct vit;

/* Lay out, allocate and initialise the model 's' for this rank.  'mesh' and 'dev' are
 * borrowed.  Returns 0, ERR_SHAPE or ERR_MEMORY, the same on all ranks.
 * Collective over 'mesh'; all arguments must agree.
 */
int vit_open(struct vit **v, const struct spec *s, struct mesh *mesh, struct dev *dev,
             const struct vit_options *o);
void vit_close(struct vit **v);

/* The next forward and backward are of micro-batch 'micro'; its sizes are vit_local().
 * A step does all of them in order, and begins with 0, which is the largest.
 */
void vit_micro(struct vit *v, int micro);
int vit_micros(const struct vit *v);

/* Run the model on this data row's images [B_l, image*image*3] and targets [B_l, K_l]
 * of the micro-batch (dev_acc() type; every rank of a row has the same images), keeping
 * what backward needs.  Collective over 'mesh'.
 */
void vit_forward(struct vit *v, struct mat images, struct mat targets);

/* The loss of the last forward's images times their share: the sum over micro-batches
 * and data rows is the mean over the B images.  The M partial sums are gathered and
 * added in rank order, so the value has the same bits on all ranks of a model group.
 * Waits for the device.  Collective over the model axis.
 */
double vit_loss(struct vit *v);

/* Likewise what this rank's classes add to it, a number for every micro-batch since the
 * first one's forward, [1, micros] of dev_acc() type: summed over them and all ranks it
 * is the loss of the step.
 */
struct mat vit_losses(const struct vit *v);

/* The gradients of the last forward, written over the old ones in the first micro-batch
 * and added in the others.  Those of a group are summed over the data axis
 * (shard_scatter_*) while the next one computes; all are done when the last
 * micro-batch's backward returns.  Collective over 'mesh'.
 */
void vit_backward(struct vit *v);

/* From now on 'written' (NULL: nobody) is told in the backward of the last micro-batch
 * which group's gradients are written, as far as this rank goes, before the next one's
 * are; the embedding has none.
 */
typedef void (*vit_group_fn)(void *ctx, int group);
void vit_tell(struct vit *v, vit_group_fn written, void *ctx);

/* The largest attention logit of the blocks since the first micro-batch's forward, of
 * this rank's heads and images, [1, 1] of dev_acc() type; logits [B_l, K_l] of the last
 * forward.
 */
struct mat vit_peak_logit(const struct vit *v);
struct mat vit_logits(const struct vit *v);

/* Likewise what the classifier was given [B_l, C_l], and what block 'i' has left
 * [B_l*N, C_l].
 */
struct mat vit_pooled(const struct vit *v);
struct mat vit_block_rows(const struct vit *v, int64_t i);

/* Seconds spent in each part, forward and backward with their messages, since
 * vit_reset_seconds(), as far as the device is done with them.
 */
const double *vit_seconds(struct vit *v);
void vit_reset_seconds(struct vit *v);

/* The watch that tells, for who records a step; borrowed. */
struct laps *vit_watch(struct vit *v);

/* Bytes of activations and of working memory that vit_open() has allocated: what
 * act_bytes() says.
 */
int64_t vit_bytes(const struct vit *v);

/* Say that parameters were changed from outside (a load); or by the optimizer, which
 * may have seen to copies of them.
 */
void vit_changed(struct vit *v);
void vit_updated(struct vit *v);

/* Its parts, borrowed. */
const struct spec *vit_spec(const struct vit *v);
const struct local *vit_local(const struct vit *v);
const struct layout *vit_layout(const struct vit *v);
struct shard *vit_shard(struct vit *v);
struct cmm *vit_cmm(struct vit *v);
struct mesh *vit_mesh(struct vit *v);
struct dev *vit_dev(struct vit *v);
int64_t vit_batch(const struct vit *v); /* B */

/* Run one block alone (for the benchmark), with parameters that are gathered once:
 * forward on its input, which keeps what it held, and backward of it with the gradient
 * that happens to be there.  Timing only.
 */
void vit_block_forward(struct vit *v, int64_t block);
void vit_block_backward(struct vit *v, int64_t block);

#endif
