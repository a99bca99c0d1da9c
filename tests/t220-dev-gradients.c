/* SPDX-License-Identifier: BSD-3-Clause */
/* Every gradient of cpu:ref in f64 by central differences: of a weighted sum of an
 * operation's output, against what its backward makes of these weights.  The step 1e-5
 * leaves 1e-10 of curvature and 1e-11 of rounding in values of size one.
 */
#include "config.h"

#include "tests/tap.h"
#include "tests/twin.h"

#include <math.h>
#include <stdio.h>

/* The other operations are run on the first device alone. */
static struct twins the_twins, *two = &the_twins;

#define S dev_stream(two->ref, LANE_COMPUTE)

static struct mat blank(int64_t rows, int64_t cols)
{
    return twin_blank(two, rows, cols).ref;
}

static struct mat random_mat(int64_t rows, int64_t cols, double size)
{
    return twin_random(two, rows, cols, size).ref;
}

static double *element(struct mat a, int64_t r, int64_t c)
{
    return (double *)mat_ptr(a) + r * a.ld + c;
}

static double inner(struct mat a, struct mat b)
{
    double sum = 0.0;

    for (int64_t r = 0; r < a.rows; r++)
        for (int64_t c = 0; c < a.cols; c++)
            sum += *element(a, r, c) * *element(b, r, c);
    return sum;
}

/* What is differentiated, with all its matrices behind 'of'. */
typedef double value_fn(const void *of);

static bool agrees(value_fn *value, const void *of, struct mat x, struct mat dx,
                   const char *what)
{
    const double h = 1e-5;

    for (int64_t r = 0; r < x.rows; r++) {
        for (int64_t c = 0; c < x.cols; c++) {
            const double old = *element(x, r, c), d = *element(dx, r, c);
            double up, down, slope;

            *element(x, r, c) = old + h;
            up                = value(of);
            *element(x, r, c) = old - h;
            down              = value(of);
            *element(x, r, c) = old;
            slope             = (up - down) / (2.0 * h);
            if (!(fabs(slope - d) <= 1e-7 * (1.0 + fabs(d)))) {
                fprintf(stderr, "# d%s (%d, %d) is %.12g, the slope %.12g\n", what,
                        (int)r, (int)c, d, slope);
                return false;
            }
        }
    }
    return true;
}

/* ---- Norms ----------------------------------------------------------------------- */

enum { RANKS = 2, ROWS = 3 };

/* A norm whose columns are split over two ranks. */
struct norm {
    enum norm_kind k;
    int64_t widths[RANKS], C;
    struct mat x[RANKS], scale[RANKS], bias[RANKS], y[RANKS], dy[RANKS];
    struct mat parts, stat;
};

static double norm_value(const void *of)
{
    const struct norm *n = of;
    double sum           = 0.0;

    for (int m = 0; m < RANKS; m++)
        dev_norm_moments(S, mat_rows(n->parts, m * ROWS, (m + 1) * ROWS), n->x[m],
                         n->k);
    dev_norm_merge(S, n->stat, n->parts, RANKS, n->widths, n->k);
    for (int m = 0; m < RANKS; m++) {
        dev_norm_apply(S, n->y[m], n->x[m], n->stat, n->scale[m], n->bias[m]);
        sum += inner(n->y[m], n->dy[m]);
    }
    return sum;
}

static void norms(enum norm_kind k)
{
    const int64_t R = k == NORM_RMS ? 1 : 2;
    struct norm n   = { .k = k, .widths = { 6, 5 }, .C = 11 };
    struct mat back = blank(RANKS * ROWS, R), dx[RANKS], dscale[RANKS], dbias[RANKS];
    bool is_right   = true;

    n.parts = blank(RANKS * ROWS, R);
    n.stat  = blank(ROWS, 2);
    for (int m = 0; m < RANKS; m++) {
        const int64_t c = n.widths[m];

        n.x[m]     = random_mat(ROWS, c, 1.0);
        n.scale[m] = random_mat(1, c, 1.0);
        n.bias[m]  = k == NORM_RMS ? mat_none() : random_mat(1, c, 1.0);
        n.y[m]     = blank(ROWS, c);
        n.dy[m]    = random_mat(ROWS, c, 1.0);
        dx[m]      = blank(ROWS, c);
        dscale[m]  = blank(1, c);
        dbias[m]   = k == NORM_RMS ? mat_none() : blank(1, c);
    }
    norm_value(&n);
    for (int m = 0; m < RANKS; m++)
        dev_norm_backward_moments(S, mat_rows(back, m * ROWS, (m + 1) * ROWS), n.dy[m],
                                  n.x[m], n.stat, n.scale[m], k);
    for (int m = 0; m < RANKS; m++) {
        dev_norm_backward(S, dx[m], false, dscale[m], dbias[m], false, n.dy[m], n.x[m],
                          n.stat, n.scale[m], back, RANKS, n.C, k);
        is_right &= agrees(norm_value, &n, n.x[m], dx[m], "x");
        is_right &= agrees(norm_value, &n, n.scale[m], dscale[m], "scale");
        if (k == NORM_LAYER)
            is_right &= agrees(norm_value, &n, n.bias[m], dbias[m], "bias");
    }
    ok(is_right, "%s norm over two ranks", k == NORM_RMS ? "rms" : "layer");
    twins_clear(two);
}

