/* SPDX-License-Identifier: BSD-3-Clause */
/* The sharded norm: the moments of this rank's columns, those of all ranks, and the
 * norm itself.  A rank that has whole rows does all of it in one operation.
 */
#include "config.h"

#include "src/vit/norm.h"

static struct mat bias(const struct vit *v, int group, enum slot slot)
{
    if (v->spec.norm == NORM_RMS)
        return mat_none();
    return vit_param(v, group, vit_bias_slot(slot));
}

/* Where this rank's moments of 'rows' rows go, and everyone's; the same place if this
 * rank is alone.
 */
static struct mat own_part(struct vit *v, int64_t rows)
{
    const enum act which = v->mesh->M > 1 ? WORK_PART : WORK_PARTS;

    return mat_rows(vit_work(v, which), 0, rows);
}

static struct mat gather_parts(struct vit *v, int64_t rows)
{
    const struct mat parts = mat_rows(vit_work(v, WORK_PARTS), 0, v->mesh->M * rows);

    if (v->mesh->M > 1)
        coll_allgather(v->mesh, AXIS_MODEL, REDUCE, v->stream, parts, own_part(v, rows),
                       rows, v->moments);
    return parts;
}

void norm_forward(struct vit *v, struct mat y, struct mat stat, struct mat x, int group,
                  enum slot slot)
{
    const struct mat part = own_part(v, x.rows);

    if (v->mesh->M == 1) {
        dev_norm_whole(v->stream, y, stat, part, x, vit_param(v, group, slot),
                       bias(v, group, slot), v->spec.norm);
        return;
    }
    dev_norm_moments(v->stream, part, x, v->spec.norm);

    const struct mat parts = gather_parts(v, x.rows);

    if (v->mesh->fault == FAULT_MOMENTS)
        dev_norm_merge(v->stream, stat, part, 1, &v->local.C_l, v->spec.norm);
    else
        dev_norm_merge(v->stream, stat, parts, v->mesh->M, v->widths, v->spec.norm);
    norm_again(v, y, stat, x, group, slot);
}

void norm_again(struct vit *v, struct mat y, struct mat stat, struct mat x, int group,
                enum slot slot)
{
    dev_norm_apply(v->stream, y, x, stat, vit_param(v, group, slot),
                   bias(v, group, slot));
}

void norm_backward(struct vit *v, struct mat dx, bool is_dx_added, struct mat dy,
                   struct mat x, struct mat stat, int group, enum slot slot)
{
    const enum norm_kind kind = v->spec.norm;
    const struct mat scale    = vit_param(v, group, slot);
    const struct mat dbias =
        kind == NORM_RMS ? mat_none() : vit_grad(v, group, vit_bias_slot(slot));
    const struct mat part = own_part(v, x.rows);

    if (v->mesh->M == 1) {
        dev_norm_whole_backward(v->stream, dx, is_dx_added, vit_grad(v, group, slot),
                                dbias, vit_adds(v, group), dy, x, stat, scale, part,
                                kind);
        return;
    }
    dev_norm_backward_moments(v->stream, part, dy, x, stat, scale, kind);
    dev_norm_backward(v->stream, dx, is_dx_added, vit_grad(v, group, slot), dbias,
                      vit_adds(v, group), dy, x, stat, scale, gather_parts(v, x.rows),
                      v->mesh->M, v->spec.C, kind);
}
