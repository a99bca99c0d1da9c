/* SPDX-License-Identifier: BSD-3-Clause */
/* Matrices of f64 dealt out over a grid of ranks, block by block, as ScaLAPACK has
 * them.
 *
 *        Q = 2                 rank r = p Q + q stands at row p, column q of the grid
 *      0 1 0 1 ..              and has the blocks of rows p, p + P, .. and of columns
 *      2 3 2 3 ..    P = 2     q, q + Q, .., which lie together, column after column
 *      0 1 0 1 ..
 */
#ifndef EVAL_TILES_H
#define EVAL_TILES_H

#include "mesh/mesh.h"

enum { TILES_BLOCK = 32, TILES_DESC = 9 };

struct grid {
    struct mesh *mesh; /* borrowed */
    int system, context;
    int P, Q, p, q;
};

struct tiles {
    const struct grid *grid; /* borrowed */
    int desc[TILES_DESC];    /* for ScaLAPACK */
    int64_t rows, cols;
    int64_t rows_l, cols_l; /* of this rank; rows_l is also the leading dimension */
    double *at;
};

/* All ranks of 'mesh', as nearly square as their number allows, P >= Q.
 * Collective over 'mesh'.
 */
void grid_open(struct grid *g, struct mesh *mesh);
void grid_close(struct grid *g);

/* A matrix of zeros.  Returns 0, ERR_MEMORY, or ERR_SHAPE: too large for numbers of 32
 * bits (local: agree afterwards).  tiles_close() accepts what was never opened.
 */
int tiles_open(struct tiles *t, const struct grid *g, int64_t rows, int64_t cols);
void tiles_close(struct tiles *t);

/* The number in the matrix of this rank's row or column 'i'. */
int64_t tiles_row(const struct tiles *t, int64_t i);
int64_t tiles_col(const struct tiles *t, int64_t i);

/* Fill 't' with columns that lie whole on their owners: owner[j] has column j of 'rows'
 * numbers; 'own' are this rank's, in their order.  Every number travels once.  Returns
 * 0, ERR_MEMORY or ERR_SHAPE, the same on all ranks.  Collective over the mesh.
 */
int tiles_deal(struct tiles *t, const int32_t *owner, const double *own);

/* all [cols, rows] = this rank's part of 't', column after column; the rest stays. */
void tiles_put(double *all, const struct tiles *t);

/* And back: this rank's part of the 'cols' columns from number 'col' on, below row
 * number 'row' or in it.  from [cols, rows - row]; what lies above stays.
 */
void tiles_take(struct tiles *t, const double *from, int64_t row, int64_t col,
                int64_t cols);

#endif
