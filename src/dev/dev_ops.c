/* SPDX-License-Identifier: BSD-3-Clause */
/* The operations as callers see them.
 *
 * Each checks that its views go together and is done by way of operate.h.
 * Backends call each other's slots or functions, never these, so that no
 * second is counted twice.
 */
#include "config.h"

#include "src/dev/operate.h"

#include "src/base/err.h"

/* ---- Checks ---------------------------------------------------------------------- */

#define MULTIPLY(s, e, n, cols, depth, call)                                           \
    OPERATE(s, call, .flops = 2 * (double)(n) * (double)(cols) * (double)(depth),      \
            .epilogue = (double)epilogue_bytes(e), .shape = { (n), (cols), (depth) })
#define ATTEND(s, times, a, call)                                                      \
    OPERATE(s, call,                                                                   \
            .flops = (times) * (double)((a)->B * (a)->H * (a)->E) * (double)(a)->Nq *  \
                     (double)(a)->Nk,                                                  \
            .shape = { (a)->B, (a)->H, (a)->E, (a)->Nq, (a)->Nk })

static void expect_epilogue(const char *op, const struct epilogue *e, struct mat y)
{
    if (e == NULL || e->kind == EPI_NONE)
        return;
    if (e->kind == EPI_BIAS)
        operate_expect(op, "bias", e->bias, 1, y.cols);
    if (e->kind == EPI_GELU) {
        operate_expect_optional(op, "bias", e->bias, 1, y.cols);
        operate_expect(op, "act", e->act, y.rows, y.cols);
    }
    if (e->kind == EPI_DGELU)
        operate_expect(op, "pre", e->pre, y.rows, y.cols);
}

static bool has_rest(const struct epilogue *e)
{
    return e != NULL && !mat_is_none(e->rest);
}

/* What an epilogue reads and writes besides the product. */
static int64_t epilogue_bytes(const struct epilogue *e)
{
    if (e == NULL || e->kind == EPI_NONE || e->kind == EPI_BIAS)
        return 0;
    return mat_bytes(e->kind == EPI_GELU ? e->act : e->pre);
}

static void expect_ranges(const char *op, const struct dev_weight *weight,
                          struct range i, struct range j)
{
    const struct mat w = weight->w;

    if (i.lo < 0 || i.lo > i.hi || i.hi > w.rows || j.lo < 0 || j.lo > j.hi ||
        j.hi > w.cols)
        die("%s: rows %lld to %lld, columns %lld to %lld of a weight [%lld, %lld]", op,
            (long long)i.lo, (long long)i.hi, (long long)j.lo, (long long)j.hi,
            (long long)w.rows, (long long)w.cols);
}

static int64_t moments_of(enum norm_kind k)
{
    return k == NORM_RMS ? 1 : 2;
}

/* ---- Copies ---------------------------------------------------------------------- */

void dev_put(struct dev_stream *s, struct mat dst, const void *src)
{
    OPERATE(s, put(s, dst, src), .bytes = (double)(2 * mat_bytes(dst)),
            .is_host = true);
}

void dev_send(struct dev_stream *s, struct mat dst, const void *src)
{
    if (!mat_is_packed(dst))
        die("%s: rows that are not packed", __func__);
    OPERATE(s, send(s, dst, src), .bytes = (double)(2 * mat_bytes(dst)),
            .is_host = true);
}

void dev_get(struct dev_stream *s, void *dst, struct mat src)
{
    if (dev_is_hollow(s->dev) && !s->dev->is_muted)
        s->dev->ops.get(s, dst, src);
    OPERATE(s, get(s, dst, src), .bytes = (double)(2 * mat_bytes(src)),
            .is_host = true);
}

void dev_get_all(struct dev_stream *s, const struct dev_result *result, int count)
{
    double moved = 0;

    for (int i = 0; i < count; i++) {
        if (s->dev->ops.get_all == NULL)
            dev_get(s, result[i].to, result[i].from);
        moved += (double)(2 * mat_bytes(result[i].from));
    }
    if (s->dev->ops.get_all != NULL)
        OPERATE(s, get_all(s, result, count), .bytes = moved, .is_host = true);
}

void dev_fill(struct dev_stream *s, struct mat y, double value)
{
    MOVE(s, mat_bytes(y), fill(s, y, value));
}

void dev_normals(struct dev_stream *s, struct mat y, uint64_t seed, uint64_t stream,
                 uint64_t first)
{
    if (!mat_is_packed(y))
        die("%s: rows that are not packed", __func__);
    MOVE(s, mat_bytes(y), normals(s, y, seed, stream, first));
}

