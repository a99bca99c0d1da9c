/* SPDX-License-Identifier: BSD-3-Clause */
/* What a run will need, known before it: the memory of a rank, and which mesh fits. */
#ifndef PLAN_PREDICT_H
#define PLAN_PREDICT_H

#include "src/plan/traffic.h"

/* Bytes of one rank, by family: what it will have allocated. */
struct predict_memory {
    int64_t params, grads, moments; /* what is owned, and what is whole for a while */
    int64_t packed;                 /* copies of weights in the device's own order */
    int64_t kept;                   /* activations kept from forward for backward */
    int64_t work;                   /* gradients of activations, ring slices, scratch */
    int64_t batch;                  /* images and targets */
    int64_t total;
};

/* What a run may take of a node's memory; the rest is for the system, the MPI, files.
 */
#define PREDICT_SHARE 0.8

/* What rank (d, m) of 'job' needs. */
void predict_memory(struct predict_memory *p, const struct spec *s,
                    const struct traffic_job *job, int d, int m);

/* The same of the rank with the most, and its total: the first ranks have most images
 * and columns; of sharded parameters, whose parts are whole rows, the largest share of
 * any is taken.
 */
void predict_largest(struct predict_memory *p, const struct spec *s,
                     const struct traffic_job *job);
int64_t predict_most(const struct spec *s, const struct traffic_job *job);

/* The mesh for 'ranks' ranks: the smallest M that divides 'ranks', on which the batch
 * 'B', or 'B_per_data_rank' images for every data rank if B is 0, can be run, and with
 * which 'ranks_per_node' times the memory of a rank stays below 'node_bytes'; all else
 * is as in 'like'.  Returns 0; ERR_MEMORY with a sentence (what is the least that any
 * mesh needs), '*D' and '*M' then being the mesh that needs least; or, if the batch can
 * be run on none, what traffic_check() says of the last one.
 */
int predict_mesh(int *D, int *M, const struct spec *s, int ranks, int64_t B,
                 int64_t B_per_data_rank, const struct traffic_job *like,
                 int ranks_per_node, int64_t node_bytes);

/* The deepest slice (number of blocks, 0: not even one) of 's' that fits likewise on
 * the given mesh.
 */
int64_t predict_layers(const struct spec *s, const struct traffic_job *job,
                       int ranks_per_node, int64_t node_bytes);

#endif
