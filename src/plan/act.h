/* SPDX-License-Identifier: BSD-3-Clause */
/* Where every matrix of activations lies: what forward keeps for backward, the working
 * memory of a block, and the batch itself.  One table for the model, which allocates
 * and addresses by it, and for planning, which only adds it up.
 *
 * Each family is one block of memory:
 *
 *   kept   [block 0 | block 1 | .. | block L - 1 | x of block L | embedding and head]
 *          with REMAT_BLOCK a block keeps x and the norms' statistics, from which the
 *          rest, in one place for all blocks (behind x of block L), is made again
 *   work   everything that is dead when a block's forward or backward is over
 *   batch  images and targets on the device
 *   host   the same as the data source gives them
 *   pictures  what a device makes images of, if they come to it as bytes
 */
#ifndef PLAN_ACT_H
#define PLAN_ACT_H

#include "src/plan/traffic.h"

/* n is B_l N rows; A, C, F, H, K stand for A_l, C_l, F_l, H_l, K_l.  Matrices are of
 * the run's dtype where nothing is said; 'acc' is act_acc(), and R the numbers that a
 * norm has of a row: 1 for RMS, 2 for layer norms.
 */
enum act {
    /* kept, of every block; "seq" of sequential ones, "qk" with QK-norm alone */
    KEPT_X,      /* [n, C]       what the block is given; of block L: what it leaves  */
    KEPT_STAT0,  /* [n, 2]   acc the first norm's mean and 1 / deviation              */
    KEPT_IN,     /* [n, 3A + F]  q, k, v, MLP before GELU; seq: q, k, v               */
    KEPT_OUT,    /* [n, F + A]   MLP after GELU, attention's result; seq: [n, A]      */
    KEPT_Q,      /* [n, A]       qk: normalised queries                               */
    KEPT_K,      /* [n, A]       qk: normalised keys                                  */
    KEPT_Q_STAT, /* [n, 2 H] acc qk                                                   */
    KEPT_K_STAT, /* [n, 2 H] acc qk                                                   */
    KEPT_ATTN,   /*          acc what attention keeps for itself                      */
    KEPT_XN0,    /* [n, C]       on devices that keep norms: the first one's result   */
    KEPT_XN1,    /* [n, C]       the same, seq: the second one's                      */
    KEPT_X1,     /* [n, C]       seq: x after attention                               */
    KEPT_STAT1,  /* [n, 2]   acc seq: of the second norm                              */
    KEPT_UP,     /* [n, F]       seq: MLP before GELU                                 */
    KEPT_ACT,    /* [n, F]       seq: MLP after GELU                                  */
    /* kept, once; "map" with that pooling alone */
    KEPT_ROWS,     /* [n, P ..]    patches as rows, a multiple of 16 elements apart   */
    KEPT_STAT,     /* [n, 2]   acc of encoder_norm                                    */
    KEPT_POOLED,   /* [B_l, C]     what the classifier is given                       */
    KEPT_LOGITS,   /* [B_l, K] acc                                                    */
    KEPT_D_LOGITS, /* [B_l, K]     the loss's gradient                                */
    KEPT_MAP_Q,    /* [B_l, A]     map: the probe's query, once an image              */
    KEPT_MAP_KV,   /* [n, 2A]      map: keys and values                               */
    KEPT_MAP_O,    /* [B_l, A]     map: attention's result                            */
    KEPT_MAP_ATTN, /*          acc map: as KEPT_ATTN                                  */
    KEPT_MAP_X,    /* [B_l, C]     map: after the out-projection                      */
    KEPT_MAP_STAT, /* [B_l, 2] acc map: of the norm                                   */
    KEPT_MAP_XN,   /* [B_l, C]     map: the norm's result                             */
    KEPT_MAP_UP,   /* [B_l, F]     map: MLP before GELU                               */
    KEPT_MAP_ACT,  /* [B_l, F]     map: MLP after GELU                                */
    /* work */
    WORK_XN,      /* [n, C]       a norm's result                                     */
    WORK_DX,      /* [n, C]       the gradient of x on its way down                   */
    WORK_DXN,     /* [n, C]       of a norm's result                                  */
    WORK_D_IN,    /* [n, 3A + F]  of KEPT_IN and of MAP's keys and values; unless seq
                     A columns more, for the last F + A of them are of KEPT_OUT       */
    WORK_D_O,     /* [n, A]       seq: of attention's result                          */
    WORK_D_UP,    /* [n, F]       seq                                                 */
    WORK_D_Q,     /* [n, A]       qk                                                  */
    WORK_D_K,     /* [n, A]       qk                                                  */
    WORK_PART,    /* [n, R]   acc this rank's moments, with more model ranks than one */
    WORK_PARTS,   /* [M n, R] acc everyone's                                          */
    WORK_TABLE,   /* [N, C]       what is added to every image's patches              */
    WORK_D_TABLE, /* [N, C]   acc                                                     */
    WORK_PEAK,    /* [1, 1]   acc largest attention logit so far                      */
    WORK_PEAK1,   /* [1, 1]   acc of one block                                        */
    WORK_D_POOLED, /* [B_l, C]                                                       */
    WORK_D_MAP_XN, /* [B_l, C]   map                                                 */
    WORK_D_MAP_UP, /* [B_l, F]   map                                                 */
    WORK_D_MAP_O,  /* [B_l, A]   map                                                 */
    WORK_D_MAP_Q,  /* [B_l, A]   map                                                 */
    WORK_MAP_Q1,   /* [1, A]     map: the probe's query, and the gradient's sum      */
    WORK_LARGEST,  /* [B_l, 1]   acc softmax: largest logits                         */
    WORK_SUMS,     /* [2 B_l, 1] acc softmax: sums above totals                      */
    WORK_SLICES,   /* [2 B_l M, 1] acc softmax: of all model ranks, one after another */
    /* batch */
    BATCH_IMAGES,  /* [B_l, 3 image^2] acc                                            */
    BATCH_TARGETS, /* [B_l, K]         acc                                            */
    BATCH_STAGED,  /* [B_l, 3 image^2 or K] f32, f64 runs: either on its way          */
    /* host */
    HOST_IMAGES,  /* [B_l, 3 image^2] f32                                             */
    HOST_TARGETS, /* [B_l, K]         f32                                             */
    /* pictures */
    ALL_PICTURES, /* [1 + B_l, 3 image^2 + ACT_PICTURE] f32                           */
    ACT_COUNT
};

