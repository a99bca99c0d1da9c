/* SPDX-License-Identifier: BSD-3-Clause */
/* cuBLASLt, as far as src/dev/cuda_plan.c calls it: plain loops over matrices that are
 * stored column by column, with the epilogues as NVIDIA documents them.  Offers two
 * algorithms, behind two that nobody may take, and none for what the library's manual
 * refuses.  A product that is larger than any test's is left undone, and takes a second
 * of the GPU's clock: it measures a peak, which needs no more than two such.
 *
 * A real library may refuse more.  EMU_REFUSE in the environment says what this one
 * does: "plans" of products with an epilogue, the "products" of such plans when they
 * are done, the "first" algorithm of every plan then, the "second", which is the
 * faster one, once it was timed, "all" products, to "plan" any, or the whole "library"
 * to be found.
 * A number behind it, of cublasLtEpilogue_t, means products with that epilogue alone.
 *
 * Where it may add parts of sums in any order its products are wrong by as many parts
 * in a million as EMU_DRIFT says.
 */
#include "config.h"

#include "src/dev/cuda_gemm.h"
#include "tests/emu/emu_stream.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 26 };  /* multiply-adds of a product */
enum { MOST_ALIGN = 16 }; /* that an algorithm asks of a matrix, in bytes */
enum { TIMED = 6 };       /* products that time an algorithm which is the fastest */
enum { FIRST = 1, NOBODYS = 2, OFFERS = 4 };

struct desc {
    cublasOperation_t a, b;
    cublasLtEpilogue_t epilogue;
    void *bias;
    void *aux;
    int64_t ld_aux;
    cudaDataType_t bias_type;
    int is_tf32;
    int seconds; /* products that its second algorithm did */
};

struct layout {
    cudaDataType_t type;
    int64_t rows, cols, ld;
};

/* How many are there: of handles, and of what is to be gone before the last of them. */
static int handles, others;

