/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=2,4 */
/* The loss over many steps, on every mesh and on one rank.  In f64 it is the same up to
 * the order of sums.  In f32 rounding grows from step to step, so that only the curve can
 * be compared: it stays within four times the spread of runs on one rank whose batches
 * hold the same images in another order.
 */
#include "config.h"

#include "tests/model.h"
#include "tests/ranks.h"

#include <stdlib.h>

enum { STEPS = 40, CONTROLS = 3 };

/* A source whose batches of B hold the images of another in an order of their own. */
struct turned {
    struct data data;
    struct data *source; /* borrowed */
    int64_t B, turn;
};

static void turned_get(const struct data *data, float *image, float *target,
                       struct range k, int64_t index)
{
    const struct turned *t = (const struct turned *)data;
    const int64_t first    = index / t->B * t->B;

    t->source->ops->get(t->source, image, target, k,
                        first + (index - first + t->turn) % t->B);
}

static void turned_close(struct data *data)
{
    (void)data;
}

static const struct data_ops turned_ops = { .name  = "turned",
                                            .get   = turned_get,
                                            .close = turned_close };

/* The losses of a run whose batches are turned by 'turn'. */
static void run(double *loss, struct model_options o, MPI_Comm comm, int64_t turn)
{
    struct turned t = { .B = o.B, .turn = turn };
    struct step_result r;
    struct model m;

    model_open(&m, &o, comm);
    t.source   = m.data;
    t.data     = *m.data;
    t.data.ops = &turned_ops;
    step_close(&m.step);
    if (step_open(&m.step, m.vit, m.optim, &t.data) != 0)
        abort();
    for (int s = 0; s < STEPS; s++) {
        step_run(m.step, 1, &r);
        loss[s] = r.loss;
    }
    model_close(&m);
}

static void check_f64(struct model_options o, int D, int M)
{
    double alone[STEPS], loss[STEPS], worst = 0;

    run(alone, o, MPI_COMM_SELF, 0);
    o.D = D;
    o.M = M;
    run(loss, o, MPI_COMM_WORLD, 0);
    for (int s = 0; s < STEPS; s++)
        worst = model_worse(worst, fabs(loss[s] / alone[s] - 1));
    ok(worst <= 1e-8 && alone[STEPS - 1] < alone[0],
       "f64: %d steps of %s on %dx%d (%.1e)", STEPS, optim_name(o.optim.method), D, M,
       worst);
}

static void check_f32(struct model_options o, int D, int M)
{
    double alone[STEPS], loss[STEPS], spread[STEPS] = { 0 }, worst = 0, most = 0;

    o.dtype = DTYPE_F32;
    run(alone, o, MPI_COMM_SELF, 0);
    for (int c = 1; c <= CONTROLS; c++) {
        run(loss, o, MPI_COMM_SELF, c);
        for (int s = 0; s < STEPS; s++)
            spread[s] = fmax(spread[s], fabs(loss[s] - alone[s]));
    }
    o.D = D;
    o.M = M;
    run(loss, o, MPI_COMM_WORLD, 0);
    for (int s = 0; s < STEPS; s++) {
        most  = fmax(most, spread[s] + 0x1p-22 * alone[s]); /* the loss itself is f32 */
        worst = model_worse(worst, fabs(loss[s] - alone[s]) / most);
    }
    ok(worst <= 4, "f32: %d steps of %s on %dx%d stay within %.2f of the spread", STEPS,
       optim_name(o.optim.method), D, M, worst);
}

int main(int argc, char **argv)
{
    const int ranks        = ranks_open(&argc, &argv, "t520-curve");
    struct model_options o = model_odd(WIRING_SEQUENTIAL, POOL_MAP, LOSS_SIGMOID);

    o.spec.shape = "20/2/30/4"; /* small, for many steps */
    o.spec.image = 7;
    o.form       = CMM_RING;
    o.optim.lr   = 2e-3;
    for (int M = 1; M <= ranks; M *= 2) {
        o.optim.method = OPTIMIZER_ADAMW;
        check_f64(o, ranks / M, M);
        check_f32(o, ranks / M, M);
        o.optim.method = OPTIMIZER_SGD;
        check_f64(o, ranks / M, M);
    }
    return ranks_done();
}