enum act_family { ACT_KEPT, ACT_WORK, ACT_BATCH, ACT_HOST, ACT_PICTURES, ACT_FAMILIES };

/* Numbers of a picture's row beyond its image's: its description, and gaps. */
enum { ACT_PICTURE = 16 };

struct act_place {
    enum act_family family;
    int64_t offset;     /* bytes from the family's start; of block 0 */
    int64_t stride;     /* bytes to the next block's; 0: the same place for all */
    int64_t rows, cols; /* no rows: the model has no such matrix */
    enum dtype dtype;
};

struct act_table {
    struct act_place place[ACT_COUNT];
    int64_t bytes[ACT_FAMILIES];
};

/* How a run and its device keep activations.  Batches depend on the dtype alone. */
struct act_form {
    enum dtype dtype;
    int M;
    enum remat remat;

    /* A block keeps the results of its norms, too, which backward else makes again.
     * Devices with memory of their own do, where passing over x once more costs as much
     * as it does in forward, and memory is less scarce than beside everything else that
     * a host holds.
     */
    bool keeps_norms;

    /* Numbers of acc type that attention keeps in a block, and in the pooling: only the
     * device knows how many.
     */
    int64_t kept_block, kept_map;
};

/* Lay out the activations of a rank with the local sizes 'l'. */
void act_make(struct act_table *t, const struct spec *s, const struct local *l,
              const struct act_form *form);

/* What attention of B images, H heads and Nq query rows keeps on CPU devices: two
 * numbers a row of logits.
 */
int64_t act_attn_kept(int64_t B, int64_t H, int64_t Nq);

/* Bytes that products take for themselves on a device with memory of its own. */
#define ACT_PRODUCTS ((int64_t)32 << 20)

/* Bytes of a collective matmul of 'rows' rows: the slices that travel, partial sums in
 * the format 'sums'; CMM_AUTO: as much as any form needs.
 */
int64_t act_cmm_bytes(int64_t rows, int64_t width, int M, enum dtype dtype,
                      enum dtype sums, enum cmm_form form);

/* Rooms of a slice each in which a ring makes sums that go on.  Where these are not in
 * the format of what is left in the end, the last one is made in such a room, too.
 */
int act_cmm_sums(int M, enum dtype dtype, enum dtype sums);

/* The type of accumulations, statistics and losses in runs of 'dtype'. */
enum dtype act_acc(enum dtype dtype);

/* Bytes of the rank with the local sizes 'l' in 'job': 'kept' activations and 'work'
 * (gradients of activations, slices of collective matmuls, scratch) of its largest
 * micro-batch, and 'batch' (images and targets, on the host those of the whole batch,
 * and pictures if the job has them).
 */
void act_bytes(int64_t *kept, int64_t *work, int64_t *batch, const struct spec *s,
               const struct local *l, const struct traffic_job *job);

#endif
