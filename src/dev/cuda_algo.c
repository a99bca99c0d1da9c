/* SPDX-License-Identifier: BSD-3-Clause */
/* Which of cuBLASLt's algorithms does a product: its own first guess, or, of the few it
 * offers, the one that was fastest when they were timed.  A device's choices say both
 * times.
 */
#include "config.h"

#include "src/dev/cuda_gemm.h"

#include <math.h>
#include <stdio.h>

enum { WAY_FIRST = 0, WAY_FASTEST = 1 };

struct algo_trial {
    const struct cuda_plan *plan;
    const struct cuda_operands *operands;
};

static bool try_algo(struct dev_stream *s, void *ctx, int algo)
{
    const struct algo_trial *t = ctx;

    return cuda_multiply(s, t->plan, t->operands, algo);
}

/* Memory to time a sum in, which must not grow where it is: zeros, or NULL if the GPU
 * has no more.
 */
static void *take_room(struct dev_stream *s, const struct cuda_key *k)
{
    const size_t size = (size_t)(k->n * k->ldd) * dtype_size((enum dtype)k->out_type);
    void *room        = NULL;
    const cudaError_t rc = cudaMalloc(&room, size);

    if (rc == cudaErrorMemoryAllocation) {
        cudaGetLastError(); /* so that no later call reports it */
        return NULL;
    }
    TRY_CUDA(rc);
    TRY_CUDA(cudaMemsetAsync(room, 0, size, cuda_on(s)));
    return room;
}

/* A sum for which there is no room takes the first one: infinite times say so. */
static void time_algos(struct dev_stream *s, struct cuda_plan *p,
                       const struct cuda_operands *o, struct dev_choice *choice)
{
    void *room                 = p->key.is_added ? take_room(s, &p->key) : NULL;
    struct cuda_operands apart = *o;
    struct algo_trial t        = { p, &apart };
    double seconds[CUDA_ALGOS] = { INFINITY };

    if (room != NULL)
        apart.d = room;
    p->best = 0;
    if (!p->key.is_added || room != NULL) {
        cuda_time_ways(s, seconds, p->algos, try_algo, &t);
        for (int i = 1; i < p->algos; i++)
            p->best = seconds[i] < seconds[p->best] ? i : p->best;
    }
    TRY_CUDA(cudaFree(room));
    choice->seconds[WAY_FIRST]   = seconds[0];
    choice->seconds[WAY_FASTEST] = seconds[p->best];
    choice->way                  = p->best > 0 ? WAY_FASTEST : WAY_FIRST;
}

void cuda_name(char *text, size_t size, const struct cuda_key *k, const char *more)
{
    static const char *const kind[] = { "x W", "x W^T", "x^T dy" };
    const char *epilogue            = "";

    if (k->epilogue == CUBLASLT_EPILOGUE_BIAS)
        epilogue = " bias";
    else if (k->epilogue == CUBLASLT_EPILOGUE_DGELU)
        epilogue = " gelu'";
    else if (k->epilogue == CUBLASLT_EPILOGUE_BGRADA)
        epilogue = " sums";
    else if (k->epilogue != CUBLASLT_EPILOGUE_DEFAULT)
        epilogue = " gelu";
    snprintf(text, size, "%s %lldx%lldx%lld%s%s%s",
             kind[k->b_is_turned ? 2 : k->a_is_turned], (long long)k->n,
             (long long)k->m, (long long)k->k, epilogue,
             k->is_added || k->ldc > 0 ? " added" : "", more);
}

int cuda_algo_of(struct dev_stream *s, struct cuda_plan *p,
                 const struct cuda_operands *o)
{
    if (p->choice < 0 && cuda_may_time(s->dev)) {
        struct dev_choice made = { .ways = 2, .way_name = { "first", "fastest" } };

        cuda_name(made.name, sizeof made.name, &p->key, "");
        time_algos(s, p, o, &made);
        p->choice = cuda_add_choice(s->dev, &made);
    }
    if (p->choice < 0 || cuda_choice(s->dev, p->choice)->way == WAY_FIRST)
        return 0;
    return p->best;
}
