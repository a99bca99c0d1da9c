/* SPDX-License-Identifier: BSD-3-Clause */
/* Collective matmul apart from a model: gather then multiply and multiply then scatter,
 * forward and backward, at the sizes of a block's products.  For each a line
 *
 *   plain      collective, then product
 *   ring       the product of one slice while the next one travels
 *   products   the ring without its messages
 *   messages   the ring without its products
 *
 * (dgather and dscatter are the backwards), and of the ring hidden = (messages -
 * exposed) / min(messages, products), where exposed = ring - products.
 */
#include "config.h"

#include "bench/case.h"
#include "bench/overlap.h"
#include "bench/product.h"
#include "bench/watch.h"

#include "src/base/err.h"

#include <math.h>
#include <stdio.h>

/* Into a block: y = gather(x) w.  Out of it: dx = scatter(x2 w2).  And back. */
enum { X, DX, Y, X2, DX2, W, W2, DW, DW2, MATS };

struct job {
    struct bench *bench;
    struct cmm *cmm;
    struct buf buf[MATS];
    struct mat mat[MATS];
    struct dev_weight *w, *w2;
    struct cmm_section in, out; /* plain columns, all */
    const struct operation *operation;
};

/* ---- the operations -------------------------------------------------------------- */

static void gather(struct job *j)
{
    cmm_gather(j->cmm, j->mat[Y], j->mat[X], j->w, &j->in, 1);
}

static void gather_backward(struct job *j)
{
    cmm_gather_backward(j->cmm, j->mat[DX], j->mat[DW], false, j->mat[Y], j->mat[X],
                        j->w);
}

static void scatter(struct job *j)
{
    cmm_scatter(j->cmm, j->mat[DX], j->mat[X2], j->w2, mat_none());
}

static void scatter_backward(struct job *j)
{
    cmm_scatter_backward(j->cmm, j->mat[DX2], &j->out, 1, j->mat[DW2], false, j->mat[X],
                         j->mat[X2], j->w2);
}

struct operation {
    const char *name;
    int weight;   /* which one it multiplies with */
    int products; /* each of 2 n rows cols FLOPs */
    void (*run)(struct job *j);
};

static const struct operation operations[] = {
    { "gather", W, 1, gather },
    { "dgather", W, 2, gather_backward },
    { "scatter", W2, 1, scatter },
    { "dscatter", W2, 2, scatter_backward },
};

enum { OPERATIONS = sizeof operations / sizeof operations[0] };

static void run_operation(void *ctx)
{
    struct job *j = ctx;

    j->operation->run(j);
    dev_sync(dev_stream(j->bench->dev, LANE_COMPUTE));
}

/* ---- lines of the table ---------------------------------------------------------- */

static struct row *time_row(struct case_result *c, struct job *j, const char *what)
{
    const double seconds = 0.3;
    const struct mat w   = j->mat[j->operation->weight];
    struct row *row      = case_add_row(c);

    snprintf(row->name, sizeof row->name, "%s %s", j->operation->name, what);
    row->size     = j->mat[X].rows;
    row->shape[0] = j->mat[X].rows;
    row->shape[1] = w.cols;
    row->shape[2] = w.rows;
    row->seconds  = bench_median(seconds, j->bench->mesh, run_operation, j);
    row->status   = STATUS_SKIP; /* of those that compute nothing whole */
    return row;
}

static void set_rate(struct row *row, const struct operation *o)
{
    row->rate = 2.0 * o->products * (double)row->shape[0] * (double)row->shape[1] *
                (double)row->shape[2] / row->seconds;
}

static void mute_messages(struct mesh *mesh, bool is_muted)
{
    mesh_mute(mesh, ACT_GATHER, is_muted);
    mesh_mute(mesh, ACT_SCATTER, is_muted);
}

/* One form, timed and then looked at. */
static double time_form(struct case_result *c, struct job *j, enum cmm_form form,
                        const char *what)
{
    struct bench *b = j->bench;
    struct check check;
    struct watch watch;
    struct row *row;

    cmm_set_form(j->cmm, form);
    row = time_row(c, j, what);
    set_rate(row, j->operation);
    watch_open(&watch, b->mesh, b->dev, (uint64_t)b->options->seed);
    watch_start(&watch, j->cmm);
    run_operation(j);
    watch_stop(j->cmm);
    watch_decide(&check, &watch);
    watch_close(&watch);
    row->error     = check.residual;
    row->threshold = check.threshold;
    row_judge(row);
    return row->seconds;
}

