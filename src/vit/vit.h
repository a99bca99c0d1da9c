/* SPDX-License-Identifier: BSD-3-Clause */
/* A Vision Transformer whose parameters and work are shared out over a mesh of ranks.
 * Forward goes through these parts, backward through the same in reverse:
 *
 *   images -> patches -> embedding -> L blocks -> norm -> pooling -> classifier -> loss
 *
 * A rank holds of every activation between linear layers the rows of its data row's
 * images and the columns of its model rank: [B_l*N, C_l].
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

/* The parts whose seconds are taken apart from each other. */
enum vit_part { VIT_EMBED, VIT_BLOCKS, VIT_HEAD, VIT_PARTS };

struct vit;

/* Lay out, allocate and initialise the model 's' for this rank.  'mesh' and 'dev' are
 * borrowed.  Returns 0, ERR_SHAPE or ERR_MEMORY, the same on all ranks.
 * Collective over 'mesh'; all arguments must agree.
 */
int vit_open(struct vit **v, const struct spec *s, struct mesh *mesh, struct dev *dev,
             const struct vit_options *o);
void vit_close(struct vit **v);

/* The next forward and backward are of micro-batch 'micro', whose sizes vit_local()
 * tells.  A step does all vit_micros() of them in order, from 0, the largest, on.
 */
void vit_micro(struct vit *v, int micro);
int vit_micros(const struct vit *v);

/* Run the model on this data row's images [B_l, image*image*3] and targets [B_l, K_l]
 * of the micro-batch, both of dev_acc() type, and keep what backward needs.  Every rank
 * of a row must have the same images.  Collective over 'mesh'.
 */
void vit_forward(struct vit *v, struct mat images, struct mat targets);

/* What the last forward's images add to the loss, the mean over the B images of a
 * step: its sum over all micro-batches and data rows is that mean.  The M partial sums
 * are gathered and added in rank order, so the value has the same bits on all ranks of
 * a data row.  Waits for the device.  Collective over the model axis.
 */
double vit_loss(struct vit *v);

/* What this rank's images and classes add to the loss, on the device: one number for
 * each micro-batch of the step, [1, micros] of dev_acc() type.  The sum over
 * micro-batches and all ranks is the loss of the step.
 */
struct mat vit_losses(const struct vit *v);

/* The gradients of the last forward.  The first micro-batch writes them over the old
 * ones, the others add theirs.  The gradients of one group are summed over the data
 * axis (shard_scatter_*) while those of the next are computed; all sums are complete
 * when the last micro-batch's backward returns.  Collective over 'mesh'.
 */
void vit_backward(struct vit *v);

/* From now on the backward of the last micro-batch calls 'written' (NULL: nothing) for
 * each group but the embedding, when this rank has put its part of that group's
 * gradients on the stream and before it goes on to the next group.
 */
typedef void (*vit_group_fn)(void *ctx, int group);
void vit_tell(struct vit *v, vit_group_fn written, void *ctx);

/* The largest attention logit that this rank's heads and images had in any block since
 * the first micro-batch's forward, [1, 1] of dev_acc() type.  The classifier's logits
 * of the last forward, [B_l, K_l].
 */
struct mat vit_peak_logit(const struct vit *v);
struct mat vit_logits(const struct vit *v);

/* Of the last forward, too: the input of the classifier [B_l, C_l], and the output of
 * block 'i' [B_l*N, C_l].
 */
struct mat vit_pooled(const struct vit *v);
struct mat vit_block_rows(const struct vit *v, int64_t i);

/* Seconds spent in each part, forward and backward with their messages, since
 * vit_reset_seconds(), as far as the device is done with them.
 */
const double *vit_seconds(struct vit *v);
void vit_reset_seconds(struct vit *v);

/* The laps behind vit_seconds(), borrowed: whoever records a step needs them. */
struct laps *vit_watch(struct vit *v);

/* Bytes of activations and of working memory that vit_open() has allocated: what
 * act_bytes() says.
 */
int64_t vit_bytes(const struct vit *v);

/* To be called when parameters have changed, so that rounded and packed copies of them
 * are made anew: vit_changed() after a change from outside (a load), vit_updated()
 * after the optimizer, which may have written the rounded ones itself.
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

/* Run one block alone, for timing: its parameters are gathered once, forward takes the
 * input that lies there and leaves it as it is, and backward takes whatever gradient
 * lies there.  The results mean nothing.
 */
void vit_block_forward(struct vit *v, int64_t block);
void vit_block_backward(struct vit *v, int64_t block);

#endif