void dev_copy(struct dev_stream *s, struct mat y, struct mat x)
{
    EXPECT(x, y.rows, y.cols);
    MOVE(s, mat_bytes(y) + mat_bytes(x), copy(s, y, x));
}

void dev_add(struct dev_stream *s, struct mat y, struct mat x)
{
    EXPECT(x, y.rows, y.cols);
    MOVE(s, 2 * mat_bytes(y) + mat_bytes(x), add(s, y, x));
}

void dev_max(struct dev_stream *s, struct mat y, struct mat x)
{
    EXPECT(x, y.rows, y.cols);
    MOVE(s, 2 * mat_bytes(y) + mat_bytes(x), max(s, y, x));
}

/* ---- Products -------------------------------------------------------------------- */

void dev_weight_changed(struct dev_stream *s, struct dev_weight *weight)
{
    const struct dev_ops *ops = &s->dev->ops;
    const int64_t packed      = ops->packed != NULL
                                    ? ops->packed(weight)
                                    : (int64_t)mat_bytes(weight->w) * ops->packs;

    MOVE(s, 2 * packed, weight_changed(s, weight));
}

void dev_gemm(struct dev_stream *s, struct mat y, struct mat x,
              const struct dev_weight *weight, struct range i, struct range j,
              bool is_added, const struct epilogue *e)
{
    expect_ranges(__func__, weight, i, j);
    EXPECT(x, y.rows, range_size(i));
    EXPECT(y, y.rows, range_size(j));
    expect_epilogue(__func__, e, y);
    if (has_rest(e)) {
        EXPECT(e->rest, y.rows, y.cols);
        if (e->kind != EPI_NONE && e->kind != EPI_BIAS)
            die("%s: a sum within another epilogue than a bias", __func__);
    }
    MULTIPLY(s, e, y.rows, y.cols, range_size(i),
             gemm(s, y, x, weight, i, j, is_added, e));
    if (has_rest(e) && !s->dev->ops.adds_rest)
        dev_add(s, y, e->rest);
}

void dev_gemm_t(struct dev_stream *s, struct mat y, struct mat x,
                const struct dev_weight *weight, struct range i, struct range j,
                bool is_added, const struct epilogue *e)
{
    expect_ranges(__func__, weight, i, j);
    EXPECT(x, y.rows, range_size(j));
    EXPECT(y, y.rows, range_size(i));
    expect_epilogue(__func__, e, y);
    if (has_rest(e))
        die("%s: a sum with a gradient", __func__);
    MULTIPLY(s, e, y.rows, range_size(j), y.cols,
             gemm_t(s, y, x, weight, i, j, is_added, e));
}

void dev_gemm_dw(struct dev_stream *s, struct mat dw, struct mat x, struct mat dy,
                 bool is_added)
{
    EXPECT(dw, x.cols, dy.cols);
    EXPECT(dy, x.rows, dy.cols);
    MULTIPLY(s, NULL, x.rows, dw.cols, dw.rows, gemm_dw(s, dw, x, dy, is_added));
}

void dev_gemm_gradients(struct dev_stream *s, struct mat dw, struct mat db,
                        struct mat x, struct mat dy, bool is_added)
{
    bool has_sums = mat_is_none(db);

    EXPECT(dw, x.cols, dy.cols);
    EXPECT(dy, x.rows, dy.cols);
    if (has_sums || s->dev->ops.gemm_gradients == NULL)
        dev_gemm_dw(s, dw, x, dy, is_added);
    else
        MULTIPLY(s, NULL, x.rows, dw.cols, dw.rows,
                 gemm_gradients(s, dw, db, x, dy, is_added, &has_sums));
    if (!reel_answer(s, has_sums))
        dev_column_sums(s, db, mat_cols(dy, dy.cols - db.cols, dy.cols), is_added);
}

void dev_column_sums(struct dev_stream *s, struct mat db, struct mat dy, bool is_added)
{
    EXPECT(db, 1, dy.cols);
    MOVE(s, mat_bytes(dy), column_sums(s, db, dy, is_added));
}

/* ---- Norms ----------------------------------------------------------------------- */

void dev_norm_moments(struct dev_stream *s, struct mat part, struct mat x,
                      enum norm_kind k)
{
    EXPECT(part, x.rows, moments_of(k));
    MOVE(s, mat_bytes(x), norm_moments(s, part, x, k));
}

void dev_norm_merge(struct dev_stream *s, struct mat stat, struct mat parts, int M,
                    const int64_t *widths, enum norm_kind k)
{
    EXPECT(stat, stat.rows, 2);
    EXPECT(parts, M * stat.rows, moments_of(k));
    MOVE(s, mat_bytes(parts) + mat_bytes(stat),
         norm_merge(s, stat, parts, M, widths, k));
}

