/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the timeline (forecast.c) and what happens in its parts
 * (forecast_parts.c).
 */
#ifndef PLAN_FORECAST_IMPL_H
#define PLAN_FORECAST_IMPL_H

#include "src/plan/forecast.h"

/* What a part of the step costs when it runs without flights. */
struct part {
    double compute_s, exposed_s;
    double link_s; /* for which activations use a link that flights use */
    struct forecast_comm comm[TRAFFIC_KINDS];
    struct forecast_op op[FORECAST_OPS];
    int ops;
};

void part_op(struct part *p, const char *name, double flops, double bytes,
             double seconds);
void part_posted(struct part *p, enum traffic kind, double messages, double bytes);
void part_waited(struct part *p, enum traffic kind, double alone, double exposed);

/* A level of the data axis (plan/hops.h): how far its ranks are apart. */
struct leg {
    int64_t stride;
    int ranks;
    bool is_shared; /* its links are those of the model axis */
};

/* The step that is played. */
struct play {
    const struct spec *spec; /* borrowed, as are the next two */
    const struct traffic_job *job;
    const struct cost_rank *cost;
    struct local l;        /* of the largest micro-batch on the first rank */
    int64_t size, sum;     /* bytes of an activation, of a sum, */
    int64_t partial, grad; /* of a partial sum and a gradient that travel */
    int64_t slice;         /* columns of the largest slice of the width */
    double embed, block, head, replicated; /* elements of the groups */
    double averages; /* Adafactor's, and those summed over data and model axis */
    double factors[2];
    struct cost_path ring; /* to the neighbour of the model axis */
    struct leg leg[2];     /* of the data axis, near and far */
    struct part verdict;   /* what all ranks tell each other at the end */
};

void play_make(struct play *p, const struct spec *s, const struct traffic_job *job,
               const struct cost_rank *c);

/* One operation; bytes of a matrix in the run's format, of partial sums as they travel,
 * and in the format of sums.
 */
void play_move(const struct play *p, struct part *to, const char *op, double bytes);
void play_epilogue(const struct play *p, struct part *to, double bytes);
void play_moves(const struct play *p, struct part *to, const char *op, double bytes,
                int times); /* in so many equal ones */
double play_bytes(const struct play *p, int64_t rows, int64_t cols);
double play_partial(const struct play *p, int64_t rows, int64_t cols);
double play_sums(const struct play *p, int64_t rows, int64_t cols);
void play_gemm(const struct play *p, struct part *to, enum cost_product product,
               int64_t n, int64_t cols, int64_t depth, double times);
void play_attention(const struct play *p, struct part *to, bool is_backward,
                    int64_t Nq);

/* Collectives that are waited for: over the model axis, of 'slice' bytes of each rank;
 * sums over an axis, as cost_axis() has it; 'bytes' of each rank by the MPI library.
 */
void play_plain(const struct play *p, struct part *to, enum traffic kind, double slice);
void play_allreduce(const struct play *p, struct part *to, int64_t stride, int ranks,
                    double elements);
void play_library(const struct play *p, struct part *to, int ranks, double bytes);

/* What a product does with a slice that it has last: columns up to 'cut' and behind it
 * (0: all) are products of their own, and an epilogue moves bytes.
 */
struct ending {
    int64_t cut;
    double epilogue;
};

/* The four products of mesh/cmm.h, of 'n' rows and N or K local columns; 'may_keep':
 * what the forward has gathered is used again if it is kept.
 */
void play_gather(const struct play *p, struct part *to, int64_t n, int64_t N,
                 struct ending end, enum cmm_product product);
void play_gather_back(const struct play *p, struct part *to, int64_t n, int64_t N,
                      enum cmm_product product, bool may_keep);
void play_scatter(const struct play *p, struct part *to, int64_t n, int64_t K,
                  enum cmm_product product);
void play_scatter_back(const struct play *p, struct part *to, int64_t n, int64_t K,
                       struct ending end, enum cmm_product product);

/* The parts of a micro-batch, and the sums after the last one. */
struct step_parts {
    struct part input, embed_forward, block_forward, head_forward;
    struct part head_backward, block_backward, embed_backward, replicated;
};

void step_parts_make(struct step_parts *parts, struct play *p);

#endif
