/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages and bytes that one rank posts in one training step, by kind, from the shape
 * and the mesh alone.  mesh/ counts what it really posts; the two are equal, and a test
 * holds them to it.  A call of an MPI collective counts as one message with the bytes
 * that this rank contributes.
 */
#ifndef PLAN_TRAFFIC_H
#define PLAN_TRAFFIC_H

#include "src/plan/hops.h"
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

/* Bytes that every rank tells all others at the end of a step (src/step/step.c). */
enum { TRAFFIC_VERDICT = 48 };

/* How a collective matmul is done; CMM_AUTO: as a table says. */
enum cmm_form { CMM_PLAIN, CMM_RING, CMM_BIDIR, CMM_AUTO, CMM_FORMS };
extern const char *const cmm_form_name[CMM_FORMS]; /* "plain", .. */

/* The sharded products of a block, their two passes, and a choice for each: keys and
 * values of the pooling head are done as CMM_IN is.
 */
enum cmm_product { CMM_IN, CMM_OUT, CMM_UP, CMM_DOWN, CMM_PRODUCTS };
enum cmm_pass { CMM_FORWARD, CMM_BACKWARD, CMM_PASSES };
struct cmm_choice {
    enum cmm_form form; /* not CMM_AUTO */
    int panels;         /* of a ring's product; 0: a good default */
};
struct cmm_tuned {
    struct cmm_choice of[CMM_PRODUCTS][CMM_PASSES];
};

/* What updates the parameters, in the order of the words in step/rows.h. */
enum optimizer { OPTIMIZER_ADAMW, OPTIMIZER_ADAFACTOR, OPTIMIZER_SGD, OPTIMIZERS };

/* Where parameters live: all of them on every data rank, or cut over the data axis and
 * fetched when they are needed.  With one data rank there is no difference.
 */
enum param_shard { SHARD_NONE, SHARD_FULL };

/* Whether backward finds a block's activations kept, or makes them again. */
enum remat { REMAT_NONE, REMAT_BLOCK };

/* Pieces in which a ring of M ranks sends each slice of 'rows' rows: of the first slice
 * that arrives, and of the last sum that leaves, only one piece is waited for.  With
 * more ranks a slice is a smaller share of what a pass sends, and needs no cut.
 */
enum { CMM_PIECES = 4, CMM_PIECE_ROWS = 4 };
int cmm_pieces(int64_t rows, int M);

/* True if a rank has all slices when a gather of this form ends, and need not
 * ask for them again for the backward that follows at once: each of two ranks of
 * a ring holds the other's.
 */
bool cmm_keeps(int M, enum cmm_form forward, enum cmm_form backward);

/* A step as planning sees it. */
struct traffic_job {
    int64_t B;
    int D, M;
    int near; /* data ranks in a row that share a node: plan/hops.h; 0: not known */
    enum dtype dtype;
    enum cmm_form form;            /* of the products over the model axis */
    const struct cmm_tuned *tuned; /* borrowed; for CMM_AUTO; NULL: rings */
    enum optimizer optimizer;
    enum param_shard shard;
    enum remat remat;
    int micros;                           /* micro-batches of a step; 0 means 1 */
    bool has_wide_sums, has_narrow_grads; /* on the wire, as below */

    /* Of memory and time alone; messages do not depend on them. */
    bool is_apart;     /* the device has memory of its own, and that is what counts */
    bool has_pictures; /* such a device makes images of pictures */
    int packs;         /* packed copies that the device keeps of every weight */
};

/* The format of partial sums of activations, and of gradients over the data axis, on
 * their way.  They differ in bf16 runs alone, which add in f32 what arrives: partial
 * sums travel in bf16, or are wide, in f32; gradients travel in f32, or are narrow, in
 * bf16, and rounded in each hop.
 */
enum dtype traffic_sums_wire(enum dtype dtype, bool has_wide_sums);
enum dtype traffic_grads_wire(enum dtype dtype, bool has_narrow_grads);

static inline int job_micros(const struct traffic_job *job)
{
    return job->micros > 1 ? job->micros : 1;
}

/* 0 if the batch can be run on the mesh, in these micro-batches; else ERR_SHAPE with
 * the sentence of spec_check_mesh() or spec_check_micros().
 */
int traffic_check(const struct spec *s, const struct traffic_job *job);