static void time_operation(struct case_result *c, struct job *j,
                           const struct operation *o)
{
    struct bench *b = j->bench;
    double ring, products, messages;
    int of_ring;

    j->operation = o;
    time_form(c, j, CMM_PLAIN, "plain");
    of_ring = c->rows;
    ring    = time_form(c, j, CMM_RING, "ring");

    mute_messages(b->mesh, true);
    products = time_row(c, j, "products")->seconds;
    set_rate(&c->row[c->rows - 1], o);
    mute_messages(b->mesh, false);

    dev_mute(b->dev, true);
    messages = time_row(c, j, "messages")->seconds;
    dev_mute(b->dev, false);
    if (!overlap_is_by_cores(b, ACT_GATHER))
        c->row[of_ring].hidden = overlap_share(messages, ring - products, products);
}

/* ---- the case -------------------------------------------------------------------- */

static int open_job(struct job *j, const struct spec *spec, const struct local *l)
{
    struct bench *b        = j->bench;
    const bool is_parallel = spec->wiring == WIRING_PARALLEL;
    const int64_t n = l->rows, C_l = l->C_l;
    const int64_t in            = is_parallel ? 3 * l->A_l + l->F_l : l->F_l;
    const int64_t out           = is_parallel ? l->A_l + l->F_l : l->F_l;
    const int64_t size[MATS][2] = {
        [X] = { n, C_l },        [DX] = { n, C_l },      [Y] = { n, in },
        [X2] = { n, out },       [DX2] = { n, out },     [W] = { spec->C, in },
        [W2] = { out, spec->C }, [DW] = { spec->C, in }, [DW2] = { out, spec->C },
    };
    double on_node = 0;

    for (int i = 0; i < MATS; i++)
        on_node += (double)(size[i][0] * size[i][1]) *
                   (double)dtype_size(dev_acc(b->dev)) * b->mesh->node_size;
    if (b->node_memory > 0 && on_node > (double)b->node_memory)
        return ERR(ERR_MEMORY, "products of %.1f GB a node do not fit", on_node * 1e-9);
    for (int i = 0; i < MATS; i++) {
        const enum dtype dtype =
            i == DW || i == DW2 ? dev_acc(b->dev) : dev_dtype(b->dev);

        TRY(dev_alloc(&j->buf[i], b->dev,
                      (size_t)(size[i][0] * size[i][1]) * dtype_size(dtype)));
        j->mat[i] = mat_of(&j->buf[i], dtype, size[i][0], size[i][1]);
        product_fill(dev_stream(b->dev, LANE_COMPUTE), j->mat[i],
                     (uint64_t)(b->options->seed + b->mesh->rank * MATS + i));
    }
    j->in  = (struct cmm_section){ .cols = { 0, in } };
    j->out = (struct cmm_section){ .cols = { 0, out } };
    TRY(dev_weight_open(&j->w, b->dev, j->mat[W]));
    TRY(dev_weight_open(&j->w2, b->dev, j->mat[W2]));
    return cmm_open(&j->cmm, b->mesh, b->dev, n, spec->C, CMM_PLAIN, 0);
}

static void close_job(struct job *j)
{
    cmm_close(&j->cmm);
    dev_weight_close(&j->w2);
    dev_weight_close(&j->w);
    for (int i = 0; i < MATS; i++)
        dev_free(&j->buf[i]);
}

int case_cmm(struct bench *b, struct case_result *c, const struct spec *spec,
             int64_t batch)
{
    struct mesh *mesh = b->mesh;
    struct job j      = { .bench = b };
    struct local l;
    int rc;

    if (mesh->M == 1) {
        case_skip(c, "one rank on the model axis has nothing to gather: --mesh=1x%d",
                  mesh->size > 1 ? mesh->size : 2);
        return 0;
    }
    guard_phase("collective matmul");
    spec_local(&l, spec, batch, mesh->D, mesh->M, mesh->d, mesh->m);
    rc = mesh_agree(mesh, open_job(&j, spec, &l));
    if (rc == ERR_MEMORY)
        case_skip(c, "not enough memory");
    for (int i = 0; rc == 0 && i < OPERATIONS; i++)
        time_operation(c, &j, &operations[i]);
    if (rc == 0)
        result_judge(c, 0, false);
    close_job(&j);
    return rc == ERR_MEMORY ? 0 : rc;
}
