/* SPDX-License-Identifier: BSD-3-Clause */
/* A whole model on a mesh for tests: everything that a step needs, opened and closed
 * together, and its tensors by their logical order.
 */
#ifndef TESTS_MODEL_H
#define TESTS_MODEL_H

#include "src/step/step.h"

/* What to open: a shape and its options as a user gives them, a mesh, a batch. */
struct model_options {
    struct spec_options spec;
    const char *device;
    const struct cost_rank *costs; /* of a model device, in place of 'device' */
    int D, M;
    int near; /* data ranks in a row that share a node; 0: as it is */
    int64_t B;
    enum dtype dtype;
    enum cmm_form form;
    enum param_shard shard;
    enum remat remat;
    int micros;
    bool has_wide_sums, has_narrow_grads;
    struct optim_options optim;
};

struct model {
    struct spec spec;
    struct mesh *mesh;
    struct dev *dev;
    struct vit *vit;
    struct optim *optim;
    struct data *data;
    struct step *step;
};

/* Small, and nothing divides anything: C = 50, F = 70, H = 5, 9 patches of 3 x 3, a
 * column and a row of pixels left over, 7 classes, B = 7, f64 on cpu:ref and one rank,
 * AdamW that clips.
 */
struct model_options model_odd(enum wiring wiring, enum pool pool, enum loss_kind loss);

/* Open over the ranks of 'comm'; dies of any error.  'seed' of parameters and
 * data is 1.  Collective over 'comm'.
 */
void model_open(struct model *m, const struct model_options *o, MPI_Comm comm);
void model_close(struct model *m);

/* Move every parameter a little, so that no bias is zero, no scale one, and no class
 * token a row of zeros: by model_stir_by() for the element with logical index 'i'.
 */
void model_stir(struct model *m);
double model_stir_by(const struct param *p, int64_t i);

/* Copy a matrix of the device out and in, as packed doubles. */
void model_get(struct model *m, double *to, struct mat from);
void model_put(struct model *m, struct mat to, const double *from);

/* The batch of step 's' as doubles: images [B, 3 image^2], targets [B, K]; all of it,
 * whatever the rank.
 */
void model_batch(struct model *m, double *images, double *targets, int64_t B,
                 int64_t s);

/* Run forward and backward on the batch of the next step. */
struct step_result model_gradients(struct model *m);

/* What a rank owns of a tensor, or of what belongs to it. */
enum model_of { MODEL_PARAM, MODEL_GRAD, MODEL_MU, MODEL_NU };
struct mat model_piece(struct model *m, const struct item *it, const struct piece *p,
                       enum model_of of);

/* That of item 'it' compared with the whole tensor 'all': the squares of
 * the differences and of the tensor's elements, over this rank's pieces,
 * and the largest difference.
 */
struct model_gap {
    double difference, size, largest;
};
struct model_gap model_compare(struct model *m, const struct item *it, enum model_of of,
                               const double *all);

#endif
