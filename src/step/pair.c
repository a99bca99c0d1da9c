/* SPDX-License-Identifier: BSD-3-Clause */
/* Operands, calls, and the watch that goes round the manners. */
#include "config.h"

#include "src/step/pair.h"

#include "mesh/coll.h"
#include "mesh/guard.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"

const char *const pair_name[PAIR_OPS] = {
    [PAIR_GATHER]   = "gather",
    [PAIR_DGATHER]  = "dgather",
    [PAIR_SCATTER]  = "scatter",
    [PAIR_DSCATTER] = "dscatter",
};

/* ---- open and close -------------------------------------------------------------- */

int pair_count(const struct spec *s)
{
    return s->wiring == WIRING_PARALLEL ? 1 : 2;
}

/* Columns of the product into the block, and what is summed over in the
 * one out of it.
 */
static void find_sizes(int64_t *in, int64_t *out, const struct spec *s,
                       const struct local *l, int which)
{
    const bool is_parallel = s->wiring == WIRING_PARALLEL;

    *in  = is_parallel ? 3 * l->A_l + l->F_l : which == 0 ? 3 * l->A_l : l->F_l;
    *out = is_parallel ? l->A_l + l->F_l : which == 0 ? l->A_l : l->F_l;
}

void pair_fill(struct dev_stream *s, struct mat a, uint64_t seed)
{
    float *normal = mem_new((size_t)a.cols, sizeof *normal);
    void *row     = mem_new((size_t)a.cols, sizeof(double));

    for (int64_t r = 0; r < a.rows; r++) {
        rng_fill_normal(normal, a.cols, seed, RNG_BENCH, (uint64_t)(r * a.cols));
        for (int64_t c = 0; c < a.cols; c++)
            dtype_store(a.dtype, row, c, normal[c]);
        dev_put(s, mat_rows(a, r, r + 1), row);
    }
    mem_free(row);
    mem_free(normal);
}

/* Normal numbers, drawn for some rows and repeated in the others: a large matrix takes
 * long to draw.
 */
static void fill(struct dev_stream *s, struct mat a, uint64_t seed)
{
    enum { DRAWN = 61 }; /* rows; no slice starts at many multiples of it */

    pair_fill(s, mat_rows(a, 0, a.rows < DRAWN ? a.rows : DRAWN), seed);
    for (int64_t lo = DRAWN; lo < a.rows; lo += DRAWN) {
        const int64_t hi = lo + DRAWN < a.rows ? lo + DRAWN : a.rows;

        dev_copy(s, mat_rows(a, lo, hi), mat_rows(a, 0, hi - lo));
    }
}

static int alloc(struct pair *p, int64_t node_memory, const int64_t size[PAIR_MATS][2])
{
    struct dev *dev = p->dev;
    double on_node  = 0;

    for (int i = 0; i < PAIR_MATS; i++)
        on_node += (double)(size[i][0] * size[i][1]) *
                   (double)dtype_size(dev_acc(dev)) * p->mesh->node_size;
    if (node_memory > 0 && on_node > (double)node_memory)
        return ERR(ERR_MEMORY, "products of %.1f GB a node do not fit", on_node * 1e-9);
    for (int i = 0; i < PAIR_MATS; i++) {
        const bool is_sum      = i == PAIR_DW || i == PAIR_DW2;
        const enum dtype dtype = is_sum ? dev_acc(dev) : dev_dtype(dev);

        TRY(dev_alloc(&p->buf[i], dev,
                      (size_t)(size[i][0] * size[i][1]) * dtype_size(dtype)));
        p->mat[i] = mat_of(&p->buf[i], dtype, size[i][0], size[i][1]);
        fill(dev_stream(dev, LANE_COMPUTE), p->mat[i],
             (uint64_t)(p->mesh->rank * PAIR_MATS + i));
    }
    TRY(dev_weight_open(&p->w, dev, p->mat[PAIR_W]));
    return dev_weight_open(&p->w2, dev, p->mat[PAIR_W2]);
}

