/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,3 */
/* Products by random projection: right ones pass, in every kind, form and format; one
 * element that is off by the root mean square of its column does not.
 */
#include "config.h"

#include "bench/project.h"
#include "src/step/pair.h"
#include "tests/bed.h"

#include <math.h>

enum { N = 37, C = 50, IN = 23, OUT = 19 }; /* columns of a rank; nothing divides */

static int size;

/* ---- the six sharded kinds ------------------------------------------------------- */

/* What the watch found, and how it spoils what it is shown. */
struct spoiler {
    struct mesh *mesh;
    struct reader reader;
    enum cmm_kind kind;      /* to be spoilt, CMM_KINDS: none */
    bool is_zero;            /* by leaving a row out instead */
    double residual, others; /* of this kind, of all others */
    bool is_seen[CMM_KINDS];
    int64_t row, col;
};

static double element(struct spoiler *s, struct mat y, int64_t r, int64_t c)
{
    return reader_get(&s->reader, mat_cols(y, c, c + 1), r, r + 1)[0];
}

static void put_element(struct spoiler *s, struct mat y, int64_t r, int64_t c,
                        double value)
{
    double room = 0;

    dtype_store(y.dtype, &room, 0, value);
    dev_put(dev_stream(s->reader.dev, LANE_COMPUTE),
            mat_cols(mat_rows(y, r, r + 1), c, c + 1), &room);
}

static void look(void *ctx, const struct cmm_seen *seen)
{
    struct spoiler *s = ctx;
    struct projection p;

    s->is_seen[seen->kind] = true;
    if (seen->kind == s->kind && s->mesh->rank == s->mesh->size - 1) {
        const int64_t r = s->row % seen->y.rows, c = s->col % seen->y.cols;
        const struct mat col = mat_cols(seen->y, c, c + 1);
        const double rms = sqrt(reader_norm(&s->reader, col) / (double)seen->y.rows);

        if (s->is_zero)
            dev_fill(dev_stream(s->reader.dev, LANE_COMPUTE),
                     mat_rows(seen->y, r, r + 1), 0);
        else
            put_element(s, seen->y, r, c, element(s, seen->y, r, c) + rms);
    }
    p = project(&s->reader, s->mesh->comm[AXIS_MODEL], seen, 7);
    if (seen->kind == s->kind)
        s->residual = fmax(s->residual, p.residual);
    else
        s->others = fmax(s->others, p.residual);
}

struct layer {
    struct buf buf[10];
    struct mat x, dx, y, act, x2, dx2, w, w2, dw, dw2, bias, bias2;
    struct buf biases[2];
    struct dev_weight *weight, *weight2;
};

static struct mat make(struct dev *dev, struct buf *b, enum dtype t, int64_t rows,
                       int64_t cols, uint64_t seed)
{
    if (dev_alloc(b, dev, (size_t)(rows * cols) * dtype_size(t)) != 0)
        abort();
    pair_fill(dev_stream(dev, LANE_COMPUTE), mat_of(b, t, rows, cols), seed);
    return mat_of(b, t, rows, cols);
}

static void layer_open(struct layer *l, struct bench *b)
{
    const enum dtype t = dev_dtype(b->dev), acc = dev_acc(b->dev);
    const int64_t c     = split_size(C, b->mesh->M, b->mesh->m);
    const uint64_t seed = 100 * (uint64_t)b->mesh->rank;

    l->x     = make(b->dev, &l->buf[0], t, N, c, seed + 1);
    l->dx    = make(b->dev, &l->buf[1], t, N, c, seed + 2);
    l->y     = make(b->dev, &l->buf[2], t, N, IN, seed + 3);
    l->act   = make(b->dev, &l->buf[3], t, N, IN, seed + 4);
    l->x2    = make(b->dev, &l->buf[4], t, N, OUT, seed + 5);
    l->dx2   = make(b->dev, &l->buf[5], t, N, OUT, seed + 6);
    l->w     = make(b->dev, &l->buf[6], t, C, IN, seed + 7);
    l->w2    = make(b->dev, &l->buf[7], t, OUT, C, seed + 8);
    l->dw    = make(b->dev, &l->buf[8], acc, C, IN, seed + 9);
    l->dw2   = make(b->dev, &l->buf[9], acc, OUT, C, seed + 10);
    l->bias  = make(b->dev, &l->biases[0], t, 1, IN, seed + 11);
    l->bias2 = make(b->dev, &l->biases[1], t, 1, c, seed + 12);
    if (dev_weight_open(&l->weight, b->dev, l->w) != 0 ||
        dev_weight_open(&l->weight2, b->dev, l->w2) != 0)
        abort();
}

static void layer_close(struct layer *l)
{
    dev_weight_close(&l->weight);
    dev_weight_close(&l->weight2);
    for (int i = 0; i < 10; i++)
        dev_free(&l->buf[i]);
    dev_free(&l->biases[0]);
    dev_free(&l->biases[1]);
}