void dev_norm_apply(struct dev_stream *s, struct mat y, struct mat x, struct mat stat,
                    struct mat scale, struct mat bias)
{
    EXPECT(x, y.rows, y.cols);
    EXPECT(stat, y.rows, 2);
    EXPECT(scale, 1, y.cols);
    EXPECT_OPTIONAL(bias, 1, y.cols);
    MOVE(s, mat_bytes(y) + mat_bytes(x), norm_apply(s, y, x, stat, scale, bias));
}

void dev_norm_backward_moments(struct dev_stream *s, struct mat part, struct mat dy,
                               struct mat x, struct mat stat, struct mat scale,
                               enum norm_kind k)
{
    EXPECT(part, x.rows, moments_of(k));
    EXPECT(dy, x.rows, x.cols);
    EXPECT(stat, x.rows, 2);
    EXPECT(scale, 1, x.cols);
    MOVE(s, mat_bytes(dy) + mat_bytes(x),
         norm_backward_moments(s, part, dy, x, stat, scale, k));
}

static void expect_norm_backward(const char *op, struct mat dx, struct mat dscale,
                                 struct mat dbias, struct mat dy, struct mat x,
                                 struct mat stat, struct mat scale)
{
    operate_expect(op, "dx", dx, x.rows, x.cols);
    operate_expect(op, "dscale", dscale, 1, x.cols);
    operate_expect_optional(op, "dbias", dbias, 1, x.cols);
    operate_expect(op, "dy", dy, x.rows, x.cols);
    operate_expect(op, "stat", stat, x.rows, 2);
    operate_expect(op, "scale", scale, 1, x.cols);
}

void dev_norm_backward(struct dev_stream *s, struct mat dx, bool is_dx_added,
                       struct mat dscale, struct mat dbias, bool is_added,
                       struct mat dy, struct mat x, struct mat stat, struct mat scale,
                       struct mat parts, int M, int64_t C, enum norm_kind k)
{
    expect_norm_backward(__func__, dx, dscale, dbias, dy, x, stat, scale);
    EXPECT(parts, M * x.rows, moments_of(k));
    MOVE(s, (is_dx_added ? 2 : 1) * mat_bytes(dx) + mat_bytes(dy) + mat_bytes(x),
         norm_backward(s, dx, is_dx_added, dscale, dbias, is_added, dy, x, stat, scale,
                       parts, M, C, k));
}

void dev_norm_whole(struct dev_stream *s, struct mat y, struct mat stat,
                    struct mat part, struct mat x, struct mat scale, struct mat bias,
                    enum norm_kind k)
{
    if (s->dev->ops.norm_whole == NULL) {
        dev_norm_moments(s, part, x, k);
        dev_norm_merge(s, stat, part, 1, &x.cols, k);
        dev_norm_apply(s, y, x, stat, scale, bias);
        return;
    }
    EXPECT(x, y.rows, y.cols);
    EXPECT(stat, y.rows, 2);
    EXPECT(part, y.rows, moments_of(k));
    EXPECT(scale, 1, y.cols);
    EXPECT_OPTIONAL(bias, 1, y.cols);
    MOVE(s, mat_bytes(y) + mat_bytes(x),
         norm_whole(s, y, stat, part, x, scale, bias, k));
}

void dev_norm_whole_backward(struct dev_stream *s, struct mat dx, bool is_dx_added,
                             struct mat dscale, struct mat dbias, bool is_added,
                             struct mat dy, struct mat x, struct mat stat,
                             struct mat scale, struct mat part, enum norm_kind k)
{
    if (s->dev->ops.norm_whole_backward == NULL) {
        dev_norm_backward_moments(s, part, dy, x, stat, scale, k);
        dev_norm_backward(s, dx, is_dx_added, dscale, dbias, is_added, dy, x, stat,
                          scale, part, 1, x.cols, k);
        return;
    }
    expect_norm_backward(__func__, dx, dscale, dbias, dy, x, stat, scale);
    EXPECT(part, x.rows, moments_of(k));
    MOVE(s, (is_dx_added ? 2 : 1) * mat_bytes(dx) + mat_bytes(dy) + mat_bytes(x),
         norm_whole_backward(s, dx, is_dx_added, dscale, dbias, is_added, dy, x, stat,
                             scale, part, k));
}