struct head_norm {
    enum norm_kind k;
    int64_t E;
    struct mat x, scale, y, dy, stat;
};

static double head_norm_value(const void *of)
{
    const struct head_norm *n = of;

    dev_head_norm(S, n->y, n->stat, n->x, n->scale, n->E, n->k);
    return inner(n->y, n->dy);
}

static void head_norms(enum norm_kind k)
{
    enum { H = 5, E = 7 };
    struct head_norm n = { k,
                           E,
                           random_mat(ROWS, H * E, 1.0),
                           random_mat(1, E, 1.0),
                           blank(ROWS, H * E),
                           random_mat(ROWS, H * E, 1.0),
                           blank(ROWS, 2 * H) };
    struct mat dx = blank(ROWS, H * E), dscale = blank(1, E);

    head_norm_value(&n);
    dev_head_norm_backward(S, dx, dscale, false, n.dy, n.x, n.stat, n.scale, E, k);
    ok(agrees(head_norm_value, &n, n.x, dx, "x") &&
           agrees(head_norm_value, &n, n.scale, dscale, "scale"),
       "%s norm of heads", k == NORM_RMS ? "rms" : "layer");
    twins_clear(two);
}

/* ---- Attention ------------------------------------------------------------------- */

struct attention {
    struct attn a;
    struct mat o, d_o, kept, peak, q, k, v;
};

static double attention_value(const void *of)
{
    const struct attention *t = of;

    dev_attn(S, t->o, t->kept, t->peak, t->q, t->k, t->v, &t->a);
    return inner(t->o, t->d_o);
}

static void attention(int64_t Nq, int64_t Nk)
{
    const struct attn a = { .B = 2, .H = 3, .E = 5, .Nq = Nq, .Nk = Nk };
    const int64_t A     = a.H * a.E;
    struct attention t  = { a,
                            blank(a.B * Nq, A),
                            random_mat(a.B * Nq, A, 1.0),
                            blank(1, dev_attn_kept(two->ref, &a)),
                            blank(1, 1),
                            random_mat(a.B * Nq, A, 1.0),
                            random_mat(a.B * Nk, A, 1.0),
                            random_mat(a.B * Nk, A, 1.0) };
    struct mat dq = blank(a.B * Nq, A), dk = blank(a.B * Nk, A),
               dv = blank(a.B * Nk, A);
    double most   = -INFINITY;

    attention_value(&t);
    for (int64_t i = 0; i < a.B * Nq; i++)
        for (int64_t j = i / Nq * Nk; j < (i / Nq + 1) * Nk; j++)
            for (int64_t h = 0; h < a.H; h++)
                most = fmax(most,
                            inner(mat_cols(mat_rows(t.q, i, i + 1), h * 5, h * 5 + 5),
                                  mat_cols(mat_rows(t.k, j, j + 1), h * 5, h * 5 + 5)) /
                                sqrt(5.0));
    close_to(*element(t.peak, 0, 0), most, 1e-14, "the largest logit, %d x %d", (int)Nq,
             (int)Nk);
    dev_attn_backward(S, dq, dk, dv, t.d_o, t.o, t.kept, t.q, t.k, t.v, &a);
    ok(agrees(attention_value, &t, t.q, dq, "q") &&
           agrees(attention_value, &t, t.k, dk, "k") &&
           agrees(attention_value, &t, t.v, dv, "v"),
       "attention of %d queries, %d keys", (int)Nq, (int)Nk);
    twins_clear(two);
}

/* ---- Products and tables --------------------------------------------------------- */

struct layer {
    struct mat x, w, bias, y, act, dact;
    enum gelu_form gelu;
};

