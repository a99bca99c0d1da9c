/* SPDX-License-Identifier: BSD-3-Clause */
/* Elementwise operations, norms, sums and updates, once for each number format
 * (cpu_real.h): the rows or columns of a matrix are dealt out to the threads by fixed
 * rules, and each runs the loops of cpu_kernels.h over its own.
 */
#include "src/dev/cpu_team.h"

#include <math.h>
#include <string.h>

#include "src/dev/cpu_rows_real.h"

/* Elements that are converted at a time: a few rows of them stay in the
 * nearest cache.
 */
enum { CHUNK = 8192 / sizeof(REAL), LINE = CPU_LINE / sizeof(REAL) };

/* The next chunk of columns lo .. hi from 'c' on. */
static inline int64_t chunk(int64_t c, int64_t hi)
{
    return hi - c < CHUNK ? hi - c : CHUNK;
}

/* ---- Copies ---------------------------------------------------------------------- */

/* Neither format of the text nor bf16: f64 and f32 side by side. */
static bool is_foreign(struct mat a)
{
    return a.dtype != (sizeof(REAL) == 8 ? DTYPE_F64 : DTYPE_F32) && !is_bf16(a);
}

static void ops_fill(struct dev_stream *s, struct mat y, double value)
{
    if (is_foreign(y)) {
        dev_cpu_ref.fill(s, y, value);
        return;
    }
    THREADS(s, mat_size(y))
    {
        const struct box b = my_box(y.rows, y.cols);
        REAL room[CHUNK];

        loops(s)->fill(room, (REAL)value, CHUNK);
        for (int64_t r = b.r.lo; r < b.r.hi; r++)
            for (int64_t c = b.c.lo; c < b.c.hi; c += CHUNK)
                row_write(loops(s), y, room, r, c, chunk(c, b.c.hi));
    }
}

static void ops_copy(struct dev_stream *s, struct mat y, struct mat x)
{
    const bool is_same = y.dtype == x.dtype;
    const size_t size  = dtype_size(x.dtype);

    if (!is_same && (is_foreign(y) || is_foreign(x))) {
        dev_cpu_ref.copy(s, y, x);
        return;
    }
    THREADS(s, mat_size(y))
    {
        const struct box b = my_box(y.rows, y.cols);

        for (int64_t r = b.r.lo; r < b.r.hi && b.c.lo < b.c.hi; r++) {
            if (is_same)
                memcpy((char *)mat_ptr(y) + (size_t)(r * y.ld + b.c.lo) * size,
                       (char *)mat_ptr(x) + (size_t)(r * x.ld + b.c.lo) * size,
                       (size_t)range_size(b.c) * size);
            else if (is_bf16(x))
                row_read(loops(s), at(y, r) + b.c.lo, x, r, b.c.lo, range_size(b.c));
            else
                row_write(loops(s), y, at(x, r) + b.c.lo, r, b.c.lo, range_size(b.c));
        }
    }
}

static void ops_add(struct dev_stream *s, struct mat y, struct mat x)
{
    if (is_foreign(y) || is_foreign(x)) {
        dev_cpu_ref.add(s, y, x);
        return;
    }
    THREADS(s, mat_size(y))
    {
        const struct box b = my_box(y.rows, y.cols);
        REAL room[2][CHUNK];

        for (int64_t r = b.r.lo; r < b.r.hi; r++) {
            for (int64_t c = b.c.lo; c < b.c.hi; c += CHUNK) {
                const int64_t n = chunk(c, b.c.hi);
                REAL *sum       = row_in(loops(s), y, r, c, n, room[0]);

                loops(s)->add(sum, row_in(loops(s), x, r, c, n, room[1]), n);
                row_done(loops(s), y, sum, r, c, n);
            }
        }
    }
}

static void ops_max(struct dev_stream *s, struct mat y, struct mat x)
{
    if (is_foreign(y) || is_foreign(x) || is_bf16(y) || is_bf16(x)) {
        dev_cpu_ref.max(s, y, x);
        return;
    }
    for (int64_t r = 0; r < y.rows; r++)
        loops(s)->max(at(y, r), at(x, r), y.cols);
}

