/* SPDX-License-Identifier: BSD-3-Clause */
/* Which of cuBLASLt's algorithms does a product: its own first guess, or, of the few it
 * offers, the one that was fastest when they were timed.  A device's choices say both
 * times; other ranks may overrule what was measured here.
 */
#include "config.h"

#include "src/dev/cuda_gemm.h"

#include "src/base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROUNDS = 2, REPEATS = 2, WAY_FIRST = 0, WAY_FASTEST = 1 };

/* Of a product with sums: apart from them, or with them, by the fastest algorithm. */
enum { WAY_APART = 0, WAY_WITHIN = 1 };

/* Seconds of one call of 'work', after one that loads its kernels. */
static double time_work(struct dev_stream *s, cuda_work_fn work, void *ctx)
{
    work(s, ctx);
    return cuda_time(s, work, ctx, REPEATS);
}

struct algo_trial {
    const struct cuda_plan *plan;
    const struct cuda_operands *operands;
    int algo;
    bool is_refused;
};

static void try_algo(struct dev_stream *s, void *ctx)
{
    struct algo_trial *t = ctx;

    t->is_refused |= !cuda_multiply(s, t->plan, t->operands, t->algo);
}

/* Seconds of one product by algorithm 'algo'; infinite if it is refused. */
static double time_algo(struct dev_stream *s, const struct cuda_plan *p,
                        const struct cuda_operands *o, int algo)
{
    struct algo_trial t  = { p, o, algo, false };
    const double seconds = time_work(s, try_algo, &t);

    return t.is_refused ? INFINITY : seconds;
}

/* The product and the sums apart.  They overwrite what they leave. */
struct apart_trial {
    struct mat dw, db, x, dy;
};

static void try_apart(struct dev_stream *s, void *ctx)
{
    const struct apart_trial *t = ctx;

    cuda_gemm_dw(s, t->dw, t->x, t->dy, false); /* at first it chooses its algorithm */
    cuda_column_sums(s, t->db, mat_cols(t->dy, t->dy.cols - t->db.cols, t->dy.cols),
                     false);
}

/* Memory to time a sum in, which must not grow where it is: zeros, or NULL if the GPU has
 * no more.
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

/* Time all algorithms.  They are timed by turns, and the least of an algorithm's times
 * counts, for a GPU's clock falls while it gets warm.  A sum for which there is no room
 * takes the first one: infinite times say so.
 */
static void time_algos(struct dev_stream *s, struct cuda_plan *p,
                       const struct cuda_operands *o, struct dev_choice *choice)
{
    void *room                 = p->key.is_added ? take_room(s, &p->key) : NULL;
    const bool is_timed        = !p->key.is_added || room != NULL;
    struct cuda_operands apart = *o;
    double least[CUDA_ALGOS];

    if (room != NULL)
        apart.d = room;
    for (int i = 0; i < p->algos; i++)
        least[i] = INFINITY;
    p->best = 0;
    for (int i = 0; i < ROUNDS * p->algos && is_timed; i++) {
        const int algo = i % p->algos;

        least[algo] = fmin(least[algo], time_algo(s, p, &apart, algo));
    }
    TRY_CUDA(cudaFree(room));
    for (int i = 1; i < p->algos; i++)
        p->best = least[i] < least[p->best] ? i : p->best;
    choice->seconds[WAY_FIRST]   = least[0];
    choice->seconds[WAY_FASTEST] = least[p->best];
    choice->way                  = p->best > 0 ? WAY_FASTEST : WAY_FIRST;
}

static void grow(struct cuda_products *p)
{
    const int room            = 2 * p->room + 32;
    struct dev_choice *choice = mem_new((size_t)room, sizeof *choice);

    if (p->choices > 0)
        memcpy(choice, p->choice, (size_t)p->choices * sizeof *choice);
    mem_free(p->choice);
    p->choice = choice;
    p->room   = room;
}

/* Enough of a key to tell choices of one run apart. */
static void name(char *text, size_t size, const struct cuda_key *k)
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
    snprintf(text, size, "%s %lldx%lldx%lld%s%s",
             kind[k->b_is_turned ? 2 : k->a_is_turned], (long long)k->n,
             (long long)k->m, (long long)k->k, epilogue,
             k->is_added || k->ldc > 0 ? " added" : "");
}

/* Room for one more choice, as the last one. */
static struct dev_choice *add_choice(struct cuda_products *all, struct cuda_plan *p)
{
    if (all->choices == all->room)
        grow(all);
    p->choice = all->choices++;
    name(all->choice[p->choice].name, sizeof all->choice[p->choice].name, &p->key);
    return &all->choice[p->choice];
}

int cuda_algo_of(struct dev_stream *s, struct cuda_plan *p,
                 const struct cuda_operands *o)
{
    struct cuda_products *all = cuda_of(s->dev)->products;
    struct dev_choice *new;

    if (p->choice < 0 && all->is_tuning && !s->dev->is_deterministic) {
        new              = add_choice(all, p);
        new->ways        = 2;
        new->way_name[0] = "first";
        new->way_name[1] = "fastest";
        time_algos(s, p, o, new);
    }
    if (p->choice < 0 || all->choice[p->choice].way == WAY_FIRST)
        return 0;
    return p->best;
}

bool cuda_is_within(struct dev_stream *s, struct cuda_plan *p,
                    const struct cuda_operands *o, struct mat dw, struct mat db,
                    struct mat x, struct mat dy)
{
    struct cuda_products *all = cuda_of(s->dev)->products;
    struct dev_choice *new;

    if (p->choice < 0 && all->is_tuning && !s->dev->is_deterministic) {
        struct apart_trial t     = { dw, db, x, dy };
        struct dev_choice within = { 0 };

        time_algos(s, p, o, &within);

        double apart = INFINITY;

        for (int i = 0; i < ROUNDS; i++)
            apart = fmin(apart, time_work(s, try_apart, &t));

        new                       = add_choice(all, p); /* after that of the product */
        new->ways                 = 2;
        new->way_name[WAY_APART]  = "apart";
        new->way_name[WAY_WITHIN] = "within";
        new->seconds[WAY_APART]   = apart;
        new->seconds[WAY_WITHIN]  = within.seconds[WAY_FASTEST];
        new->way = new->seconds[WAY_WITHIN] < apart ? WAY_WITHIN : WAY_APART;
    }
    return p->choice >= 0 && all->choice[p->choice].way == WAY_WITHIN;
}

void cuda_tune(struct dev *dev, bool is_on)
{
    cuda_of(dev)->products->is_tuning = is_on;
}

struct dev_choice *cuda_choices(struct dev *dev, int *count)
{
    *count = cuda_of(dev)->products->choices;
    return cuda_of(dev)->products->choice;
}