static double layer_value(const void *of)
{
    const struct layer *l   = of;
    const struct epilogue e = {
        .kind = EPI_GELU, .gelu = l->gelu, .bias = l->bias, .act = l->act
    };
    struct dev_weight *w;

    if (dev_weight_open(&w, two->ref, l->w) != 0)
        return NAN;
    dev_gemm(S, l->y, l->x, w, (struct range){ 0, l->w.rows },
             (struct range){ 0, l->w.cols }, false, &e);
    dev_weight_close(&w);
    return inner(l->act, l->dact);
}

/* act = gelu(x W + bias): dy = dact gelu'(y) comes as the epilogue of dact = dz V^T. */
static void layer(enum gelu_form gelu)
{
    enum { N = 3, I = 5, J = 4, K = 6 };
    struct layer l = { random_mat(N, I, 1.0),
                       random_mat(I, J, 1.0),
                       random_mat(1, J, 1.0),
                       blank(N, J),
                       blank(N, J),
                       blank(N, J),
                       gelu };
    struct mat dz = random_mat(N, K, 1.0), v = random_mat(J, K, 1.0);
    struct mat dy = blank(N, J), dx = blank(N, I), dw = blank(I, J), db = blank(1, J);
    struct epilogue e = { .kind = EPI_DGELU, .gelu = gelu, .pre = l.y };
    struct dev_weight *w_v, *w;

    layer_value(&l);
    if (dev_weight_open(&w_v, two->ref, v) != 0 ||
        dev_weight_open(&w, two->ref, l.w) != 0)
        return;
    dev_gemm_t(S, l.dact, dz, w_v, (struct range){ 0, J }, (struct range){ 0, K },
               false, NULL);
    dev_gemm_t(S, dy, dz, w_v, (struct range){ 0, J }, (struct range){ 0, K }, false,
               &e);
    dev_gemm_t(S, dx, dy, w, (struct range){ 0, I }, (struct range){ 0, J }, false,
               NULL);
    dev_gemm_dw(S, dw, l.x, dy, false);
    dev_column_sums(S, db, dy, false);
    dev_weight_close(&w_v);
    dev_weight_close(&w);
    ok(agrees(layer_value, &l, l.x, dx, "x") && agrees(layer_value, &l, l.w, dw, "w") &&
           agrees(layer_value, &l, l.bias, db, "bias"),
       "a product with gelu, form %d", (int)gelu);
    twins_clear(two);
}

/* Values from the definitions, computed elsewhere. */
static void gelu_values(void)
{
    static const double x[3]        = { 1.0, -0.5, -3.0 };
    static const double value[2][3] = {
        { 0.8411919906082768, -0.15428599017485606, -0.0036373920817729943 },
        { 0.8413447460685429, -0.15426876936299344, -0.00404969409489031 },
    };
    struct mat y = blank(1, 3), act = blank(1, 3);
    struct dev_weight *none;

    if (dev_weight_open(&none, two->ref, blank(0, 3)) != 0)
        return;
    for (enum gelu_form g = GELU_TANH; g <= GELU_EXACT; g++) {
        const struct epilogue e = { .kind = EPI_GELU, .gelu = g, .act = act };

        for (int i = 0; i < 3; i++)
            *element(y, 0, i) = x[i];
        dev_gemm(S, y, blank(1, 0), none, (struct range){ 0, 0 },
                 (struct range){ 0, 3 }, true, &e);
        for (int i = 0; i < 3; i++)
            close_to(*element(act, 0, i), value[g][i], 1e-15, "gelu of %g, form %d",
                     x[i], (int)g);
    }
    dev_weight_close(&none);
    twins_clear(two);
}

struct embedding {
    struct mat rows, table, sum, pooled, dpooled;
};

static double embedding_value(const void *of)
{
    const struct embedding *e = of;

    dev_copy(S, e->sum, e->rows);
    dev_add_table(S, e->sum, e->table);
    dev_pool_rows(S, e->pooled, e->sum, 0.25);
    return inner(e->pooled, e->dpooled);
}

static void embedding(void)
{
    enum { B = 3, N = 4, C = 5 };
    struct embedding e = { random_mat(B * N, C, 1.0), random_mat(N, C, 1.0),
                           blank(B * N, C), blank(B, C), random_mat(B, C, 1.0) };
    struct mat drows = blank(B * N, C), dtable = blank(N, C);

    dev_spread_rows(S, drows, e.dpooled, 0.25);
    dev_sum_tables(S, dtable, drows, false);
    ok(agrees(embedding_value, &e, e.rows, drows, "rows") &&
           agrees(embedding_value, &e, e.table, dtable, "table"),
       "table and pool");
    twins_clear(two);
}

