/* SPDX-License-Identifier: BSD-3-Clause */
/* Products.  Our rows are cuBLASLt's columns: y = x W, row by row, is its D = A B with
 * A = W, B = x and all of them turned by the way they are read.
 *
 *   y [n, j] = x [n, i] W [i, j]      m = j, n = n, k = i
 *   y [n, i] = x [n, j] W [i, j]^T    m = i, n = n, k = j, a turned
 *   dw [i, j] = x [n, i]^T dy [n, j]  m = j, n = i, k = n, b turned
 *
 * Bias, GELU and its derivative ride in the product where cuBLASLt has them (its GELU is
 * the tanh form); else cuda_finish() does them after it.  What cuBLASLt leaves out it
 * says when a plan is made.
 */
#include "config.h"

#include "src/dev/cuda_gemm.h"

#include "src/base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

void cuda_lt_died(const struct cuda_lt *lt, cublasStatus_t status, const char *call,
                  const char *file, int line)
{
    err_die(file, line, "cuBLASLt: %s: %s", call, lt->GetStatusString(status));
}

/* ---- Open and close ------------------------------------------------------------------ */

/* Which library was found decides which algorithms there are. */
static void note_version(struct dev *dev, const struct cuda_lt *lt)
{
    const size_t version = lt->GetVersion(), length = strlen(dev->about);

    snprintf(dev->about + length, sizeof dev->about - length, ", cuBLASLt %zu.%zu.%zu",
             version / 10000, version / 100 % 100, version % 100);
}

int cuda_products_open(struct dev *dev)
{
    struct cuda_products *p = mem_new(1, sizeof *p);
    cublasStatus_t status;
    const int rc = cuda_lt_open(&p->lt);

    if (rc != 0) {
        mem_free(p);
        return rc;
    }
    status = p->lt.Create(&p->handle);
    if (status != CUBLAS_STATUS_SUCCESS) {
        const char *why = p->lt.GetStatusString(status);
        const int code  = ERR(ERR_DEVICE, "cuBLASLt does not start: %s", why);

        cuda_lt_close(&p->lt);
        mem_free(p);
        return code;
    }
    note_version(dev, &p->lt);
    cuda_of(dev)->products = p;
    return 0;
}

static void plan_close(struct cuda_products *p, struct cuda_plan *plan)
{
    if (plan->d != NULL)
        p->lt.MatrixLayoutDestroy(plan->d);
    if (plan->c != NULL)
        p->lt.MatrixLayoutDestroy(plan->c);
    if (plan->b != NULL)
        p->lt.MatrixLayoutDestroy(plan->b);
    if (plan->a != NULL)
        p->lt.MatrixLayoutDestroy(plan->a);
    if (plan->desc != NULL)
        p->lt.MatmulDescDestroy(plan->desc);
    mem_free(plan);
}

void cuda_products_close(struct dev *dev)
{
    struct cuda_products *p = cuda_of(dev)->products;

    if (p == NULL)
        return;
    while (p->plans != NULL) {
        struct cuda_plan *next = p->plans->next;

        plan_close(p, p->plans);
        p->plans = next;
    }
    p->lt.Destroy(p->handle);
    cuda_lt_close(&p->lt);
    mem_free(p->choice);
    mem_free(p);
    cuda_of(dev)->products = NULL;
}

/* ---- Plans --------------------------------------------------------------------------- */

