/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1 */
/* Every gradient against differences of the loss, which need nothing but the forward:
 * each tensor moved a little along a random direction, and one element of it alone.
 */
#include "config.h"

#include "tests/model.h"
#include "tests/ranks.h"

#include "src/base/mem.h"
#include "src/base/rng.h"

#include <math.h>
#include <string.h>

struct batch {
    struct mat images, targets;
};

/* The loss with the 'n' numbers 'at' of tensor 'it' moved by 'h' along 'way'. */
static double loss_at(struct model *m, struct batch b, const struct item *it,
                      const double *at, const double *way, double h)
{
    const struct mat param = shard_item_param(vit_shard(m->vit), it);
    double *moved          = mem_new((size_t)mat_size(param), sizeof *moved);
    double loss;

    for (int64_t i = 0; i < mat_size(param); i++)
        moved[i] = at[i] + h * way[i];
    model_put(m, param, moved);
    vit_changed(m->vit);
    vit_forward(m->vit, b.images, b.targets);
    loss = vit_loss(m->vit);
    mem_free(moved);
    return loss;
}

/* |difference quotient - gradient along 'way'|, relative to the gradient's norm. */
static double gap_along(struct model *m, struct batch b, const struct item *it,
                        const double *at, const double *grad, const double *way,
                        double scale)
{
    const double h    = 1e-4;
    const int64_t n   = it->rows * it->cols;
    const double up   = loss_at(m, b, it, at, way, h);
    const double down = loss_at(m, b, it, at, way, -h);
    double along      = 0;

    for (int64_t i = 0; i < n; i++)
        along += grad[i] * way[i];
    return fabs((up - down) / (2 * h) - along) / scale;
}

/* The error of a central difference is h^2 / 6 times the third derivative, some 1e-8
 * here, and the loss' rounding, 1e-15, over h, 1e-11: both far below what is asked.
 */
static double gap_of(struct model *m, struct batch b, const struct item *it,
                     double *key_kernel)
{
    const int64_t n = it->rows * it->cols;
    double *at      = mem_new((size_t)n * 3, sizeof *at);
    double *grad = at + n, *way = grad + n;
    double norm = 0, length = 0, worst;

    model_get(m, at, shard_item_param(vit_shard(m->vit), it));
    model_get(m, grad, shard_item_grad(vit_shard(m->vit), it));
    for (int64_t i = 0; i < n; i++) {
        way[i] = rng_normal(2, RNG_TEST + it->param->stream, (uint64_t)i);
        norm += grad[i] * grad[i];
        length += way[i] * way[i];
    }
    for (int64_t i = 0; i < n; i++)
        way[i] /= sqrt(length);
    norm = sqrt(norm);
    if (strstr(it->param->name, "/key/kernel") != NULL)
        *key_kernel = norm;
    if (it->param->is_key_bias)
        norm = fmax(norm, *key_kernel);

    worst = gap_along(m, b, it, at, grad, way, norm);
    memset(way, 0, (size_t)n * sizeof *way);
    way[n / 2] = 1;
    worst      = tap_worse(worst, gap_along(m, b, it, at, grad, way, norm));
    loss_at(m, b, it, at, way, 0);
    mem_free(at);
    return worst;
}

static void check(enum wiring wiring, enum pool pool, enum loss_kind loss,
                  enum gelu_form gelu, bool qk_norm)
{
    struct model_options o = model_odd(wiring, pool, loss);
    struct model m;
    double worst = 0, key_kernel = 0;
    const char *name = "";

    o.spec.layers  = 1; /* t400-gradients has two */
    o.spec.gelu    = (int)gelu;
    o.spec.qk_norm = qk_norm;
    model_open(&m, &o, MPI_COMM_SELF);
    model_stir(&m);
    model_gradients(&m);

    const struct layout *l = vit_layout(m.vit);
    const struct batch b   = { step_images(m.step), step_targets(m.step) };

    for (int i = 0; i < l->params.count; i++) {
        const double gap = gap_of(&m, b, &l->item[i], &key_kernel);

        if (!(gap <= worst)) {
            worst = gap;
            name  = l->item[i].param->name;
        }
    }
    if (!ok(worst <= 1e-6, "differences: %s, %s, %s, gelu %s, %s QK-norm",
            wiring_name(wiring), pool_name(pool), loss_name(loss), gelu_name(gelu),
            qk_norm ? "with" : "no"))
        tap_note("%s is off by %g", name, worst);
    model_close(&m);
}

int main(int argc, char **argv)
{
    ranks_open(&argc, &argv, "t410-differences");
    check(WIRING_PARALLEL, POOL_MAP, LOSS_SIGMOID, GELU_TANH, true);
    check(WIRING_PARALLEL, POOL_GAP, LOSS_SOFTMAX, GELU_EXACT, false);
    check(WIRING_PARALLEL, POOL_CLS, LOSS_SIGMOID, GELU_EXACT, true);
    check(WIRING_SEQUENTIAL, POOL_MAP, LOSS_SOFTMAX, GELU_TANH, false);
    check(WIRING_SEQUENTIAL, POOL_GAP, LOSS_SIGMOID, GELU_EXACT, true);
    check(WIRING_SEQUENTIAL, POOL_CLS, LOSS_SOFTMAX, GELU_TANH, false);
    return ranks_done();
}
