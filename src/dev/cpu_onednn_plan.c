/* SPDX-License-Identifier: BSD-3-Clause */
/* oneDNN's primitives, made once for each size and kept in a list: a model has a few
 * dozen products, and to look through them costs nothing beside the smallest.
 */
#include "config.h"

#include "src/dev/cpu_onednn.h"

#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/mem.h"

#include <stdio.h>
#include <string.h>

#ifdef _OPENMP
#include <omp.h>
#endif

/* What makes a product another one. */
struct key {
    int64_t rows, cols, depth;
    int64_t a[2], b[2], y; /* strides; of a weight's copy none */
    int64_t type, y_type, is_a_packed, is_added;
};

/* Copies a factor into the layout that a product wants. */
struct packer {
    size_t bytes;              /* 0: it is in that layout as it comes */
    bool is_panels, is_turned; /* by cpu_panels_bf16(), with what follows; else by */
    int64_t ld, rows, cols, tall;
    dnnl_primitive_t reorder;
    dnnl_memory_t from, to;
};

struct plan {
    struct plan *next;
    struct key key;
    dnnl_primitive_t primitive;
    dnnl_memory_desc_t b; /* as the primitive wants it */
    dnnl_memory_t args[3];
    struct packer pack_a, pack_b; /* of factors that are not packed beforehand */
};

/* A part of a weight in the layout of some plans. */
struct pack {
    struct pack *next;
    struct onednn *d;
    struct dev *dev;         /* that counts the bytes */
    bool is_turned, is_used; /* since the weight was changed */
    struct range i, j;
    dnnl_memory_desc_t desc;
    struct packer packer;
    void *from, *at;
};

struct onednn {
    struct dev *dev;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    struct plan *plans;
    char *room; /* of factors that are packed for one product */
    size_t bytes;
};

/* Products cannot fail where sizes are right: what does is broken. */
static void check(dnnl_status_t status, const char *what)
{
    if (status != dnnl_success)
        die("oneDNN: %s failed with status %d", what, (int)status);
}

#define CHECK(call) check(call, #call)

int onednn_open(struct onednn **onednn, struct dev *dev)
{
    struct onednn *d = mem_new(1, sizeof *d);

    d->dev = dev;
    if (dnnl_engine_create(&d->engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&d->stream, d->engine, dnnl_stream_in_order) !=
            dnnl_success) {
        onednn_close(&d);
        return ERR(ERR_DEVICE, "oneDNN does not start on this processor");
    }
    *onednn = d;
    return 0;
}

static void close_packer(struct packer *p)
{
    dnnl_memory_destroy(p->from);
    dnnl_memory_destroy(p->to);
    dnnl_primitive_destroy(p->reorder);
}

static void plan_close(struct plan *p)
{
    close_packer(&p->pack_a);
    close_packer(&p->pack_b);
    for (int i = 0; i < 3; i++)
        dnnl_memory_destroy(p->args[i]);
    dnnl_primitive_destroy(p->primitive);
    mem_free(p);
}

void onednn_close(struct onednn **onednn)
{
    struct onednn *d = *onednn;

    if (d == NULL)
        return;
    while (d->plans != NULL) {
        struct plan *next = d->plans->next;

        plan_close(d->plans);
        d->plans = next;
    }
    if (d->stream != NULL)
        dnnl_stream_destroy(d->stream);
    if (d->engine != NULL)
        dnnl_engine_destroy(d->engine);
    mem_free(d->room);
    mem_free(d);
    *onednn = NULL;
}

/* oneDNN asks OpenMP for the number of threads, when it makes and when it runs. */
static void use_threads(const struct onednn *d)
{
#ifdef _OPENMP
    omp_set_num_threads(d->dev->threads);
#else
    (void)d;
#endif
}

/* ---- Plans ----------------------------------------------------------------------- */

static dnnl_data_type_t type_of(int64_t dtype)
{
    return dtype == DTYPE_BF16 ? dnnl_bf16 : dnnl_f32;
}