/* Forward and backward through both weights, with every epilogue that there is. */
static void pass(struct layer *l, struct cmm *c)
{
    const struct cmm_section in[] = {
        { .cols = { 0, 9 } },
        { .cols     = { 9, IN },
          .epilogue = { .kind = EPI_GELU,
                        .bias = mat_cols(l->bias, 9, IN),
                        .act  = mat_cols(l->act, 9, IN) } },
    };
    const struct cmm_section out[] = {
        { .cols = { 0, 4 } },
        { .cols     = { 4, OUT },
          .epilogue = { .kind = EPI_DGELU, .pre = mat_cols(l->act, 4, OUT) } },
    };

    cmm_gather(c, l->y, l->x, l->weight, in, 2);
    cmm_gather_backward(c, l->dx, l->dw, mat_none(), false, l->y, l->x, l->weight);
    cmm_scatter(c, l->dx, l->x2, l->weight2, l->bias2, mat_none());
    cmm_scatter_backward(c, l->dx2, out, 2, l->dw2, mat_none(), false, l->x, l->x2,
                         l->weight2);
}

static struct spoiler run_pass(struct bench *b, enum cmm_form form, enum cmm_kind kind,
                               bool is_zero, int where)
{
    struct spoiler s = { .mesh    = b->mesh,
                         .kind    = kind,
                         .is_zero = is_zero,
                         .row     = 5 + 11 * where,
                         .col     = 3 + 7 * where };
    struct layer l   = { 0 };
    struct cmm *cmm  = NULL;

    reader_open(&s.reader, b->dev);
    layer_open(&l, b);
    if (cmm_open(&cmm, b->mesh, b->dev, N, C, form, 3) != 0)
        abort();
    cmm_watch(cmm, look, &s);
    pass(&l, cmm);
    cmm_close(&cmm);
    layer_close(&l);
    reader_close(&s.reader);
    s.residual = coll_largest(b->mesh, AXIS_ALL, s.residual);
    s.others   = coll_largest(b->mesh, AXIS_ALL, s.others);
    return s;
}

static void test_kinds(const char *device, enum dtype dtype, enum cmm_form form)
{
    const char *name = form == CMM_PLAIN ? "plain" : "ring";
    struct bed bed;
    struct spoiler s;
    bool is_all = true;

    bed_open(&bed, 1, size, device, dtype, form);
    s = run_pass(&bed.bench, form, CMM_KINDS, false, 0);
    for (int k = 0; k < CMM_KINDS; k++)
        is_all &= s.is_seen[k];
    ok(is_all && s.others < PROJECT_THRESHOLD / 2 && s.others > 0,
       "%s %s %s: all six kinds are right: %.2g", device, dtype_name(dtype), name,
       s.others);
    for (int k = 0; k < CMM_KINDS; k++) {
        double least = INFINITY;

        for (int where = 0; where < 5; where++)
            least = fmin(least, run_pass(&bed.bench, form, k, false, where).residual);
        s = run_pass(&bed.bench, form, k, true, 1);
        ok(least > 10 * PROJECT_THRESHOLD && s.residual > PROJECT_THRESHOLD,
           "%s %s %s: %s with one wrong element (%.2g) or without a row (%.2g) is not",
           device, dtype_name(dtype), name, project_kind[k], least, s.residual);
    }
    bed_close(&bed);
}

/* ---- bf16 results, in groups of rows --------------------------------------------- */

/* y = x W rounded to bf16; 'error' times its column's rms is added to one element. */
static double project_bf16(struct dev *dev, double error, int64_t row)
{
    enum { ROWS = 1024, DEPTH = 64, COLS = 24 };
    struct buf buf[3];
    struct reader r;
    struct mat y, x, w;
    uint16_t out[COLS];
    double residual;
    const double rms = sqrt(DEPTH);

    x = make(dev, &buf[0], DTYPE_F32, ROWS, DEPTH, 1);
    w = make(dev, &buf[1], DTYPE_F32, DEPTH, COLS, 2);
    y = make(dev, &buf[2], DTYPE_BF16, ROWS, COLS, 3);
    reader_open(&r, dev);
    for (int64_t i = 0; i < ROWS; i++) {
        double sum[COLS] = { 0 }, weight[DEPTH];
        const double *xi = reader_get(&r, x, i, i + 1);

        for (int64_t k = 0; k < DEPTH; k++)
            weight[k] = xi[k];
        reader_combine(&r, sum, NULL, 1, weight, w);
        sum[2] += i == row ? error * rms : 0;
        for (int64_t j = 0; j < COLS; j++)
            out[j] = dtype_to_bf16((float)sum[j]);
        dev_put(dev_stream(dev, LANE_COMPUTE), mat_rows(y, i, i + 1), out);
    }
    residual =
        project(&r, MPI_COMM_SELF,
                &(struct cmm_seen){ .kind = CMM_GATHER_Y, .y = y, .x = x, .w = w }, 3)
            .residual;
    reader_close(&r);
    for (int i = 0; i < 3; i++)
        dev_free(&buf[i]);
    return residual;
}

