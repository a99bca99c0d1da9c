/* SPDX-License-Identifier: BSD-3-Clause */
/* cpu:onednn: products in f32 and bf16 through oneDNN with packed weights, or in f32
 * through BLIS where that was found faster; everything else through the vectorised
 * loops of cpu_ops.
 *
 * oneDNN has two kinds of products.  The one for both formats wants packed factors: a
 * weight is packed after each update, dy and where it pays the turned x for the
 * product; views with rows further apart are copied.  The other, in f32 alone, takes
 * all as it comes and packs parts of it in cache, so that nothing passes through memory
 * twice.  Gradients of weights in bf16 have a third, cpu_dw_bf16().
 */
#include "config.h"

#include "src/dev/cpu_onednn.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/dev/blis_arch.h"
#include "src/dev/cpu_info.h"

#include <stdio.h>

/* Whether oneDNN may use what 'isa' has: DNNL_MAX_CPU_ISA tells it what not to. */
static bool may_use(dnnl_cpu_isa_t isa)
{
    return (dnnl_get_effective_cpu_isa() & isa) == isa;
}

static int onednn_dev_open(struct dev *dev)
{
    const dnnl_version_t *version = dnnl_version();
    struct library *library;
    char blis[64] = "";
    int rc;

    if (dev->dtype == DTYPE_BF16 && !cpu_has_bf16())
        return ERR(ERR_DEVICE,
                   "bf16 needs a processor with AVX512-BF16, which this one "
                   "lacks: --dtype=bf16:emulate runs anywhere");
    if (dev->dtype == DTYPE_BF16 && !may_use(dnnl_cpu_isa_avx512_core))
        return ERR(ERR_DEVICE,
                   "bf16 needs AVX-512, which DNNL_MAX_CPU_ISA or ONEDNN_MAX_CPU_ISA "
                   "keeps oneDNN from");
    library = mem_new(1, sizeof *library);
    rc      = onednn_open(&library->onednn, dev);
    if (rc == 0)
        rc = cpu_ops_open(dev);
    if (rc != 0) {
        onednn_close(&library->onednn);
        mem_free(library);
        return rc;
    }
    library->has_tiles = dev->dtype == DTYPE_BF16 && cpu_has_tiles() &&
                         may_use(dnnl_cpu_isa_avx512_core_amx);
    ((struct cpu_state *)dev->state)->library = library;
#ifdef HAVE_BLIS
    if (dev->dtype == DTYPE_F32)
        blis_arch_start(blis, sizeof blis);
#endif
    snprintf(dev->about, sizeof dev->about, "oneDNN %d.%d.%d%s%s%s", version->major,
             version->minor, version->patch, blis[0] != '\0' ? ", " : "", blis,
             library->has_tiles ? ", tiles (AMX)" : "");
    return 0;
}

static void onednn_dev_close(struct dev *dev)
{
    struct library *library = library_of(dev);

    onednn_close(&library->onednn);
    choices_free(library);
    mem_free(library);
    cpu_close(dev);
}

/* A weight's state is the head of its list of packed copies. */
static int weight_open(struct dev_weight *weight)
{
    weight->state = mem_new(1, sizeof(void *));
    return 0;
}

static void weight_changed(struct dev_stream *s, struct dev_weight *weight)
{
    (void)s;
    onednn_weight_changed(weight);
}

/* ---- Views ----------------------------------------------------------------------- */

/* Room for a packed matrix in the first thread's block, which must be as
 * large as all of an operation.
 */
struct room {
    struct buf buf;
    char *at;
};

static struct mat room_like(struct room *room, struct mat a, enum dtype dtype)
{
    const struct mat like = mat_of(&room->buf, dtype, a.rows, a.cols);

    room->buf = (struct buf){ .dev   = a.buf->dev,
                              .at    = room->at,
                              .bytes = (size_t)mat_bytes(like) };
    return like;
}

/* How much room a view needs, at most. */
static size_t room_for(struct mat a)
{
    return mat_is_packed(a) ? 0 : mem_round((size_t)mat_size(a) * sizeof(float));
}

static struct mat packed_copy(struct dev_stream *s, struct room *room, struct mat a)
{
    if (mat_is_packed(a)) {
        a.ld = a.cols;
        return a;
    }

    const struct mat copy = room_like(room, a, a.dtype);

    s->dev->ops.copy(s, copy, a);
    return copy;
}

/* ---- Products -------------------------------------------------------------------- */

static void multiply(struct dev_stream *s, struct mat y, struct operand a,
                     struct operand b, const struct dev_weight *weight, struct range i,
                     struct range j, enum way way, bool is_added)
{
    struct onednn *onednn = library_of(s->dev)->onednn;
    const size_t for_a = room_for(a.m), for_b = weight == NULL ? room_for(b.m) : 0;
    struct room room_a, room_b, room_y;
    const int64_t depth = a.is_turned ? a.m.rows : a.m.cols;
    const bool is_whole = mat_is_packed(y);
    struct mat to       = y;

    if (mat_size(y) == 0)
        return;
    if (depth == 0) {
        if (!is_added)
            s->dev->ops.fill(s, y, 0.0);
        return;
    }
    if (way == WAY_PLAIN) {
        onednn_multiply_plain(onednn, y, a, b, is_added);
        return;
    }
    room_a.at = cpu_block(s->dev, 0, for_a + for_b + room_for(y) + 1);
    room_b.at = room_a.at + for_a;
    room_y.at = room_b.at + for_b;
    a.m       = packed_copy(s, &room_a, a.m);
    if (weight == NULL)
        b.m = packed_copy(s, &room_b, b.m);
    if (is_whole)
        to.ld = to.cols;
    else
        to = room_like(&room_y, y, is_added ? DTYPE_F32 : y.dtype); /* round once */
    onednn_multiply(onednn, to, a, b, weight, i, j, way == WAY_TURNED,
                    is_added && is_whole);
    if (!is_whole && is_added)
        s->dev->ops.add(s, y, to);
    else if (!is_whole)
        s->dev->ops.copy(s, y, to);
}

