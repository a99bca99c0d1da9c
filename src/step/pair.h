/* SPDX-License-Identifier: BSD-3-Clause */
/* A pair of sharded products of a block without the model around it, with operands of
 * its own: the one into the block (gather, then multiply) and the one out of it
 * (multiply, then scatter), forward and backward.  Tuning and the benchmark time these
 * in all forms.
 */
#ifndef STEP_PAIR_H
#define STEP_PAIR_H

#include "mesh/cmm.h"
#include "src/plan/spec.h"

enum pair_op { PAIR_GATHER, PAIR_DGATHER, PAIR_SCATTER, PAIR_DSCATTER, PAIR_OPS };
extern const char *const pair_name[PAIR_OPS]; /* "gather", "dgather", .. */

/* Into a block: y = gather(x) w.  Out of it: dx = scatter(x2 w2).  And back. */
enum pair_mat {
    PAIR_X,
    PAIR_DX,
    PAIR_Y,
    PAIR_X2,
    PAIR_DX2,
    PAIR_W,
    PAIR_W2,
    PAIR_DW,
    PAIR_DW2,
    PAIR_MATS
};

struct pair {
    struct mesh *mesh; /* borrowed, as is dev */
    struct dev *dev;
    struct cmm *cmm;
    enum cmm_product product[2]; /* into, out of */
    struct buf buf[PAIR_MATS];
    struct mat mat[PAIR_MATS];
    struct dev_weight *w, *w2;
    struct cmm_section in, out; /* plain columns, all */
};

/* Pairs in a block: one if it is parallel, two (attention, MLP) if sequential. */
int pair_count(const struct spec *s);

/* Pair 'which' of the shape 's' with 'rows' rows on this rank; the ranks of a node may
 * use 'node_memory' bytes for it (0: any).  Returns 0, or ERR_MEMORY on all ranks.
 * Collective over the mesh.
 */
int pair_open(struct pair *p, struct mesh *mesh, struct dev *dev, const struct spec *s,
              int which, int64_t rows, int64_t node_memory);
void pair_close(struct pair *p);

/* The product that an operation is of, and in which pass. */
enum cmm_product pair_product(const struct pair *p, enum pair_op op);
enum cmm_pass pair_pass(enum pair_op op);

/* The weights that it multiplies with, and its FLOPs on this rank. */
struct mat pair_weights(const struct pair *p, enum pair_op op);
double pair_flops(const struct pair *p, enum pair_op op);

/* Fill 'a' with normal numbers. */
void pair_fill(struct dev_stream *s, struct mat a, uint64_t seed);

/* Do it once, to its end.  Collective over the model axis. */
void pair_run(struct pair *p, enum pair_op op);

/* One way to do it: in which form, with its messages, with its arithmetic. */
struct manner {
    struct cmm_choice choice;
    bool is_silent, is_idle; /* without messages, without arithmetic */
};

/* Do it in each of 'n' manners in turn, 'rounds' times over, and put the slowest rank's
 * seconds into seconds[manner * rounds + round].  Collective over the mesh.
 */
void pair_time(double *seconds, struct pair *p, enum pair_op op, const struct manner *m,
               int n, int rounds);

#endif
