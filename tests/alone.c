/* SPDX-License-Identifier: BSD-3-Clause */
/* One rank alone. */
#include "config.h"

#include "tests/alone.h"

#include "src/base/mem.h"
#include "tests/tap.h"

#include <math.h>

static double *whole(struct model *m, struct mat tensor)
{
    double *to = mem_new((size_t)mat_size(tensor) + 1, sizeof *to);

    model_get(m, to, tensor);
    return to;
}

void alone_run(struct alone *a, struct model_options o)
{
    struct model m;

    o.D = o.M = o.micros = 1;
    o.form               = CMM_PLAIN;
    o.shard              = SHARD_NONE;
    o.remat              = REMAT_NONE;
    model_open(&m, &o, MPI_COMM_SELF);
    model_stir(&m);

    const struct layout *l = vit_layout(m.vit);

    a->count = l->params.count;
    a->grad  = mem_new((size_t)a->count, sizeof *a->grad);
    a->param = mem_new((size_t)a->count, sizeof *a->param);
    a->first = model_gradients(&m);
    for (int i = 0; i < a->count; i++)
        a->grad[i] = whole(&m, shard_item_grad(vit_shard(m.vit), &l->item[i]));
    for (int s = 0; s < ALONE_STEPS; s++)
        step_run(m.step, 1, &a->last);
    for (int i = 0; i < a->count; i++)
        a->param[i] = whole(&m, shard_item_param(vit_shard(m.vit), &l->item[i]));
    model_close(&m);
}

void alone_free(struct alone *a)
{
    for (int i = 0; i < a->count; i++) {
        mem_free(a->grad[i]);
        mem_free(a->param[i]);
    }
    mem_free(a->grad);
    mem_free(a->param);
}

/* The largest error of a gradient, relative to its tensor; of a key bias without
 * QK-norm, whose gradient is zero, relative to the gradient of everything.
 */
static double worst_gradient(struct model *m, const struct alone *a)
{
    const struct layout *l = vit_layout(m->vit);
    double worst           = 0;

    for (int i = 0; i < a->count; i++) {
        const struct item *it = &l->item[i];
        struct model_gap gap  = model_compare(m, it, MODEL_GRAD, a->grad[i]);
        double size;

        /* Replicas count several times on both sides. */
        gap.difference = coll_sum(m->mesh, AXIS_ALL, gap.difference);
        gap.size       = coll_sum(m->mesh, AXIS_ALL, gap.size);
        size           = sqrt(gap.size);
        if (it->param->is_key_bias && size < 1e-9)
            size = a->first.grad_norm;
        worst = tap_worse(worst, sqrt(gap.difference) / size);
    }
    return worst;
}

/* The largest difference of a parameter that this rank owns. */
static double worst_parameter(struct model *m, const struct alone *a)
{
    const struct layout *l = vit_layout(m->vit);
    double worst           = 0;

    for (int i = 0; i < a->count; i++) {
        const struct model_gap gap =
            model_compare(m, &l->item[i], MODEL_PARAM, a->param[i]);

        worst = tap_worse(worst, gap.largest);
    }
    return worst;
}

void alone_compare(struct model *m, const struct alone *a, double lr, const char *what)
{
    struct step_result r, last;
    double gradient, parameter;

    model_stir(m);
    r        = model_gradients(m);
    gradient = worst_gradient(m, a);
    for (int s = 0; s < ALONE_STEPS; s++)
        step_run(m->step, 1, &last);
    parameter = worst_parameter(m, a);

    if (!ok(fabs(r.loss / a->first.loss - 1) <= 1e-11 &&
                fabs(r.grad_norm / a->first.grad_norm - 1) <= 1e-11 &&
                fabs(r.peak_logit / a->first.peak_logit - 1) <= 1e-11 &&
                gradient <= 1e-11,
            "%s: loss and gradients", what))
        tap_note("loss off by %g, norm by %g, peak by %g, gradients by %g",
                 r.loss / a->first.loss - 1, r.grad_norm / a->first.grad_norm - 1,
                 r.peak_logit / a->first.peak_logit - 1, gradient);
    if (!ok(parameter <= 1e-6 * lr && fabs(last.loss / a->last.loss - 1) <= 1e-9,
            "and parameters after %d steps", ALONE_STEPS))
        tap_note("off by %g of lr", parameter / lr);
}