void dev_head_norm(struct dev_stream *s, struct mat y, struct mat stat, struct mat x,
                   struct mat scale, int64_t E, enum norm_kind k)
{
    EXPECT(y, x.rows, x.cols);
    EXPECT(stat, x.rows, x.cols / E * 2);
    EXPECT(scale, 1, E);
    MOVE(s, mat_bytes(y) + mat_bytes(x), head_norm(s, y, stat, x, scale, E, k));
}

void dev_head_norm_backward(struct dev_stream *s, struct mat dx, struct mat dscale,
                            bool is_added, struct mat dy, struct mat x, struct mat stat,
                            struct mat scale, int64_t E, enum norm_kind k)
{
    EXPECT(dx, x.rows, x.cols);
    EXPECT(dscale, 1, E);
    EXPECT(dy, x.rows, x.cols);
    EXPECT(stat, x.rows, x.cols / E * 2);
    EXPECT(scale, 1, E);
    MOVE(s, mat_bytes(dx) + mat_bytes(dy) + mat_bytes(x),
         head_norm_backward(s, dx, dscale, is_added, dy, x, stat, scale, E, k));
}

/* ---- Attention ------------------------------------------------------------------- */

int64_t dev_attn_kept(const struct dev *dev, const struct attn *a)
{
    return dev->ops.attn_kept(dev, a);
}

void dev_attn(struct dev_stream *s, struct mat o, struct mat kept, struct mat peak,
              struct mat q, struct mat k, struct mat v, const struct attn *a)
{
    EXPECT(o, a->B * a->Nq, a->H * a->E);
    EXPECT(q, a->B * a->Nq, a->H * a->E);
    EXPECT(k, a->B * a->Nk, a->H * a->E);
    EXPECT(v, a->B * a->Nk, a->H * a->E);
    ATTEND(s, 4, a, attn(s, o, kept, peak, q, k, v, a));
}

void dev_attn_backward(struct dev_stream *s, struct mat dq, struct mat dk,
                       struct mat dv, struct mat d_o, struct mat o, struct mat kept,
                       struct mat q, struct mat k, struct mat v, const struct attn *a)
{
    EXPECT(dq, a->B * a->Nq, a->H * a->E);
    EXPECT(dk, a->B * a->Nk, a->H * a->E);
    EXPECT(dv, a->B * a->Nk, a->H * a->E);
    EXPECT(d_o, a->B * a->Nq, a->H * a->E);
    ATTEND(s, 10, a, attn_backward(s, dq, dk, dv, d_o, o, kept, q, k, v, a));
}

/* ---- Embedding and pooling ------------------------------------------------------- */

void dev_patches(struct dev_stream *s, struct mat rows, struct mat images, int image,
                 int patch, int64_t N)
{
    EXPECT(images, images.rows, (int64_t)image * image * 3);
    EXPECT(rows, images.rows * N, (int64_t)patch * patch * 3);
    MOVE(s, mat_bytes(rows) + mat_bytes(images),
         patches(s, rows, images, image, patch, N));
}

/* Die unless the rows of 'all' are whole multiples of those of 'one', both as wide. */
static void expect_multiple(const char *op, struct mat all, struct mat one)
{
    if (all.cols != one.cols ||
        (one.rows == 0 ? all.rows != 0 : all.rows % one.rows != 0))
        die("%s: [%lld, %lld] and [%lld, %lld]", op, (long long)all.rows,
            (long long)all.cols, (long long)one.rows, (long long)one.cols);
}

void dev_add_table(struct dev_stream *s, struct mat y, struct mat table)
{
    expect_multiple(__func__, y, table);
    MOVE(s, 2 * mat_bytes(y), add_table(s, y, table));
}

void dev_sum_tables(struct dev_stream *s, struct mat dtable, struct mat dy,
                    bool is_added)
{
    expect_multiple(__func__, dy, dtable);
    MOVE(s, mat_bytes(dy), sum_tables(s, dtable, dy, is_added));
}

void dev_pool_rows(struct dev_stream *s, struct mat y, struct mat x, double factor)
{
    expect_multiple(__func__, x, y);
    MOVE(s, mat_bytes(x), pool_rows(s, y, x, factor));
}

void dev_spread_rows(struct dev_stream *s, struct mat dx, struct mat dy, double factor)
{
    expect_multiple(__func__, dx, dy);
    MOVE(s, mat_bytes(dx), spread_rows(s, dx, dy, factor));
}

/* ---- Losses ---------------------------------------------------------------------- */

void dev_sigmoid_loss(struct dev_stream *s, struct mat loss, struct mat dlogits,
                      struct mat logits, struct mat targets, double scale)
{
    EXPECT(dlogits, logits.rows, logits.cols);
    EXPECT(targets, logits.rows, logits.cols);
    MOVE(s, mat_bytes(dlogits) + mat_bytes(logits) + mat_bytes(targets),
         sigmoid_loss(s, loss, dlogits, logits, targets, scale));
}

