/* SPDX-License-Identifier: BSD-3-Clause */
/* Parameters and multiply-adds as one table of terms; every figure is a sum over it.
 *
 * Of one image with N rows, T patch tokens and a class token if there is one, a block
 * costs
 *
 *   N (4 C^2 + 2 C F)   the projections and the MLP
 *   2 N^2 C             scores and their product with the values
 */
#include "config.h"

#include "src/plan/count.h"

#include <math.h>

/* The factor from a term's multiply-adds to its training FLOPs. */
enum { TRAIN = 2 * 3, TRAIN_NO_INPUT = 2 * 2 };

static struct count_term term(const char *name, int64_t params, double macs, int factor)
{
    return (struct count_term){ name, params, macs, factor * macs };
}

/* A norm's parameters: a scale, and a bias in the kind that has one. */
static int64_t norm_params(const struct spec *s)
{
    return s->norm == NORM_LAYER ? 2 * s->C : s->C;
}

/* The terms of the parameters of the whole model, and of the multiply-adds that the
 * owner of 'l' does for one image.
 */
static int terms_of(struct count_term out[COUNT_TERMS], const struct spec *s,
                    const struct local *l)
{
    const int64_t C = s->C, F = s->F, L = s->L, K = s->K;
    const double T           = (double)s->T;
    const double N           = (double)s->N;
    const bool is_sequential = s->wiring == WIRING_SEQUENTIAL;
    const bool has_map       = s->pool == POOL_MAP;
    const int64_t mlp        = 2 * C * F + F + C;
    const int64_t norms      = L * (is_sequential ? 2 : 1) + 1;
    const double A_l         = (double)l->A_l;
    const double CA_l        = (double)C * A_l;
    const double CF_l        = (double)C * (double)l->F_l;
    int n                    = 0;

    out[n++] = term("embed", (s->P + 1 + s->T + (s->pool == POOL_CLS)) * C,
                    (double)s->P * (double)l->C_l * T, TRAIN_NO_INPUT);
    out[n++] = term("norm", norms * norm_params(s), 0, TRAIN);
    out[n++] = term("qkv", L * (3 * C * C + (is_sequential ? 3 * C : 0)),
                    (double)L * N * 3 * CA_l, TRAIN);
    out[n++] = term("attention", L * (s->qk_norm ? 2 * s->E : 0),
                    (double)L * 2 * N * N * A_l, TRAIN);
    /* The parallel block has one bias for both of its outputs: the MLP's. */
    out[n++] =
        term("out", L * (C * C + (is_sequential ? C : 0)), (double)L * N * CA_l, TRAIN);
    out[n++] = term("mlp", L * mlp, (double)L * N * 2 * CF_l, TRAIN);
    /* q and out see the probe's one row an image, key and value all T. */
    if (has_map)
        out[n++] = term("pool", C + 4 * (C * C + C) + norm_params(s) + mlp,
                        2 * CA_l + T * 2 * CA_l + 2 * T * A_l + 2 * CF_l, TRAIN);
    out[n++] = term("head", C * K + K, (double)C * (double)l->K_l, TRAIN);
    return n;
}

int count_terms(struct count_term out[COUNT_TERMS], const struct spec *s)
{
    const struct local whole = {
        .B_l = 1, .C_l = s->C, .A_l = s->C, .F_l = s->F, .K_l = s->K
    };

    return terms_of(out, s, &whole);
}

int64_t count_params(const struct spec *s)
{
    struct count_term t[COUNT_TERMS];
    const int n = count_terms(t, s);
    int64_t sum = 0;

    for (int i = 0; i < n; i++)
        sum += t[i].params;
    return sum;
}

int64_t count_params_matmul(const struct spec *s)
{
    return s->L * (4 * s->C * s->C + 2 * s->C * s->F);
}

double count_macs(const struct spec *s)
{
    struct count_term t[COUNT_TERMS];
    const int n = count_terms(t, s);
    double sum  = 0;

    for (int i = 0; i < n; i++)
        sum += t[i].macs;
    return sum;
}

double count_flops_forward(const struct spec *s)
{
    return 2 * count_macs(s);
}

double count_flops_train(const struct spec *s)
{
    struct count_term t[COUNT_TERMS];
    const int n = count_terms(t, s);
    double sum  = 0;

    for (int i = 0; i < n; i++)
        sum += t[i].train_flops;
    return sum;
}

double count_flops_rank(const struct spec *s, const struct local *l)
{
    struct count_term t[COUNT_TERMS];
    const int n = terms_of(t, s, l);
    double sum  = 0;

    for (int i = 0; i < n; i++)
        sum += t[i].train_flops;
    return (double)l->B_l * sum;
}

double count_flops_block(const struct spec *s)
{
    struct spec one = *s, none = *s;

    one.L  = 1;
    none.L = 0;
    return count_flops_train(&one) - count_flops_train(&none);
}

double count_flops_again(const struct spec *s)
{
    const double N = (double)s->N, C = (double)s->C, F = (double)s->F;
    const bool has_out = s->wiring == WIRING_SEQUENTIAL; /* x1 is made again from it */

    return 2 * (double)s->L * (N * C * (3 * C + F + (has_out ? C : 0)) + 2 * N * N * C);
}

double count_palm_per_token(double params, double L, double H, double E, double T)
{
    return 6 * params + 12 * L * H * E * T;
}

double count_palm(const struct spec *s)
{
    return count_palm_per_token((double)count_params_matmul(s), (double)s->L,
                                (double)s->H, (double)s->E, (double)s->T);
}

double count_mfu(double flops_per_step, double seconds, int devices, double peak)
{
    if (!(peak > 0))
        return NAN;
    return flops_per_step / (seconds * devices * peak);
}