/* ---- Sums ------------------------------------------------------------------------ */

/* One chunk of a row of y, which e->act and e->pre are as large as. */
static void finish_chunk(struct dev_stream *s, struct mat y, const struct epilogue *e,
                         int64_t r, int64_t c, int64_t n)
{
    const struct OF(kernels) *f = loops(s);
    const bool has_bias         = e->kind != EPI_DGELU && !mat_is_none(e->bias);
    REAL room[3][CHUNK];
    REAL *row  = row_in(f, y, r, c, n, room[0]);
    REAL *bias = has_bias ? row_in(f, e->bias, 0, c, n, room[1]) : NULL;

    if (e->kind == EPI_BIAS) {
        f->add(row, bias, n);
    } else if (e->kind == EPI_GELU) {
        REAL *act = row_out(e->act, r, c, room[2]);

        f->gelu(row, act, bias, n, e->gelu);
        row_done(f, e->act, act, r, c, n);
    } else {
        f->dgelu(row, row_in(f, e->pre, r, c, n, room[2]), n, e->gelu);
    }
    row_done(f, y, row, r, c, n);
}

void OF(cpu_finish)(struct dev_stream *s, struct mat y, const struct epilogue *e)
{
    if (e == NULL || e->kind == EPI_NONE)
        return;
    THREADS(s, mat_size(y))
    {
        const struct box b = my_box(y.rows, y.cols);

        for (int64_t r = b.r.lo; r < b.r.hi; r++)
            for (int64_t c = b.c.lo; c < b.c.hi; c += CHUNK)
                finish_chunk(s, y, e, r, c, chunk(c, b.c.hi));
    }
}

/* y [c] = or += factor times the sums over rows first, first + step, .. of
 * columns c, in chunks that stay in the nearest cache; each is formed by one
 * thread, from top to bottom.
 */
static void sum_rows(struct dev_stream *s, struct mat y, int64_t to, struct mat x,
                     int64_t first, int64_t step, struct range c, REAL factor,
                     bool is_added)
{
    enum { AHEAD = 4096 }; /* elements */
    const struct OF(kernels) *f = loops(s);
    REAL sum[CHUNK], room[CHUNK];

    for (int64_t lo = c.lo; lo < c.hi; lo += CHUNK) {
        const int64_t n     = chunk(lo, c.hi);
        const int64_t ahead = (AHEAD / n + 1) * step;

        f->fill(sum, 0, n);
        for (int64_t r = first; r < x.rows; r += step) {
            row_ahead(x, r + ahead, lo, n);
            f->add(sum, row_in(f, x, r, lo, n, room), n);
        }
        if (factor != 1)
            f->scale(sum, sum, factor, n);
        if (is_added)
            f->add(sum, row_in(f, y, to, lo, n, room), n);
        row_write(f, y, sum, to, lo, n);
    }
}

static void ops_column_sums(struct dev_stream *s, struct mat db, struct mat dy,
                            bool is_added)
{
    THREADS(s, mat_size(dy))
    sum_rows(s, db, 0, dy, 0, 1, my_columns(dy.cols, LINE), 1, is_added);
}

static void ops_sum_tables(struct dev_stream *s, struct mat dtable, struct mat dy,
                           bool is_added)
{
    THREADS(s, mat_size(dy))
    {
        const struct box b = my_box(dtable.rows, dtable.cols);

        for (int64_t t = b.r.lo; t < b.r.hi; t++)
            sum_rows(s, dtable, t, dy, t, dtable.rows, b.c, 1, is_added);
    }
}

static void ops_pool_rows(struct dev_stream *s, struct mat y, struct mat x,
                          double factor)
{
    const int64_t N = y.rows > 0 ? x.rows / y.rows : 0;

    THREADS(s, mat_size(x))
    {
        const struct box b = my_box(y.rows, y.cols);

        for (int64_t i = b.r.lo; i < b.r.hi; i++)
            sum_rows(s, y, i, mat_rows(x, i * N, (i + 1) * N), 0, 1, b.c, (REAL)factor,
                     false);
    }
}

