/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,3 */
/* Rows that are there already, and rows that are not there yet: what a gather leaves
 * for its backward, and what a scatter asks for when it needs it.
 */
#include "config.h"

#include "mesh/cmm.h"

#include "src/base/err.h"
#include "tests/ranks.h"

#include <string.h>

enum { ROWS = 240, WIDTH = 12, N = 40, ALL = ROWS * N };

/* The matrices of a gather and of a scatter; x, dx, z: slices of the width. */
enum which { X, DX, Z, Y, DW, W_IN, DY, FED, W_OUT, MATS };

struct pair {
    struct mesh *mesh;
    struct dev *dev;
    struct dev_stream *stream;
    struct cmm *cmm;
    struct buf buf[MATS];
    struct mat mat[MATS];
    struct dev_weight *in, *out;
};

static void fill(struct pair *p, enum which which, double factor)
{
    const struct mat a = p->mat[which];
    double value[ALL];

    for (int64_t i = 0; i < mat_size(a); i++)
        value[i] = factor * (double)((i * (which + 3) + p->mesh->m) % 13 - 6);
    dev_put(p->stream, a, value);
}

static void pair_open(struct pair *p, struct mesh *mesh, enum cmm_form form)
{
    const int64_t own = split_size(WIDTH, mesh->M, mesh->m);

    memset(p, 0, sizeof *p);
    p->mesh = mesh;
    if (dev_open(&p->dev, "cpu:ref", DTYPE_F64, 1) != 0 ||
        cmm_open(&p->cmm, mesh, p->dev, ROWS, WIDTH, form, 2) != 0)
        die("%s", err_sentence());
    p->stream = dev_stream(p->dev, LANE_COMPUTE);
    for (enum which w = X; w < MATS; w++) {
        const int64_t rows = w == DW || w == W_IN ? WIDTH : w == W_OUT ? N : ROWS;
        const int64_t cols = w <= Z ? own : w == W_OUT ? WIDTH : N;

        if (dev_alloc(&p->buf[w], p->dev, (size_t)(rows * cols) * sizeof(double)) != 0)
            die("%s", err_sentence());
        p->mat[w] = mat_of(&p->buf[w], DTYPE_F64, rows, cols);
        fill(p, w, 1);
    }
    if (dev_weight_open(&p->in, p->dev, p->mat[W_IN]) != 0 ||
        dev_weight_open(&p->out, p->dev, p->mat[W_OUT]) != 0)
        die("%s", err_sentence());
}

static void pair_close(struct pair *p)
{
    dev_weight_close(&p->in);
    dev_weight_close(&p->out);
    cmm_close(&p->cmm);
    for (enum which w = X; w < MATS; w++)
        dev_free(&p->buf[w]);
    dev_close(&p->dev);
}

/* ---- kept ------------------------------------------------------------------------ */

static void gather(struct pair *p)
{
    const struct cmm_section all = { .cols = { 0, N } };

    cmm_gather(p->cmm, p->mat[Y], p->mat[X], p->in, &all, 1);
}

/* Its backward; returns how many slices travelled for it. */
static int64_t backward(struct pair *p, double dw[WIDTH * N], double dx[ALL])
{
    mesh_count_reset(p->mesh);
    cmm_gather_backward(p->cmm, p->mat[DX], p->mat[DW], mat_none(), false, p->mat[DY],
                        p->mat[X], p->in);
    dev_get(p->stream, dw, p->mat[DW]);
    dev_get(p->stream, dx, p->mat[DX]);
    return p->mesh->sent[ACT_GATHER].messages;
}

static void test_kept(struct pair *p, enum cmm_form form)
{
    const int M       = p->mesh->M;
    const size_t dx_n = (size_t)mat_size(p->mat[DX]) * sizeof(double);
    const bool keeps  = cmm_keeps(M, form, form);
    double want[WIDTH * N], want_dx[ALL], dw[WIDTH * N], dx[ALL];
    int64_t sent;

    gather(p);
    ok((backward(p, want, want_dx) > 0) == (M > 1), "%s 1x%d: a slice travels again",
       cmm_form_name[form], M);
    cmm_keep(p->cmm);
    gather(p);
    sent = backward(p, dw, dx);
    ok((sent > 0) == (M > 1 && !keeps) && memcmp(dw, want, sizeof dw) == 0 &&
           memcmp(dx, want_dx, dx_n) == 0,
       "%s, and the gradients are the same",
       keeps ? "where it is kept it does not" : "here it is not kept");
    fill(p, X, 2);
    gather(p);
    sent = backward(p, dw, dx);
    for (int i = 0; i < WIDTH * N; i++)
        want[i] *= 2;
    ok((sent > 0) == (M > 1) && memcmp(dw, want, sizeof dw) == 0,
       "this holds for one gather");
    cmm_keep(p->cmm);
    gather(p);
    fill(p, X, 1);
    gather(p);
    sent = backward(p, dw, dx);
    for (int i = 0; i < WIDTH * N; i++)
        want[i] /= 2;
    ok((sent > 0) == (M > 1) && memcmp(dw, want, sizeof dw) == 0,
       "and until another call");
}

/* ---- asked for ------------------------------------------------------------------- */

struct maker {
    struct pair *p;
    const double *rows; /* [ROWS, N] */
    int64_t made, first;
    int times;
};

static void make(void *ctx, int64_t rows)
{
    struct maker *m = ctx;

    m->first = m->times++ == 0 ? rows : m->first;
    if (rows > m->made) {
        dev_put(m->p->stream, mat_rows(m->p->mat[FED], m->made, rows),
                m->rows + m->made * N);
        m->made = rows;
    }
}

static void scatter(struct pair *p, double z[ALL])
{
    dev_fill(p->stream, p->mat[Z], 777);
    cmm_scatter(p->cmm, p->mat[Z], p->mat[FED], p->out, mat_none(), mat_none());
    dev_get(p->stream, z, p->mat[Z]);
}

static void test_asked(struct pair *p, enum cmm_form form)
{
    const bool is_ring  = form != CMM_PLAIN && p->mesh->M > 1;
    const size_t bytes  = (size_t)mat_size(p->mat[Z]) * sizeof(double);
    const int64_t first = is_ring ? ROWS / cmm_pieces(ROWS, p->mesh->M) : ROWS;
    double rows[ALL], want[ALL], z[ALL];
    struct maker m = { .p = p, .rows = rows };

    scatter(p, want);
    dev_get(p->stream, rows, p->mat[FED]);
    dev_fill(p->stream, p->mat[FED], 555);
    cmm_from(p->cmm, (struct cmm_source){ make, &m });
    scatter(p, z);
    ok(m.made == ROWS && memcmp(z, want, bytes) == 0,
       "%s 1x%d: rows that are made when they are needed give the same",
       cmm_form_name[form], p->mesh->M);
    ok(m.first == first, "the first %lld are asked for first", (long long)first);
    m.times = 0;
    scatter(p, z);
    ok(m.times == 0 && memcmp(z, want, bytes) == 0, "and none by the next call");
}

int main(int argc, char **argv)
{
    const int size = ranks_open(&argc, &argv, "t351-rows");
    struct mesh *mesh;

    if (mesh_open(&mesh, MPI_COMM_WORLD, 1, size) != 0)
        die("%s", err_sentence());
    for (enum cmm_form form = CMM_PLAIN; form <= CMM_BIDIR; form++) {
        struct pair p;

        pair_open(&p, mesh, form);
        test_kept(&p, form);
        test_asked(&p, form);
        pair_close(&p);
    }
    mesh_close(&mesh);
    return ranks_done();
}