static cudaDataType_t type_of(int dtype)
{
    return dtype == DTYPE_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static void set(const struct cuda_lt *lt, cublasLtMatmulDesc_t desc,
                cublasLtMatmulDescAttributes_t what, const void *value, size_t size)
{
    TRY_LT(lt, MatmulDescSetAttribute(desc, what, value, size));
}

static void prefer(const struct cuda_lt *lt, cublasLtMatmulPreference_t preference,
                   cublasLtMatmulPreferenceAttributes_t what, const void *value,
                   size_t size)
{
    TRY_LT(lt, MatmulPreferenceSetAttribute(preference, what, value, size));
}

/* What the addresses of a plan are at least multiples of. */
static int alignment_of(const void *at)
{
    int align = 256;

    while ((uintptr_t)at % (uintptr_t)align != 0)
        align /= 2;
    return align;
}

/* What a plan's descriptor holds that is not in the key. */
static void set_pointers(const struct cuda_lt *lt, const struct cuda_plan *plan,
                         const struct cuda_operands *o)
{
    if (o->bias != NULL)
        set(lt, plan->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &o->bias,
            sizeof o->bias);
    if (o->aux != NULL)
        set(lt, plan->desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &o->aux,
            sizeof o->aux);
}

static void drop_algo(struct cuda_plan *plan, int i)
{
    plan->algos--;
    memmove(&plan->algo[i], &plan->algo[i + 1],
            (size_t)(plan->algos - i) * sizeof plan->algo[0]);
}

/* The library's algorithms for the plan, best guess first; none: it cannot be done. */
static void find_algos(struct cuda_products *p, struct cuda_plan *plan)
{
    const struct cuda_key *k = &plan->key;
    const size_t work        = CUDA_LT_WORK;
    const uint32_t align_a = (uint32_t)k->align_a, align_b = (uint32_t)k->align_b;
    const uint32_t align_c = (uint32_t)k->align_c, align_d = (uint32_t)k->align_d;
    /* All but sums of parts by atomic additions. */
    const uint32_t in_order =
        CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE;
    cublasLtMatmulPreference_t preference;
    cublasStatus_t status;

    TRY_LT(&p->lt, MatmulPreferenceCreate(&preference));
    prefer(&p->lt, preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &work,
           sizeof work);
    prefer(&p->lt, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &align_a,
           sizeof align_a);
    prefer(&p->lt, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &align_b,
           sizeof align_b);
    prefer(&p->lt, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &align_c,
           sizeof align_c);
    prefer(&p->lt, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &align_d,
           sizeof align_d);
    if (k->is_deterministic)
        prefer(&p->lt, preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
               &in_order, sizeof in_order);
    status = p->lt.MatmulAlgoGetHeuristic(
        p->handle, plan->desc, plan->a, plan->b, plan->c != NULL ? plan->c : plan->d,
        plan->d, preference, CUDA_ALGOS, plan->algo, &plan->algos);
    TRY_LT(&p->lt, MatmulPreferenceDestroy(preference));
    if (status != CUBLAS_STATUS_SUCCESS) {
        p->refusal  = status;
        plan->algos = 0;
    }
    for (int i = plan->algos - 1; i >= 0; i--)
        if (plan->algo[i].state != CUBLAS_STATUS_SUCCESS ||
            plan->algo[i].workspaceSize > CUDA_LT_WORK)
            drop_algo(plan, i);
    plan->is_possible = plan->algos > 0;
}

static struct cuda_plan *make_plan(struct cuda_products *p, const struct cuda_key *k,
                                   const struct cuda_operands *o)
{
    struct cuda_plan *plan = mem_new(1, sizeof *plan);
    const cublasComputeType_t compute =
        k->is_tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    const cublasOperation_t turned    = CUBLAS_OP_T;
    const cublasLtEpilogue_t epilogue = (cublasLtEpilogue_t)k->epilogue;
    const cudaDataType_t bias_type    = type_of(k->bias_type);

    plan->key    = *k;
    plan->choice = -1;
    TRY_LT(&p->lt, MatmulDescCreate(&plan->desc, compute, CUDA_R_32F));
    if (k->a_is_turned)
        set(&p->lt, plan->desc, CUBLASLT_MATMUL_DESC_TRANSA, &turned, sizeof turned);
    if (k->b_is_turned)
        set(&p->lt, plan->desc, CUBLASLT_MATMUL_DESC_TRANSB, &turned, sizeof turned);
    set(&p->lt, plan->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
    if (o->bias != NULL)
        set(&p->lt, plan->desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &bias_type,
            sizeof bias_type);
    if (o->aux != NULL)
        set(&p->lt, plan->desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, &k->ld_aux,
            sizeof k->ld_aux);
    set_pointers(&p->lt, plan, o);
    TRY_LT(&p->lt,
           MatrixLayoutCreate(&plan->a, type_of(k->type),
                              (uint64_t)(k->a_is_turned ? k->k : k->m),
                              (uint64_t)(k->a_is_turned ? k->m : k->k), k->lda));
    TRY_LT(&p->lt,
           MatrixLayoutCreate(&plan->b, type_of(k->type),
                              (uint64_t)(k->b_is_turned ? k->n : k->k),
                              (uint64_t)(k->b_is_turned ? k->k : k->n), k->ldb));
    TRY_LT(&p->lt, MatrixLayoutCreate(&plan->d, type_of(k->out_type), (uint64_t)k->m,
                                      (uint64_t)k->n, k->ldd));
    if (k->ldc > 0)
        TRY_LT(&p->lt, MatrixLayoutCreate(&plan->c, type_of(k->out_type),
                                          (uint64_t)k->m, (uint64_t)k->n, k->ldc));
    find_algos(p, plan);
    plan->next = p->plans;
    p->plans   = plan;
    return plan;
}

static struct cuda_plan *find_plan(struct cuda_products *p, const struct cuda_key *k,
                                   const struct cuda_operands *o)
{
    for (struct cuda_plan *plan = p->plans; plan != NULL; plan = plan->next)
        if (memcmp(&plan->key, k, sizeof *k) == 0)
            return plan;
    return make_plan(p, k, o);
}

bool cuda_multiply(struct dev_stream *s, const struct cuda_plan *p,
                   const struct cuda_operands *o, int algo)
{
    struct cuda_products *all = cuda_of(s->dev)->products;
    struct cuda_lane *lane    = cuda_lane_of(s);
    const bool has_c          = p->c != NULL;
    const float one = 1.0F, old = p->key.is_added || has_c ? 1.0F : 0.0F;
    cublasStatus_t status;

    if (lane->product == NULL) {
        TRY_CUDA(cudaMalloc(&lane->product, CUDA_LT_WORK));
        dev_count(s->dev, (int64_t)CUDA_LT_WORK);
    }
    set_pointers(&all->lt, p, o);
    status =
        all->lt.Matmul(all->handle, p->desc, &one, o->a, p->a, o->b, p->b, &old,
                       has_c ? o->c : o->d, has_c ? p->c : p->d, o->d, p->d,
                       &p->algo[algo].algo, lane->product, CUDA_LT_WORK, lane->stream);
    if (status != CUBLAS_STATUS_SUCCESS)
        all->refusal = status;
    return status == CUBLAS_STATUS_SUCCESS;
}

/* ---- Epilogues ----------------------------------------------------------------------- */

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

/* ---- The product --------------------------------------------------------------------- */

/* An operand as it lies, or turned. */
struct operand {
    struct mat m;
    bool is_turned;
};

/* Also of what has no preference: the library looks at the addresses that a plan has when
 * it offers algorithms for it.
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

/* Do 'plan', by another algorithm where one is refused; false if all are. */
static bool run(struct dev_stream *s, struct cuda_plan *plan,
                const struct cuda_operands *o)
{
    while (plan->algos > 0) {
        const int algo = cuda_algo_of(s, plan, o);

        if (cuda_multiply(s, plan, o, algo))
            return true;
        drop_algo(plan, algo);
        plan->best = 0;
    }
    plan->is_possible = false;
    return false;
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

/* What follows a product that was made without its epilogue. */
static void finish(struct dev_stream *s, struct mat y, const struct epilogue *e)
{
    cuda_finish(s, y, e);
    if (e != NULL && !mat_is_none(e->rest))
        cuda_add(s, y, e->rest);
}

static bool is_plain(const struct epilogue *e)
{
    return e == NULL || (e->kind == EPI_NONE && mat_is_none(e->rest));
}

/* y = or += b a, with the epilogue. */
static void multiply(struct dev_stream *s, struct mat y, struct operand b,
                     struct operand a, int64_t depth, bool is_added,
                     const struct epilogue *e)
{
    struct cuda_products *p = cuda_of(s->dev)->products;
    struct cuda_operands o  = { .a = mat_ptr(a.m), .b = mat_ptr(b.m), .d = mat_ptr(y) };
    struct cuda_operands fused = o;
    struct cuda_key k, fused_k;
    struct cuda_plan *plan;

    if (mat_size(y) == 0)
        return;
    if (depth == 0) {
        if (!is_added)
            cuda_fill(s, y, 0.0);
        finish(s, y, e);
        return;
    }
    if (a.m.dtype != b.m.dtype)
        die("a product of %s and %s", dtype_name(b.m.dtype), dtype_name(a.m.dtype));
    describe(&k, s->dev, y, b, a, depth, is_added);
    memcpy(&fused_k, &k, sizeof k);
    if (!is_plain(e) && fuse(&fused_k, &fused, y, e)) {
        align(&fused_k, &fused);
        plan = find_plan(p, &fused_k, &fused);
        if (plan->is_possible && run(s, plan, &fused))
            return;
    }
    align(&k, &o);
    plan = find_plan(p, &k, &o);
    if (!plan->is_possible || !run(s, plan, &o))
        die("cuBLASLt has no product of %s to %s of %lld x %lld x %lld (rows, columns, "
            "depth) with rows %lld, %lld and %lld apart: %s",
            dtype_name(a.m.dtype), dtype_name(y.dtype), (long long)k.n, (long long)k.m,
            (long long)k.k, (long long)k.ldb, (long long)k.lda, (long long)k.ldd,
            p->lt.GetStatusString(p->refusal));
    finish(s, y, e);
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

/* With the sums, which are of the first factor over the depth: cuBLASLt forms them from
 * factors that are not turned, leaves numbers like those of the result, and does not add.
 */
void cuda_gemm_gradients(struct dev_stream *s, struct mat dw, struct mat db,
                         struct mat x, struct mat dy, bool is_added, bool *has_sums)
{
    const struct operand b = { x, true }, a = { dy, false };
    const size_t bytes     = (size_t)dy.cols * sizeof(float);
    const bool is_direct   = db.cols == dy.cols && is_fit(db);
    struct cuda_operands o = { .a = mat_ptr(dy), .b = mat_ptr(x), .d = mat_ptr(dw) };
    struct cuda_plan *plan;
    struct cuda_key k;

    if (!is_added && mat_size(dw) > 0 && x.rows > 0 && dw.dtype == DTYPE_F32 &&
        db.dtype == DTYPE_F32 && is_fit(dw) && is_fit(dy)) {
        describe(&k, s->dev, dw, b, a, x.rows, false);
        k.epilogue  = CUBLASLT_EPILOGUE_BGRADA;
        k.bias_type = DTYPE_F32;
        o.bias      = is_direct ? mat_ptr(db) : cuda_work(s, bytes);
        align(&k, &o);
        plan = find_plan(cuda_of(s->dev)->products, &k, &o);
        if (plan->is_possible && cuda_is_within(s, plan, &o, dw, db, x, dy)) {
            o.bias    = is_direct ? mat_ptr(db) : cuda_work(s, bytes); /* it may move */
            *has_sums = run(s, plan, &o);
        }
        if (*has_sums && !is_direct)
            cuda_sum_strips(s, db, mat_none(), (float *)o.bias + (dy.cols - db.cols), 1,
                            dy.cols, false);
        if (*has_sums)
            return;
    }
    cuda_gemm_dw(s, dw, x, dy, is_added);
}