static void ops_spread_rows(struct dev_stream *s, struct mat dx, struct mat dy,
                            double factor)
{
    THREADS(s, mat_size(dx))
    {
        const struct range mine = my_share(dx.rows);
        REAL room[2][CHUNK];

        for (int64_t r = mine.lo; r < mine.hi; r++) {
            for (int64_t c = 0; c < dx.cols; c += CHUNK) {
                const int64_t n = chunk(c, dx.cols), from = r / (dx.rows / dy.rows);
                REAL *row = row_out(dx, r, c, room[0]);

                loops(s)->scale(row, row_in(loops(s), dy, from, c, n, room[1]),
                                (REAL)factor, n);
                row_done(loops(s), dx, row, r, c, n);
            }
        }
    }
}

static void ops_add_table(struct dev_stream *s, struct mat y, struct mat table)
{
    THREADS(s, mat_size(y))
    {
        const struct range mine = my_share(y.rows);
        REAL room[2][CHUNK];

        for (int64_t r = mine.lo; r < mine.hi; r++) {
            for (int64_t c = 0; c < y.cols; c += CHUNK) {
                const int64_t n = chunk(c, y.cols), from = r % table.rows;
                REAL *row = row_in(loops(s), y, r, c, n, room[0]);

                loops(s)->add(row, row_in(loops(s), table, from, c, n, room[1]), n);
                row_done(loops(s), y, row, r, c, n);
            }
        }
    }
}

/* A patch's row of pixels is one run of memory. */
static void ops_patches(struct dev_stream *s, struct mat rows, struct mat images,
                        int image, int patch, int64_t N)
{
    const int64_t side = image / patch, T = side * side, run = 3 * (int64_t)patch;

    THREADS(s, mat_size(rows))
    {
        const struct range mine = my_share(rows.rows);
        REAL *room = cpu_block(s->dev, member(), (size_t)rows.cols * sizeof *room);

        for (int64_t r = mine.lo; r < mine.hi; r++) {
            const int64_t t = r % N - (N - T);
            REAL *row       = row_out(rows, r, 0, room);

            if (t < 0)
                loops(s)->fill(row, 0, rows.cols);
            for (int64_t down = 0; down < patch && t >= 0; down++)
                row_read(loops(s), row + down * run, images, r / N,
                         (t / side * patch + down) * image * 3 + t % side * run, run);
            row_done(loops(s), rows, row, r, 0, rows.cols);
        }
    }
}

#include "src/dev/cpu_norm_real.h"

/* ---- Losses, whose gradient may be bf16 ------------------------------------------ */

/* A matrix like 'a' in the format of the text: 'a' itself, or one in the first thread's
 * block, to be copied to 'a' by put_back().
 */
static struct mat own_format(struct dev_stream *s, struct buf *room, struct mat a)
{
    if (!is_bf16(a))
        return a;
    *room =
        (struct buf){ .dev   = s->dev,
                      .at    = cpu_block(s->dev, 0, (size_t)mat_size(a) * sizeof(REAL)),
                      .bytes = (size_t)mat_size(a) * sizeof(REAL) };
    return mat_of(room, dev_acc(s->dev), a.rows, a.cols);
}

static void put_back(struct dev_stream *s, struct mat a, struct mat own)
{
    if (is_bf16(a))
        ops_copy(s, a, own);
}

static void ops_sigmoid_loss(struct dev_stream *s, struct mat loss, struct mat dlogits,
                             struct mat logits, struct mat targets, double scale)
{
    struct buf room;
    const struct mat d = own_format(s, &room, dlogits);

    OF(cpu_ref).sigmoid_loss(s, loss, d, logits, targets, scale);
    put_back(s, dlogits, d);
}

static void ops_softmax_loss(struct dev_stream *s, struct mat loss, struct mat dlogits,
                             struct mat logits, struct mat targets, struct mat largest,
                             struct mat sum, struct mat total, double scale)
{
    struct buf room;
    const struct mat d = own_format(s, &room, dlogits);

    OF(cpu_ref).softmax_loss(s, loss, d, logits, targets, largest, sum, total, scale);
    put_back(s, dlogits, d);
}

/* ---- Optimizer ------------------------------------------------------------------- */

