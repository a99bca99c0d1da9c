/* SPDX-License-Identifier: BSD-3-Clause */
/* Costs from the counts of src/plan and the measured rates of a machine. */
#include "config.h"

#include "src/fit/cost.h"

#include "src/base/err.h"
#include "src/plan/count.h"
#include "src/plan/predict.h"

#include <math.h>
#include <string.h>

enum { IMAGES_OF_RANK = 8 };

int cost_spec(struct spec *s, int64_t C, int64_t L, int64_t F, int64_t heads, int patch,
              int image, int64_t classes)
{
    char name[96];
    struct spec_options o = { .shape   = name,
                              .wiring  = -1,
                              .qk_norm = -1,
                              .pool    = POOL_MAP,
                              .image   = image,
                              .patch   = patch,
                              .classes = classes };

    snprintf(name, sizeof name, "%lld/%lld/%lld/%lld", (long long)C, (long long)L,
             (long long)F, (long long)heads);
    return spec_make(s, &o);
}

/* The rate of the measured product that is nearest in size; products of the machine's
 * first format count.  Nothing measured: the peak.
 */
static double rate_of(const struct machine *m, double rows, double columns,
                      double depth)
{
    double rate = 0, nearest = INFINITY;

    for (int i = 0; i < m->kernels; i++) {
        const struct machine_kernel *k = &m->kernel[i];
        const double far               = fabs(log(rows / (double)k->shape[0])) +
                           fabs(log(columns / (double)k->shape[1])) +
                           fabs(log(depth / (double)k->shape[2]));

        if (strcmp(k->dtype, m->kernel[0].dtype) == 0 && k->rate > 0 && far < nearest) {
            nearest = far;
            rate    = k->rate;
        }
    }
    return rate > 0 ? rate : m->peak[DTYPE_F32];
}

static enum dtype dtype_of(const struct machine *m)
{
    enum dtype t = DTYPE_F32;

    if (m->kernels > 0 && dtype_parse(&t, m->kernel[0].dtype) != 0)
        err_forget();
    return t;
}

/* Device-seconds of one image: every term at the rate of its product.  Attention and
 * what is not a product of a block go at the rate of the smallest one.
 */
static double seconds_of(const struct spec *s, const struct machine *m)
{
    const double rows = IMAGES_OF_RANK * (double)s->T;
    const double C = (double)s->C, F = (double)s->F;
    struct count_term term[COUNT_TERMS];
    const int terms = count_terms(term, s);
    double sum      = 0;

    for (int i = 0; i < terms; i++) {
        const bool is_qkv = strcmp(term[i].name, "qkv") == 0;
        const bool is_mlp = strcmp(term[i].name, "mlp") == 0;
        const bool is_out = strcmp(term[i].name, "out") == 0;
        const double rate = is_qkv   ? rate_of(m, rows, 3 * C, C)
                            : is_mlp ? rate_of(m, rows, F, C)
                            : is_out
                                ? rate_of(m, rows, C, C)
                                : rate_of(m, (double)s->T, (double)s->E, (double)s->E);

        sum += term[i].train_flops / rate;
    }
    return sum;
}

void cost_of(struct cost *c, const struct spec *s, const struct machine *m,
             int64_t batch)
{
    const int64_t images = batch < IMAGES_OF_RANK ? batch : IMAGES_OF_RANK;

    *c = (struct cost){ .forward = count_flops_forward(s),
                        .train   = count_flops_train(s),
                        .params  = count_params(s),
                        .seconds = NAN,
                        .fits    = true };
    if (m == NULL)
        return;

    struct traffic_job job = { .dtype = dtype_of(m),
                               .form  = CMM_RING,
                               .shard = SHARD_FULL };
    const int nodes        = m->nodes > 0 ? m->nodes : 1;
    const int of_node      = m->ranks_per_node > 0 ? m->ranks_per_node : 1;

    c->seconds = seconds_of(s, m);
    c->fits    = predict_mesh(&job.D, &job.M, s, nodes * of_node, images, &job, of_node,
                              m->memory_bytes) == 0;
    if (!c->fits)
        err_forget();
    job.B    = images * job.D;
    c->D     = job.D;
    c->M     = job.M;
    c->bytes = predict_most(s, &job);
}

/* Linear in the depth; width and MLP to the nearest whole number, which is off by less
 * than rounding to any multiple.
 */
double cost_forward(double C, double L, double F, const struct spec *like)
{
    struct spec one = *like, none;

    one.C = llround(C);
    one.F = llround(F);
    one.L = 1;
    none  = one;

    none.L = 0;
    return count_flops_forward(&none) +
           L * (count_flops_forward(&one) - count_flops_forward(&none));
}