static void test_bf16(void)
{
    struct dev *dev = NULL;
    double clean, wrong = INFINITY;

    if (dev_open(&dev, "cpu:ref", DTYPE_F32, 1) != 0)
        abort();
    clean = project_bf16(dev, 0, 0);
    for (int64_t row = 0; row < 1024; row += 93)
        wrong = fmin(wrong, project_bf16(dev, 1, row));
    ok(clean < PROJECT_THRESHOLD / 2 && wrong > PROJECT_THRESHOLD,
       "rounded to bf16, right is %.2g, one wrong element in a group %.3g", clean,
       wrong);
    dev_close(&dev);
}

/* The first rank has one column, which cancels over the ranks' parts of the depth: what
 * rounding its partial sums left is as long as it is.  The columns of the others tell
 * how long the parts were.
 */
static void test_short_column(void)
{
    enum { ROWS = 4, MOST = 8, RANKS = 3 };
    struct dev *dev      = NULL;
    struct cmm_seen seen = { .kind = CMM_GATHER_Y };
    struct buf buf[3];
    struct reader r;
    float x[ROWS], w[RANKS * MOST] = { 0 };
    uint16_t y[ROWS * MOST];
    double residual;
    int m, cols;

    if (dev_open(&dev, "cpu:ref", DTYPE_F32, 1) != 0)
        abort();
    TRY_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &m));
    cols   = m == 0 ? 1 : MOST;
    seen.x = make(dev, &buf[0], DTYPE_F32, ROWS, 1, 1);
    seen.w = make(dev, &buf[1], DTYPE_F32, size, cols, 2);
    seen.y = make(dev, &buf[2], DTYPE_BF16, ROWS, cols, 3);
    for (int j = 0; j < cols; j++) {
        w[j]        = 1;
        w[cols + j] = m == 0 ? -1 : 1;
    }
    for (int i = 0; i < ROWS; i++) {
        x[i] = 1.01F + 0.03F * (float)i;
        for (int j = 0; j < cols; j++) {
            const uint16_t part = dtype_to_bf16(x[i]);

            y[i * cols + j] = dtype_to_bf16((float)dtype_load(DTYPE_BF16, &part, 0) +
                                            w[cols + j] * x[i]);
        }
    }
    dev_put(dev_stream(dev, LANE_COMPUTE), seen.x, x);
    dev_put(dev_stream(dev, LANE_COMPUTE), seen.w, w);
    dev_put(dev_stream(dev, LANE_COMPUTE), seen.y, y);
    reader_open(&r, dev);
    residual = project(&r, MPI_COMM_WORLD, &seen, 3).residual;
    ok(residual > 0 && residual < PROJECT_THRESHOLD / 2,
       "a rank's only column may cancel over the ranks: %.2g", residual);
    reader_close(&r);
    for (int i = 0; i < 3; i++)
        dev_free(&buf[i]);
    dev_close(&dev);
}

/* ---- what is not a number -------------------------------------------------------- */

static void test_nan(void)
{
    struct dev *dev = NULL;
    struct buf buf[3];
    struct reader r;
    struct cmm_seen seen = { .kind = CMM_GATHER_Y };
    const float nan      = NAN;

    if (dev_open(&dev, "cpu:ref", DTYPE_F32, 1) != 0)
        abort();
    seen.x = make(dev, &buf[0], DTYPE_F32, 8, 4, 1);
    seen.w = make(dev, &buf[1], DTYPE_F32, 4, 5, 2);
    seen.y = make(dev, &buf[2], DTYPE_F32, 8, 5, 3);
    reader_open(&r, dev);
    dev_fill(dev_stream(dev, LANE_COMPUTE), seen.x, 0);
    dev_fill(dev_stream(dev, LANE_COMPUTE), seen.y, 0);
    ok(project(&r, MPI_COMM_SELF, &seen, 1).residual == 0, "zero is zero");
    dev_put(dev_stream(dev, LANE_COMPUTE), mat_cols(mat_rows(seen.y, 3, 4), 2, 3),
            &nan);
    ok(isinf(project(&r, MPI_COMM_SELF, &seen, 1).residual),
       "a result that is not a number has an infinite residual");
    dev_fill(dev_stream(dev, LANE_COMPUTE), seen.y, 1e-30);
    ok(isinf(project(&r, MPI_COMM_SELF, &seen, 1).residual),
       "as has something where zero should be");
    reader_close(&r);
    for (int i = 0; i < 3; i++)
        dev_free(&buf[i]);
    dev_close(&dev);
}

int main(int argc, char **argv)
{
    size = ranks_open(&argc, &argv, "t640-project");
    test_nan();
    test_bf16();
    if (size > 1)
        test_short_column();
    test_kinds("cpu:ref", DTYPE_F64, CMM_RING);
    test_kinds("cpu:ref", DTYPE_F32, CMM_PLAIN);
    test_kinds("auto", DTYPE_F32, CMM_RING);
    return ranks_done();
}
