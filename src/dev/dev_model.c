/* SPDX-License-Identifier: BSD-3-Clause */
/* Costs are computed once for every operation and size, and looked up from then on: a
 * simulation asks for the same few millions of times.
 */
#include "config.h"

#include "src/dev/dev_model.h"

#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/dev/dev_impl.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* A cost that was looked up, in the place that its work hashes to. */
struct known {
    struct dev_work work; /* op NULL: none yet */
    double seconds;
};

enum { KNOWN = 256 };

struct model {
    struct cost_rank rank;
    void *block;
    bool is_own;
    uint64_t seed, drawn; /* of values, 0: there are none; how many were read */
    struct known known[KNOWN];
};

/* ---- costs ----------------------------------------------------------------------- */

static double cost_of(const struct cost_rank *c, const struct dev_work *w)
{
    static const char *const product[] = {
        [COST_GEMM] = "gemm", [COST_GEMM_T] = "gemm_t", [COST_GEMM_DW] = "gemm_dw"
    };
    const int64_t *n      = w->shape;
    const bool is_forward = strcmp(w->op, "attn") == 0;

    for (int p = COST_GEMM; p <= COST_GEMM_DW; p++) {
        if (strcmp(w->op, product[p]) == 0)
            return cost_gemm(c, (enum cost_product)p, n[0], n[1], n[2]) +
                   cost_epilogue(c, w->epilogue);
    }
    if (is_forward || strcmp(w->op, "attn_backward") == 0)
        return cost_attn(c, !is_forward, n[0], n[1], n[2], n[3], n[4]);
    return cost_move(c, w->op, w->bytes);
}

static bool is_same(const struct dev_work *a, const struct dev_work *b)
{
    return a->op == b->op && a->bytes == b->bytes && a->epilogue == b->epilogue &&
           memcmp(a->shape, b->shape, sizeof a->shape) == 0;
}

static unsigned place_of(const struct dev_work *w)
{
    uint64_t x =
        (uint64_t)(uintptr_t)w->op ^ (uint64_t)w->bytes ^ (uint64_t)w->epilogue << 1;

    for (size_t i = 0; i < sizeof w->shape / sizeof w->shape[0]; i++)
        x = x * 0x9E3779B97F4A7C15U + (uint64_t)w->shape[i];
    return (unsigned)(x * 0x9E3779B97F4A7C15U >> 32) % KNOWN;
}

static void model_charge(struct dev *dev, const struct dev_work *work)
{
    struct model *m = dev->state;
    struct known *k = &m->known[place_of(work)];

    if (!is_same(&k->work, work)) {
        k->work    = *work;
        k->seconds = cost_of(&m->rank, work);
    }
    clock_spend(k->seconds);
}

/* ---- open and close -------------------------------------------------------------- */

static int model_open(struct dev *dev)
{
    struct model *m             = dev->state;
    const struct machine *about = m->rank.machine;

    dev->ops.packs = about->packs;
    if (about->gpus > 0) /* it does as src/dev/cuda.c */
        dev->ops.adds_rest = dev->ops.has_copies = dev->ops.keeps_norms = true;
    snprintf(dev->hardware, sizeof dev->hardware, "%s", about->name);
    snprintf(dev->about, sizeof dev->about, "costs of machine %s, nothing computed",
             about->name);
    if (m->block != NULL)
        return 0;
    m->block = mmap(NULL, DEV_MODEL_BLOCK, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m->block == MAP_FAILED)
        return ERR(ERR_ENV, "the system gives no addresses for the model device");
    m->is_own = true;
    return 0;
}

static void model_close(struct dev *dev)
{
    struct model *m = dev->state;

    if (m->is_own)
        munmap(m->block, DEV_MODEL_BLOCK);
    mem_free(m);
    dev->state = NULL;
}

static double model_peak(struct dev *dev, double seconds)
{
    const struct model *m = dev->state;

    (void)seconds;
    return m->rank.peak;
}

static double model_bandwidth(struct dev *dev, double seconds)
{
    const struct model *m = dev->state;

    (void)seconds;
    return m->rank.machine->mem_bw * m->rank.share;
}

/* ---- memory ---------------------------------------------------------------------- */

static int model_alloc(struct buf *b, struct dev *dev, size_t bytes)
{
    const struct model *m = dev->state;

    if (bytes > DEV_MODEL_BLOCK)
        return ERR(ERR_MEMORY, "a buffer of %zu bytes", bytes);
    *b = (struct buf){ .dev = dev, .at = m->block, .bytes = bytes };
    return 0;
}

static void model_free(struct buf *b)
{
    (void)b;
}

/* What nobody computed is zero, or any number that is finite and not below zero, as a
 * norm is.
 */
static void get(struct dev_stream *s, void *dst, struct mat src)
{
    struct model *m     = s->dev->state;
    const int64_t count = src.rows * src.cols;

    for (int64_t i = 0; i < count; i++) {
        const double x = m->seed == 0 ? 0 : rng_uniform(m->seed, RNG_BENCH, m->drawn++);

        dtype_store(src.dtype, dst, i, 4096 * x * x);
    }
}

static const struct dev_ops dev_model = {
    .name      = "model",
    .fallback  = &dev_at_once,
    .is_host   = true,
    .charge    = model_charge,
    .open      = model_open,
    .close     = model_close,
    .peak      = model_peak,
    .bandwidth = model_bandwidth,
    .alloc     = model_alloc,
    .free      = model_free,
    .get       = get,
};

void dev_model_invent(struct dev *dev, uint64_t seed)
{
    struct model *m = dev->state;

    m->seed = seed;
}

int dev_model_open(struct dev **dev, const struct cost_rank *rank, void *block)
{
    struct model *m = mem_new(1, sizeof *m);
    int rc;

    m->rank  = *rank;
    m->block = block;
    rc       = dev_open_table(dev, &dev_model, rank->dtype, 1, m);
    if (rc != 0)
        mem_free(m);
    return rc;
}
