/* SPDX-License-Identifier: BSD-3-Clause */
/* Planted faults of a step. */
#include "config.h"

#include "src/step/fault.h"

#include <math.h>

/* The planted fault, once: this rank's replica of one tensor a bit off.  A tensor that
 * the model axis replicates, if there is one; the last of the table, else any that the
 * data axis does.  (Sharded parameters have no replicas but in flight: shard_move.c.)
 */
static void spoil_replica(struct vit *v)
{
    const struct layout *l              = vit_layout(v);
    struct dev_stream *stream           = dev_stream(vit_dev(v), LANE_COMPUTE);
    const struct item *last             = &l->item[l->params.count - 1];
    const struct item *it               = last->is_replicated ? last : l->item;
    unsigned char bytes[sizeof(double)] = { 0 };
    struct piece piece[LAYOUT_PIECES];
    struct mat at;

    if (layout_is_sharded(l, it->group) || layout_pieces(piece, l, it, l->d, l->m) == 0)
        return;
    at = shard_piece_param(vit_shard(v), it, piece);
    at = mat_cols(mat_rows(at, 0, 1), 0, 1);
    dev_get(stream, bytes, at);
    bytes[0] ^= 1;
    dev_put(stream, at, bytes);
}

/* Another, likewise once: the first number that this rank has is none. */
static void spoil_number(struct vit *v)
{
    const struct layout *l    = vit_layout(v);
    struct dev_stream *stream = dev_stream(vit_dev(v), LANE_COMPUTE);
    struct piece piece[LAYOUT_PIECES];
    struct mat at;
    int i = 0;

    while (i < l->params.count && layout_pieces(piece, l, &l->item[i], l->d, l->m) == 0)
        i++;
    if (i == l->params.count)
        return;
    at = shard_piece_param(vit_shard(v), &l->item[i], piece);
    dev_fill(stream, mat_cols(mat_rows(at, 0, 1), 0, 1), NAN);
}

bool fault_spoil(struct vit *v, int64_t step)
{
    const enum fault fault = vit_mesh(v)->fault;

    if (step != 0 || (fault != FAULT_REPLICA && fault != FAULT_NAN))
        return false;
    if (fault == FAULT_REPLICA)
        spoil_replica(v);
    else
        spoil_number(v);
    return true;
}

void fault_dawdle(struct vit *v, struct optim *optim, double before)
{
    struct dev *dev    = vit_dev(v);
    const double until = 2 * dev_busy(dev) - before;

    while (vit_mesh(v)->fault == FAULT_SLOW && dev_busy(dev) < until)
        optim_square(optim);
}
