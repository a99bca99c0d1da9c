/* SPDX-License-Identifier: BSD-3-Clause */
/* Plans: what cuBLASLt has to be told of a product, made at the first use of a size,
 * and the algorithms that it offers for it.
 */
#include "config.h"

#include "src/dev/cuda_gemm.h"

#include "src/base/mem.h"

#include <stdio.h>
#include <string.h>

void cuda_lt_died(const struct cuda_lt *lt, cublasStatus_t status, const char *call,
                  const char *file, int line)
{
    err_die(file, line, "cuBLASLt: %s: %s", call, lt->GetStatusString(status));
}

/* ---- Open and close -------------------------------------------------------------- */

/* Which library was found decides which algorithms there are. */
static void note_version(struct dev *dev, const struct cuda_lt *lt)
{
    const size_t version = lt->GetVersion(), length = strlen(dev->about);

    snprintf(dev->about + length, sizeof dev->about - length, ", cuBLASLt %zu.%zu.%zu",
             version / 10000, version / 100 % 100, version % 100);
}

bool cuda_products_are_there(void)
{
    struct cuda_lt lt; /* not closed */
    const bool are = cuda_lt_open(&lt) == 0;

    if (!are)
        err_forget();
    return are;
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
    mem_free(p);
    cuda_of(dev)->products = NULL;
}

/* ---- Plans ----------------------------------------------------------------------- */

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
    plan->where  = -1;
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

struct cuda_plan *cuda_find_plan(struct cuda_products *p, const struct cuda_key *k,
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

bool cuda_run(struct dev_stream *s, struct cuda_plan *plan,
              const struct cuda_operands *o)
{
    while (plan->algos > 0) {
        const int algo = cuda_algo_of(s, plan, o);

        if (cuda_multiply(s, plan, o, algo))
            return true;
        drop_algo(plan, algo);
        plan->choice = -1; /* its times are those of what there is no more */
    }
    plan->is_possible = false;
    return false;
}
