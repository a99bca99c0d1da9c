/* SPDX-License-Identifier: BSD-3-Clause */
/* What the two files of a shard share: shard.c has the memory, shard_move.c moves it.
 */
#ifndef MESH_SHARD_IMPL_H
#define MESH_SHARD_IMPL_H

#include "mesh/shard.h"

/* Everything that is owned of 'group', as one row: 'of' is sh->param or sh->grad. */
struct mat shard_owned(const struct shard *sh, struct buf *of, int group);

/* All of 'group', whole in 'of', as one row. */
struct mat shard_whole(const struct shard *sh, struct buf *of, enum dtype dtype,
                       int group);

/* Where the gradients of 'group' are whole. */
struct buf *shard_whole_grads(const struct shard *sh, int group);

#endif
