/* SPDX-License-Identifier: BSD-3-Clause */
/* The four checks of a training step, each with a residual.  All are collective over
 * the mesh, and every rank gets the same verdict.
 */
#ifndef BENCH_VERIFY_H
#define BENCH_VERIFY_H

#include "bench/case.h"

/* Gradients agree with other gradients up to this many units of dev_eps(). */
#define VERIFY_THRESHOLD 32.0

/* self-test: a tiny model of the same kind (C = 16 M, H = M, F = 32 M, L = 2, T = 4, 10
 * classes, two images a data rank) takes one step on this mesh, in this dtype and form,
 * against the unsharded model in f64 on cpu:ref, which the first rank of each data row
 * runs on its own images.  residual = the largest over tensors of
 * |g - g_ref|_F / (eps |g_ref|_F), key biases scaled by their kernel's norm, and of the
 * loss; threshold 32.  A gradient that a nudge of the parameters by eps moves by more
 * than 2 eps of itself is measured by half that move.  Returns 0, or a code where the
 * models could not be opened.
 */
int verify_self_test(struct check *c, struct bench *b, const struct spec *spec);

/* products and overlap, on one more forward and backward of 'step' each, plain and as
 * run, on the same batch, without the update.
 *
 *   products   every sharded product of the blocks by random projection, see project.h
 *   overlap    loss, gradient norm and one random projection of every gradient tensor
 *              of the two passes: |r'g - r'g_plain| / (eps sqrt(2 L) |g_plain|_F);
 *              threshold 32.  The sums are rounded in another order in each of the 2 L
 *              blocks on the way forth and back, and these differences add up like a
 *              random walk: without the root 8 at L = 2, 22 at 12, 40 at 28.
 */
int verify_products(struct check *products, struct check *overlap, struct bench *b,
                    struct step *step, struct vit *vit);

/* replicas: 64-bit digests of every tensor that several ranks hold agree, those of
 * sharded groups when they have been gathered once more; loss
 * and gradient norm are finite and bitwise equal in a model group.  residual = how many
 * of them do not; threshold 0.
 */
void verify_replicas(struct check *c, struct bench *b, struct vit *vit,
                     const struct step_result *last);

/* ---- for the checks -------------------------------------------------------------- */

/* Set name, residual, threshold, and the verdict that follows: residuals that are not
 * numbers fail.
 */
void verify_decide(struct check *c, const char *name, double residual,
                   double threshold);

/* What an error of gradient 'tensor' is measured by: the norm of this gradient, and of
 * a key bias, whose gradient is zero without QK-norm, that of its kernel if it is
 * larger.  'square' holds the squared norms of all gradients.
 */
double verify_yardstick(const struct params *params, const double *square, int tensor);

/* difference / (eps * yardstick); 0 / 0 is 0, and what is not finite is infinite. */
double verify_residual(double difference, double yardstick, double eps);

#endif