/* A packed matrix is one row: so that a vector is shared by all threads too. */
static struct mat flat(struct mat a, bool is_packed)
{
    if (is_packed)
        a.cols = a.ld = mat_size(a), a.rows = 1;
    return a;
}

/* How many parameters the segments hold. */
static inline int64_t params_in(const struct dev_segment *segment, int count)
{
    int64_t size = 0;

    for (int i = 0; i < count; i++)
        size += mat_size(segment[i].param);
    return size;
}

static void ops_adamw(struct dev_stream *s, const struct dev_segment *segment,
                      int count, const struct adamw *a)
{
    THREADS(s, params_in(segment, count))
    for (int i = 0; i < count; i++) {
        const struct dev_segment *g = &segment[i];
        const bool is_packed = mat_is_packed(g->param) && mat_is_packed(g->grad) &&
                               mat_is_packed(g->mu) && mat_is_packed(g->nu);
        const struct mat param = flat(g->param, is_packed), mu = flat(g->mu, is_packed);
        const struct mat grad = flat(g->grad, is_packed), nu = flat(g->nu, is_packed);
        const struct box b           = my_box(param.rows, param.cols);
        const struct adamw_step step = {
            .beta1   = a->beta1,
            .beta2   = a->beta2,
            .eps     = a->eps,
            .clip    = a->clip,
            .debias1 = 1.0 / (1.0 - pow(a->beta1, (double)a->t)),
            .debias2 = 1.0 / (1.0 - pow(a->beta2, (double)a->t)),
            .rate    = a->schedule * a->lr,
            .decay   = g->decay,
        };

        for (int64_t r = b.r.lo; r < b.r.hi; r++)
            loops(s)->adamw(at(param, r) + b.c.lo, at(mu, r) + b.c.lo,
                            at(nu, r) + b.c.lo, at(grad, r) + b.c.lo, range_size(b.c),
                            &step);
    }
}

#include "src/dev/cpu_ops_update.h"

static void ops_sum_squares(struct dev_stream *s, struct mat sum, const struct mat *x,
                            int count, bool is_added)
{
    int64_t size = 0;
    double all   = is_added ? *(double *)mat_ptr(sum) : 0.0;

    for (int i = 0; i < count; i++)
        size += mat_size(x[i]);
    for (int t = 0; t < s->dev->threads; t++)
        *(double *)cpu_block(s->dev, t, sizeof(double)) = 0.0;
    THREADS(s, size)
    {
        double *mine = cpu_block(s->dev, member(), sizeof *mine);

        for (int i = 0; i < count; i++) {
            const struct mat a = flat(x[i], mat_is_packed(x[i]));
            const struct box b = my_box(a.rows, a.cols);

            for (int64_t r = b.r.lo; r < b.r.hi; r++)
                *mine += loops(s)->sum_squares(at(a, r) + b.c.lo, range_size(b.c));
        }
    }
    for (int t = 0; t < s->dev->threads; t++)
        all += *(double *)cpu_block(s->dev, t, sizeof(double));
    *(double *)mat_ptr(sum) = all;
}

const struct dev_ops OF(cpu_ops) = {
    .fill                  = ops_fill,
    .copy                  = ops_copy,
    .add                   = ops_add,
    .max                   = ops_max,
    .column_sums           = ops_column_sums,
    .norm_moments          = ops_norm_moments,
    .norm_apply            = ops_norm_apply,
    .norm_backward_moments = ops_norm_backward_moments,
    .norm_backward         = ops_norm_backward,
    .head_norm             = ops_head_norm,
    .head_norm_backward    = ops_head_norm_backward,
    .patches               = ops_patches,
    .add_table             = ops_add_table,
    .sum_tables            = ops_sum_tables,
    .pool_rows             = ops_pool_rows,
    .spread_rows           = ops_spread_rows,
    .sigmoid_loss          = ops_sigmoid_loss,
    .softmax_loss          = ops_softmax_loss,
    .adamw                 = ops_adamw,
    .sgd                   = ops_sgd,
    .factor_sums           = ops_factor_sums,
    .adafactor             = ops_adafactor,
    .sum_squares           = ops_sum_squares,
};