static void describe(dnnl_memory_desc_t *desc, int64_t rows, int64_t cols,
                     dnnl_data_type_t type, const int64_t strides[2])
{
    const dnnl_dims_t dims = { rows, cols }, by = { strides[0], strides[1] };

    CHECK(dnnl_memory_desc_init_by_strides(desc, 2, dims, type, by));
}

/* In the layout that the product wishes. */
static void describe_any(dnnl_memory_desc_t *desc, int64_t rows, int64_t cols,
                         dnnl_data_type_t type)
{
    const dnnl_dims_t dims = { rows, cols };

    CHECK(dnnl_memory_desc_init_by_tag(desc, 2, dims, type, dnnl_format_tag_any));
}

/* Whether 'to' is what cpu_panels_bf16() makes of rows or columns that
 * lie in one piece.
 */
static bool is_panels(const dnnl_memory_desc_t *from, const dnnl_memory_desc_t *to)
{
    const dnnl_blocking_desc_t *b = &to->format_desc.blocking;
    const int64_t *by             = from->format_desc.blocking.strides;

    return to->data_type == dnnl_bf16 && to->format_kind == dnnl_blocked &&
           b->inner_nblks == 3 && b->inner_blks[0] == 16 && b->inner_idxs[0] == 0 &&
           b->inner_blks[1] == CPU_PANEL && b->inner_idxs[1] == 1 &&
           b->inner_blks[2] == 2 && b->inner_idxs[2] == 0 &&
           b->strides[0] == 32 * CPU_PANEL &&
           b->strides[1] == to->padded_dims[0] * CPU_PANEL &&
           (by[0] == 1 || by[1] == 1);
}

static void make_packer(struct packer *p, struct onednn *d,
                        const dnnl_memory_desc_t *from, const dnnl_memory_desc_t *to)
{
    dnnl_primitive_desc_t desc;

    *p = (struct packer){ 0 };
    if (dnnl_memory_desc_equal(from, to))
        return;
    p->bytes     = mem_round(dnnl_memory_desc_get_size(to));
    p->is_panels = is_panels(from, to);
    if (p->is_panels) {
        const int64_t *by = from->format_desc.blocking.strides;

        p->is_turned = by[1] != 1;
        p->ld        = by[p->is_turned];
        p->rows      = to->dims[0];
        p->cols      = to->dims[1];
        p->tall      = to->padded_dims[0];
        return;
    }
    CHECK(dnnl_reorder_primitive_desc_create(&desc, from, d->engine, to, d->engine,
                                             NULL));
    CHECK(dnnl_primitive_create(&p->reorder, desc));
    CHECK(dnnl_primitive_desc_destroy(desc));
    CHECK(dnnl_memory_create(&p->from, from, d->engine, DNNL_MEMORY_NONE));
    CHECK(dnnl_memory_create(&p->to, to, d->engine, DNNL_MEMORY_NONE));
}

/* Where the factor lies then. */
static void *pack_now(struct onednn *d, const struct packer *p, void *to, void *from)
{
    const dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, p->from },
                                     { DNNL_ARG_TO, p->to } };

    if (p->bytes == 0)
        return from;
    if (p->is_panels) {
        cpu_panels_bf16(d->dev, to, from, p->ld, p->is_turned, p->rows, p->cols,
                        p->tall);
        return to;
    }
    use_threads(d);
    CHECK(dnnl_memory_set_data_handle(p->from, from));
    CHECK(dnnl_memory_set_data_handle(p->to, to));
    CHECK(dnnl_primitive_execute(p->reorder, d->stream, 2, args));
    CHECK(dnnl_stream_wait(d->stream));
    return to;
}

static void make_room(struct onednn *d, size_t bytes)
{
    if (bytes <= d->bytes)
        return;
    mem_free(d->room);
    if (mem_alloc((void **)&d->room, bytes) != 0)
        err_end(ERR_MEMORY);
    dev_count_packed(d->dev, (int64_t)(bytes - d->bytes));
    d->bytes = bytes;
}

static struct plan *make_plan(struct onednn *d, const struct key *k)
{
    const dnnl_data_type_t type = type_of(k->type);
    const int64_t down[2]       = { k->y, 1 };
    const bool is_weight        = k->b[0] == 0;
    struct plan *p              = mem_new(1, sizeof *p);
    dnnl_memory_desc_t a, b, y, given_a, given_b;
    dnnl_matmul_desc_t product;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t after;

