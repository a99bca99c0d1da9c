/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2 */
/* Three steps of every optimizer against the oracle: loss, norm and parameters, with
 * clipping, a schedule, decay of kernels alone and more of it on the classifier.  And
 * what the options of the optimizer say by themselves.
 */
#include "config.h"

#include "tests/model.h"
#include "tests/oracle.h"
#include "tests/ranks.h"

#include "src/base/mem.h"

#include <math.h>

static void check_steps(struct model_options o, const char *what)
{
    static const double schedule[] = { 0.5, 1, 0.25 };
    struct model m;

    o.optim.decay = 0.3; /* an unlikely one, so that it shows */
    model_open(&m, &o, MPI_COMM_WORLD);

    const struct layout *l = vit_layout(m.vit);
    const int64_t pixels   = 3 * (int64_t)m.spec.image * m.spec.image;
    struct oracle *oracle  = oracle_open(&m.spec, HEAD_INIT_NORMAL, 1);
    double *images         = mem_new((size_t)(o.B * pixels), sizeof *images);
    double *targets        = mem_new((size_t)(o.B * m.spec.K), sizeof *targets);
    double of_loss = 0, of_norm = 0, of_param = 0, moved = 0;

    for (int s = 0; s < 3; s++) {
        struct step_result r;

        model_batch(&m, images, targets, o.B, s);

        const double loss = oracle_gradients(oracle, (int)o.B, images, targets);
        const double norm = oracle_norm(oracle);

        oracle_update(oracle, o.optim.method, schedule[s] * o.optim.lr, o.optim.decay,
                      o.optim.head_decay, o.optim.clip);
        step_run(m.step, schedule[s], &r);
        of_loss = tap_worse(of_loss, fabs(r.loss / loss - 1));
        of_norm = tap_worse(of_norm, fabs(r.grad_norm / norm - 1));
    }
    for (int i = 0; i < l->params.count; i++) {
        const struct item *it = &l->item[i];

        /* a gradient of zero, and noise of rounding is all that Adafactor
         * makes large
         */
        if (it->param->is_key_bias && o.optim.method == OPTIMIZER_ADAFACTOR)
            continue;
        of_param = tap_worse(
            of_param,
            model_compare(&m, it, MODEL_PARAM, oracle->tensor[i].value).largest);
        for (int64_t k = 0; k < oracle->tensor[i].size; k++)
            moved = fmax(
                moved, fabs(oracle->tensor[i].value[k] - param_init(it->param, 1, k)));
    }
    if (!ok(of_loss <= 1e-11 && of_norm <= 1e-11 && of_param <= 1e-6 * o.optim.lr &&
                moved > 0.5 * o.optim.lr,
            "three steps of %s, %s on %dx%d", optim_name(o.optim.method), what, o.D,
            o.M))
        tap_note(
            "loss off by %g, norm by %g, parameters by %g of lr; moved by %g of it",
            of_loss, of_norm, of_param / o.optim.lr, moved / o.optim.lr);
    oracle_close(oracle);
    mem_free(images);
    mem_free(targets);
    model_close(&m);
}

/* The update of a step with schedule 0 leaves everything as it was, but counts. */
static void check_nothing(struct model_options o)
{
    struct model m;
    struct step_result r;
    double moved = 0;

    model_open(&m, &o, MPI_COMM_WORLD);

    const struct layout *l = vit_layout(m.vit);

    step_run(m.step, 0, &r);
    for (int i = 0; i < l->params.count; i++) {
        const struct item *it  = &l->item[i];
        const struct mat param = shard_item_param(vit_shard(m.vit), it);
        double *value          = mem_new((size_t)mat_size(param) + 1, sizeof *value);

        model_get(&m, value, param);
        for (int64_t k = 0; k < mat_size(param); k++)
            moved = tap_worse(moved,
                              fabs(value[k] - param_init(it->param, 1,
                                                         item_index(it, k / param.cols,
                                                                    k % param.cols))));
        mem_free(value);
    }
    ok(moved == 0 && optim_steps(m.optim) == 1, "a schedule of 0 moves nothing");
    model_close(&m);
}

int main(int argc, char **argv)
{
    const int ranks        = ranks_open(&argc, &argv, "t430-update");
    struct model_options o = model_odd(WIRING_PARALLEL, POOL_MAP, LOSS_SIGMOID);

    for (int M = 1; M <= ranks; M += ranks - 1 > 0 ? ranks - 1 : 1) {
        for (int method = 0; method < OPTIMIZERS; method++) {
            o              = model_odd(WIRING_PARALLEL, POOL_MAP, LOSS_SIGMOID);
            o.M            = M;
            o.D            = ranks / M;
            o.optim.method = (enum optimizer)method;
            check_steps(o, "parallel with MAP head");
        }
        o   = model_odd(WIRING_SEQUENTIAL, POOL_CLS, LOSS_SOFTMAX);
        o.M = M;
        o.D = ranks / M;
        check_steps(o, "sequential with class token");
        o.optim.method = OPTIMIZER_ADAFACTOR;
        check_steps(o, "sequential with class token");
    }
    check_nothing(o);
    return ranks_done();
}