void dev_softmax_largest(struct dev_stream *s, struct mat largest, struct mat logits)
{
    EXPECT(largest, logits.rows, 1);
    MOVE(s, mat_bytes(logits), softmax_largest(s, largest, logits));
}

void dev_softmax_sum(struct dev_stream *s, struct mat sum, struct mat total,
                     struct mat logits, struct mat targets, struct mat largest)
{
    EXPECT(sum, logits.rows, 1);
    EXPECT(total, logits.rows, 1);
    EXPECT(targets, logits.rows, logits.cols);
    EXPECT(largest, logits.rows, 1);
    MOVE(s, mat_bytes(logits) + mat_bytes(targets),
         softmax_sum(s, sum, total, logits, targets, largest));
}

void dev_softmax_loss(struct dev_stream *s, struct mat loss, struct mat dlogits,
                      struct mat logits, struct mat targets, struct mat largest,
                      struct mat sum, struct mat total, double scale)
{
    EXPECT(dlogits, logits.rows, logits.cols);
    EXPECT(targets, logits.rows, logits.cols);
    EXPECT(largest, logits.rows, 1);
    EXPECT(sum, logits.rows, 1);
    EXPECT(total, logits.rows, 1);
    MOVE(s, mat_bytes(dlogits) + mat_bytes(logits) + mat_bytes(targets),
         softmax_loss(s, loss, dlogits, logits, targets, largest, sum, total, scale));
}

/* ---- Optimizer ------------------------------------------------------------------- */

/* Parameters and moments are read and written, gradients read, copies written. */
static int64_t bytes_of_update(const struct dev_segment *segment, int count)
{
    int64_t bytes = 0;

    for (int i = 0; i < count; i++)
        bytes += 2 * (mat_bytes(segment[i].param) + mat_bytes(segment[i].mu) +
                      mat_bytes(segment[i].nu)) +
                 mat_bytes(segment[i].grad) + mat_bytes(segment[i].copy);
    return bytes;
}

/* Sums and running averages are read and written. */
static int64_t bytes_of_averages(const struct dev_averages *tensor, int count)
{
    int64_t bytes = 0;

    for (int i = 0; i < count; i++)
        bytes += 4 * (mat_bytes(tensor[i].row) + mat_bytes(tensor[i].col));
    return bytes;
}

static int64_t bytes_of_all(const struct mat *x, int count)
{
    int64_t bytes = 0;

    for (int i = 0; i < count; i++)
        bytes += mat_bytes(x[i]);
    return bytes;
}

void dev_clip(struct dev_stream *s, struct mat pace, struct mat sum, struct mat others,
              double most)
{
    MOVE(s, mat_bytes(others), clip(s, pace, sum, others, most));
}

void dev_adamw(struct dev_stream *s, const struct dev_segment *segment, int count,
               const struct adamw *a)
{
    MOVE(s, bytes_of_update(segment, count), adamw(s, segment, count, a));
}

void dev_sgd(struct dev_stream *s, const struct dev_segment *segment, int count,
             const struct sgd *a)
{
    MOVE(s, bytes_of_update(segment, count), sgd(s, segment, count, a));
}

void dev_factor_sums(struct dev_stream *s, const struct dev_segment *segment, int count,
                     const struct adafactor *a)
{
    int64_t bytes = 0;

    for (int i = 0; i < count; i++)
        bytes += mat_bytes(segment[i].grad);
    MOVE(s, bytes, factor_sums(s, segment, count, a));
}

void dev_factor_rows(struct dev_stream *s, const struct dev_averages *tensor, int count,
                     const struct adafactor *a)
{
    MOVE(s, bytes_of_averages(tensor, count), factor_rows(s, tensor, count, a));
}

void dev_factor_scales(struct dev_stream *s, const struct dev_averages *tensor,
                       int count, const struct adafactor *a)
{
    MOVE(s, bytes_of_averages(tensor, count), factor_scales(s, tensor, count, a));
}

void dev_adafactor(struct dev_stream *s, const struct dev_segment *segment, int count,
                   const struct adafactor *a)
{
    MOVE(s, bytes_of_update(segment, count), adafactor(s, segment, count, a));
}

void dev_sum_squares(struct dev_stream *s, struct mat sum, const struct mat *x,
                     int count, bool is_added)
{
    MOVE(s, bytes_of_all(x, count), sum_squares(s, sum, x, count, is_added));
}
