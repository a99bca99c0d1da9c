/* SPDX-License-Identifier: BSD-3-Clause */
/* A tensor's sum of squares tells: it is not finite if one of its numbers is not (or if
 * it overflows even double).
 */
#include "config.h"

#include "src/step/finite.h"

#include "src/dev/dev_update.h"

#include <math.h>
#include <stdio.h>

typedef struct mat (*piece_fn)(const struct shard *, const struct item *,
                               const struct piece *);

/* The first item of this rank with a bad number, or 'none'. */
static int first_bad(struct vit *vit, struct buf *room, piece_fn view, int none)
{
    const struct layout *l   = vit_layout(vit);
    struct dev_stream *s     = dev_stream(vit_dev(vit), LANE_COMPUTE);
    const struct mat squares = mat_of(room, DTYPE_F64, 1, 1);

    for (int i = 0; i < l->params.count; i++) {
        struct piece piece[LAYOUT_PIECES];
        const int pieces = layout_pieces(piece, l, &l->item[i], l->d, l->m);

        for (int k = 0; k < pieces; k++) {
            const struct mat at = view(vit_shard(vit), &l->item[i], &piece[k]);
            double sum          = 0;

            dev_sum_squares(s, squares, &at, 1, false);
            dev_get(s, &sum, squares);
            if (!isfinite(sum))
                return i;
        }
    }
    return none;
}

void finite_find(char *text, size_t size, struct vit *vit)
{
    const struct params *params = &vit_layout(vit)->params;
    const piece_fn view[]       = { shard_piece_param, shard_piece_grad };
    const char *const what[]    = { "", "the gradient of " };
    struct buf room             = { 0 };
    const int rc =
        mesh_agree(vit_mesh(vit), dev_alloc(&room, vit_dev(vit), sizeof(double)));

    snprintf(text, size, "none of parameters and gradients");
    for (int k = 0; rc == 0 && k < 2; k++) {
        const double own   = first_bad(vit, &room, view[k], params->count);
        const double first = coll_smallest(vit_mesh(vit), AXIS_ALL, own);

        if (first < params->count) {
            snprintf(text, size, "%s%s", what[k], params->param[(int)first].name);
            break;
        }
    }
    dev_free(&room);
}
