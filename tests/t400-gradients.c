/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1 */
/* Loss and every gradient of the model, element by element, against the oracle, at
 * sizes where nothing divides: both wirings, all poolings, both losses, both forms of
 * GELU, with and without QK-norm; on cpu:ref, and some of it on cpu:blis.
 */
#include "config.h"

#include "tests/model.h"
#include "tests/oracle.h"
#include "tests/ranks.h"

#include "src/base/err.h"
#include "src/base/mem.h"

#include <math.h>
#include <string.h>

/* The largest relative error of a tensor's gradient, and whether all are alive. Without
 * QK-norm key biases have the gradient zero, because a query's logits all move
 * together: they are measured by the key kernels.
 */
static double worst_gradient(struct model *m, const struct oracle *o, bool *is_alive,
                             const char **worst_name)
{
    const struct layout *l = vit_layout(m->vit);
    double worst = 0, kernel = 0;

    *is_alive = true;
    for (int i = 0; i < l->params.count; i++) {
        const struct item *it = &l->item[i];
        const struct model_gap gap =
            model_compare(m, it, MODEL_GRAD, o->tensor[i].grad);
        double size = sqrt(gap.size);

        if (it->param->is_key_bias && size < 1e-12 * kernel)
            size = kernel;
        else if (size == 0)
            *is_alive = false;
        if (strstr(it->param->name, "/key/kernel") != NULL)
            kernel = size;
        if (!(sqrt(gap.difference) / size <= worst)) {
            worst       = sqrt(gap.difference) / size;
            *worst_name = it->param->name;
        }
    }
    return worst;
}

static void oracle_stir(struct oracle *o)
{
    for (int i = 0; i < o->params.count; i++) {
        for (int64_t k = 0; k < o->tensor[i].size; k++)
            o->tensor[i].value[k] += model_stir_by(o->tensor[i].param, k);
    }
}

static void check(const struct model_options *options)
{
    struct model m;
    struct step_result r;
    const char *name = "";
    bool is_alive;

    model_open(&m, options, MPI_COMM_SELF);

    struct oracle *o     = oracle_open(&m.spec, HEAD_INIT_NORMAL, 1);
    const int64_t B      = options->B;
    const int64_t pixels = 3 * (int64_t)m.spec.image * m.spec.image;
    double *images       = mem_new((size_t)(B * pixels), sizeof *images);
    double *targets      = mem_new((size_t)(B * m.spec.K), sizeof *targets);
    double loss, worst;

    model_stir(&m);
    oracle_stir(o);
    model_batch(&m, images, targets, B, 0);
    loss  = oracle_gradients(o, (int)B, images, targets);
    r     = model_gradients(&m);
    worst = worst_gradient(&m, o, &is_alive, &name);
    if (!ok(fabs(r.loss - loss) <= 1e-12 * loss && worst <= 1e-11 && is_alive &&
                fabs(r.grad_norm / oracle_norm(o) - 1) <= 1e-11 &&
                fabs(r.peak_logit - o->peak) <= 1e-11 * fabs(o->peak),
            "%s: %s, %s, %s, gelu %s, %s QK-norm", options->device,
            wiring_name(m.spec.wiring), pool_name(m.spec.pool), loss_name(m.spec.loss),
            gelu_name(m.spec.gelu), m.spec.qk_norm ? "with" : "no"))
        tap_note("loss %.15g %.15g, norm %.15g %.15g, peak %.15g %.15g, %s off by %g%s",
                 r.loss, loss, r.grad_norm, oracle_norm(o), r.peak_logit, o->peak, name,
                 worst, is_alive ? "" : ", some are all zero");
    oracle_close(o);
    mem_free(images);
    mem_free(targets);
    model_close(&m);
}

static bool has_blis(void)
{
    struct dev *dev;

    if (dev_open(&dev, "cpu:blis", DTYPE_F64, 1) != 0) {
        err_forget();
        return false;
    }
    dev_close(&dev);
    return true;
}

int main(int argc, char **argv)
{
    ranks_open(&argc, &argv, "t400-gradients");
    for (int i = 0; i < 48; i++) {
        struct model_options o = model_odd((enum wiring)(i % 2), (enum pool)(i / 2 % 3),
                                           (enum loss_kind)(i / 6 % 2));

        o.spec.gelu    = i / 12 % 2;
        o.spec.qk_norm = i / 24 % 2;
        check(&o);
    }
    if (!has_blis())
        tap_skip("the same on cpu:blis", "it is not in this build");
    for (int i = 0; i < 6 && has_blis(); i++) {
        struct model_options o = model_odd((enum wiring)(i % 2), (enum pool)(i / 2),
                                           (enum loss_kind)(i % 2));

        o.device    = "cpu:blis";
        o.spec.gelu = i / 3;
        check(&o);
    }
    return ranks_done();
}
