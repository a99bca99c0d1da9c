/* SPDX-License-Identifier: BSD-3-Clause */
/* A Vision Transformer on a tape. */
#include "config.h"

#include "tests/oracle.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- matrices of numbers on the tape --------------------------------------------- */

struct grid {
    int rows, cols;
    int *at;
};

static struct grid grid(struct oracle *o, int rows, int cols)
{
    const size_t pieces = (size_t)o->blocks + 1;
    struct grid g       = { .rows = rows, .cols = cols };

    g.at                  = tape_claim(calloc((size_t)(rows * cols) + 1, sizeof(int)));
    o->block              = tape_claim(realloc(o->block, pieces * sizeof *o->block));
    o->block[o->blocks++] = g.at;
    return g;
}

static int at(struct grid g, int r, int c)
{
    return g.at[r * g.cols + c];
}

/* The tensor "prefix name" as a matrix of 'cols' columns; no rows if there is none. */
static struct grid tensor(struct oracle *o, const char *prefix, const char *name,
                          int cols)
{
    char full[256];

    snprintf(full, sizeof full, "%s%s", prefix, name);
    for (int i = 0; i < o->params.count; i++) {
        const struct updated *it = &o->tensor[i];

        if (strcmp(it->param->name, full) != 0)
            continue;

        const struct grid g = grid(o, (int)it->size / cols, cols);

        for (int k = 0; k < g.rows * g.cols; k++)
            g.at[k] = o->first[i] + k;
        return g;
    }
    return (struct grid){ 0 };
}

/* x W + b with "NAME/kernel", and "NAME/bias" if there is one. */
static struct grid dense(struct oracle *o, struct grid x, const char *prefix,
                         const char *name, int64_t out)
{
    char kernel[128], bias[128];

    snprintf(kernel, sizeof kernel, "%s/kernel", name);
    snprintf(bias, sizeof bias, "%s/bias", name);

    const struct grid w = tensor(o, prefix, kernel, (int)out);
    const struct grid b = tensor(o, prefix, bias, (int)out);
    const struct grid y = grid(o, x.rows, (int)out);

    for (int r = 0; r < x.rows; r++) {
        for (int c = 0; c < y.cols; c++) {
            int sum = b.rows > 0 ? at(b, 0, c) : tape_constant(&o->tape, 0);

            for (int i = 0; i < x.cols; i++)
                sum = tape_mul_add(&o->tape, at(x, r, i), at(w, i, c), sum);
            y.at[r * y.cols + c] = sum;
        }
    }
    return y;
}

static struct grid sum_of(struct oracle *o, struct grid a, struct grid b)
{
    const struct grid y = grid(o, a.rows, a.cols);

    for (int k = 0; k < a.rows * a.cols; k++)
        y.at[k] = tape_add(&o->tape, a.at[k], b.at[k]);
    return y;
}

/* Every stretch of 'width' columns normalised: by its root mean square, or by mean and
 * deviation; then scaled, and moved if there is a bias.
 */
static struct grid norm(struct oracle *o, struct grid x, int width, const char *prefix,
                        const char *name)
{
    struct tape *t = &o->tape;
    char scale[128], bias[128];

    snprintf(scale, sizeof scale, "%s/scale", name);
    snprintf(bias, sizeof bias, "%s/bias", name);

    const struct grid g = tensor(o, prefix, scale, width);
    const struct grid b = tensor(o, prefix, bias, width);
    const struct grid y = grid(o, x.rows, x.cols);

    for (int first = 0; first < x.rows * x.cols; first += width) {
        const int *in = &x.at[first];
        int mean = tape_constant(t, 0), square = tape_constant(t, 0);

        for (int c = 0; c < width && o->spec.norm == NORM_LAYER; c++)
            mean = tape_add(t, mean, tape_times(t, in[c], 1 / (double)width));
        for (int c = 0; c < width; c++) {
            const int gap = tape_add(t, in[c], tape_times(t, mean, -1));

            square = tape_mul_add(t, gap, gap, square);
        }

        const int r = tape_power(
            t, tape_plus(t, tape_times(t, square, 1 / (double)width), 1e-6), -0.5);

        for (int c = 0; c < width; c++) {
            const int gap = tape_add(t, in[c], tape_times(t, mean, -1));
            const int out = tape_mul(t, tape_mul(t, gap, r), at(g, 0, c));

            y.at[first + c] = b.rows > 0 ? tape_add(t, out, at(b, 0, c)) : out;
        }
    }
    return y;
}

