/* SPDX-License-Identifier: BSD-3-Clause */
/* Products.  Our rows are cuBLASLt's columns: y = x W, row by row, is its D = A B with
 * A = W, B = x and all of them turned by the way they are read.
 *
 *   y [n, j] = x [n, i] W [i, j]      m = j, n = n, k = i
 *   y [n, i] = x [n, j] W [i, j]^T    m = i, n = n, k = j, a turned
 *   dw [i, j] = x [n, i]^T dy [n, j]  m = j, n = i, k = n, b turned
 *
 * Bias, GELU and its derivative ride in the product where cuBLASLt has them (its GELU
 * is the tanh form); else cuda_finish() does them after it, as where that was timed to
 * take less.  What cuBLASLt leaves out it says when a plan is made.
 */
#include "config.h"

#include "src/dev/cuda_gemm.h"

#include <stdint.h>
#include <string.h>

/* ---- Epilogues ------------------------------------------------------------------- */

/* Whether cuBLASLt may take this matrix beside a result: rows of whole 16 bytes. */
static bool is_fit(struct mat a)
{
    return (uintptr_t)mat_ptr(a) % 16 == 0 && a.cols % 8 == 0 &&
           (a.rows <= 1 || a.ld % 8 == 0);
}

static int64_t ld_of(struct mat a)
{
    return a.rows <= 1 ? a.cols : a.ld;
}

static void set_bias(struct cuda_key *k, struct cuda_operands *o, struct mat bias)
{
    o->bias      = mat_ptr(bias);
    k->bias_type = bias.dtype;
}

/* Let the product be added to 'rest'; false if it cannot. */
static bool add_to(struct cuda_key *k, struct cuda_operands *o, struct mat y,
                   struct mat rest)
{
    if (k->is_added || rest.dtype != y.dtype || !is_fit(y) || !is_fit(rest))
        return false;
    o->c   = mat_ptr(rest);
    k->ldc = ld_of(rest);
    return true;
}

/* Put 'e' into the product if it can be there; false if it cannot.  With GELU, what is
 * left is the result and 'y' the auxiliary matrix.
 */
static bool fuse(struct cuda_key *k, struct cuda_operands *o, struct mat y,
                 const struct epilogue *e)
{
    const bool is_tanh = e->gelu == GELU_TANH;

    if (!mat_is_none(e->rest) && !add_to(k, o, y, e->rest))
        return false;
    if (e->kind == EPI_NONE)
        return true;
    if (e->kind == EPI_BIAS) {
        set_bias(k, o, e->bias);
        k->epilogue = CUBLASLT_EPILOGUE_BIAS;
        return is_fit(y) && is_fit(e->bias);
    }
    if (!is_tanh || k->is_added || !is_fit(y))
        return false;
    if (e->kind == EPI_DGELU) {
        o->aux      = mat_ptr(e->pre);
        k->ld_aux   = ld_of(e->pre);
        k->epilogue = CUBLASLT_EPILOGUE_DGELU;
        return is_fit(e->pre) && e->pre.dtype == y.dtype;
    }
    o->aux      = mat_ptr(y);
    o->d        = mat_ptr(e->act);
    k->ld_aux   = ld_of(y);
    k->ldd      = ld_of(e->act);
    k->epilogue = CUBLASLT_EPILOGUE_GELU_AUX;
    if (!mat_is_none(e->bias)) {
        set_bias(k, o, e->bias);
        k->epilogue = CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
        if (!is_fit(e->bias))
            return false;
    }
    return is_fit(e->act) && e->act.dtype == y.dtype;
}

/* ---- The product ----------------------------------------------------------------- */

/* An operand as it lies, or turned. */
struct operand {
    struct mat m;
    bool is_turned;
};

/* What the addresses of a plan are at least multiples of. */
static int alignment_of(const void *at)
{
    int align = 256;

    while ((uintptr_t)at % (uintptr_t)align != 0)
        align /= 2;
    return align;
}

/* Also of what has no preference: the library looks at the addresses that a plan has
 * when it offers algorithms for it.
 */
static void align(struct cuda_key *k, const struct cuda_operands *o)
{
    k->align_a    = alignment_of(o->a);
    k->align_b    = alignment_of(o->b);
    k->align_c    = alignment_of(o->c != NULL ? o->c : o->d);
    k->align_d    = alignment_of(o->d);
    k->align_bias = alignment_of(o->bias);
    k->align_aux  = alignment_of(o->aux);
}

