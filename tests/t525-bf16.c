/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2 */
/* Training in bf16: it follows f32 over 200 steps on a fixed set, and masters keep
 * updates that are smaller than a unit of bf16.
 *
 * The band.  Loss and gradients of a step differ by what rounding to 2^-9 does on
 * the way through a few layers, about 1 %, and as the parameters go the
 * differences of the losses stay of that order as long as both descend alike: 5 %
 * of the first loss is asked.
 */
#include "config.h"

#include "tests/model.h"
#include "tests/ranks.h"

#include "src/base/err.h"

#include <math.h>

enum { STEPS = 200, SET = 4 /* batches */ };

/* ---- a set of a few batches that comes round again ------------------------------- */

struct fixed {
    struct data data;
    struct data *source; /* borrowed */
    int64_t size;
};

static void fixed_get(const struct data *data, float *image, float *target,
                      struct range k, int64_t index)
{
    const struct fixed *f = (const struct fixed *)data;

    f->source->ops->get(f->source, image, target, k, index % f->size);
}

static void fixed_close(struct data *data)
{
    (void)data;
}

static const struct data_ops fixed_ops = { .name  = "fixed",
                                           .get   = fixed_get,
                                           .close = fixed_close };

/* The losses of all steps. */
static void train(double *loss, struct model_options o, const char *device,
                  enum dtype dtype)
{
    struct fixed fixed;
    struct model m;

    o.device = device;
    o.dtype  = dtype;
    o.shard  = dtype == DTYPE_BF16 ? SHARD_FULL : SHARD_NONE;
    model_open(&m, &o, MPI_COMM_WORLD);
    fixed          = (struct fixed){ .source = m.data, .size = SET * o.B };
    fixed.data     = *m.data;
    fixed.data.ops = &fixed_ops;
    step_close(&m.step);
    if (step_open(&m.step, m.vit, m.optim, &fixed.data) != 0)
        MPI_Abort(MPI_COMM_WORLD, 99);
    for (int s = 0; s < STEPS; s++) {
        struct step_result r;

        step_run(m.step, 1, &r);
        loss[s] = r.loss;
    }
    model_close(&m);
}

static void check(const char *device, enum wiring wiring, int M, int D, bool is_usual)
{
    struct model_options o = model_odd(wiring, POOL_MAP, LOSS_SIGMOID);
    double exact[STEPS], loss[STEPS], worst = 0;
    struct dev *probe;

    if (dev_open(&probe, device, DTYPE_BF16, 1) != 0) {
        tap_skip(device, err_sentence());
        err_forget();
        return;
    }
    dev_close(&probe);
    o.D        = D;
    o.M        = M;
    o.optim.lr = 3e-4;

    o.has_wide_sums = o.has_narrow_grads = !is_usual;
    train(exact, o, "auto", DTYPE_F32);
    train(loss, o, device, DTYPE_BF16);
    for (int s = 0; s < STEPS; s++)
        worst = tap_worse(worst, fabs(loss[s] - exact[s]) / exact[0]);
    ok(exact[STEPS - 1] < 0.8 * exact[0] && worst < 0.05,
       "%s on %dx%d, %s%s: 200 steps follow f32 (from %.4g to %.4g and %.4g, apart by "
       "%.2g)",
       device, D, M, wiring_name(wiring),
       is_usual ? "" : ", sums sent in f32, gradients in bf16", exact[0],
       exact[STEPS - 1], loss[STEPS - 1], worst);
}

/* Steps of 1e-5 of a parameter move it in bf16 only after hundreds of them. */
static void check_masters(void)
{
    struct model_options o = model_odd(WIRING_SEQUENTIAL, POOL_GAP, LOSS_SOFTMAX);
    struct step_result first, r;
    struct model m;

    o.device   = "cpu:emulate";
    o.dtype    = DTYPE_BF16;
    o.D        = 1;
    o.optim.lr = 1e-5;
    model_open(&m, &o, MPI_COMM_SELF);

    const struct item *it = &vit_layout(m.vit)->item[0];
    struct piece piece[LAYOUT_PIECES];
    double before = 0, after = 0;

    layout_pieces(piece, vit_layout(m.vit), it, 0, 0);

    const struct mat master = shard_piece_param(vit_shard(m.vit), it, piece);
    const struct mat used   = shard_item_param(vit_shard(m.vit), it);
    const struct mat corner = mat_cols(mat_rows(master, 0, 1), 0, 1);
    struct dev_stream *s    = dev_stream(m.dev, LANE_COMPUTE);
    float value;

    ok(master.dtype == DTYPE_F32 && used.dtype == DTYPE_BF16,
       "what is updated is f32, what is multiplied with is bf16");
    dev_get(s, &value, corner);
    before = value;
    step_run(m.step, 1, &first);
    step_run(m.step, 1, &r);
    dev_get(s, &value, corner);
    after = value;
    ok(after != before && fabs(after - before) < 0x1p-9 * fabs(before) &&
           dtype_load(DTYPE_BF16, mat_ptr(used), 0) ==
               dtype_from_bf16(dtype_to_bf16(value)),
       "small updates are kept, and rounded for use");
    model_close(&m);
}

int main(int argc, char **argv)
{
    const int ranks = ranks_open(&argc, &argv, "t525-bf16");

    if (ranks == 1) {
        check("cpu:emulate", WIRING_PARALLEL, 1, 1, true);
        check("cpu:onednn", WIRING_SEQUENTIAL, 1, 1, true);
        check_masters();
    } else {
        check("cpu:onednn", WIRING_PARALLEL, ranks, 1, true);
        check("cpu:onednn", WIRING_PARALLEL, ranks, 1, false);
        check("cpu:onednn", WIRING_SEQUENTIAL, 1, ranks, false);
    }
    return ranks_done();
}
