/* SPDX-License-Identifier: BSD-3-Clause */
/* What this machine can do, as planning wants to know it: peak, memory, products of
 * several shapes, links.  Every rank works at once, the slowest one counts.
 */
#include "config.h"

#include "bench/case.h"
#include "bench/gauge.h"
#include "bench/link.h"
#include "bench/operations.h"
#include "bench/product.h"
#include "bench/run.h"

#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Rows, depth and columns as the papers' shapes have them on one or more ranks: few and
 * many rows, narrow and wide layers, slices of a ring, the rows of a pooling head.
 */
static const struct product products[] = {
    { "gemm", 256, 6144, 6144 },  { "gemm", 256, 6144, 24576 },
    { "gemm", 2048, 1152, 1152 }, { "gemm", 2048, 1152, 4304 },
    { "gemm", 2048, 4304, 1152 }, { "gemm", 1024, 608, 928 },
    { "gemm", 256, 72, 256 },     { "gemm", 2048, 576, 2152 },
    { "gemm", 2048, 2152, 576 },  { "gemm", 1024, 3072, 4608 },
    { "gemm", 8, 1152, 1152 },
};

enum { PRODUCTS = sizeof products / sizeof products[0] };

/* The product among the kernels, or a new one of rate 0; NULL where
 * there is no room.
 */
static struct machine_kernel *kernel_of(struct machine *m, const char *op,
                                        const int64_t shape[3], enum dtype dtype)
{
    struct machine_kernel *k;

    for (int i = 0; i < m->kernels; i++) {
        k = &m->kernel[i];
        if (strcmp(k->op, op) == 0 && memcmp(k->shape, shape, sizeof k->shape) == 0)
            return k;
    }
    if (m->kernels == MACHINE_KERNELS)
        return NULL;
    k = &m->kernel[m->kernels++];
    snprintf(k->op, sizeof k->op, "%s", op);
    snprintf(k->dtype, sizeof k->dtype, "%s", dtype_name(dtype));
    memcpy(k->shape, shape, sizeof k->shape);
    return k;
}

/* What is measured of the machine, and how sure its kernels' rates are. */
struct measured {
    struct machine m;
    struct gauge gauge[MACHINE_KERNELS];
};

/* Measure a product and its gradients, in the order of enum cost_product, once more;
 * '*doubtful' is how many of the three are not confirmed.
 */
static int measure_product(int *doubtful, struct measured *g, struct bench *b,
                           struct case_result *c, const struct product *p)
{
    const int first = c->rows;
    const int rc    = product_measure(c, b, p, fmin(0.1, b->options->seconds / 10));

    *doubtful = 0;
    if (rc == ERR_MEMORY)
        return 0; /* a small machine: described by the smaller ones */
    TRY(rc);
    for (int i = first; i < c->rows; i++) {
        struct machine_kernel *k =
            kernel_of(&g->m, cost_product_name[(i - first) % COST_PRODUCTS],
                      c->row[i].shape, c->dtype);
        struct gauge *rate;

        if (k == NULL)
            continue;
        rate = &g->gauge[k - g->m.kernel];
        gauge_add(rate, c->row[i].rate);
        k->rate = rate->best;
        *doubtful += !gauge_is_sure(rate);
    }
    return 0;
}

static int measure_products(struct measured *g, struct bench *b, struct case_result *c)
{
    int doubtful;

    for (int i = 0; i < PRODUCTS; i++)
        TRY(measure_product(&doubtful, g, b, c, &products[i]));
    return 0;
}

/* The same after what else there is to measure, those that differ some times more. */
static int confirm_products(struct measured *g, struct bench *b, struct case_result *c)
{
    enum { TURNS = 4 };
    int doubtful = 0, all = 0;

    for (int i = 0; i < PRODUCTS; i++) {
        for (int turn = 0; turn < TURNS && (turn == 0 || doubtful > 0); turn++)
            TRY(measure_product(&doubtful, g, b, c, &products[i]));
        all += doubtful;
    }
    if (all > 0 && b->result != NULL)
        result_warn(b->result,
                    "%d rates of products were reached once only, within %.0f %%: "
                    "something else runs here; measure again",
                    all, 100 * (1 - gauge_near));
    return 0;
}