/* Attention of 'Nq' queries an image to 'Nk' keys, head by head. */
static struct grid attend(struct oracle *o, struct grid q, struct grid k, struct grid v,
                          int Nq, int Nk, double *peak)
{
    struct tape *t      = &o->tape;
    const int E         = (int)o->spec.E;
    const struct grid y = grid(o, q.rows, q.cols);
    int *weight         = grid(o, 1, Nk).at;

    for (int r = 0; r < q.rows; r++) {
        for (int h = 0; h < q.cols; h += E) {
            const int image = r / Nq;
            double largest  = -INFINITY;
            int sum         = tape_constant(t, 0);

            for (int j = 0; j < Nk; j++) {
                int dot = tape_constant(t, 0);

                for (int e = h; e < h + E; e++)
                    dot = tape_mul_add(t, at(q, r, e), at(k, image * Nk + j, e), dot);
                weight[j] = tape_times(t, dot, 1 / sqrt(E));
                largest   = fmax(largest, tape_value(t, weight[j]));
            }
            for (int j = 0; j < Nk; j++) {
                weight[j] = tape_exponential(t, tape_plus(t, weight[j], -largest));
                sum       = tape_add(t, sum, weight[j]);
            }
            for (int e = h; e < h + E; e++) {
                int out = tape_constant(t, 0);

                for (int j = 0; j < Nk; j++)
                    out = tape_mul_add(t, weight[j], at(v, image * Nk + j, e), out);
                y.at[r * y.cols + e] = tape_mul(t, out, tape_power(t, sum, -1));
            }
            *peak = fmax(*peak, largest);
        }
    }
    return y;
}

/* ---- the model ------------------------------------------------------------------- */

#define MHA "MultiHeadDotProductAttention_0/"

/* Attn(n), but for what is done around it. */
static struct grid attention(struct oracle *o, struct grid n, const char *prefix)
{
    const struct spec *s = &o->spec;
    struct grid q        = dense(o, n, prefix, MHA "query", s->C);
    struct grid k        = dense(o, n, prefix, MHA "key", s->C);
    struct grid v        = dense(o, n, prefix, MHA "value", s->C);

    if (s->qk_norm) {
        q = norm(o, q, (int)s->E, prefix, MHA "query_ln");
        k = norm(o, k, (int)s->E, prefix, MHA "key_ln");
    }
    v = attend(o, q, k, v, (int)s->N, (int)s->N, &o->peak);
    return dense(o, v, prefix, MHA "out", s->C);
}

static struct grid mlp(struct oracle *o, struct grid n, const char *prefix)
{
    const struct grid up = dense(o, n, prefix, "MlpBlock_0/Dense_0", o->spec.F);

    for (int k = 0; k < up.rows * up.cols; k++)
        up.at[k] = tape_gelu(&o->tape, up.at[k], o->spec.gelu);
    return dense(o, up, prefix, "MlpBlock_0/Dense_1", o->spec.C);
}

static struct grid block(struct oracle *o, struct grid x, int i)
{
    const int C = (int)o->spec.C;
    char prefix[64];
    struct grid n;

    snprintf(prefix, sizeof prefix, "Transformer/encoderblock_%d/", i);
    n = norm(o, x, C, prefix, "LayerNorm_0");
    x = sum_of(o, x, attention(o, n, prefix));
    if (o->spec.wiring == WIRING_SEQUENTIAL)
        n = norm(o, x, C, prefix, "LayerNorm_1");
    return sum_of(o, x, mlp(o, n, prefix));
}

static struct grid embed(struct oracle *o, int B, const double *images)
{
    const struct spec *s = &o->spec;
    const int p = s->patch, side = s->image / p, T = (int)s->T, C = (int)s->C;
    const struct grid in  = grid(o, B * T, (int)s->P);
    const struct grid x   = grid(o, B * (int)s->N, C);
    const struct grid pos = tensor(o, "", "pos_embedding", C);
    const struct grid cls = tensor(o, "", "cls", C);

    for (int r = 0; r < B * T; r++) {
        const int y0 = r % T / side * p, x0 = r % T % side * p;

        for (int k = 0; k < in.cols; k++) {
            const int y = y0 + k / 3 / p, xx = x0 + k / 3 % p;
            const int64_t pixel = ((int64_t)r / T * s->image + y) * s->image + xx;

            in.at[r * in.cols + k] = tape_constant(&o->tape, images[pixel * 3 + k % 3]);
        }
    }

    const struct grid e = dense(o, in, "", "embedding", C);

    for (int r = 0; r < x.rows; r++) {
        const int b = r / (int)s->N, row = r % (int)s->N - (int)(s->N - s->T);

        for (int c = 0; c < C; c++)
            x.at[r * C + c] =
                row < 0 ? at(cls, 0, c)
                        : tape_add(&o->tape, at(e, b * T + row, c), at(pos, row, c));
    }
    return x;
}

static struct grid map_head(struct oracle *o, struct grid x, int B)
{
    static const char *const prefix = "MAPHead_0/";
    const int C                     = (int)o->spec.C;
    const struct grid probe         = tensor(o, prefix, "probe", C);
    const struct grid probes        = grid(o, B, C);
    double peak                     = 0;

    for (int k = 0; k < B * C; k++)
        probes.at[k] = probe.at[k % C];
    x = attend(o, dense(o, probes, prefix, MHA "query", C),
               dense(o, x, prefix, MHA "key", C), dense(o, x, prefix, MHA "value", C),
               1, (int)o->spec.N, &peak);
    x = dense(o, x, prefix, MHA "out", C);
    return sum_of(o, x, mlp(o, norm(o, x, C, prefix, "LayerNorm_0"), prefix));
}

