/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,3,4,6 */
/* Loss and gradients of a step in f32 on a mesh, against the same model in f64 on one
 * rank with plain loops; and in bf16 with whatever travels in either format, parameters
 * sharded or not.  Both start from the same parameters, which the format can hold, and
 * see the same images.
 *
 * The bar is that of the self-test: 32 units of 2^-23, or of 2^-8 in bf16, relative to
 * the norm of a tensor's gradient.  Rounding to nearest is off by half a unit; a
 * gradient has passed some tens of roundings, which add up like a random walk, and sums
 * of some tens of terms, so that a handful of units is usual, and an error of the mesh
 * is thousands in f32 and the gradient itself, 256, in bf16.
 */
#include "config.h"

#include "bench/verify.h"
#include "tests/model.h"
#include "tests/ranks.h"

#include "src/base/mem.h"

#include <math.h>
#include <stdio.h>

/* What one rank alone finds in f64: every tensor's gradient and its squared norm. */
struct alone {
    double loss, grad_norm;
    int count;
    double **grad, *square;
};

static void round_piece(struct model *m, struct mat param, enum dtype to)
{
    double *value = mem_new((size_t)mat_size(param) + 1, sizeof *value), bits;

    model_get(m, value, param);
    for (int64_t k = 0; k < mat_size(param); k++) {
        dtype_store(to, &bits, 0, value[k]);
        value[k] = dtype_load(to, &bits, 0);
    }
    model_put(m, param, value);
    mem_free(value);
}

/* A model whose parameters, in f64 too, are numbers of 'format'. */
static void open_rounded(struct model *m, const struct model_options *o, MPI_Comm comm,
                         enum dtype format)
{
    const struct layout *l;

    model_open(m, o, comm);
    model_stir(m);
    l = vit_layout(m->vit);
    for (int i = 0; i < l->params.count; i++) {
        struct piece piece[LAYOUT_PIECES];
        const int pieces = layout_pieces(piece, l, &l->item[i], l->d, l->m);

        for (int k = 0; k < pieces; k++)
            round_piece(m, model_piece(m, &l->item[i], &piece[k], MODEL_PARAM), format);
    }
    vit_changed(m->vit);
}

static void run_alone(struct alone *a, struct model_options o)
{
    const enum dtype format = o.dtype;
    struct step_result r;
    struct model m;

    o.device = "cpu:ref";
    o.dtype  = DTYPE_F64;
    o.D = o.M = 1;
    o.form    = CMM_PLAIN;
    open_rounded(&m, &o, MPI_COMM_SELF, format);
    r            = model_gradients(&m);
    a->loss      = r.loss;
    a->grad_norm = r.grad_norm;
    a->count     = vit_layout(m.vit)->params.count;
    a->grad      = mem_new((size_t)a->count, sizeof *a->grad);
    a->square    = mem_new((size_t)a->count, sizeof *a->square);
    for (int i = 0; i < a->count; i++) {
        const struct mat grad =
            shard_item_grad(vit_shard(m.vit), &vit_layout(m.vit)->item[i]);

        a->grad[i] = mem_new((size_t)mat_size(grad), sizeof *a->grad[i]);
        model_get(&m, a->grad[i], grad);
        for (int64_t k = 0; k < mat_size(grad); k++)
            a->square[i] += a->grad[i][k] * a->grad[i][k];
    }
    model_close(&m);
}

static void free_alone(struct alone *a)
{
    for (int i = 0; i < a->count; i++)
        mem_free(a->grad[i]);
    mem_free(a->grad);
    mem_free(a->square);
}

/* The largest residual of a gradient in units of 'eps', and whose it is.  The squares
 * of the parts add up to 'copies' times the whole tensor's, where there are replicas.
 */
static double worst_gradient(struct model *m, const struct alone *a, double eps,
                             const char **name)
{
    const struct layout *l = vit_layout(m->vit);
    double worst           = 0;

    for (int i = 0; i < a->count; i++) {
        const struct item *it  = &l->item[i];
        struct model_gap gap   = model_compare(m, it, MODEL_GRAD, a->grad[i]);
        const double yardstick = verify_yardstick(&l->params, a->square, i);
        double copies, r;

        gap.difference = coll_sum(m->mesh, AXIS_ALL, gap.difference);
        gap.size       = coll_sum(m->mesh, AXIS_ALL, gap.size);
        copies         = fmax(1, gap.size / a->square[i]);
        r              = verify_residual(sqrt(gap.difference / copies), yardstick, eps);
        if (!(r <= worst))
            *name = it->param->name;
        worst = tap_worse(worst, r);
    }
    return worst;
}

