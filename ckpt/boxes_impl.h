/* SPDX-License-Identifier: BSD-3-Clause */
/* What the two files of the exchange share: boxes.c knows who holds what and who wants
 * it, boxes_move.c moves it.
 */
#ifndef CKPT_BOXES_IMPL_H
#define CKPT_BOXES_IMPL_H

#include "ckpt/box.h"
#include "ckpt/boxes.h"

/* A box that a rank of the group holds; 'piece' is its number on this rank. */
struct held {
    struct box box;
    bool is_first;
    int piece;
};

/* Elements p .. q of a box. */
struct part {
    int64_t p, q;
};

/* A part of another rank's box that is in this rank's share, and its place in 'theirs'.
 */
struct theirs {
    const struct box *box;
    struct part part;
    float *at;
    int rank, tag; /* the box's number on its rank */
};

struct boxes {
    struct mesh *mesh;
    struct dev *dev;
    const struct ckpt_list *list;
    struct held *held; /* by rank, then by tensor: start[] tells where */
    int *start;        /* [M * tensors + 1] */
    int64_t share;     /* elements of a share, about */
    struct slab *slab;
    int slabs;
    float *mine;   /* of a slab: this rank's boxes, packed, one after the other */
    float *theirs; /* the others' parts of this rank's share */
    void *raw;     /* what is not f32, as the device has it */

    MPI_Request *request; /* of the slab at hand */
    struct theirs *of_theirs;
    int requests;
};

static inline struct part part_of(const struct box *box, int64_t lo, int64_t hi)
{
    return (struct part){ box_below(box, lo), box_below(box, hi) };
}

static inline int first_held(const struct boxes *b, int rank, int tensor)
{
    return b->start[rank * b->list->tensors + tensor];
}

static inline int end_held(const struct boxes *b, int rank, int tensor)
{
    return b->start[rank * b->list->tensors + tensor + 1];
}

/* The elements of the file that rank 'rank' of the group reads or writes. */
struct range boxes_share(const struct boxes *b, const struct slab *s, int rank);

#endif