static void describe(struct cuda_key *k, const struct dev *dev, struct mat y,
                     struct operand b, struct operand a, int64_t depth, bool is_added)
{
    memset(k, 0, sizeof *k); /* it is compared with its gaps */
    k->m                = y.cols;
    k->n                = y.rows;
    k->k                = depth;
    k->lda              = ld_of(a.m);
    k->ldb              = ld_of(b.m);
    k->ldd              = ld_of(y);
    k->a_is_turned      = a.is_turned;
    k->b_is_turned      = b.is_turned;
    k->is_added         = is_added;
    k->is_tf32          = dev->is_tf32;
    k->is_deterministic = dev->is_deterministic;
    k->type             = a.m.dtype;
    k->out_type         = y.dtype;
    k->epilogue         = CUBLASLT_EPILOGUE_DEFAULT;
}

/* y = or += b a, with an epilogue; and what of it rides in the product, if it can. */
struct product {
    struct mat y;
    struct operand b, a;
    int64_t depth;
    bool is_added;
    const struct epilogue *e;
    struct cuda_plan *plan;
    struct cuda_operands fused;
};

static bool is_plain(const struct epilogue *e)
{
    return e == NULL || (e->kind == EPI_NONE && mat_is_none(e->rest));
}

static void multiply(struct dev_stream *s, struct mat y, struct operand b,
                     struct operand a, int64_t depth, bool is_added,
                     const struct epilogue *e);

/* The product without its epilogue. */
static void multiply_plainly(struct dev_stream *s, const struct product *p)
{
    struct cuda_products *all = cuda_of(s->dev)->products;
    struct cuda_operands o    = { .a = mat_ptr(p->a.m),
                                  .b = mat_ptr(p->b.m),
                                  .d = mat_ptr(p->y) };
    struct cuda_plan *plan;
    struct cuda_key k;

    if (p->depth == 0) {
        if (!p->is_added)
            cuda_fill(s, p->y, 0.0);
        return;
    }
    describe(&k, s->dev, p->y, p->b, p->a, p->depth, p->is_added);
    align(&k, &o);
    plan = cuda_find_plan(all, &k, &o);
    if (!plan->is_possible || !cuda_run(s, plan, &o))
        die("cuBLASLt has no product of %s to %s of %lld x %lld x %lld (rows, columns, "
            "depth) with rows %lld, %lld and %lld apart: %s",
            dtype_name(p->a.m.dtype), dtype_name(p->y.dtype), (long long)k.n,
            (long long)k.m, (long long)k.k, (long long)k.ldb, (long long)k.lda,
            (long long)k.ldd, all->lt.GetStatusString(all->refusal));
}

/* The product, and after it its epilogue; but before GELU a bias rides
 * in the product.
 */
static void multiply_apart(struct dev_stream *s, const struct product *p)
{
    struct epilogue after = { .kind = EPI_NONE }, within = after;

    if (p->e != NULL)
        after = *p->e;
    if (after.kind == EPI_GELU && !mat_is_none(after.bias) && is_fit(p->y) &&
        is_fit(after.bias)) {
        within     = (struct epilogue){ .kind = EPI_BIAS, .bias = after.bias };
        after.bias = mat_none();
        multiply(s, p->y, p->b, p->a, p->depth, p->is_added, &within);
    } else {
        multiply_plainly(s, p);
    }
    cuda_finish(s, p->y, &after);
    if (!mat_is_none(after.rest))
        cuda_add(s, p->y, after.rest);
}

/* Where to do what may ride in the product of a plan, in the first way
 * until it is timed.
 */
static int where(struct dev_stream *s, struct cuda_plan *p, struct dev_choice what,
                 cuda_way_fn work, void *ctx)
{
    if (p->where < 0 && cuda_may_time(s->dev)) {
        cuda_name(what.name, sizeof what.name, &p->key, ", where");
        p->where = cuda_time_choice(s, &what, work, ctx);
    }
    return p->where >= 0 ? cuda_choice(s->dev, p->where)->way : 0;
}

enum { WITHIN = 0, APART = 1 };

static bool multiply_in_way(struct dev_stream *s, void *ctx, int way)
{
    struct product *p = ctx;

    if (way == WITHIN)
        return cuda_run(s, p->plan, &p->fused);
    multiply_apart(s, p);
    return true;
}

/* With the epilogue in the product, if it can be there; GELU and its slope, which may
 * cost a product more than a pass of their own, also took less time there.
 */
static bool multiply_within(struct dev_stream *s, struct product *p)
{
    const struct dev_choice what = { .ways = 2, .way_name = { "within", "apart" } };
    struct cuda_key k;

    p->fused = (struct cuda_operands){ .a = mat_ptr(p->a.m),
                                       .b = mat_ptr(p->b.m),
                                       .d = mat_ptr(p->y) };
    describe(&k, s->dev, p->y, p->b, p->a, p->depth, p->is_added);
    if (!fuse(&k, &p->fused, p->y, p->e))
        return false;
    align(&k, &p->fused);
    p->plan = cuda_find_plan(cuda_of(s->dev)->products, &k, &p->fused);
    if (!p->plan->is_possible)
        return false;
    return (p->e->kind < EPI_GELU ||
            where(s, p->plan, what, multiply_in_way, p) == WITHIN) &&
           cuda_run(s, p->plan, &p->fused);
}

