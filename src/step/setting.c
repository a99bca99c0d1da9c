/* SPDX-License-Identifier: BSD-3-Clause */
/* What the shared options ask for, and what of it does not go together. */
#include "config.h"

#include "src/step/setting.h"

#include "mesh/coll.h"
#include "src/base/err.h"
#include "src/dev/dev.h"

#include <stdlib.h>
#include <string.h>

/* The rows' choices, by their place in 'values'; of wires the last one
 * is not the usual.
 */
enum { OVERLAP_AUTO, OVERLAP_PLAIN, OVERLAP_RING, OVERLAP_BIDIR };
enum { WIRE_AUTO, WIRE_USUAL, WIRE_OTHER };

enum { RANKS_MOST = 10000000 };

static int parse_mesh(struct way *way, const struct setting *o)
{
    char *end;
    long D, M = 0;

    if (strcmp(o->mesh, "auto") == 0)
        return 0;
    D = strtol(o->mesh, &end, 10);
    if (end != o->mesh && *end == 'x' && strspn(end + 1, "0123456789") > 0)
        M = strtol(end + 1, &end, 10);
    if (o->mesh[0] < '0' || o->mesh[0] > '9' || *end != '\0' || D < 1 || M < 1 ||
        D > RANKS_MOST || M > RANKS_MOST / D)
        return ERR(ERR_USAGE, "--mesh=%s: expected DxM, for example 2x1, or auto",
                   o->mesh);
    way->D = (int)D;
    way->M = (int)M;
    return 0;
}

/* In runs of f32 and f64 everything travels as it is calculated. */
static int check_wire(const char *name, bool is_f32, bool is_bf16, enum dtype dtype)
{
    if (dtype == DTYPE_BF16 || (!is_bf16 && (!is_f32 || dtype == DTYPE_F32)))
        return 0;
    return ERR(ERR_USAGE,
               "--%s=%s: in a run in %s that travels in %s, too; only one in "
               "bf16 has a choice",
               name, is_bf16 ? "bf16" : "f32", dtype_name(dtype), dtype_name(dtype));
}

static int check_wires(const struct setting *o, enum dtype dtype)
{
    TRY(check_wire("ring-wire", o->ring_wire == WIRE_OTHER, o->ring_wire == WIRE_USUAL,
                   dtype));
    return check_wire("grad-wire", o->grad_wire == WIRE_USUAL,
                      o->grad_wire == WIRE_OTHER, dtype);
}

const char *setting_wires(const struct way *way)
{
    static const char *const text[2][2] = {
        { "", ", gradients sent in bf16" },
        { ", partial sums in f32", ", partial sums in f32, gradients sent in bf16" },
    };

    return way->dtype == DTYPE_BF16 ? text[way->has_wide_sums][way->has_narrow_grads]
                                    : "";
}

/* Whether a GPU computes, as far as that can be told before it is opened. */
static bool is_on_gpu(const struct setting *o)
{
    return o->device == DEVICE_CUDA ||
           (o->device == DEVICE_AUTO && dev_is_apart("auto", DTYPE_BF16));
}

static enum dtype dtype_of(const struct setting *o)
{
    switch (o->dtype) {
    case DTYPE_CHOICE_F64:
        return DTYPE_F64;
    case DTYPE_CHOICE_BF16:
    case DTYPE_CHOICE_EMULATE:
        return DTYPE_BF16;
    case DTYPE_CHOICE_AUTO:
        return is_on_gpu(o) ? DTYPE_BF16 : DTYPE_F32;
    default:
        return DTYPE_F32;
    }
}

static const char *device_of(const struct setting *o)
{
    static const char *const name[] = {
        [DEVICE_AUTO] = "auto",         [DEVICE_CPU_REF] = "cpu:ref",
        [DEVICE_CPU_BLIS] = "cpu:blis", [DEVICE_CPU_ONEDNN] = "cpu:onednn",
        [DEVICE_CUDA] = "cuda",
    };

    return o->dtype == DTYPE_CHOICE_EMULATE ? "cpu:emulate" : name[o->device];
}

