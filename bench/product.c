/* SPDX-License-Identifier: BSD-3-Clause */
/* A layer's product forward, for the data and for the weights: timed and checked. */
#include "config.h"

#include "bench/product.h"

#include "bench/project.h"

#include "src/base/err.h"
#include "src/step/pair.h"

#include <stdio.h>

struct form {
    const char *name;
    enum cmm_kind kind; /* of the sharded product that it is, with one rank */
};

static const struct form forms[] = {
    { "y", CMM_GATHER_Y },
    { "dx", CMM_GATHER_DX },
    { "dw", CMM_GATHER_DW },
};

enum { FORMS = sizeof forms / sizeof forms[0] };

struct operands {
    const struct product *p;
    enum cmm_kind kind;
    struct dev_stream *stream;
    struct buf buf[5];
    struct mat x, y, w, dw, dy;
    struct dev_weight *weight;
};

static int alloc_mat(struct mat *a, struct buf *buf, struct dev *dev, enum dtype dtype,
                     int64_t rows, int64_t cols)
{
    TRY(dev_alloc(buf, dev, (size_t)(rows * cols) * dtype_size(dtype)));
    *a = mat_of(buf, dtype, rows, cols);
    return 0;
}

static int operands_alloc(struct operands *o, struct dev *dev)
{
    const enum dtype dtype  = dev_dtype(dev);
    const struct product *p = o->p;

    TRY(alloc_mat(&o->x, &o->buf[0], dev, dtype, p->n, p->depth));
    TRY(alloc_mat(&o->y, &o->buf[1], dev, dtype, p->n, p->cols));
    TRY(alloc_mat(&o->dy, &o->buf[2], dev, dtype, p->n, p->cols));
    TRY(alloc_mat(&o->w, &o->buf[3], dev, dtype, p->depth, p->cols));
    TRY(alloc_mat(&o->dw, &o->buf[4], dev, dev_acc(dev), p->depth, p->cols));
    return dev_weight_open(&o->weight, dev, o->w);
}

static void operands_close(struct operands *o)
{
    dev_weight_close(&o->weight);
    for (int i = 0; i < 5; i++)
        dev_free(&o->buf[i]);
}

static void multiply(void *ctx)
{
    struct operands *o       = ctx;
    const struct range depth = { 0, o->p->depth }, cols = { 0, o->p->cols };

    if (o->kind == CMM_GATHER_Y)
        dev_gemm(o->stream, o->y, o->x, o->weight, depth, cols, false, NULL);
    else if (o->kind == CMM_GATHER_DX)
        dev_gemm_t(o->stream, o->x, o->dy, o->weight, depth, cols, false, NULL);
    else
        dev_gemm_dw(o->stream, o->dw, o->x, o->dy, false);
    dev_sync(o->stream);
}

static double check(struct operands *o, struct reader *reader, struct bench *b)
{
    const struct cmm_seen seen[CMM_KINDS] = {
        [CMM_GATHER_Y]  = { .kind = CMM_GATHER_Y, .y = o->y, .x = o->x, .w = o->w },
        [CMM_GATHER_DX] = { .kind = CMM_GATHER_DX, .y = o->x, .dy = o->dy, .w = o->w },
        [CMM_GATHER_DW] = { .kind = CMM_GATHER_DW, .y = o->dw, .x = o->x, .dy = o->dy },
    };
    const struct projection p =
        project(reader, MPI_COMM_SELF, &seen[o->kind], (uint64_t)b->options->seed);

    return coll_largest(b->mesh, AXIS_ALL, p.residual);
}

static int measure(struct case_result *c, struct bench *b, struct operands *o,
                   double seconds)
{
    const struct product *p = o->p;
    const uint64_t seed     = (uint64_t)(b->options->seed + b->mesh->rank);
    struct reader reader;
    int rc = 0;

    pair_fill(o->stream, o->x, seed);
    pair_fill(o->stream, o->dy, seed + 1);
    pair_fill(o->stream, o->w, seed + 2);
    dev_weight_changed(o->stream, o->weight);
    reader_open(&reader, b->dev);
    for (int i = 0; i < FORMS && (rc = bench_go_on(b)) == 0; i++) {
        struct row *row = case_add_row(c);

        o->kind       = forms[i].kind;
        row->size     = p->n;
        row->shape[0] = p->n;
        row->shape[1] = p->cols;
        row->shape[2] = p->depth;
        snprintf(row->name, sizeof row->name, "%s %s", p->name, forms[i].name);
        row->seconds = bench_median(seconds, b->mesh, multiply, o);
        row->rate =
            2.0 * (double)p->n * (double)p->depth * (double)p->cols / row->seconds;
        row->error     = check(o, &reader, b);
        row->threshold = PROJECT_THRESHOLD;
        row_judge(row);
    }
    reader_close(&reader);
    return rc;
}

static double bytes_on_a_node(struct bench *b, const struct product *p)
{
    const double elements = (double)p->n * (double)(p->depth + 2 * p->cols) +
                            2 * (double)p->depth * (double)p->cols;

    return elements * (double)dtype_size(dev_acc(b->dev)) *
           coll_largest(b->mesh, AXIS_ALL, b->mesh->node_size);
}

int product_measure(struct case_result *c, struct bench *b, const struct product *p,
                    double seconds)
{
    struct operands o = { .p = p, .stream = dev_stream(b->dev, LANE_COMPUTE) };
    int rc;

    if (b->node_memory > 0 && bytes_on_a_node(b, p) > (double)b->node_memory)
        return ERR_MEMORY;
    rc = mesh_agree(b->mesh, operands_alloc(&o, b->dev));
    if (rc == 0)
        rc = measure(c, b, &o, seconds);
    operands_close(&o);
    return rc;
}