    describe(&given_a, k->rows, k->depth, type, k->a);
    a = given_a;
    if (k->is_a_packed)
        describe_any(&a, k->rows, k->depth, type);
    describe_any(&b, k->depth, k->cols, type);
    describe(&y, k->rows, k->cols, type_of(k->y_type), down);
    CHECK(dnnl_matmul_desc_init(&product, &a, &b, NULL, &y));
    CHECK(dnnl_primitive_attr_create(&attr));
    CHECK(dnnl_post_ops_create(&after));
    if (k->is_added)
        CHECK(dnnl_post_ops_append_sum(after, 1.0F));
    CHECK(dnnl_primitive_attr_set_post_ops(attr, after));
    CHECK(dnnl_primitive_desc_create(&desc, &product, attr, d->engine, NULL));
    CHECK(dnnl_primitive_create(&p->primitive, desc));
    p->key = *k;
    a      = *dnnl_primitive_desc_query_md(desc, dnnl_query_src_md, 0);
    p->b   = *dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
    make_packer(&p->pack_a, d, &given_a, &a);
    if (!is_weight) {
        describe(&given_b, k->depth, k->cols, type, k->b);
        make_packer(&p->pack_b, d, &given_b, &p->b);
    }
    make_room(d, p->pack_a.bytes + p->pack_b.bytes);
    CHECK(dnnl_memory_create(&p->args[0], &a, d->engine, DNNL_MEMORY_NONE));
    CHECK(dnnl_memory_create(&p->args[1], &p->b, d->engine, DNNL_MEMORY_NONE));
    CHECK(dnnl_memory_create(&p->args[2], &y, d->engine, DNNL_MEMORY_NONE));
    CHECK(dnnl_post_ops_destroy(after));
    CHECK(dnnl_primitive_attr_destroy(attr));
    CHECK(dnnl_primitive_desc_destroy(desc));
    p->next  = d->plans;
    d->plans = p;
    return p;
}

static struct plan *find_plan(struct onednn *d, const struct key *k)
{
    for (struct plan *p = d->plans; p != NULL; p = p->next)
        if (memcmp(&p->key, k, sizeof *k) == 0)
            return p;
    return make_plan(d, k);
}

static void set_strides(int64_t strides[2], struct operand a)
{
    strides[0] = a.is_turned ? 1 : a.m.ld;
    strides[1] = a.is_turned ? a.m.ld : 1;
}

/* ---- Packed weights -------------------------------------------------------------- */