static struct grid pool(struct oracle *o, struct grid x, int B)
{
    const int C = (int)o->spec.C, N = (int)o->spec.N;
    const struct grid y = grid(o, B, C);

    if (o->spec.pool == POOL_MAP)
        return map_head(o, x, B);
    for (int b = 0; b < B; b++) {
        for (int c = 0; c < C; c++) {
            int sum = at(x, b * N, c);

            for (int r = 1; r < N && o->spec.pool == POOL_GAP; r++)
                sum = tape_add(&o->tape, sum, at(x, b * N + r, c));
            y.at[b * C + c] = o->spec.pool == POOL_GAP
                                  ? tape_times(&o->tape, sum, 1 / (double)N)
                                  : sum;
        }
    }
    return y;
}

/* The loss of one image with logits 'z' and targets 'y'. */
static int image_loss(struct oracle *o, const int *z, const double *y)
{
    struct tape *t = &o->tape;
    const int K    = (int)o->spec.K;
    int sum = tape_constant(t, 0), all = tape_constant(t, 0);

    for (int k = 0; k < K; k++)
        all = tape_add(t, all, tape_exponential(t, z[k]));
    for (int k = 0; k < K; k++) {
        const int minus = tape_times(t, z[k], -1);

        if (o->spec.loss == LOSS_SIGMOID) {
            sum = tape_add(t, sum, tape_times(t, tape_softplus(t, minus), y[k]));
            sum = tape_add(t, sum, tape_times(t, tape_softplus(t, z[k]), 1 - y[k]));
        } else {
            sum = tape_add(
                t, sum,
                tape_times(t, tape_add(t, tape_logarithm(t, all), minus), y[k]));
        }
    }
    return sum;
}

double oracle_gradients(struct oracle *o, int B, const double *images,
                        const double *targets)
{
    struct tape *t = &o->tape;
    struct grid x;
    int loss;

    tape_clear(t);
    for (int i = 0; i < o->params.count; i++) {
        o->first[i] = t->count;
        for (int64_t k = 0; k < o->tensor[i].size; k++)
            tape_constant(t, o->tensor[i].value[k]);
    }
    o->peak = -INFINITY;
    x       = embed(o, B, images);
    for (int i = 0; i < o->spec.L; i++)
        x = block(o, x, i);
    x    = pool(o, norm(o, x, (int)o->spec.C, "Transformer/", "encoder_norm"), B);
    x    = dense(o, x, "", "head", o->spec.K);
    loss = tape_constant(t, 0);
    for (int b = 0; b < B; b++)
        loss = tape_add(t, loss,
                        image_loss(o, &x.at[b * x.cols], targets + b * o->spec.K));
    loss = tape_times(t, loss, 1 / (double)B);

    tape_run_back(t, loss);
    for (int i = 0; i < o->params.count; i++) {
        for (int64_t k = 0; k < o->tensor[i].size; k++)
            o->tensor[i].grad[k] = t->node[o->first[i] + k].grad;
    }
    while (o->blocks > 0)
        free(o->block[--o->blocks]);
    return tape_value(t, loss);
}

/* ---- the optimizer --------------------------------------------------------------- */

double oracle_norm(const struct oracle *o)
{
    double sum = 0;

    for (int i = 0; i < o->params.count; i++) {
        for (int64_t k = 0; k < o->tensor[i].size; k++)
            sum += pow(o->tensor[i].grad[k], 2);
    }
    return sqrt(sum);
}

void oracle_update(struct oracle *o, enum optimizer method, double step, double decay,
                   double head_decay, double clip)
{
    const double norm        = oracle_norm(o);
    const struct update with = {
        method, step, decay, head_decay, norm > clip ? clip / norm : 1,
        ++o->t, 0.9,  0.999, 1e-8
    };

    for (int i = 0; i < o->params.count; i++)
        update_tensor(&o->tensor[i], &with);
}

/* ---- open and close -------------------------------------------------------------- */

struct oracle *oracle_open(const struct spec *s, enum head_init head, uint64_t seed)
{
    struct oracle *o = tape_claim(calloc(1, sizeof *o));

    o->spec = *s;
    params_make(&o->params, s, head);
    o->tensor = tape_claim(calloc((size_t)o->params.count, sizeof *o->tensor));
    o->first  = tape_claim(calloc((size_t)o->params.count, sizeof *o->first));
    tape_open(&o->tape);
    for (int i = 0; i < o->params.count; i++)
        update_open(&o->tensor[i], &o->params.param[i], seed);
    return o;
}

void oracle_close(struct oracle *o)
{
    for (int i = 0; i < o->params.count; i++)
        update_close(&o->tensor[i]);
    free(o->tensor);
    free(o->first);
    params_free(&o->params);
    tape_close(&o->tape);
    free(o->block);
    free(o);
}