static void compare(const struct alone *a, const struct model_options *o,
                    const char *what)
{
    const char *name = "";
    struct step_result r;
    struct model m;
    const double eps = dtype_eps(o->dtype);
    double loss, norm, gradient;

    open_rounded(&m, o, MPI_COMM_WORLD, o->dtype);
    r        = model_gradients(&m);
    loss     = verify_residual(fabs(r.loss - a->loss), a->loss, eps);
    norm     = verify_residual(fabs(r.grad_norm - a->grad_norm), a->grad_norm, eps);
    gradient = worst_gradient(&m, a, eps, &name);
    if (!ok(loss <= VERIFY_THRESHOLD && norm <= VERIFY_THRESHOLD &&
                gradient <= VERIFY_THRESHOLD,
            "%s on %dx%d %s, %s", what, o->D, o->M, cmm_form_name[o->form], o->device))
        tap_note("residuals: loss %g, norm %g, %s %g", loss, norm, name, gradient);
    /* What f64 would give: then this test would compare a format with itself. */
    ok(gradient > 0.01, "and that was %s", dtype_name(o->dtype));
    model_close(&m);
}

static void check(struct model_options o, int ranks, const char *what)
{
    static const char *const device[] = { "cpu:ref", "cpu:blis" };
    struct alone a;

    o.dtype = DTYPE_F32;
    run_alone(&a, o);
    for (int k = 0; k < 2; k++) {
#ifndef HAVE_BLIS
        if (k == 1)
            continue;
#endif
        o.device = device[k];
        for (int M = 1; M <= 3; M++) {
            if (ranks % M != 0)
                continue;
            o.M = M;
            o.D = ranks / M;
            for (int form = CMM_PLAIN; form <= CMM_RING; form++) {
                o.form = (enum cmm_form)form;
                compare(&a, &o, what);
            }
        }
    }
    free_alone(&a);
}

/* Sums and gradients on the wire in either format. */
static void check_wires(struct model_options o, int ranks, const char *what)
{
    struct alone a;
    char name[128];

    o.device = "cpu:emulate";
    o.dtype  = DTYPE_BF16;
    run_alone(&a, o);
    for (o.M = 1; o.M <= 3; o.M++) {
        o.D = ranks / o.M;
        for (int k = 0; k < 8 && ranks % o.M == 0; k++) {
            o.has_wide_sums    = k & 1;
            o.has_narrow_grads = k & 2;
            o.shard            = k & 4 ? SHARD_FULL : SHARD_NONE;
            o.form             = (enum cmm_form)((k + k / 4) % 3);
            if ((o.M == 1 && k & 1) || (o.D == 1 && k > 1))
                continue;
            snprintf(name, sizeof name, "%s, shard %s, sums in %s, gradients in %s",
                     what, param_shard_name(o.shard, o.D),
                     o.has_wide_sums ? "f32" : "bf16",
                     o.has_narrow_grads ? "bf16" : "f32");
            compare(&a, &o, name);
        }
    }
    free_alone(&a);
}

int main(int argc, char **argv)
{
    const int ranks = ranks_open(&argc, &argv, "t425-mesh-f32");

    check(model_odd(WIRING_PARALLEL, POOL_MAP, LOSS_SIGMOID), ranks,
          "parallel, map, sigmoid");
    check(model_odd(WIRING_SEQUENTIAL, POOL_CLS, LOSS_SOFTMAX), ranks,
          "sequential, cls, softmax");
    check(model_odd(WIRING_PARALLEL, POOL_GAP, LOSS_SOFTMAX), ranks,
          "parallel, gap, softmax");
    check_wires(model_odd(WIRING_PARALLEL, POOL_MAP, LOSS_SIGMOID), ranks,
                "parallel in bf16");
    check_wires(model_odd(WIRING_SEQUENTIAL, POOL_CLS, LOSS_SOFTMAX), ranks,
                "sequential in bf16");
    return ranks_done();
}
