/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices: choosing a backend and completing its table, what is known of it, and what
 * it keeps: memory and weights.  Its streams are dev_stream.c, its operations
 * dev_ops.c.
 */
#include "config.h"

#include "src/dev/dev_impl.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/dev/cpu_info.h"
#include "src/dev/dock.h"
#include "src/dev/lap.h"

#include <stdio.h>
#include <string.h>

/* ---- Open and close -------------------------------------------------------------- */

/* clang-format off */
#define SLOTS(X)                                                                       \
    X(open) X(close) X(peak) X(bandwidth) X(clocks) X(tune) X(choices)                 \
    X(alloc) X(free) X(event_open) X(event_close) X(event_record) X(event_wait)        \
    X(event_seconds) X(event_is_done) X(event_sync) X(sync) X(pin) X(unpin) X(carry)   \
    X(put) X(send) X(get) X(fill) X(normals) X(copy) X(add) X(max)                     \
    X(weight_open) X(weight_close) X(weight_changed)                                   \
    X(gemm) X(gemm_t) X(gemm_dw) X(gemm_gradients) X(column_sums)                      \
    X(norm_moments) X(norm_merge) X(norm_apply) X(norm_backward_moments)               \
    X(norm_backward) X(norm_whole) X(norm_whole_backward)                              \
    X(head_norm) X(head_norm_backward)                                                 \
    X(attn_kept) X(attn) X(attn_backward)                                              \
    X(view_pictures)                                                                   \
    X(patches) X(add_table) X(sum_tables) X(pool_rows) X(spread_rows)                  \
    X(sigmoid_loss) X(softmax_largest) X(softmax_sum) X(softmax_loss)                  \
    X(adamw) X(sgd) X(factor_sums) X(factor_rows) X(factor_scales) X(adafactor)        \
    X(sum_squares)
/* clang-format on */

static void fill_empty(struct dev_ops *ops, const struct dev_ops *from)
{
#define FILL(slot)                                                                     \
    if (ops->slot == NULL)                                                             \
        ops->slot = from->slot;
    SLOTS(FILL)
#undef FILL
}

/* Every slot of 'table' for runs in 'dtype', its own first. */
static struct dev_ops complete(const struct dev_ops *table, enum dtype dtype)
{
    struct dev_ops ops = *table;

    for (const struct dev_ops *t = table; t != NULL; t = t->fallback) {
        fill_empty(&ops, t);
        if (dtype == DTYPE_BF16 && t->bf16 != NULL)
            fill_empty(&ops, t->bf16);
        if (t->real[dtype != DTYPE_F64] != NULL)
            fill_empty(&ops, t->real[dtype != DTYPE_F64]);
    }
    return ops;
}

static int check_products(const struct dev_ops *table, enum dtype dtype)
{
    if (table->instead[dtype] == NULL)
        return 0;
    return ERR(ERR_USAGE, "%s has no products of %s: %s", table->name,
               dtype_name(dtype), table->instead[dtype]);
}

static int check_tf32(const struct dev_ops *table, enum dtype dtype)
{
    if (table->has_tf32 && dtype == DTYPE_F32)
        return 0;
    return ERR(ERR_USAGE, "--tf32 is for f32 on a GPU, not for %s on %s",
               dtype_name(dtype), table->name);
}

int dev_open_table(struct dev **dev, const struct dev_ops *table, enum dtype dtype,
                   int threads, void *state)
{
    struct dev *d;
    int rc;

    TRY(check_products(table, dtype));
    d          = mem_new(1, sizeof *d);
    d->ops     = complete(table, dtype);
    d->dtype   = dtype;
    d->threads = threads > 0 ? threads : cpu_cores();
    d->state   = state;
    for (int lane = 0; lane < LANES; lane++)
        d->stream[lane] = (struct dev_stream){ .dev = d, .lane = (enum dev_lane)lane };
    rc = d->ops.open(d);
    if (rc != 0) {
        mem_free(d);
        return rc;
    }
    *dev = d;
    return 0;
}

static int unknown(const char *name)
{
    char list[160] = "auto";

    for (int i = 0; dev_backends[i] != NULL; i++) {
        strncat(list, ", ", sizeof list - strlen(list) - 1);
        strncat(list, dev_backends[i]->name, sizeof list - strlen(list) - 1);
    }
    return ERR(ERR_USAGE, "'%s' is not a device of this build, which has: %s", name,
               list);
}

