/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=2,4 */
/* The loss over many steps, on every mesh and on one rank.  In f64 it is the same up to
 * the order of sums.  In f32 rounding grows from step to step, so that only the curve
 * can be compared: it stays within four times the spread of runs on one rank whose
 * batches hold the same images in another order.
 */
#include "config.h"

#include "tests/model.h"
#include "tests/ranks.h"

#include <math.h>
#include <stdlib.h>

enum { STEPS = 100, CONTROLS = 3 };

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

/* ---- on one rank ----------------------------------------------------------------- */

/* What runs on one rank say, which is the same for all meshes. */
struct alone {
    double adamw[STEPS], sgd[STEPS]; /* in f64 */
    double f32[STEPS], spread[STEPS];
};

/* Each run is made by one rank, of 'ranks', and told to the others. */
static void run_alone(struct alone *a, struct model_options o, int rank, int ranks)
{
    double loss[2 + 1 + CONTROLS][STEPS];

    for (int i = 0; i < 2 + 1 + CONTROLS; i++) {
        o.optim.method = i == 1 ? OPTIMIZER_SGD : OPTIMIZER_ADAMW;
        o.dtype        = i < 2 ? DTYPE_F64 : DTYPE_F32;
        if (i % ranks == rank)
            run(loss[i], o, MPI_COMM_SELF, i < 2 ? 0 : i - 2);
    }
    for (int i = 0; i < 2 + 1 + CONTROLS; i++)
        MPI_Bcast(loss[i], STEPS, MPI_DOUBLE, i % ranks, MPI_COMM_WORLD);
    *a = (struct alone){ .spread = { 0 } };
    for (int s = 0; s < STEPS; s++) {
        a->adamw[s] = loss[0][s];
        a->sgd[s]   = loss[1][s];
        a->f32[s]   = loss[2][s];
        for (int c = 3; c < 3 + CONTROLS; c++)
            a->spread[s] = fmax(a->spread[s], fabs(loss[c][s] - loss[2][s]));
    }
}

/* ---- on a mesh ------------------------------------------------------------------- */

static void check_f64(const double *alone, struct model_options o)
{
    double loss[STEPS], worst = 0;

    run(loss, o, MPI_COMM_WORLD, 0);
    for (int s = 0; s < STEPS; s++)
        worst = tap_worse(worst, fabs(loss[s] / alone[s] - 1));
    ok(worst <= 1e-8 && alone[STEPS - 1] < alone[0],
       "f64: %d steps of %s on %dx%d (%.1e)", STEPS, optim_name(o.optim.method), o.D,
       o.M, worst);
}

static void check_f32(const struct alone *a, struct model_options o)
{
    double loss[STEPS], worst = 0, most = 0;

    o.dtype = DTYPE_F32;
    run(loss, o, MPI_COMM_WORLD, 0);
    for (int s = 0; s < STEPS; s++) {
        most  = fmax(most, a->spread[s] + 0x1p-22 * a->f32[s]); /* the loss is f32 */
        worst = tap_worse(worst, fabs(loss[s] - a->f32[s]) / most);
    }
    ok(worst <= 4, "f32: %d steps of %s on %dx%d stay within %.2f of the spread", STEPS,
       optim_name(o.optim.method), o.D, o.M, worst);
}

int main(int argc, char **argv)
{
    const int ranks        = ranks_open(&argc, &argv, "t520-curve");
    struct model_options o = model_odd(WIRING_SEQUENTIAL, POOL_MAP, LOSS_SIGMOID);
    struct alone alone;

    o.spec.shape = "20/2/30/4"; /* small, for many steps */
    o.spec.image = 7;
    o.form       = CMM_RING;
    o.optim.lr   = 2e-3;
    run_alone(&alone, o, log_rank(), ranks);
    for (int M = 1; M <= ranks; M *= 2) {
        o.D            = ranks / M;
        o.M            = M;
        o.optim.method = OPTIMIZER_ADAMW;
        check_f64(alone.adamw, o);
        check_f32(&alone, o);
        o.optim.method = OPTIMIZER_SGD;
        check_f64(alone.sgd, o);
    }
    return ranks_done();
}