static cublasStatus_t create(cublasLtHandle_t *handle)
{
    *handle = malloc(1);
    handles++;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t destroy(cublasLtHandle_t handle)
{
    free(handle);
    if (--handles == 0 && others != 0)
        abort(); /* something was never destroyed */
    return CUBLAS_STATUS_SUCCESS;
}

static const char *status_string(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_SUCCESS ? "no error" : "an emulated error";
}

static size_t version(void)
{
    return CUBLAS_VERSION;
}

/* Products as 'of'. */
static bool is_refusing(const char *what, const struct desc *of)
{
    static const char *asked;
    static bool is_known;
    char word[16];
    int epilogue = 0;

    if (!is_known)
        asked = getenv("EMU_REFUSE");
    is_known = true;
    return asked != NULL && sscanf(asked, "%15s %d", word, &epilogue) > 0 &&
           strcmp(word, what) == 0 && (epilogue == 0 || epilogue == (int)of->epilogue);
}

/* ---- Descriptors ----------------------------------------------------------------- */

static cublasStatus_t desc_create(cublasLtMatmulDesc_t *desc,
                                  cublasComputeType_t compute, cudaDataType_t scale)
{
    struct desc *d = calloc(1, sizeof *d);

    others++;
    d->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    *desc       = (cublasLtMatmulDesc_t)(void *)d;
    d->is_tf32  = compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    return (d->is_tf32 || compute == CUBLAS_COMPUTE_32F) && scale == CUDA_R_32F
               ? CUBLAS_STATUS_SUCCESS
               : CUBLAS_STATUS_NOT_SUPPORTED;
}

static cublasStatus_t desc_destroy(cublasLtMatmulDesc_t desc)
{
    free(desc);
    others--;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t desc_set(cublasLtMatmulDesc_t desc,
                               cublasLtMatmulDescAttributes_t what, const void *value,
                               size_t size)
{
    struct desc *d = (struct desc *)(void *)desc;
    void *to       = NULL;
    size_t wanted  = 0;

    switch (what) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        to = &d->a, wanted = sizeof d->a;
        break;
    case CUBLASLT_MATMUL_DESC_TRANSB:
        to = &d->b, wanted = sizeof d->b;
        break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        to = &d->epilogue, wanted = sizeof d->epilogue;
        break;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        to = &d->bias, wanted = sizeof d->bias;
        break;
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
        to = &d->bias_type, wanted = sizeof d->bias_type;
        break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
        to = &d->aux, wanted = sizeof d->aux;
        break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
        to = &d->ld_aux, wanted = sizeof d->ld_aux;
        break;
    default:
        break;
    }
    if (to == NULL || size != wanted)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(to, value, size);
    return CUBLAS_STATUS_SUCCESS;
}

/* Of nothing no product is to be asked for: what becomes of it is in no manual. */
static cublasStatus_t layout_create(cublasLtMatrixLayout_t *layout, cudaDataType_t type,
                                    uint64_t rows, uint64_t cols, int64_t ld)
{
    struct layout *l = calloc(1, sizeof *l);

    others++;
    *l      = (struct layout){ type, (int64_t)rows, (int64_t)cols, ld };
    *layout = (cublasLtMatrixLayout_t)(void *)l;
    return rows > 0 && cols > 0 && ld >= (int64_t)rows ? CUBLAS_STATUS_SUCCESS
                                                       : CUBLAS_STATUS_INVALID_VALUE;
}

static cublasStatus_t layout_destroy(cublasLtMatrixLayout_t layout)
{
    free(layout);
    others--;
    return CUBLAS_STATUS_SUCCESS;
}

/* How aligned A, B, C and D are at least, in bytes; how parts of a sum may be added. */
struct preference {
    uint32_t align[4], reductions;
};

static cublasStatus_t preference_create(cublasLtMatmulPreference_t *preference)
{
    struct preference *p = malloc(sizeof *p);

    others++;
    *p = (struct preference){ { 256, 256, 256, 256 }, CUBLASLT_REDUCTION_SCHEME_MASK };
    *preference = (cublasLtMatmulPreference_t)(void *)p;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t preference_destroy(cublasLtMatmulPreference_t preference)
{
    free(preference);
    others--;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t preference_set(cublasLtMatmulPreference_t preference,
                                     cublasLtMatmulPreferenceAttributes_t what,
                                     const void *value, size_t size)
{
    struct preference *p = (struct preference *)(void *)preference;
    const size_t wanted  = what == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES
                               ? sizeof(size_t)
                               : sizeof(uint32_t);

    if (p == NULL || value == NULL || size != wanted)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (what >= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES &&
        what <= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES)
        memcpy(&p->align[what - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value,
               size);
    if (what == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK)
        memcpy(&p->reductions, value, size);
    return CUBLAS_STATUS_SUCCESS;
}

/* Bytes, at most 256; none is aligned as well as any. */
static uint64_t alignment_of(const void *at)
{
    uint64_t align = 256;

    while ((uintptr_t)at % align != 0)
        align /= 2;
    return align;
}

static cublasStatus_t heuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                cublasLtMatmulPreference_t preference, int wanted,
                                cublasLtMatmulHeuristicResult_t *result, int *count)
{
    const struct desc *of      = (const struct desc *)(const void *)desc;
    const struct layout *l     = (const struct layout *)(const void *)d;
    const struct layout *w     = (const struct layout *)(const void *)c;
    const struct preference *p = (const struct preference *)(const void *)preference;

    (void)a, (void)b;
    *count = 0;
    if (handle == NULL || preference == NULL || wanted < OFFERS)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (of->aux != NULL && (of->ld_aux % 8 != 0 || of->ld_aux < l->rows ||
                            (uintptr_t)of->aux % 16 != 0 || l->rows % 8 != 0))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (of->bias != NULL && (of->bias_type != l->type || (uintptr_t)of->bias % 16 != 0))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (of->epilogue == CUBLASLT_EPILOGUE_BGRADA &&
        (of->a == CUBLAS_OP_T || of->bias == NULL))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (is_refusing("plan", of) ||
        (of->epilogue != CUBLASLT_EPILOGUE_DEFAULT && is_refusing("plans", of)))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    memset(result, 0, OFFERS * sizeof *result);
    result[0].state         = CUBLAS_STATUS_NOT_SUPPORTED;
    result[1].workspaceSize = CUDA_LT_WORK + 1;
    result[0].algo.data[0] = result[1].algo.data[0] = NOBODYS;
    result[2].algo.data[0]                          = FIRST;
    for (int i = 2; i < OFFERS; i++) {
        result[i].algo.data[1] = alignment_of(of->bias);
        result[i].algo.data[2] = alignment_of(of->aux);
        result[i].algo.data[7] = (uint64_t)w->ld << 8 | (p->reductions & 1U);
        for (int k = 0; k < 4; k++)
            result[i].algo.data[3 + k] =
                p->align[k] < MOST_ALIGN ? p->align[k] : MOST_ALIGN;
    }
    *count = OFFERS;
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- The product ----------------------------------------------------------------- */

static double element(cudaDataType_t type, const void *at, int64_t i)
{
    return dtype_load(type == CUDA_R_16BF ? DTYPE_BF16 : DTYPE_F32, at, i);
}

/* A factor: with TF32 ten bits of it. */
static double factor(const struct desc *of, cudaDataType_t type, const void *at,
                     int64_t i)
{
    const double x = element(type, at, i);
    double mantissa;
    int power;

    if (!of->is_tf32 || type != CUDA_R_32F || !isfinite(x))
        return x;
    mantissa = frexp(x, &power);
    return ldexp(rint(ldexp(mantissa, 11)), power - 11);
}

static void leave(cudaDataType_t type, void *at, int64_t i, double x)
{
    dtype_store(type == CUDA_R_16BF ? DTYPE_BF16 : DTYPE_F32, at, i, x);
}

static const double root = 0.79788456080286536, cubic = 0.044715;

static double gelu(double x)
{
    return 0.5 * x * (1.0 + tanh(root * (x + cubic * x * x * x)));
}

static double gelu_slope(double x)
{
    const double t = tanh(root * (x + cubic * x * x * x));

    return 0.5 * (1.0 + t) +
           0.5 * x * (1.0 - t * t) * root * (1.0 + 3.0 * cubic * x * x);
}

static double finish(const struct desc *of, cudaDataType_t type, int64_t r, int64_t c,
                     double x)
{
    const int64_t i = r + c * of->ld_aux;

    if ((of->epilogue & CUBLASLT_EPILOGUE_BIAS) != 0)
        x += element(of->bias_type, of->bias, r);
    if (of->epilogue == CUBLASLT_EPILOGUE_GELU_AUX ||
        of->epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS) {
        leave(type, of->aux, i, x);
        return gelu(x);
    }
    if (of->epilogue == CUBLASLT_EPILOGUE_DGELU)
        return x * gelu_slope(element(type, of->aux, i));
    return x;
}

/* The gradient of a bias: the sums of A over the depth. */
static void sum_factor(const struct desc *of, const struct layout *x, const void *a,
                       int64_t depth)
{
    for (int64_t row = 0; row < x->rows; row++) {
        double sum = 0.0;

        for (int64_t k = 0; k < depth; k++)
            sum += element(x->type, a, row + k * x->ld);
        leave(of->bias_type, of->bias, row, sum);
    }
}

/* A product as it was asked for. */
struct job {
    struct desc of;
    struct layout x, y, w, z;
    const void *a, *b, *c;
    void *d;
    float one, old;
    bool is_slow;
};

static void do_job(const void *args)
{
    const struct job *j    = args;
    const struct desc *of  = &j->of;
    const struct layout *x = &j->x, *y = &j->y, *w = &j->w, *z = &j->z;
    const int64_t depth = of->a == CUBLAS_OP_T ? x->rows : x->cols;

    if (z->cols * z->rows > MOST / depth) {
        emu_pass(1);
        return;
    }
    if (j->is_slow)
        emu_pass(1);
    if (of->epilogue == CUBLASLT_EPILOGUE_BGRADA)
        sum_factor(of, x, j->a, depth);
    for (int64_t col = 0; col < z->cols; col++) {
        for (int64_t row = 0; row < z->rows; row++) {
            double sum = 0.0;

            for (int64_t k = 0; k < depth; k++)
                sum +=
                    factor(of, x->type, j->a,
                           of->a == CUBLAS_OP_T ? k + row * x->ld : row + k * x->ld) *
                    factor(of, y->type, j->b,
                           of->b == CUBLAS_OP_T ? col + k * y->ld : k + col * y->ld);
            sum *= j->one;
            if (j->old != 0.0F)
                sum += j->old * element(w->type, j->c, row + col * w->ld);
            leave(z->type, j->d, row + col * z->ld, finish(of, z->type, row, col, sum));
        }
    }
}

static bool is_as_aligned(const cublasLtMatmulAlgo_t *algo, const void *at[6])
{
    bool is = true;

    for (int i = 0; i < 6; i++)
        is &= (uintptr_t)at[i] % algo->data[1 + i] == 0;
    return is;
}

/* What products of this algorithm are multiplied by. */
static float drift_of(const cublasLtMatmulAlgo_t *algo)
{
    const char *parts = getenv("EMU_DRIFT");

    return algo->data[7] % 2 != 0 && parts != NULL ? 1 + 1e-6F * (float)atof(parts) : 1;
}

static cublasStatus_t
matmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
       const void *a, cublasLtMatrixLayout_t la, const void *b,
       cublasLtMatrixLayout_t lb, const void *beta, const void *c,
       cublasLtMatrixLayout_t lc, void *d, cublasLtMatrixLayout_t ld,
       const cublasLtMatmulAlgo_t *algo, void *work, size_t bytes, cudaStream_t stream)
{
    struct desc *of        = (struct desc *)(void *)desc;
    const struct layout *x = (const struct layout *)(const void *)la;
    const struct layout *y = (const struct layout *)(const void *)lb;
    const struct layout *w = (const struct layout *)(const void *)lc;
    const struct layout *z = (const struct layout *)(const void *)ld;
    const int64_t depth    = of->a == CUBLAS_OP_T ? x->rows : x->cols;
    const float one = *(const float *)alpha, old = *(const float *)beta;
    const bool is_first = algo != NULL && algo->data[0] == FIRST;

    if (handle == NULL || algo == NULL || work == NULL || bytes == 0 ||
        stream == NULL || w->rows != z->rows || w->cols != z->cols ||
        w->type != z->type || (old != 0.0F && c == NULL) ||
        (of->a == CUBLAS_OP_T ? x->cols : x->rows) != z->rows ||
        (of->b == CUBLAS_OP_T ? y->rows : y->cols) != z->cols ||
        (of->b == CUBLAS_OP_T ? y->cols : y->rows) != depth)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (algo->data[0] == NOBODYS || (int64_t)(algo->data[7] >> 8) != w->ld ||
        !is_as_aligned(algo, (const void *[]){ of->bias, of->aux, a, b, c, d }))
        abort(); /* which one is offered depends on it */
    if (is_refusing("all", of) || (is_refusing("first", of) && is_first) ||
        (is_refusing("second", of) && !is_first && of->seconds++ >= TIMED))
        return CUBLAS_STATUS_INTERNAL_ERROR;
    if (is_refusing("products", of) && of->epilogue != CUBLASLT_EPILOGUE_DEFAULT)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    emu_put_call(stream, do_job,
                 &(struct job){ *of, *x, *y, *w, *z, a, b, c, d, one * drift_of(algo),
                                old, is_first && is_refusing("second", of) },
                 sizeof(struct job));
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- What cuda_load.c does ------------------------------------------------------- */

int cuda_lt_open(struct cuda_lt *lt)
{
    const char *asked = getenv("EMU_REFUSE");

    if (asked != NULL && strcmp(asked, "library") == 0)
        return ERR(ERR_DEVICE, "the emulated library is not found");
    *lt = (struct cuda_lt){
        .Create                       = create,
        .Destroy                      = destroy,
        .Matmul                       = matmul,
        .MatmulAlgoGetHeuristic       = heuristic,
        .GetVersion                   = version,
        .MatmulDescCreate             = desc_create,
        .MatmulDescDestroy            = desc_destroy,
        .MatmulDescSetAttribute       = desc_set,
        .MatrixLayoutCreate           = layout_create,
        .MatrixLayoutDestroy          = layout_destroy,
        .MatmulPreferenceCreate       = preference_create,
        .MatmulPreferenceDestroy      = preference_destroy,
        .MatmulPreferenceSetAttribute = preference_set,
        .GetStatusString              = status_string,
    };
    return 0;
}

void cuda_lt_close(struct cuda_lt *lt)
{
    memset(lt, 0, sizeof *lt);
}