int dev_open(struct dev **dev, const char *name, enum dtype dtype, int threads)
{
    const bool is_auto = strcmp(name, "auto") == 0;
    int rc             = 1;

    if (threads < 0)
        return ERR(ERR_USAGE, "%d threads are not possible", threads);
    for (int i = 0; dev_backends[i] != NULL && rc != 0; i++) {
        if ((is_auto && !dev_backends[i]->is_by_name) ||
            strcmp(name, dev_backends[i]->name) == 0) {
            rc = dev_open_table(dev, dev_backends[i], dtype, threads, NULL);
            if (!is_auto)
                return rc;
        }
    }
    if (rc > 0)
        return unknown(name);
    if (rc == 0)
        err_forget(); /* of a backend that did not open */
    return rc;
}

/* The backend that dev_open() would try first; NULL for an unknown name. */
static const struct dev_ops *backend_named(const char *name)
{
    const bool is_auto = strcmp(name, "auto") == 0;

    for (int i = 0; dev_backends[i] != NULL; i++) {
        const struct dev_ops *ops = dev_backends[i];

        if (is_auto ? ops->is_there == NULL || ops->is_there()
                    : strcmp(name, ops->name) == 0)
            return ops;
    }
    return NULL;
}

/* As above, and NULL for f64, where all backends are alike. */
static const struct dev_ops *backend_of(const char *name, enum dtype dtype)
{
    return dtype != DTYPE_F64 ? backend_named(name) : NULL;
}

bool dev_is_built(const char *name)
{
    return backend_named(name) != NULL;
}

int dev_check(const char *name, enum dtype dtype, bool is_tf32)
{
    const struct dev_ops *ops = backend_named(name);

    if (ops != NULL && strcmp(name, "auto") != 0)
        TRY(check_products(ops, dtype));
    return ops != NULL && is_tf32 ? check_tf32(ops, dtype) : 0;
}

const char *dev_first(const char *name, enum dtype dtype)
{
    const struct dev_ops *ops = backend_of(name, dtype);

    return ops != NULL ? ops->name : name;
}

bool dev_spares_packs(const char *name, enum dtype dtype)
{
    const struct dev_ops *ops = backend_of(name, dtype);

    return ops != NULL && ops->spares_packs != NULL && ops->spares_packs(dtype);
}

int dev_packs(const char *name, enum dtype dtype)
{
    const struct dev_ops *ops = backend_of(name, dtype);

    return ops != NULL ? ops->packs : 0;
}

bool dev_is_apart(const char *name, enum dtype dtype)
{
    const struct dev_ops *ops = backend_of(name, dtype);

    return ops != NULL && ops->apart != NULL;
}

struct dev_units dev_units(const char *name, enum dtype dtype, bool is_free)
{
    const struct dev_ops *ops = backend_of(name, dtype);
    struct dev_units units    = { 0 };

    if (ops != NULL && ops->apart != NULL)
        ops->apart(&units, is_free);
    return units;
}

void dev_close(struct dev **dev)
{
    if (*dev == NULL)
        return;
    for (int lane = 0; lane < LANES; lane++) {
        laps_close(&(*dev)->laps[lane]);
        dev_event_close(&(*dev)->stream[lane].mark);
    }
    docks_close(*dev);
    (*dev)->ops.close(*dev);
    mem_free(*dev);
    *dev = NULL;
}

const char *dev_name(const struct dev *dev)
{
    return dev->ops.name;
}

const char *dev_about(const struct dev *dev)
{
    return dev->about;
}

const char *dev_hardware(const struct dev *dev)
{
    return dev->hardware;
}

const char *dev_unit(const struct dev *dev)
{
    return dev->unit;
}

enum dtype dev_dtype(const struct dev *dev)
{
    return dev->dtype;
}

enum dtype dev_acc(const struct dev *dev)
{
    return dev->dtype == DTYPE_F64 ? DTYPE_F64 : DTYPE_F32;
}

int dev_manner(struct dev *dev, bool is_tf32, bool is_deterministic, bool has_tapes)
{
    if (is_tf32)
        TRY(check_tf32(&dev->ops, dev->dtype));
    dev->is_tf32          = is_tf32;
    dev->is_deterministic = is_deterministic;
    dev->has_tapes        = has_tapes;
    return 0;
}

bool dev_has_pace(const struct dev *dev)
{
    return dev->ops.clip != NULL;
}

bool dev_has_copies(const struct dev *dev)
{
    return dev->ops.has_copies;
}

bool dev_keeps_norms(const struct dev *dev)
{
    return dev->ops.keeps_norms;
}

double dev_eps(const struct dev *dev)
{
    return dev->is_tf32 ? 0x1p-10 : dtype_eps(dev->dtype);
}

int dev_threads(const struct dev *dev)
{
    return dev->threads;
}

bool dev_is_host(const struct dev *dev)
{
    return dev->ops.is_host;
}

bool dev_is_hollow(const struct dev *dev)
{
    return dev->ops.charge != NULL;
}

