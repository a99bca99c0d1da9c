/* SPDX-License-Identifier: BSD-3-Clause */
/* Every rank holds the whole classifier and the rows that it has anyway; gradients are
 * summed.  The order of images is that of vittrain.
 */
#include "config.h"

#include "src/eval/descend.h"

#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/data/order.h"
#include "src/optim/sched.h"

int64_t descend_steps(const struct descend *d, int64_t n)
{
    const double steps = d->epochs * (double)n / (double)d->batch;

    return steps > 1 ? (int64_t)(steps + 0.5) : 1;
}

void descend_run(double *w, const struct linear *l, const struct descend *d)
{
    enum { TENTH = 10 };
    const double momentum = 0.9, bias = -6.9;
    const int64_t n = l->part->rows, D = l->scale->width + 1;
    const int64_t steps      = descend_steps(d, n);
    const struct sched sched = { .kind   = SCHED_COSINE,
                                 .steps  = steps,
                                 .warmup = steps / TENTH };
    double *mu               = mem_new((size_t)(l->K * D), sizeof *mu);
    double *g                = mem_new((size_t)(l->K * D), sizeof *g);
    int64_t *row             = mem_new((size_t)d->batch, sizeof *row);
    struct linear batch      = *l;

    batch.row  = row;
    batch.rows = d->batch;
    for (int64_t i = 0; i < l->K * D; i++)
        w[i] = i % D == D - 1 ? bias : 0;
    for (int64_t step = 0; step < steps; step++) {
        const double rate = d->lr * sched_at(&sched, step);

        for (int64_t i = 0; i < d->batch; i++) {
            const int64_t at = step * d->batch + i;

            row[i] = order_shuffled(n, d->seed, RNG_ORDER, (uint64_t)(at / n), at % n);
        }
        linear_look(g, &batch, w);
        for (int64_t i = 0; i < l->K * D; i++) {
            mu[i] = momentum * mu[i] + g[i];
            w[i] -= rate * (mu[i] + (i % D == D - 1 ? 0 : d->decay * w[i]));
        }
    }
    mem_free(mu);
    mem_free(g);
    mem_free(row);
}
