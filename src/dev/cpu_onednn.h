/* SPDX-License-Identifier: BSD-3-Clause */
/* Products through oneDNN: plans, which are its primitives for given sizes, and packed
 * copies of weights.  Plans and copies are made at the first use of a size, and kept.
 */
#ifndef DEV_CPU_ONEDNN_H
#define DEV_CPU_ONEDNN_H

#include "src/dev/cpu.h"

#include <dnnl.h>

struct onednn;

/* For products of 'dev', which keeps it.  Returns 0 or ERR_DEVICE. */
int onednn_open(struct onednn **d, struct dev *dev);
void onednn_close(struct onednn **d);

/* y [rows, cols] = or += a b.  'a' and 'b' are views or, if turned, their transposes;
 * 'y' is as good as packed.  Both are multiplied in the layout that the library wishes:
 * weights are packed once a change and so need their owner, 'weight', else NULL ('i'
 * and 'j' tell its parts apart); other right-hand sides are packed here and now, and so
 * is 'a' if 'is_a_packed'.
 */
struct operand {
    struct mat m;
    bool is_turned;
};

void onednn_multiply(struct onednn *d, struct mat y, struct operand a, struct operand b,
                     const struct dev_weight *weight, struct range i, struct range j,
                     bool is_a_packed, bool is_added);

/* The same in f32 without packed copies beforehand, of views with rows as far apart as
 * they are: the library's other product packs both factors in parts that fit in cache.
 */
void onednn_multiply_plain(struct onednn *d, struct mat y, struct operand a,
                           struct operand b, bool is_added);

/* Seconds to pack the copy of part 'i', 'j' of 'weight' again; 0 if there is none. */
double onednn_pack_seconds(const struct dev_weight *weight, bool is_turned,
                           struct range i, struct range j);

/* The bytes of what copies are in use; pack these again; and free all. */
int64_t onednn_packed(const struct dev_weight *weight);
void onednn_weight_changed(struct dev_weight *weight);
void onednn_weight_close(struct dev_weight *weight);

/* ---- Ways of doing a product (cpu_onednn_choice.c) ------------------------------- */

enum call_kind { CALL_GEMM, CALL_GEMM_T, CALL_DW };
enum way {
    WAY_ONEDNN, /* of packed weights, or packed dy */
    WAY_TURNED, /* x^T packed too */
    WAY_PLAIN,  /* nothing packed beforehand */
    WAY_BLIS,
    WAY_PAIRS, /* cpu_dw_bf16() */
    WAYS
};

/* A product as dev_gemm(), dev_gemm_t() and dev_gemm_dw() have it. */
struct call {
    enum call_kind kind;
    struct mat y, x, dy; /* dy: of CALL_DW */
    const struct dev_weight *weight;
    struct range i, j;
    bool is_added;
};

typedef void (*way_fn)(struct dev_stream *s, const struct call *c, enum way way);

/* What a device of this kind has: cpu_state's 'library'. */
struct library {
    struct onednn *onednn;
    struct dev_choice *choice; /* 'choices' of them, in the order of their first use */
    struct measure *shape;     /* what each is for */
    int choices, room;
    bool has_tiles; /* for oneDNN's products of bf16 */
    way_fn time;    /* while products are timed, else NULL */
};

static inline struct library *library_of(const struct dev *dev)
{
    return ((const struct cpu_state *)dev->state)->library;
}

/* Whether oneDNN (2.6.3) may end such a product in tiles by an illegal instruction. */
static inline bool is_refused_by_tiles(const struct library *l, int64_t depth)
{
    return l->has_tiles && depth % 64 == 63;
}

/* How to do 'c'; timed now, if it is new and products are. */
enum way choice_of(struct dev_stream *s, const struct call *c);
struct dev_choice *choices_of(struct dev *dev, int *count);
void choices_free(struct library *l);

#endif
