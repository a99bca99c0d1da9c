/* SPDX-License-Identifier: BSD-3-Clause */
/* A device that does nothing until it is waited for, as a GPU may: what is put on a
 * stream is queued, and done when the host syncs, one by one when it asks for an event.
 * Whoever sends what is not yet written, or receives over what is not yet read, gets
 * wrong numbers.  One stream, one device.
 */
#ifndef TESTS_LAZY_H
#define TESTS_LAZY_H

#include "src/base/err.h"
#include "src/dev/dev_impl.h"

#include <string.h>

struct lazy_op {
    enum {
        LAZY_FILL,
        LAZY_COPY,
        LAZY_ADD,
        LAZY_GEMM,
        LAZY_GEMM_T,
        LAZY_DW,
        LAZY_CARRY
    } what;
    void *to; /* of LAZY_CARRY */
    const void *from;
    size_t bytes;
    struct mat y, x, dy;
    double value;
    const struct dev_weight *w;
    struct range i, j;
    bool is_added;
    struct epilogue e;
};

enum { LAZY_MAX = 512 };

static struct {
    struct dev_ops real;
    struct lazy_op op[LAZY_MAX];
    int count, most; /* that wait, and at a time */
    int first;       /* of them */
    int64_t done;    /* in all */
} the_lazy;

static inline void lazy_do_one(struct dev_stream *s)
{
    const struct dev_ops *real = &the_lazy.real;
    const struct lazy_op *o    = &the_lazy.op[the_lazy.first];

    switch (o->what) {
    case LAZY_FILL:
        real->fill(s, o->y, o->value);
        break;
    case LAZY_COPY:
        real->copy(s, o->y, o->x);
        break;
    case LAZY_ADD:
        real->add(s, o->y, o->x);
        break;
    case LAZY_GEMM:
        real->gemm(s, o->y, o->x, o->w, o->i, o->j, o->is_added, &o->e);
        break;
    case LAZY_GEMM_T:
        real->gemm_t(s, o->y, o->x, o->w, o->i, o->j, o->is_added, &o->e);
        break;
    case LAZY_DW:
        real->gemm_dw(s, o->y, o->x, o->dy, o->is_added);
        break;
    case LAZY_CARRY:
        memcpy(o->to, o->from, o->bytes);
        break;
    }
    the_lazy.first = (the_lazy.first + 1) % LAZY_MAX;
    the_lazy.count--;
    the_lazy.done++;
}

static inline void lazy_sync(struct dev_stream *s)
{
    while (the_lazy.count > 0)
        lazy_do_one(s);
    the_lazy.real.sync(s);
}

static inline void lazy_add_op(struct dev_stream *s, struct lazy_op op)
{
    if (the_lazy.count == LAZY_MAX)
        lazy_sync(s);
    the_lazy.op[(the_lazy.first + the_lazy.count++) % LAZY_MAX] = op;
    if (the_lazy.count > the_lazy.most)
        the_lazy.most = the_lazy.count;
}

/* An event is the number of the operation before it, kept where a
 * backend keeps its own.
 */
static inline void lazy_event_record(struct dev_event *e, struct dev_stream *s)
{
    (void)s;
    e->state = (void *)(intptr_t)(the_lazy.done + the_lazy.count);
}

static inline void lazy_event_wait(struct dev_stream *s, struct dev_event *e)
{
    (void)s; /* there is but one stream */
    (void)e;
}

/* One that is not past comes nearer with each question. */
static inline bool lazy_event_is_done(struct dev_event *e)
{
    const intptr_t number = (intptr_t)e->state;

    if (the_lazy.done >= number)
        return true;
    lazy_do_one(dev_stream(e->dev, LANE_COMPUTE));
    return the_lazy.done >= number;
}

static inline void lazy_event_sync(struct dev_event *e)
{
    while (!lazy_event_is_done(e))
        ;
}

static inline void lazy_fill(struct dev_stream *s, struct mat y, double value)
{
    lazy_add_op(s, (struct lazy_op){ .what = LAZY_FILL, .y = y, .value = value });
}

static inline void lazy_copy(struct dev_stream *s, struct mat y, struct mat x)
{
    lazy_add_op(s, (struct lazy_op){ .what = LAZY_COPY, .y = y, .x = x });
}

static inline void lazy_add(struct dev_stream *s, struct mat y, struct mat x)
{
    lazy_add_op(s, (struct lazy_op){ .what = LAZY_ADD, .y = y, .x = x });
}

static inline struct lazy_op lazy_product(struct mat y, struct mat x,
                                          const struct dev_weight *w, struct range i,
                                          struct range j, bool is_added,
                                          const struct epilogue *e)
{
    struct lazy_op op = { .what = LAZY_GEMM, .y = y, .x = x, .w = w, .i = i, .j = j };

    op.is_added = is_added;
    if (e != NULL)
        op.e = *e;
    return op;
}

static inline void lazy_gemm(struct dev_stream *s, struct mat y, struct mat x,
                             const struct dev_weight *w, struct range i, struct range j,
                             bool is_added, const struct epilogue *e)
{
    lazy_add_op(s, lazy_product(y, x, w, i, j, is_added, e));
}

static inline void lazy_gemm_t(struct dev_stream *s, struct mat y, struct mat x,
                               const struct dev_weight *w, struct range i,
                               struct range j, bool is_added, const struct epilogue *e)
{
    struct lazy_op op = lazy_product(y, x, w, i, j, is_added, e);

    op.what = LAZY_GEMM_T;
    lazy_add_op(s, op);
}

static inline void lazy_gemm_dw(struct dev_stream *s, struct mat dw, struct mat x,
                                struct mat dy, bool is_added)
{
    lazy_add_op(s,
                (struct lazy_op){
                    .what = LAZY_DW, .y = dw, .x = x, .dy = dy, .is_added = is_added });
}

static inline void lazy_carry(struct dev_stream *s, void *to, const void *from,
                              size_t bytes)
{
    lazy_add_op(s, (struct lazy_op){
                       .what = LAZY_CARRY, .to = to, .from = from, .bytes = bytes });
}

static inline void lazy_get(struct dev_stream *s, void *dst, struct mat src)
{
    lazy_sync(s);
    the_lazy.real.get(s, dst, src);
}

static inline void lazy_put(struct dev_stream *s, struct mat dst, const void *src)
{
    lazy_sync(s);
    the_lazy.real.put(s, dst, src);
}

/* Make a device of the CPU lazy.  To messages its memory is not the host's any more. */
static inline void lazy_make(struct dev *dev)
{
    the_lazy.real          = dev->ops;
    the_lazy.most          = 0;
    dev->ops.is_host       = false;
    dev->ops.fill          = lazy_fill;
    dev->ops.copy          = lazy_copy;
    dev->ops.add           = lazy_add;
    dev->ops.gemm          = lazy_gemm;
    dev->ops.gemm_t        = lazy_gemm_t;
    dev->ops.gemm_dw       = lazy_gemm_dw;
    dev->ops.get           = lazy_get;
    dev->ops.put           = lazy_put;
    dev->ops.carry         = lazy_carry;
    dev->ops.sync          = lazy_sync;
    dev->ops.event_record  = lazy_event_record;
    dev->ops.event_wait    = lazy_event_wait;
    dev->ops.event_is_done = lazy_event_is_done;
    dev->ops.event_sync    = lazy_event_sync;
}

#endif