/* The peak once more; no product is faster. */
static void confirm_peak(struct machine *m, struct bench *b, struct case_result *c)
{
    run_peak(b);
    c->row[0].rate             = b->peak;
    m->peak[dev_dtype(b->dev)] = b->peak;
    if (machine_over_peak(m) > MACHINE_OVER_PEAK && b->result != NULL)
        result_warn(b->result,
                    "a product reaches %.0f %% of the peak: something else ran while "
                    "that was measured; measure again",
                    100 * machine_over_peak(m));
}

static void measure_memory(struct machine *m, struct bench *b, struct case_result *c)
{
    const double seconds = fmin(0.25, b->options->seconds / 4);
    struct row *row      = case_add_row(c);

    coll_barrier(b->mesh);
    m->mem_bw = fmax(m->mem_bw,
                     coll_smallest(b->mesh, AXIS_ALL, dev_bandwidth(b->dev, seconds)));
    snprintf(row->name, sizeof row->name, "memory %.3g GB/s", m->mem_bw * 1e-9);
    row->algbw  = m->mem_bw;
    row->status = STATUS_SKIP;
}

static void measure_links(struct machine *m, struct bench *b, struct case_result *c)
{
    int64_t wrong;

    m->links = link_measure(m->link, &wrong, b->mesh, b->dev);
    for (int i = 0; i < m->links; i++) {
        struct row *row = case_add_row(c);

        row->seconds = m->link[i].alpha_s;
        row->algbw   = 1 / m->link[i].beta_s_per_byte;
        snprintf(row->name, sizeof row->name, "%s %.3g GB/s", m->link[i].level,
                 row->algbw * 1e-9);
        row->error     = (double)wrong;
        row->threshold = 0;
        row_judge(row);
        row         = case_add_row(c);
        row->status = STATUS_SKIP;
        snprintf(row->name, sizeof row->name, "%s busy %.0f %%", m->link[i].level,
                 100 * m->link[i].busy);
    }
}

static void describe(struct machine *m, const struct bench *b)
{
    const struct mesh *mesh = b->mesh;

    snprintf(m->name, sizeof m->name, "%s", log_host());
    m->cores                   = dev_threads(b->dev) * mesh->node_size;
    m->gpus                    = dev_is_host(b->dev) ? 0 : mesh->node_size;
    m->memory_bytes            = m->gpus > 0 ? b->node_memory : mem_machine();
    m->packs                   = b->choices->way.packs;
    m->peak[dev_dtype(b->dev)] = b->peak;
    m->nodes                   = mesh->nodes;
    m->ranks_per_node          = mesh->node_size;
    snprintf(m->topology, sizeof m->topology, "%s",
             mesh->nodes > 1 ? "unknown" : "shared");
    snprintf(m->progress, sizeof m->progress, "%s",
             b->options->progress == PROGRESS_CHOICE_AUTO &&
                     b->progress == PROGRESS_NONE
                 ? "full"
                 : "poll");
    snprintf(m->source, sizeof m->source, "vitbench --case=machine, %s, %s, %s",
             dev_hardware(b->dev), dev_name(b->dev), dtype_name(dev_dtype(b->dev)));
}

static int measure(struct measured *g, struct bench *b, struct case_result *c)
{
    struct machine *m = &g->m;
    struct row *row   = case_add_row(c);

    run_peak(b);
    snprintf(row->name, sizeof row->name, "peak %s", dtype_name(c->dtype));
    row->rate   = b->peak;
    row->status = STATUS_SKIP;
    describe(m, b);
    measure_memory(m, b, c);
    TRY(bench_go_on(b));
    measure_links(m, b, c);
    TRY(measure_products(g, b, c));
    TRY(operations_measure(m, b, c));
    measure_memory(m, b, c);
    TRY(confirm_products(g, b, c));
    confirm_peak(m, b, c);
    return 0;
}

int case_machine(struct bench *b, struct case_result *c, const struct spec *spec,
                 int64_t batch)
{
    const char *path   = b->options->machine_out;
    struct measured *g = mem_new(1, sizeof *g);
    int rc;

    (void)spec;
    (void)batch;
    guard_phase("machine");
    rc = measure(g, b, c);
    if (rc == 0 && path[0] != '\0')
        rc = mesh_agree(b->mesh, b->mesh->rank == 0 ? machine_save(&g->m, path) : 0);
    if (rc == 0)
        result_judge(c);
    mem_free(g);
    return rc;
}