int setting_open(struct dev **dev, const struct way *way, int threads)
{
    struct dev *made;
    int rc;

    TRY(dev_open(&made, way->device, way->dtype, threads));
    rc = dev_manner(made, way->is_tf32, way->is_deterministic, way->has_graph);
    if (rc != 0)
        dev_close(&made);
    else
        *dev = made;
    return rc;
}

int setting_resolve(struct way *way, const struct setting *o)
{
    struct way made = {
        .dtype            = dtype_of(o),
        .device           = device_of(o),
        .form             = o->overlap == OVERLAP_PLAIN   ? CMM_PLAIN
                            : o->overlap == OVERLAP_BIDIR ? CMM_BIDIR
                            : o->overlap == OVERLAP_RING  ? CMM_RING
                            : o->tune                     ? CMM_AUTO
                                                          : CMM_RING,
        .optimizer        = (enum optimizer)o->optimizer,
        .shard            = (enum param_shard)o->param_shard,
        .remat            = (enum remat)o->remat,
        .micros           = (int)o->micro_batches,
        .is_tf32          = o->tf32,
        .is_deterministic = o->deterministic,
        .has_graph        = o->graph,
        .has_wide_sums    = o->ring_wire == WIRE_OTHER,
        .has_narrow_grads = o->grad_wire == WIRE_OTHER,
    };

    if (o->dtype == DTYPE_CHOICE_EMULATE && o->device != DEVICE_AUTO)
        return ERR(ERR_USAGE, "--dtype=bf16:emulate is a device of its own: leave "
                              "--device away");
    if (o->deterministic && o->tune)
        return ERR(ERR_USAGE, "--tune chooses by times, which no two runs share: not "
                              "with --deterministic");
    TRY(dev_check(made.device, made.dtype, made.is_tf32));
    TRY(check_wires(o, made.dtype));
    TRY(parse_mesh(&made, o));
    made.packs    = dev_packs(made.device, made.dtype);
    made.is_apart = dev_is_apart(made.device, made.dtype);
    *way          = made;
    return 0;
}

struct traffic_job setting_job(const struct way *way, bool has_pictures, int64_t B,
                               int D, int M)
{
    return (struct traffic_job){ .B                = B,
                                 .D                = D,
                                 .M                = M,
                                 .dtype            = way->dtype,
                                 .form             = way->form,
                                 .optimizer        = way->optimizer,
                                 .is_apart         = way->is_apart,
                                 .has_pictures     = has_pictures,
                                 .packs            = way->packs,
                                 .shard            = way->shard,
                                 .remat            = way->remat,
                                 .micros           = way->micros,
                                 .has_wide_sums    = way->has_wide_sums,
                                 .has_narrow_grads = way->has_narrow_grads };
}

enum progress_form setting_progress(struct mesh *mesh, int choice)
{
    static const enum progress_form wanted[] = {
        [PROGRESS_CHOICE_AUTO]   = PROGRESS_POLL,
        [PROGRESS_CHOICE_POLL]   = PROGRESS_POLL,
        [PROGRESS_CHOICE_THREAD] = PROGRESS_THREAD,
        [PROGRESS_CHOICE_NONE]   = PROGRESS_NONE,
    };
    const bool is_other = progress_set(mesh, wanted[choice]) != wanted[choice];

    if (coll_largest(mesh, AXIS_ALL, is_other) > 0)
        progress_set(mesh, PROGRESS_POLL);
    return progress_of(mesh);
}

struct spec_options setting_spec(const struct setting *o, const char *shape)
{
    return (struct spec_options){
        .shape   = shape,
        .layers  = o->layers,
        .wiring  = o->wiring - 1, /* auto, parallel, sequential */
        .qk_norm = o->qk_norm == 0 ? -1 : o->qk_norm == 1, /* auto, on, off */
        .gelu    = o->gelu,
        .pool    = o->pool,
        .loss    = o->loss,
        .image   = (int)o->image,
        .patch   = (int)o->patch,
        .classes = o->classes,
    };
}

bool setting_is_threaded(const void *values)
{
    const struct setting *o = values;

    return o->progress == PROGRESS_CHOICE_THREAD;
}
