/* SPDX-License-Identifier: BSD-3-Clause */
/* Seconds: what every operation of a device, and every message, takes on a machine of
 * plan/machine.h.  Pure arithmetic, of nothing but sizes; what is measured faster never
 * makes anything slower.
 *
 *   product      FLOPs / rate, the rate being interpolated between the measured shapes;
 *                but at least the time in which its largest operand passes memory
 *   attention    FLOPs / the rate of attention, likewise
 *   all others   bytes / the rate of this operation if there is one, else of memory
 *   message      alpha + beta bytes; beta grows where ranks share what leaves a node
 *
 * Ranks fill nodes in their order.  A rank's rates are those of the
 * machine's file times its share: the ranks of a node divide its cores; of
 * GPUs a rank has at most one.
 */
#ifndef PLAN_COST_H
#define PLAN_COST_H

#include "src/plan/machine.h"

#include <stdbool.h>
#include <stdint.h>

/* The logarithms of a measured kernel. */
struct cost_point {
    const char *op; /* borrowed from the machine */
    double log_shape[3], log_rate;
};

/* A rank of a job on a machine. */
struct cost_rank {
    const struct machine *machine; /* borrowed */
    enum dtype dtype;
    int64_t ranks;
    int on_node;      /* ranks on a full node */
    int nodes;        /* in use */
    double share;     /* of what a rank of the machine's file has to compute with */
    double peak;      /* FLOP/s, with that share; 0: not in the file */
    double bound;     /* the same of a wider format, where there is none */
    const char *from; /* the format whose kernels are used; borrowed from the machine */
    double faster;    /* than theirs its products are taken to be, by the peaks */
    int points;
    struct cost_point point[MACHINE_KERNELS];
};

/* Make 'c' a rank of 'ranks' on 'm', in 'dtype'.  The nodes of 'm' are filled with as
 * many ranks as its file says; with more if there are not enough of them.  Kernels that
 * were measured in another format count with the ratio of the peaks.  Returns 0, or
 * ERR_DATA with a sentence if the file has neither products nor a peak, no bandwidth of
 * memory, or no links for several ranks.
 */
int cost_make(struct cost_rank *c, const struct machine *m, enum dtype dtype,
              int64_t ranks);

/* The same where it is known that a node has 'on_node' ranks (0: as cost_make() has it)
 * of 'threads' threads each (0: all cores of the node together).
 */
int cost_make_on(struct cost_rank *c, const struct machine *m, enum dtype dtype,
                 int64_t ranks, int on_node, int threads);

/* The products of a weight W [depth, cols] with n rows, as dev.h names them:
 *
 *   COST_GEMM     y [n, cols]  = x [n, depth] W
 *   COST_GEMM_T   y [n, depth] = x [n, cols] W^T
 *   COST_GEMM_DW  dW [depth, cols] = x [n, depth]^T dy [n, cols]
 */
enum cost_product { COST_GEMM, COST_GEMM_T, COST_GEMM_DW, COST_PRODUCTS };
extern const char *const cost_product_name[COST_PRODUCTS]; /* "gemm", .. */
double cost_gemm(const struct cost_rank *c, enum cost_product product, int64_t n,
                 int64_t cols, int64_t depth);

/* Attention, or its backward: B images, H heads of E columns, Nq query and Nk key rows.
 */
double cost_attn(const struct cost_rank *c, bool is_backward, int64_t B, int64_t H,
                 int64_t E, int64_t Nq, int64_t Nk);

/* Any other operation, by its name without "dev_", that reads and writes so many bytes
 * (each input once, each output once).
 */
double cost_move(const struct cost_rank *c, const char *op, double bytes);

/* What a product does besides, "epilogue": on GPUs it is a part of it, else a pass of
 * its own.
 */
double cost_epilogue(const struct cost_rank *c, double bytes);

/* The way of a message. */
struct cost_path {
    enum machine_level level;
    double alpha_s, beta_s_per_byte;
    double busy; /* share of its time in which the core cannot compute */
    int lanes;   /* messages to different ranks at full speed at once, at least 1 */
};

/* Between two ranks, if no others speak. */
void cost_pair(struct cost_path *p, const struct cost_rank *c, int64_t a, int64_t b);

/* When every rank r speaks to r + distance * stride at once, 'size' ranks going round:
 * the model axis of a D x M mesh is (1, M), the data axis (M, D), all ranks (1, D M).
 * The slowest of the messages decides.
 */
void cost_axis(struct cost_path *p, const struct cost_rank *c, int64_t stride, int size,
               int64_t distance);

double cost_message(const struct cost_path *p, double bytes); /* 0 bytes: alpha */

/* A turn of rings of 'size' neighbouring ranks: each sends 'up' bytes to one neighbour
 * and 'down' to the other, in as many messages at a time as links have lanes; two ranks
 * have but one neighbour, and of ranks at the edge of a node only one is far.
 */
double cost_turn(const struct cost_rank *c, int size, double up, double down);

/* Rounds under way together of an exchange among 'size' neighbouring ranks: in round d
 * each sends 'bytes' to the one 'd' places on, round the circle.
 */
struct cost_rounds {
    int size, first, last;
    double bytes;
};
double cost_exchange(const struct cost_rank *c, const struct cost_rounds *r);

#endif
