/* SPDX-License-Identifier: BSD-3-Clause */
/* The losses. */
#include "config.h"

#include "src/vit/loss.h"

/* Gather 'own' [rows, 1] of every model rank and leave in it the ranks' columns put
 * together by 'merge', in rank order.
 */
static void merge_over_model(struct vit *v, struct mat own,
                             void (*merge)(struct dev_stream *, struct mat, struct mat))
{
    const int M = v->mesh->M;

    if (M == 1)
        return;

    const int64_t rows   = own.rows;
    const struct mat all = mat_rows(vit_work(v, WORK_SLICES), 0, M * rows);

    coll_allgather(v->mesh, AXIS_MODEL, REDUCE, v->stream, all, own, rows, v->ones);
    dev_copy(v->stream, own, mat_rows(all, 0, rows));
    for (int j = 1; j < M; j++)
        merge(v->stream, own, mat_rows(all, j * rows, (j + 1) * rows));
}

static void softmax_loss(struct vit *v, struct mat loss, struct mat targets,
                         double scale)
{
    const int64_t B_l        = v->local.B_l;
    const struct mat logits  = vit_act(v, KEPT_LOGITS, 0);
    const struct mat largest = vit_work(v, WORK_LARGEST);
    const struct mat sums    = vit_work(v, WORK_SUMS);
    const struct mat sum     = mat_rows(sums, 0, B_l);
    const struct mat total   = mat_rows(sums, B_l, 2 * B_l);

    dev_softmax_largest(v->stream, largest, logits);
    merge_over_model(v, largest, dev_max);
    dev_softmax_sum(v->stream, sum, total, logits, targets, largest);
    merge_over_model(v, sums, dev_add);
    dev_softmax_loss(v->stream, loss, vit_act(v, KEPT_D_LOGITS, 0), logits, targets,
                     largest, sum, total, scale);
}

void loss_forward(struct vit *v, struct mat targets)
{
    const double scale    = 1 / (double)v->options.B;
    const struct mat loss = mat_cols(vit_losses(v), v->micro, v->micro + 1);

    if (v->spec.loss == LOSS_SIGMOID)
        dev_sigmoid_loss(v->stream, loss, vit_act(v, KEPT_D_LOGITS, 0),
                         vit_act(v, KEPT_LOGITS, 0), targets, scale);
    else
        softmax_loss(v, loss, targets, scale);
}

struct mat vit_losses(const struct vit *v)
{
    struct vit *of = (struct vit *)v; /* views of a const model are for reading */

    return mat_of(&of->losses, dev_acc(v->dev), 1, vit_micros(v));
}

double vit_loss(struct vit *v)
{
    const double own = vit_sum(v, mat_cols(vit_losses(v), v->micro, v->micro + 1));
    double sum       = 0;

    coll_host_gather(v->mesh, AXIS_MODEL, v->partial, &own, 1);
    for (int j = 0; j < v->mesh->M; j++)
        sum += v->partial[j];
    return sum;
}
