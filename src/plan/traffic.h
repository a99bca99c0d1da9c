/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages and bytes that one rank posts in one training step, by kind, from the shape
 * and the mesh alone.  mesh/ counts what it really posts; the two are equal, and a test
 * holds them to it.  A call of an MPI collective counts as one message with the bytes
 * that this rank contributes.
 */
#ifndef PLAN_TRAFFIC_H
#define PLAN_TRAFFIC_H

#include "src/plan/spec.h"

enum traffic {
    ACT_GATHER,   /* activations joined over the model axis */
    ACT_SCATTER,  /* partial sums added and dealt out over the model axis */
    PARAM_GATHER, /* parameters over the data axis */
    GRAD_SCATTER, /* gradients over the data axis */
    REDUCE,       /* moments, losses, norms, replicated gradients: small sums */
    TRAFFIC_KINDS
};
extern const char *const traffic_name[TRAFFIC_KINDS]; /* "act_gather", .. */

struct traffic_count {
    int64_t messages, bytes;
};

/* How a collective matmul is done; CMM_AUTO is only an option's value. */
enum cmm_form { CMM_PLAIN, CMM_RING, CMM_BIDIR, CMM_AUTO };

/* What updates the parameters. */
enum optimizer { OPTIMIZER_ADAMW, OPTIMIZER_ADAFACTOR, OPTIMIZER_SGD, OPTIMIZERS };

struct traffic_job {
    int64_t B;
    int D, M;
    enum dtype dtype;
    enum cmm_form form;
    enum optimizer optimizer;
};

/* What rank (d, m) sends in one step; the maximum over all ranks (by bytes, and by
 * messages, each on its own), taken over the few distinct ranks, so it is fast for any
 * number of ranks.
 */
void traffic_of_rank(struct traffic_count t[TRAFFIC_KINDS], const struct spec *s,
                     const struct traffic_job *job, int d, int m);
void traffic_most(struct traffic_count t[TRAFFIC_KINDS], const struct spec *s,
                  const struct traffic_job *job);

/* The collectives of mesh/, as rank i of 'ranks' sees them; 'bytes[j]' is the size of
 * slice j.  An empty slice is not sent and not counted.  A message longer than
 * WIRE_CHUNK bytes counts once for every chunk.
 *
 *   ring gather:   slice i, then what came from i - 1, on to i + 1:  all but slice i + 1
 *   ring scatter:  the sums of all slices but its own go to i - 1 .. :  all but slice i
 *   all-gather:    plain form and moments: slice i to every other rank
 *   reduce-scatter: plain form: every slice j != i to rank j, which adds in rank order
 *   all-reduce:    ring over 'ranks' nearly equal parts of a flat buffer, scatter + gather
 */
#define WIRE_CHUNK ((int64_t)1 << 30)
void traffic_ring_gather(struct traffic_count *t, const int64_t *bytes, int ranks,
                         int i);
void traffic_ring_scatter(struct traffic_count *t, const int64_t *bytes, int ranks,
                          int i);
void traffic_allgather(struct traffic_count *t, const int64_t *bytes, int ranks, int i);
void traffic_reduce_scatter(struct traffic_count *t, const int64_t *bytes, int ranks,
                            int i);
void traffic_allreduce(struct traffic_count *t, int64_t count, size_t size, int ranks,
                       int i);

#endif