/* ---- Losses ---------------------------------------------------------------------- */

/* Classes split over two ranks. */
struct loss {
    bool is_softmax;
    struct mat z[RANKS], y[RANKS], dz[RANKS];
    struct mat largest, sum, total, other, one;
};

static double loss_value(const void *of)
{
    const struct loss *l = of;
    double value         = 0.0;

    if (l->is_softmax) {
        dev_softmax_largest(S, l->largest, l->z[0]);
        dev_softmax_largest(S, l->other, l->z[1]);
        dev_max(S, l->largest, l->other);
        dev_softmax_sum(S, mat_cols(l->sum, 0, 1), mat_cols(l->total, 0, 1), l->z[0],
                        l->y[0], l->largest);
        dev_softmax_sum(S, mat_cols(l->sum, 1, 2), mat_cols(l->total, 1, 2), l->z[1],
                        l->y[1], l->largest);
        dev_add(S, mat_cols(l->sum, 0, 1), mat_cols(l->sum, 1, 2));
        dev_add(S, mat_cols(l->total, 0, 1), mat_cols(l->total, 1, 2));
    }
    for (int m = 0; m < RANKS; m++) {
        if (l->is_softmax)
            dev_softmax_loss(S, l->one, l->dz[m], l->z[m], l->y[m], l->largest,
                             mat_cols(l->sum, 0, 1), mat_cols(l->total, 0, 1), 0.125);
        else
            dev_sigmoid_loss(S, l->one, l->dz[m], l->z[m], l->y[m], 0.125);
        value += *element(l->one, 0, 0);
    }
    return value;
}

/* The loss written out another way: of probabilities. */
static double plain_loss(const struct loss *l)
{
    double value = 0.0;

    for (int64_t r = 0; r < ROWS; r++) {
        double sum = 0.0;

        for (int m = 0; m < RANKS; m++)
            for (int64_t c = 0; c < l->z[m].cols; c++)
                sum += exp(*element(l->z[m], r, c));
        for (int m = 0; m < RANKS; m++) {
            for (int64_t c = 0; c < l->z[m].cols; c++) {
                const double z = *element(l->z[m], r, c), y = *element(l->y[m], r, c);
                const double p = 1.0 / (1.0 + exp(-z));

                value -= l->is_softmax ? y * log(exp(z) / sum)
                                       : y * log(p) + (1.0 - y) * log(1.0 - p);
            }
        }
    }
    return 0.125 * value;
}

static void losses(bool is_softmax)
{
    static const int64_t classes[RANKS] = { 4, 3 };
    struct loss l                       = { .is_softmax = is_softmax };
    bool is_right                       = true;
    struct mat dz[RANKS];

    l.largest = blank(ROWS, 1);
    l.other   = blank(ROWS, 1);
    l.sum     = blank(ROWS, 2);
    l.total   = blank(ROWS, 2);
    l.one     = blank(1, 1);
    for (int m = 0; m < RANKS; m++) {
        l.z[m]  = random_mat(ROWS, classes[m], 2.0);
        l.y[m]  = random_mat(ROWS, classes[m], 1.0);
        l.dz[m] = blank(ROWS, classes[m]);
        for (int64_t r = 0; r < ROWS; r++)
            for (int64_t c = 0; c < classes[m]; c++)
                *element(l.y[m], r, c) = fmin(1.0, fabs(*element(l.y[m], r, c)));
    }
    close_to(loss_value(&l), plain_loss(&l), 1e-13, "%s loss",
             is_softmax ? "softmax" : "sigmoid");
    for (int m = 0; m < RANKS; m++) {
        dz[m] = blank(ROWS, classes[m]);
        dev_copy(S, dz[m], l.dz[m]); /* which is written again and again from here on */
    }
    for (int m = 0; m < RANKS; m++)
        is_right &= agrees(loss_value, &l, l.z[m], dz[m], "z");
    ok(is_right, "its gradient");
    twins_clear(two);
}

int main(void)
{
    twins_open(two, "cpu:ref", DTYPE_F64, 1);
    norms(NORM_RMS);
    norms(NORM_LAYER);
    head_norms(NORM_RMS);
    head_norms(NORM_LAYER);
    attention(4, 6);
    attention(1, 5);
    gelu_values();
    layer(GELU_TANH);
    layer(GELU_EXACT);
    embedding();
    losses(false);
    losses(true);
    twins_close(two);
    return tap_done();
}
