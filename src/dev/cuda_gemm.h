/* SPDX-License-Identifier: BSD-3-Clause */
/* Products through cuBLASLt: plans, which are its descriptors for given sizes, and the
 * choice among its algorithms.  Plans are made at the first use of a size, and kept.
 */
#ifndef DEV_CUDA_GEMM_H
#define DEV_CUDA_GEMM_H

#include "src/dev/cuda_load.h"

/* What makes a product another one.  cuBLASLt counts columns first: its m are our
 * columns, its n our rows, its a our second operand.
 */
struct cuda_key {
    int64_t m, n, k;
    int64_t lda, ldb, ldc, ldd, ld_aux; /* ldc 0: d is what is added to, if anything */
    int32_t a_is_turned, b_is_turned, is_added, is_tf32, is_deterministic;
    int32_t type, out_type, bias_type;
    int32_t epilogue;                           /* cublasLtEpilogue_t */
    int32_t align_a, align_b, align_c, align_d; /* bytes, at most 256 */
    int32_t align_bias, align_aux;
};

/* A product's addresses. */
struct cuda_operands {
    const void *a, *b;
    const void *c; /* added to the product; NULL: nothing but d */
    void *d;
    void *bias, *aux;
};

enum { CUDA_ALGOS = 8 };

struct cuda_plan {
    struct cuda_plan *next;
    struct cuda_key key;
    bool is_possible; /* else the epilogue has to be done by itself */
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, c, d; /* c NULL: it is d */
    cublasLtMatmulHeuristicResult_t
        algo[CUDA_ALGOS]; /* the library's favourite first */
    int algos;
    int choice; /* of the algorithm: its number among the device's, or -1 */
    int where;  /* likewise of where the epilogue is done */
    int best;   /* of the algorithms, the one that was fastest */
};

struct cuda_products {
    struct cuda_lt lt;
    cublasLtHandle_t handle;
    struct cuda_plan *plans;
    cublasStatus_t refusal; /* why a product was refused last */
};

/* Bytes of cuBLASLt's workspace, for each stream. */
#define CUDA_LT_WORK ((size_t)32 << 20)

/* The plan for this key, which lies at 'o' or at addresses that are as aligned. */
struct cuda_plan *cuda_find_plan(struct cuda_products *p, const struct cuda_key *k,
                                 const struct cuda_operands *o);

/* Do it, by another algorithm where one is refused; false if all are. */
bool cuda_run(struct dev_stream *s, struct cuda_plan *plan,
              const struct cuda_operands *o);

/* Do 'p' by algorithm number 'algo'; false if cuBLASLt refuses it after all, for
 * whatever reason: another algorithm, or the product without its epilogue, may go.
 */
bool cuda_multiply(struct dev_stream *s, const struct cuda_plan *p,
                   const struct cuda_operands *o, int algo);

/* The number of the algorithm to use; timed now, if products are and it was not. */
int cuda_algo_of(struct dev_stream *s, struct cuda_plan *p,
                 const struct cuda_operands *o);

/* Enough of a key to tell choices of one run apart, and 'more' words. */
void cuda_name(char *text, size_t size, const struct cuda_key *k, const char *more);

/* Whether the library for products is there, which stays loaded: to look again, and to
 * open it, takes no time.
 */
bool cuda_products_are_there(void);

_Noreturn void cuda_lt_died(const struct cuda_lt *lt, cublasStatus_t status,
                            const char *call, const char *file, int line);
#define TRY_LT(lt, call)                                                               \
    do {                                                                               \
        const cublasStatus_t lt_rc_ = (lt)->call;                                      \
        if (lt_rc_ != CUBLAS_STATUS_SUCCESS)                                           \
            cuda_lt_died((lt), lt_rc_, #call, __FILE__, __LINE__);                     \
    } while (0)

#endif
