/* SPDX-License-Identifier: BSD-3-Clause */
/* Which array of another program's file holds which tensor of a model.
 *
 * An array is a row of pieces, each a tensor of the model's table (of one block):
 *
 *   big_vision  the tensors themselves; in its scan form those of all blocks together
 *   timm        kernels turned round ([in, out] is [out, in], a patch [p, p, 3, C] is
 *               [C, 3, p, p]); query, key and value, and key and value, in one array;
 *               the class token's position in front of the others
 *
 * Every piece is one turn: element [i, j, k] of the tensor as [a, b, c] is element
 * [k, j, i] of the piece.  With a = b = 1 that is a plain copy.
 */
#ifndef EXCHANGE_MAP_H
#define EXCHANGE_MAP_H

#include "src/exchange/foreign.h"
#include "src/plan/param.h"

enum { NO_PARAM = -1 };

struct map_piece {
    int array;       /* number of its array */
    int param;       /* number in the table; NO_PARAM: zeros */
    int64_t at;      /* its first element in the array */
    int64_t a, b, c; /* of the tensor */
    bool is_added;   /* reading adds it to the tensor's piece, writing makes it zeros */
};

struct map {
    struct array *array; /* 'arrays' of them: names, shapes, f32 */
    int *first;          /* [arrays + 1] the number of its first piece */
    int arrays;
    struct map_piece *piece; /* 'pieces' of them, by array, then by place */
    int pieces;
};

/* How a file names and joins the tensors. */
struct style {
    bool is_timm;       /* else big_vision */
    char prefix[32];    /* of all names: "params/" */
    bool is_scan;       /* big_vision: blocks stacked */
    bool is_old;        /* big_vision: the names of 2021 */
    bool has_cls_place; /* the class token has a position of its own */
    bool has_head;      /* the classifier is in the file */
};

/* The arrays of a model 's' with the tensors 'p'.  timm has names for sequential models
 * only: ERR_DATA for others.  map_free() undoes it.
 */
int map_make(struct map *m, const struct spec *s, const struct params *p,
             const struct style *style);
void map_free(struct map *m);

/* [i, j, k] of 'from' [a, b, c] to [k, j, i] of 'to' [c, b, a]. */
void map_turn(float *to, const float *from, int64_t a, int64_t b, int64_t c);

#endif
