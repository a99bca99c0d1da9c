/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,3,4,6 */
/* The same model on a mesh and on one rank: loss and gradients of a step, and parameters
 * after three steps of AdamW; with both forms of collective matmul, which must be the
 * one that ran.  Sizes divide nothing, and some model ranks have no class at all.
 */
#include "config.h"

#include "tests/model.h"
#include "tests/ranks.h"

#include "src/base/mem.h"

#include <math.h>

enum { STEPS = 3 };

/* What one rank alone finds: loss, every tensor's gradient, and what becomes of it. */
struct alone {
    struct step_result first, last;
    int count;
    double **grad, **param;
};

static double *whole(struct model *m, struct mat tensor)
{
    double *to = mem_new((size_t)mat_size(tensor) + 1, sizeof *to);

    model_get(m, to, tensor);
    return to;
}

static void run_alone(struct alone *a, struct model_options o)
{
    struct model m;

    o.D = o.M = 1;
    o.form    = CMM_PLAIN;
    model_open(&m, &o, MPI_COMM_SELF);
    model_stir(&m);

    const struct layout *l = vit_layout(m.vit);

    a->count = l->params.count;
    a->grad  = mem_new((size_t)a->count, sizeof *a->grad);
    a->param = mem_new((size_t)a->count, sizeof *a->param);
    a->first = model_gradients(&m);
    for (int i = 0; i < a->count; i++)
        a->grad[i] = whole(&m, shard_item_grad(vit_shard(m.vit), &l->item[i]));
    for (int s = 0; s < STEPS; s++)
        step_run(m.step, 1, &a->last);
    for (int i = 0; i < a->count; i++)
        a->param[i] = whole(&m, shard_item_param(vit_shard(m.vit), &l->item[i]));
    model_close(&m);
}

static void free_alone(struct alone *a)
{
    for (int i = 0; i < a->count; i++) {
        mem_free(a->grad[i]);
        mem_free(a->param[i]);
    }
    mem_free(a->grad);
    mem_free(a->param);
}

/* The largest error of a gradient, relative to its tensor; of a key bias without QK-norm,
 * whose gradient is zero, relative to the gradient of everything.
 */
static double worst_gradient(struct model *m, const struct alone *a)
{
    const struct layout *l = vit_layout(m->vit);
    double worst           = 0;

    for (int i = 0; i < a->count; i++) {
        const struct item *it = &l->item[i];
        const struct mat grad = shard_item_grad(vit_shard(m->vit), it);
        struct model_gap gap  = model_compare(m, it, grad, a->grad[i]);
        const bool is_zero    = it->param->is_key_bias && sqrt(gap.size) < 1e-10;

        gap.difference = coll_sum(m->mesh, AXIS_MODEL, gap.difference);
        gap.size       = coll_sum(m->mesh, AXIS_MODEL, gap.size);

        const double size = is_zero ? a->first.grad_norm : sqrt(gap.size);

        worst = model_worse(worst, sqrt(gap.difference) / size);
    }
    return worst;
}

static double worst_parameter(struct model *m, const struct alone *a)
{
    const struct layout *l = vit_layout(m->vit);
    double worst           = 0;

    for (int i = 0; i < a->count; i++) {
        const struct item *it  = &l->item[i];
        const struct mat param = shard_item_param(vit_shard(m->vit), it);

        worst = model_worse(worst, model_compare(m, it, param, a->param[i]).largest);
    }
    return worst;
}

/* Ring passes of a forward and backward: five for each pair of products of n rows, and
 * three for keys and values of the pooling head.
 */
static int64_t rings_expected(const struct spec *s, const struct model_options *o)
{
    const int64_t pairs = s->L * (s->wiring == WIRING_PARALLEL ? 1 : 2);

    if (o->M == 1 || o->form == CMM_PLAIN)
        return 0;
    return 5 * pairs + (s->pool == POOL_MAP ? 3 : 0);
}

static void compare(const struct alone *a, const struct model_options *o,
                    const char *what)
{
    struct model m;
    struct step_result r, last;
    int64_t rings;
    double gradient, parameter;

    model_open(&m, o, MPI_COMM_WORLD);
    model_stir(&m);
    mesh_count_reset(m.mesh);
    r        = model_gradients(&m);
    rings    = m.mesh->rings;
    gradient = worst_gradient(&m, a);
    for (int s = 0; s < STEPS; s++)
        step_run(m.step, 1, &last);
    parameter = worst_parameter(&m, a);

    if (!ok(fabs(r.loss / a->first.loss - 1) <= 1e-11 &&
                fabs(r.grad_norm / a->first.grad_norm - 1) <= 1e-11 &&
                fabs(r.peak_logit / a->first.peak_logit - 1) <= 1e-11 &&
                gradient <= 1e-11,
            "%s on %dx%d %s: loss and gradients", what, o->D, o->M,
            o->form == CMM_PLAIN ? "plain" : "ring"))
        tap_note("loss off by %g, norm by %g, peak by %g, gradients by %g",
                 r.loss / a->first.loss - 1, r.grad_norm / a->first.grad_norm - 1,
                 r.peak_logit / a->first.peak_logit - 1, gradient);
    if (!ok(parameter <= 1e-6 * o->optim.lr &&
                fabs(last.loss / a->last.loss - 1) <= 1e-9,
            "and parameters after %d steps", STEPS))
        tap_note("off by %g of lr", parameter / o->optim.lr);
    if (!ok(rings == rings_expected(&m.spec, o), "and the form that was asked for"))
        tap_note("%lld ring passes", (long long)rings);
    model_close(&m);
}

static void check(struct model_options o, int ranks, const char *what)
{
    struct alone a;

    run_alone(&a, o);
    for (int M = 1; M <= ranks; M++) {
        if (ranks % M != 0 || M > 3)
            continue;
        o.M = M;
        o.D = ranks / M;
        for (int form = CMM_PLAIN; form <= CMM_RING; form++) {
            o.form = (enum cmm_form)form;
            compare(&a, &o, what);
        }
    }
    free_alone(&a);
}

int main(int argc, char **argv)
{
    const int ranks        = ranks_open(&argc, &argv, "t420-mesh");
    struct model_options o = model_odd(WIRING_PARALLEL, POOL_MAP, LOSS_SIGMOID);

    check(o, ranks, "parallel, map, sigmoid");
    o.spec.classes = 2;
    o.spec.loss    = LOSS_SOFTMAX;
    check(o, ranks, "parallel, map, softmax of two classes");
    o = model_odd(WIRING_SEQUENTIAL, POOL_CLS, LOSS_SOFTMAX);
    check(o, ranks, "sequential, cls, softmax");
    o              = model_odd(WIRING_SEQUENTIAL, POOL_MAP, LOSS_SIGMOID);
    o.spec.qk_norm = 1;
    check(o, ranks, "sequential, map, sigmoid, QK-norm");
    o = model_odd(WIRING_PARALLEL, POOL_GAP, LOSS_SOFTMAX);
    check(o, ranks, "parallel, gap, softmax");
    return ranks_done();
}