double dev_peak(struct dev *dev, double seconds)
{
    return dev->ops.peak(dev, seconds);
}

double dev_bandwidth(struct dev *dev, double seconds)
{
    return dev->ops.bandwidth(dev, seconds);
}

bool dev_clocks(struct dev_clocks *c, struct dev *dev)
{
    return dev->ops.clocks != NULL && dev->ops.clocks(c, dev);
}

void dev_tune(struct dev *dev, bool is_on)
{
    dev->ops.tune(dev, is_on);
}

struct dev_choice *dev_choices(struct dev *dev, int *count)
{
    return dev->ops.choices(dev, count);
}

int dev_fastest(const struct dev_choice *choice)
{
    int best = 0;

    for (int way = 1; way < choice->ways; way++)
        if (choice->seconds[way] < choice->seconds[best])
            best = way;
    return best;
}

void dev_mute(struct dev *dev, bool is_muted)
{
    dev->is_muted = is_muted;
}

double dev_busy(const struct dev *dev)
{
    return dev->busy;
}

void dev_costs_start(struct dev *dev)
{
    for (int i = 0; i < dev->costs; i++)
        dev->cost[i] = (struct dev_cost){ .name = dev->cost[i].name };
    for (int lane = 0; lane < LANES && dev->ops.event_seconds != NULL; lane++) {
        laps_close(&dev->laps[lane]);
        laps_open(&dev->laps[lane], &dev->stream[lane], DEV_COSTS);
    }
}

const struct dev_cost *dev_costs(struct dev *dev, int *count)
{
    for (int lane = 0; lane < LANES && dev->laps[lane] != NULL; lane++) {
        const double *seconds = laps_all(dev->laps[lane]);

        for (int i = 0; i < dev->costs; i++)
            dev->cost[i].seconds += seconds[i];
        laps_close(&dev->laps[lane]);
    }
    *count = dev->costs;
    return dev->cost;
}

void dev_note(struct dev *dev, dev_note_fn note, void *ctx)
{
    dev->note     = note;
    dev->note_ctx = ctx;
}

/* ---- Memory ---------------------------------------------------------------------- */

int dev_alloc(struct buf *b, struct dev *dev, size_t bytes)
{
    int rc;

    *b = (struct buf){ 0 };
    rc = dev->ops.alloc(b, dev, bytes);
    if (rc == 0)
        dev_count(dev, (int64_t)bytes);
    return rc;
}

void dev_free(struct buf *b)
{
    if (b->dev != NULL) {
        dev_count(b->dev, -(int64_t)b->bytes);
        b->dev->ops.free(b);
    }
    *b = (struct buf){ 0 };
}

int dev_pin(void **at, struct dev *dev, size_t bytes)
{
    return dev->ops.pin != NULL ? dev->ops.pin(at, bytes) : mem_alloc(at, bytes);
}

void dev_unpin(void **at, struct dev *dev)
{
    if (*at != NULL && dev->ops.unpin != NULL)
        dev->ops.unpin(*at);
    else
        mem_free(*at);
    *at = NULL;
}

void dev_count(struct dev *dev, int64_t bytes)
{
    dev->bytes += bytes;
    if (dev->bytes > dev->bytes_most)
        dev->bytes_most = dev->bytes;
}

void dev_count_packed(struct dev *dev, int64_t bytes)
{
    dev->packed += bytes;
    if (dev->packed > dev->packed_most)
        dev->packed_most = dev->packed;
}

int64_t dev_packed_most(struct dev *dev, bool is_reset)
{
    const int64_t most = dev->packed_most;

    if (is_reset)
        dev->packed_most = dev->packed;
    return most;
}

int64_t dev_bytes_most(struct dev *dev, bool is_reset)
{
    const int64_t most = dev->bytes_most;

    if (is_reset)
        dev->bytes_most = dev->bytes;
    return most;
}

/* ---- Weights --------------------------------------------------------------------- */

int dev_weight_open(struct dev_weight **weight, struct dev *dev, struct mat w)
{
    struct dev_weight *weight_ = mem_new(1, sizeof *weight_);
    int rc;

    weight_->dev = dev;
    weight_->w   = w;
    rc           = dev->ops.weight_open(weight_);
    if (rc != 0) {
        mem_free(weight_);
        return rc;
    }
    *weight = weight_;
    return 0;
}

void dev_weight_close(struct dev_weight **weight)
{
    if (*weight == NULL)
        return;
    (*weight)->dev->ops.weight_close(*weight);
    mem_free(*weight);
    *weight = NULL;
}

struct mat dev_weight_mat(const struct dev_weight *weight)
{
    return weight->w;
}
