/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,3 */
/* Gradients that are put aside: what is not made while messages are awaited is left
 * until cmm_finish(), and the result is the same to the last bit.
 */
#include "config.h"

#include "mesh/cmm.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "tests/ranks.h"

#include <string.h>

enum { ROWS = 300, WIDTH = 12, N = 40, OPERANDS = 5 };

static struct dev *dev;
static struct dev_stream *stream;

/* A call of cmm_gather_backward() and what it is of. */
struct call {
    struct cmm *cmm;
    struct dev_weight *weight;
    struct buf buf[OPERANDS];
    struct mat x, dy, w, dx, dw;
    struct mat mine; /* the rows of dw that this rank's x gives */
    size_t bytes;    /* of dw */
};

static struct mat filled(struct buf *buf, int64_t rows, int64_t cols, double first)
{
    const size_t size = (size_t)(rows * cols);
    double *value     = mem_new(size, sizeof *value);
    struct mat a;

    if (dev_alloc(buf, dev, size * sizeof *value) != 0)
        die("%s", err_sentence());
    for (size_t i = 0; i < size; i++)
        value[i] = first + (double)(i % 7) - (double)(i % 11) / 3;
    a = mat_of(buf, DTYPE_F64, rows, cols);
    dev_put(stream, a, value);
    mem_free(value);
    return a;
}

static void call_open(struct call *c, struct mesh *mesh, enum cmm_form form)
{
    const struct range own = split_range(WIDTH, mesh->M, mesh->m);

    c->x     = filled(&c->buf[0], ROWS, range_size(own), mesh->m);
    c->dy    = filled(&c->buf[1], ROWS, N, 2 + mesh->m);
    c->w     = filled(&c->buf[2], WIDTH, N, 5 + mesh->m);
    c->dx    = filled(&c->buf[3], ROWS, range_size(own), 0);
    c->dw    = filled(&c->buf[4], WIDTH, N, 0);
    c->mine  = mat_rows(c->dw, own.lo, own.hi);
    c->bytes = WIDTH * N * sizeof(double);
    if (cmm_open(&c->cmm, mesh, dev, ROWS, WIDTH, form, 2) != 0 ||
        dev_weight_open(&c->weight, dev, c->w) != 0)
        die("%s", err_sentence());
}

static void call_close(struct call *c)
{
    dev_weight_close(&c->weight);
    cmm_close(&c->cmm);
    for (int i = 0; i < OPERANDS; i++)
        dev_free(&c->buf[i]);
}

static void run(struct call *c, bool is_added)
{
    cmm_gather_backward(c->cmm, c->dx, c->dw, mat_none(), is_added, c->dy, c->x,
                        c->weight);
}

/* True if 'a' holds the 'value' everywhere, or nowhere. */
static bool is_all(struct mat a, double value, bool want)
{
    double *host  = mem_new((size_t)mat_size(a), sizeof *host);
    bool is_right = true;

    dev_get(stream, host, a);
    for (int64_t i = 0; i < mat_size(a); i++)
        is_right &= (host[i] == value) == want;
    mem_free(host);
    return is_right;
}

static void test(struct mesh *mesh, enum cmm_form form)
{
    const bool is_ring = form != CMM_PLAIN && mesh->M > 1;
    const char *name   = cmm_form_name[form];
    double want[WIDTH * N], got[WIDTH * N];
    struct call c;

    call_open(&c, mesh, form);
    run(&c, false);
    run(&c, true);
    dev_get(stream, want, c.dw);

    cmm_put_aside(c.cmm);
    run(&c, false);
    run(&c, true);
    cmm_finish(c.cmm);
    dev_get(stream, got, c.dw);
    ok(memcmp(got, want, c.bytes) == 0,
       "%s 1x%d: gradients put aside are the same in the end", name, mesh->M);

    /* Without messages there is nothing to wait for: all that is put aside is left. */
    mesh_mute(mesh, ACT_GATHER, true);
    mesh_mute(mesh, ACT_SCATTER, true);
    dev_fill(stream, c.dw, 777);
    run(&c, false);
    ok(is_all(c.mine, 777, is_ring), "%s 1x%d: the own part is %s", name, mesh->M,
       is_ring ? "left" : "done at once");
    if (is_ring) {
        cmm_finish(c.cmm);
        ok(is_all(c.mine, 777, false), "until it is asked for");
        dev_fill(stream, c.dw, 777);
        run(&c, false);
        run(&c, true);
        dev_fill(stream, c.mine, 777);
        cmm_finish(c.cmm);
        ok(is_all(c.mine, 777, false), "and one is done before the next is put aside");
    }
    cmm_finish(c.cmm);
    mesh_mute(mesh, ACT_GATHER, false);
    mesh_mute(mesh, ACT_SCATTER, false);
    call_close(&c);
}

int main(int argc, char **argv)
{
    const int size = ranks_open(&argc, &argv, "t354-aside");
    struct mesh *mesh;

    if (mesh_open(&mesh, MPI_COMM_WORLD, 1, size) != 0 ||
        dev_open(&dev, "cpu:ref", DTYPE_F64, 1) != 0)
        die("%s", err_sentence());
    stream = dev_stream(dev, LANE_COMPUTE);
    for (enum cmm_form form = CMM_PLAIN; form <= CMM_BIDIR; form++)
        test(mesh, form);
    dev_close(&dev);
    mesh_close(&mesh);
    return ranks_done();
}