int pair_open(struct pair *p, struct mesh *mesh, struct dev *dev, const struct spec *s,
              int which, int64_t rows, int64_t node_memory)
{
    int64_t in, out;
    struct local l;
    int rc;

    spec_local(&l, s, mesh->D, mesh->D, mesh->M, mesh->d, mesh->m);
    find_sizes(&in, &out, s, &l, which);

    const int64_t size[PAIR_MATS][2] = {
        [PAIR_X] = { rows, l.C_l }, [PAIR_DX] = { rows, l.C_l },
        [PAIR_Y] = { rows, in },    [PAIR_X2] = { rows, out },
        [PAIR_DX2] = { rows, out }, [PAIR_W] = { s->C, in },
        [PAIR_W2] = { out, s->C },  [PAIR_DW] = { s->C, in },
        [PAIR_DW2] = { out, s->C },
    };

    *p            = (struct pair){ .mesh = mesh, .dev = dev };
    p->product[0] = which == 0 ? CMM_IN : CMM_UP;
    p->product[1] = which == 0 ? CMM_OUT : CMM_DOWN;
    p->in         = (struct cmm_section){ .cols = { 0, in } };
    p->out        = (struct cmm_section){ .cols = { 0, out } };
    rc            = alloc(p, node_memory, size);
    if (rc == 0)
        rc = cmm_open(&p->cmm, mesh, dev, rows, s->C, CMM_AUTO, 0);
    rc = mesh_agree(mesh, rc);
    if (rc != 0)
        pair_close(p);
    return rc;
}

void pair_close(struct pair *p)
{
    cmm_close(&p->cmm);
    dev_weight_close(&p->w2);
    dev_weight_close(&p->w);
    for (int i = 0; i < PAIR_MATS; i++)
        dev_free(&p->buf[i]);
}

/* ---- operations ------------------------------------------------------------------ */

enum cmm_product pair_product(const struct pair *p, enum pair_op op)
{
    return p->product[op >= PAIR_SCATTER];
}

enum cmm_pass pair_pass(enum pair_op op)
{
    return op == PAIR_DGATHER || op == PAIR_DSCATTER ? CMM_BACKWARD : CMM_FORWARD;
}

struct mat pair_weights(const struct pair *p, enum pair_op op)
{
    return p->mat[op >= PAIR_SCATTER ? PAIR_W2 : PAIR_W];
}

double pair_flops(const struct pair *p, enum pair_op op)
{
    const double products = pair_pass(op) == CMM_BACKWARD ? 2 : 1;

    return 2 * products * (double)p->mat[PAIR_X].rows *
           (double)mat_size(pair_weights(p, op));
}

void pair_run(struct pair *p, enum pair_op op)
{
    const struct mat *a = p->mat;

    switch (op) {
    case PAIR_GATHER:
        cmm_gather(p->cmm, a[PAIR_Y], a[PAIR_X], p->w, &p->in, 1);
        break;
    case PAIR_DGATHER:
        cmm_gather_backward(p->cmm, a[PAIR_DX], a[PAIR_DW], mat_none(), false,
                            a[PAIR_Y], a[PAIR_X], p->w);
        break;
    case PAIR_SCATTER:
        cmm_scatter(p->cmm, a[PAIR_DX], a[PAIR_X2], p->w2, mat_none(), mat_none());
        break;
    default:
        cmm_scatter_backward(p->cmm, a[PAIR_DX2], &p->out, 1, a[PAIR_DW2], mat_none(),
                             false, a[PAIR_X], a[PAIR_X2], p->w2);
    }
    dev_sync(dev_stream(p->dev, LANE_COMPUTE));
}

/* ---- time ------------------------------------------------------------------------ */

static void set_muted(struct pair *p, const struct manner *m, bool is_muted)
{
    mesh_mute(p->mesh, ACT_GATHER, is_muted && m->is_silent);
    mesh_mute(p->mesh, ACT_SCATTER, is_muted && m->is_silent);
    dev_mute(p->dev, is_muted && m->is_idle);
}

static double time_once(struct pair *p, enum pair_op op, const struct manner *m)
{
    double start;

    cmm_set_form(p->cmm, m->choice.form);
    cmm_set_panels(p->cmm, m->choice.panels);
    set_muted(p, m, true);
    coll_barrier(p->mesh);
    start = clock_now();
    pair_run(p, op);
    start = clock_now() - start;
    set_muted(p, m, false);
    guard_alive();
    return start;
}

void pair_time(double *seconds, struct pair *p, enum pair_op op, const struct manner *m,
               int n, int rounds)
{
    for (int round = 0; round < rounds; round++) {
        for (int k = 0; k < n; k++)
            seconds[k * rounds + round] = time_once(p, op, &m[k]);
    }
    coll_largest_of(p->mesh, AXIS_ALL, seconds, n * rounds);
}