/* As the options spell them: what is really done with D data ranks. */
const char *param_shard_name(enum param_shard shard, int D);
const char *remat_name(enum remat remat);

/* Whether parameters are cut over the data axis. */
static inline bool job_is_cut(const struct traffic_job *job)
{
    return job->shard == SHARD_FULL && job->D > 1;
}

/* What rank (d, m) sends in one step, by kind; and the most that any rank sends, of
 * bytes and of messages each on its own, which is fast for any number of ranks: only a
 * sample of them is looked at (rank_sample.h).
 */
void traffic_of_rank(struct traffic_count t[TRAFFIC_KINDS], const struct spec *s,
                     const struct traffic_job *job, int d, int m);
void traffic_most(struct traffic_count t[TRAFFIC_KINDS], const struct spec *s,
                  const struct traffic_job *job);

/* The collectives of mesh/, as rank i of 'ranks' sees them; 'bytes[j]' is the size of
 * slice j.  An empty slice is not sent and not counted.  A message longer than
 * WIRE_CHUNK bytes counts once for every chunk.
 *
 *   ring gather:   slice i, then what came from i - 1, to i + 1:  all but slice i + 1
 *   ring back:     the same the other way round:  all but slice i - 1
 *   ring scatter:  the sums of all slices but its own go to i - 1 .. :  all but slice i
 *   all-gather:    plain form and moments: slice i to every other rank
 *   reduce-scatter: plain form: every slice j != i to rank j, which adds in rank order
 *   all-reduce:    ring over 'ranks' nearly equal parts of a flat buffer, scatter and
 *                  gather
 *
 * The last three double and halve where traffic_is_doubled() says so, an
 * all-reduce where traffic_is_doubled_sum() does, in rounds of distance d = 1,
 * 2, 4, .. below 'ranks', of c = min(d, ranks - d) slices each, counted round
 * the circle, in one message:
 *
 *   doubling   round by round upwards: slices i .. i + c - 1 go to rank i - d
 *   halving    downwards: the sums of slices i + d .. i + d + c - 1 go to rank i + d
 */
#define WIRE_CHUNK ((int64_t)1 << 30)

/* More ranks than this double and halve; so do more than 3 with an all-reduce of few
 * bytes, where it is the number of messages that takes the time.
 */
enum { TRAFFIC_DIRECT_RANKS = 16, TRAFFIC_FEW_BYTES = 1 << 15 };
static inline bool traffic_is_doubled(int ranks)
{
    return ranks > TRAFFIC_DIRECT_RANKS;
}

static inline bool traffic_is_doubled_sum(int ranks, int64_t bytes)
{
    return traffic_is_doubled(ranks) || (ranks > 3 && bytes <= TRAFFIC_FEW_BYTES);
}

/* Direct messages go in rounds of growing distance; so many are under way together. */
enum { TRAFFIC_ROUNDS = 8 };
static inline int traffic_last_round(int ranks, int first)
{
    return first + TRAFFIC_ROUNDS < ranks ? first + TRAFFIC_ROUNDS - 1 : ranks - 1;
}

/* Slices that a round of this distance sends: c above. */
static inline int traffic_round(int ranks, int distance)
{
    return distance < ranks - distance ? distance : ranks - distance;
}

/* Elements, of 'size' bytes, of the room in which all-reduces of up to 'count' of them
 * receive sums.
 */
int64_t traffic_allreduce_room(int64_t count, size_t size, int ranks);

void traffic_ring_gather(struct traffic_count *t, const int64_t *bytes, int ranks,
                         int i);
void traffic_ring_back(struct traffic_count *t, const int64_t *bytes, int ranks, int i);
void traffic_ring_scatter(struct traffic_count *t, const int64_t *bytes, int ranks,
                          int i);
void traffic_allgather(struct traffic_count *t, const int64_t *bytes, int ranks, int i);
void traffic_reduce_scatter(struct traffic_count *t, const int64_t *bytes, int ranks,
                            int i);
void traffic_allreduce(struct traffic_count *t, int64_t count, size_t size, int ranks,
                       int i);

/* A flight in the hops of plan/hops.h: of a buffer of elements of 'size' bytes, whose
 * part j begins at element cut[j].
 */
void traffic_hops(struct traffic_count *t, const int64_t *cut, size_t size,
                  enum hops_form form, int ranks, int i, int near, int ring_most);

#endif