static void by_onednn(struct dev_stream *s, const struct call *c, enum way way)
{
    const bool is_dw       = c->weight == NULL;
    const struct operand a = { c->x, is_dw };
    const struct operand b = { is_dw ? c->dy : dev_weight_part(c->weight, c->i, c->j),
                               c->kind == CALL_GEMM_T };

    multiply(s, c->y, a, b, c->weight, c->i, c->j, way, c->is_added);
}

static void by_blis(struct dev_stream *s, const struct call *c)
{
#ifdef HAVE_BLIS
    if (c->kind == CALL_GEMM)
        cpu_blis_f32.gemm(s, c->y, c->x, c->weight, c->i, c->j, c->is_added, NULL);
    else if (c->kind == CALL_GEMM_T)
        cpu_blis_f32.gemm_t(s, c->y, c->x, c->weight, c->i, c->j, c->is_added, NULL);
    else
        cpu_blis_f32.gemm_dw(s, c->y, c->x, c->dy, c->is_added);
#else
    by_onednn(s, c, WAY_PLAIN);
#endif
}

static void by_pairs(struct dev_stream *s, const struct call *c)
{
    if (c->x.rows == 0 && !c->is_added)
        s->dev->ops.fill(s, c->y, 0.0);
    else if (mat_size(c->y) > 0)
        cpu_dw_bf16(s, c->y, c->x, c->dy, c->is_added);
}

static void do_in(struct dev_stream *s, const struct call *c, enum way way)
{
    if (way == WAY_BLIS)
        by_blis(s, c);
    else if (way == WAY_PAIRS)
        by_pairs(s, c);
    else
        by_onednn(s, c, way);
}

/* A weight's product, for which oneDNN must not have all of the depth at once. */
static void do_in_two(struct dev_stream *s, const struct call *c)
{
    struct call first = *c, rest = *c;
    struct range *lower = c->kind == CALL_GEMM ? &first.i : &first.j;
    struct range *upper = c->kind == CALL_GEMM ? &rest.i : &rest.j;
    const int64_t half  = c->x.cols - 32;
    struct buf room     = { .dev = s->dev };

    first.x   = mat_cols(c->x, 0, half);
    rest.x    = mat_cols(c->x, half, c->x.cols);
    lower->hi = upper->lo = lower->lo + half;
    first.y = rest.y = mat_of(&room, DTYPE_F32, c->y.rows, c->y.cols); /* round once */
    first.is_added   = false;
    rest.is_added    = true;
    room.bytes       = (size_t)mat_bytes(first.y);
    if (mem_alloc((void **)&room.at, room.bytes) != 0)
        err_end(ERR_MEMORY);
    by_onednn(s, &first, WAY_ONEDNN);
    by_onednn(s, &rest, WAY_ONEDNN);
    if (c->is_added)
        s->dev->ops.add(s, c->y, first.y);
    else
        s->dev->ops.copy(s, c->y, first.y);
    mem_free(room.at);
}

static void do_call(struct dev_stream *s, const struct call *c)
{
    if (c->weight != NULL && is_refused_by_tiles(library_of(s->dev), c->x.cols))
        do_in_two(s, c);
    else
        do_in(s, c, choice_of(s, c));
}

static void onednn_gemm(struct dev_stream *s, struct mat y, struct mat x,
                        const struct dev_weight *weight, struct range i, struct range j,
                        bool is_added, const struct epilogue *e)
{
    do_call(s, &(struct call){ CALL_GEMM, y, x, mat_none(), weight, i, j, is_added });
    cpu_finish_f32(s, y, e);
}

static void onednn_gemm_t(struct dev_stream *s, struct mat y, struct mat x,
                          const struct dev_weight *weight, struct range i,
                          struct range j, bool is_added, const struct epilogue *e)
{
    do_call(s, &(struct call){ CALL_GEMM_T, y, x, mat_none(), weight, i, j, is_added });
    cpu_finish_f32(s, y, e);
}

static void onednn_gemm_dw(struct dev_stream *s, struct mat dw, struct mat x,
                           struct mat dy, bool is_added)
{
    const struct range none = { 0, 0 };

    do_call(s, &(struct call){ CALL_DW, dw, x, dy, NULL, none, none, is_added });
}

/* ---- The table ------------------------------------------------------------------- */

static void onednn_tune(struct dev *dev, bool is_on)
{
    library_of(dev)->time = is_on ? do_in : NULL;
}

/* In f32 there is a product of plain matrices beside those of packed ones. */
static bool spares_packs(enum dtype dtype)
{
    return dtype == DTYPE_F32;
}

const struct dev_ops dev_cpu_onednn = {
    .name           = "cpu:onednn",
    .fallback       = &dev_cpu_ops,
    .is_host        = true,
    .instead        = { [DTYPE_F64] = "take cpu:blis or cpu:ref" },
    .packs          = 2, /* to multiply with, and with its transpose */
    .spares_packs   = spares_packs,
    .packed         = onednn_packed,
    .open           = onednn_dev_open,
    .close          = onednn_dev_close,
    .peak           = cpu_peak_tiles,
    .tune           = onednn_tune,
    .choices        = choices_of,
    .weight_open    = weight_open,
    .weight_close   = onednn_weight_close,
    .weight_changed = weight_changed,
    .gemm           = onednn_gemm,
    .gemm_t         = onednn_gemm_t,
    .gemm_dw        = onednn_gemm_dw,
};