static void multiply(struct dev_stream *s, struct mat y, struct operand b,
                     struct operand a, int64_t depth, bool is_added,
                     const struct epilogue *e)
{
    struct product p = { y, b, a, depth, is_added, e, NULL, { 0 } };

    if (mat_size(y) == 0)
        return;
    if (a.m.dtype != b.m.dtype)
        die("a product of %s and %s", dtype_name(b.m.dtype), dtype_name(a.m.dtype));
    if (is_plain(e) || depth == 0 || !multiply_within(s, &p))
        multiply_apart(s, &p);
}

void cuda_gemm(struct dev_stream *s, struct mat y, struct mat x,
               const struct dev_weight *weight, struct range i, struct range j,
               bool is_added, const struct epilogue *e)
{
    multiply(s, y, (struct operand){ x, false },
             (struct operand){ dev_weight_part(weight, i, j), false }, x.cols, is_added,
             e);
}

void cuda_gemm_t(struct dev_stream *s, struct mat y, struct mat x,
                 const struct dev_weight *weight, struct range i, struct range j,
                 bool is_added, const struct epilogue *e)
{
    multiply(s, y, (struct operand){ x, false },
             (struct operand){ dev_weight_part(weight, i, j), true }, x.cols, is_added,
             e);
}

void cuda_gemm_dw(struct dev_stream *s, struct mat dw, struct mat x, struct mat dy,
                  bool is_added)
{
    multiply(s, dw, (struct operand){ x, true }, (struct operand){ dy, false }, x.rows,
             is_added, NULL);
}

/* Gradients of a weight and of its bias, db = the sums of dy's last columns. */
struct gradients {
    struct mat dw, db, x, dy;
    bool is_direct; /* the product can leave its sums, of all columns, in db */
    struct cuda_plan *plan;
    struct cuda_operands o;
};

/* Where the product leaves them; it may move from one operation to the next. */
static float *place_of_sums(struct dev_stream *s, const struct gradients *g)
{
    return g->is_direct ? mat_ptr(g->db)
                        : cuda_work(s, (size_t)g->dy.cols * sizeof(float));
}

static bool sum_within(struct dev_stream *s, struct gradients *g)
{
    const int64_t other = g->dy.cols - g->db.cols;
    float *sums         = place_of_sums(s, g);

    g->o.bias = sums;
    if (!cuda_run(s, g->plan, &g->o))
        return false;
    if (!g->is_direct)
        cuda_sum_strips(s, g->db, mat_none(), sums + other, 1, g->dy.cols, false);
    return true;
}

enum { SUMS_APART = 0, SUMS_WITHIN = 1 };

static bool sum_in_way(struct dev_stream *s, void *ctx, int way)
{
    struct gradients *g = ctx;

    if (way == SUMS_WITHIN)
        return sum_within(s, g);
    cuda_gemm_dw(s, g->dw, g->x, g->dy, false);
    cuda_column_sums(s, g->db, mat_cols(g->dy, g->dy.cols - g->db.cols, g->dy.cols),
                     false);
    return true;
}

/* With the sums, which are of the first factor over the depth, where that was timed to
 * take less: cuBLASLt forms them from factors that are not turned, leaves numbers like
 * those of the result, and does not add.
 */
void cuda_gemm_gradients(struct dev_stream *s, struct mat dw, struct mat db,
                         struct mat x, struct mat dy, bool is_added, bool *has_sums)
{
    const struct operand b = { x, true }, a = { dy, false };
    struct gradients g           = { .dw = dw, .db = db, .x = x, .dy = dy };
    const struct dev_choice what = { .ways = 2, .way_name = { "apart", "within" } };
    struct cuda_key k;

    g.is_direct = db.cols == dy.cols && is_fit(db);
    g.o = (struct cuda_operands){ .a = mat_ptr(dy), .b = mat_ptr(x), .d = mat_ptr(dw) };
    if (!is_added && mat_size(dw) > 0 && x.rows > 0 && dw.dtype == DTYPE_F32 &&
        db.dtype == DTYPE_F32 && is_fit(dw) && is_fit(dy)) {
        describe(&k, s->dev, dw, b, a, x.rows, false);
        k.epilogue  = CUBLASLT_EPILOGUE_BGRADA;
        k.bias_type = DTYPE_F32;
        g.o.bias    = place_of_sums(s, &g);
        align(&k, &g.o);
        g.plan    = cuda_find_plan(cuda_of(s->dev)->products, &k, &g.o);
        *has_sums = g.plan->is_possible &&
                    where(s, g.plan, what, sum_in_way, &g) == SUMS_WITHIN &&
                    sum_within(s, &g);
    }
    if (!*has_sums)
        cuda_gemm_dw(s, dw, x, dy, is_added);
}
