/* SPDX-License-Identifier: BSD-3-Clause */
/* The options that all programs which run a model share: what is run, where and how.
 * Their rows are text that a program includes in its table (rows.h); here are their
 * values and what follows from them.
 */
#ifndef STEP_SETTING_H
#define STEP_SETTING_H

#include "mesh/progress.h"
#include "src/base/opts.h"
#include "src/plan/spec.h"
#include "src/plan/traffic.h"

#include <stdbool.h>

enum device_choice {
    DEVICE_AUTO,
    DEVICE_CPU_REF,
    DEVICE_CPU_BLIS,
    DEVICE_CPU_ONEDNN,
    DEVICE_CUDA
};
enum dtype_choice {
    DTYPE_CHOICE_AUTO,
    DTYPE_CHOICE_F64,
    DTYPE_CHOICE_F32,
    DTYPE_CHOICE_BF16,
    DTYPE_CHOICE_EMULATE
};
enum progress_choice {
    PROGRESS_CHOICE_AUTO,
    PROGRESS_CHOICE_POLL,
    PROGRESS_CHOICE_THREAD,
    PROGRESS_CHOICE_NONE
};

struct dev;

/* The values, as members of a program's own struct too.  Choices are places in a row's
 * list; wiring and qk_norm have "auto" as choice 0.
 */
#define SETTING_MEMBERS                                                                \
    char shape[256];                                                                   \
    int64_t layers;                                                                    \
    int wiring, qk_norm, gelu, pool, loss, optimizer;                                  \
    int64_t image, patch, classes;                                                     \
    char mesh[32]; /* "DxM" or "auto" */                                               \
    int device, dtype;                                                                 \
    int64_t threads;                                                                   \
    int overlap, progress, param_shard, remat;                                         \
    int64_t micro_batches;                                                             \
    bool tune;                                                                         \
    int ring_wire, grad_wire;                                                          \
    bool tf32, graph, deterministic

struct setting {
    SETTING_MEMBERS;
};

/* The values made ready for use: "auto" replaced where that needs no machine. */
struct way {
    int D, M; /* 0: auto */
    enum dtype dtype;
    const char *device; /* for dev_open() */
    int packs;          /* dev_packs() of them */
    bool is_apart;      /* dev_is_apart() */
    enum cmm_form form; /* auto without --tune: ring */
    enum optimizer optimizer;
    enum param_shard shard;
    enum remat remat;
    int micros; /* micro-batches of a step */
    bool is_tf32, is_deterministic, has_graph;
    bool has_wide_sums, has_narrow_grads; /* as plan/traffic.h has them */
};

/* What src/plan is asked about: a batch of B on a D x M mesh, in this way, of a source
 * that has pictures (src/data/data.h) or has not.
 */
struct traffic_job setting_job(const struct way *way, bool has_pictures, int64_t B,
                               int D, int M);

/* Fill 'way' from the options.  Returns 0, or ERR_USAGE for a mesh that is not DxM and
 * for what does not go together, with a sentence.
 */
int setting_resolve(struct way *way, const struct setting *o);

/* Unusual formats on the wire in words, as ", partial sums in f32", or "". */
const char *setting_wires(const struct way *way);

/* Open the device of 'way', as it is to compute.  Returns 0 or a code
 * with a sentence.
 */
int setting_open(struct dev **dev, const struct way *way, int threads);

/* Start what moves messages, as the choice of --progress has it (auto: polling), and
 * return what is in use on all ranks: without MPI_THREAD_MULTIPLE anywhere it is
 * polling instead of a thread.  Collective over 'mesh'.
 */
enum progress_form setting_progress(struct mesh *mesh, int choice);

/* True if a thread of its own is to move messages; 'values' begin with a setting. */
bool setting_is_threaded(const void *values);

/* The model options for one shape. */
struct spec_options setting_spec(const struct setting *o, const char *shape);

#endif