static bool is_same(struct range a, struct range b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

static struct pack *make_pack(struct onednn *d, const struct plan *p, struct operand b,
                              struct range i, struct range j,
                              const struct dev_weight *weight)
{
    struct pack *k = mem_new(1, sizeof *k);
    dnnl_memory_desc_t plain;
    int64_t strides[2];

    set_strides(strides, b);
    describe(&plain, p->key.depth, p->key.cols, type_of(p->key.type), strides);
    *k = (struct pack){ .d         = d,
                        .dev       = weight->dev,
                        .is_turned = b.is_turned,
                        .i         = i,
                        .j         = j,
                        .desc      = p->b,
                        .from      = mat_ptr(b.m) };
    make_packer(&k->packer, d, &plain, &p->b);
    if (mem_alloc(&k->at, k->packer.bytes) != 0)
        err_end(ERR_MEMORY);
    dev_count_packed(k->dev, (int64_t)k->packer.bytes);
    pack_now(d, &k->packer, k->at, k->from);
    return k;
}

double onednn_pack_seconds(const struct dev_weight *weight, bool is_turned,
                           struct range i, struct range j)
{
    const double start = clock_now();

    for (struct pack *k = *(struct pack **)weight->state; k != NULL; k = k->next)
        if (k->is_turned == is_turned && is_same(k->i, i) && is_same(k->j, j)) {
            pack_now(k->d, &k->packer, k->at, k->from);
            return clock_now() - start;
        }
    return 0.0;
}

/* The part of 'weight' that is 'b', as plan 'p' wants it. */
static void *packed(struct onednn *d, const struct plan *p, struct operand b,
                    const struct dev_weight *weight, struct range i, struct range j)
{
    struct pack **list = weight->state, *k = *list;

    while (k != NULL && (k->is_turned != b.is_turned || !is_same(k->i, i) ||
                         !is_same(k->j, j) || !dnnl_memory_desc_equal(&k->desc, &p->b)))
        k = k->next;
    if (k == NULL) {
        k       = make_pack(d, p, b, i, j, weight);
        k->next = *list;
        *list   = k;
    }
    k->is_used = true;
    return k->packer.bytes == 0 ? k->from : k->at;
}

static void close_pack(struct pack *k)
{
    dev_count_packed(k->dev, -(int64_t)k->packer.bytes);
    close_packer(&k->packer);
    mem_free(k->at);
    mem_free(k);
}

int64_t onednn_packed(const struct dev_weight *weight)
{
    int64_t bytes = 0;

    for (struct pack *const *at = weight->state; *at != NULL; at = &(*at)->next)
        bytes += (*at)->is_used ? (int64_t)(*at)->packer.bytes : 0;
    return bytes;
}

/* What nobody has used since the last change, nobody will: another form of products was
 * tried out.
 */
void onednn_weight_changed(struct dev_weight *weight)
{
    struct pack **at = weight->state;

    while (*at != NULL) {
        struct pack *k = *at;

        if (k->is_used) {
            pack_now(k->d, &k->packer, k->at, k->from);
            k->is_used = false;
            at         = &k->next;
        } else {
            *at = k->next;
            close_pack(k);
        }
    }
}

void onednn_weight_close(struct dev_weight *weight)
{
    struct pack **list = weight->state;

    while (*list != NULL) {
        struct pack *k = *list;

        *list = k->next;
        close_pack(k);
    }
    mem_free(list);
    weight->state = NULL;
}

/* ---- The product ----------------------------------------------------------------- */

void onednn_multiply(struct onednn *d, struct mat y, struct operand a, struct operand b,
                     const struct dev_weight *weight, struct range i, struct range j,
                     bool is_a_packed, bool is_added)
{
    struct key k = { .rows        = y.rows,
                     .cols        = y.cols,
                     .depth       = a.is_turned ? a.m.rows : a.m.cols,
                     .y           = y.ld,
                     .type        = a.m.dtype,
                     .y_type      = y.dtype,
                     .is_a_packed = is_a_packed,
                     .is_added    = is_added };
    const struct plan *p;
    void *at_a, *at_b;

    use_threads(d);
    set_strides(k.a, a);
    if (weight == NULL)
        set_strides(k.b, b);
    p    = find_plan(d, &k);
    at_a = pack_now(d, &p->pack_a, d->room, mat_ptr(a.m));
    at_b = weight == NULL
               ? pack_now(d, &p->pack_b, d->room + p->pack_a.bytes, mat_ptr(b.m))
               : packed(d, p, b, weight, i, j);

    const dnnl_exec_arg_t args[] = { { DNNL_ARG_SRC, p->args[0] },
                                     { DNNL_ARG_WEIGHTS, p->args[1] },
                                     { DNNL_ARG_DST, p->args[2] } };

    CHECK(dnnl_memory_set_data_handle(p->args[0], at_a));
    CHECK(dnnl_memory_set_data_handle(p->args[1], at_b));
    CHECK(dnnl_memory_set_data_handle(p->args[2], mat_ptr(y)));
    CHECK(dnnl_primitive_execute(p->primitive, d->stream, 3, args));
    CHECK(dnnl_stream_wait(d->stream));
}

void onednn_multiply_plain(struct onednn *d, struct mat y, struct operand a,
                           struct operand b, bool is_added)
{
    use_threads(d);
    CHECK(dnnl_sgemm(a.is_turned ? 'T' : 'N', b.is_turned ? 'T' : 'N', y.rows, y.cols,
                     a.is_turned ? a.m.rows : a.m.cols, 1.0F, mat_ptr(a.m), a.m.ld,
                     mat_ptr(b.m), b.m.ld, is_added ? 1.0F : 0.0F, mat_ptr(y), y.ld));
}
