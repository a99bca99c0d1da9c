/* SPDX-License-Identifier: BSD-3-Clause */
/* What a run will do: the rules for its mesh, the depth of slices, and batches.
 *
 * A named shape runs at the depth that was asked for, or not at all.  The default run
 * takes what the machine can do: full depth in half of the memory, else the deepest
 * slice that fits there, else one block in 80 %; and batches small enough that a case
 * ends in about 45 seconds.
 */
#include "config.h"

#include "bench/agenda.h"

#include "src/base/err.h"
#include "src/dev/cpu_info.h"
#include "src/dev/dev.h"
#include "src/plan/choice.h"
#include "src/plan/count.h"
#include "src/plan/predict.h"

#include <stdio.h>
#include <string.h>

#define RATED_BY_DEFAULT "So400m"
#define SAVED_BY_DEFAULT "So150m" /* 1.8 GB with AdamW: others take long to write */

/* Shares of a node's memory. */
#define SHARE_SLICE    0.5           /* of a slice that has several blocks */
#define SHARE_MOST     PREDICT_SHARE /* of one block, or of a shape that was named */
#define SHARE_OFFICIAL 0.25          /* that an official run must fill */

/* What the prediction of time knows before anything was run: products reach about this
 * share of the peak, and the update streams seven numbers for every parameter.
 */
#define SHARE_OF_PEAK       0.6
#define SHARE_OF_PEAK_SLOW  0.02 /* cpu:ref, cpu:emulate: for correctness */
#define SHARE_OF_PEAK_TILES 0.1  /* faster than memory, and than all else of a step */
#define UPDATE_BANDWIDTH    1e10
enum { UPDATE_NUMBERS = 7 };

/* Steps of a case: warm-up, three timed, two for the checks; the proof of overlap with
 * several ranks takes about as many again.
 */
enum { STEPS_ALONE = 6, STEPS_OF_PROOF = 6 };

struct planner {
    const struct options *options;
    const struct choices *choices;
    int D, M, ranks_per_node;
    double node_bytes, peak;
};

/* With the mesh that was asked for, 0 x 0 where none was. */
static struct planner planner_of(const struct options *o, const struct choices *c,
                                 int ranks_per_node, int64_t node_bytes)
{
    return (struct planner){ .options        = o,
                             .choices        = c,
                             .D              = c->way.D,
                             .M              = c->way.M,
                             .ranks_per_node = ranks_per_node,
                             .node_bytes     = (double)node_bytes };
}

static struct traffic_job job_of(const struct planner *p, int64_t B)
{
    return setting_job(&p->choices->way, false, B, p->D, p->M);
}

int64_t agenda_images(const struct way *way)
{
    return way->micros > AGENDA_IMAGES ? way->micros : AGENDA_IMAGES;
}

/* An image for every data rank and micro-batch. */
static int64_t least_batch(const struct planner *p)
{
    return (int64_t)p->D * p->choices->way.micros;
}

static int check_batch(const struct planner *p, const struct spec *s, int64_t B)
{
    TRY(spec_check_mesh(s, B, p->D, p->M));
    return spec_check_micros(B, p->D, p->choices->way.micros);
}

/* The deepest slice of 's' in 'share' of the memory, 0 if not even one block fits. */
static int64_t deepest(const struct planner *p, const struct spec *s, int64_t B,
                       double share)
{
    const struct traffic_job job = job_of(p, B);

    return predict_layers(s, &job, p->ranks_per_node, (int64_t)(share * p->node_bytes));
}

/* The share of a node's memory that its ranks take. */
static double share_taken(const struct planner *p, const struct spec *s, int64_t B)
{
    const struct traffic_job job = job_of(p, B);

    return (double)predict_most(s, &job) * p->ranks_per_node / p->node_bytes;
}

/* The depth at which 's' runs with a batch of B, 0: not at all. */
static int64_t depth(const struct planner *p, const struct spec *s, int64_t B)
{
    int64_t layers;

    if (!p->choices->is_default_run)
        return share_taken(p, s, B) < SHARE_MOST ? s->L : 0;
    layers = deepest(p, s, B, SHARE_SLICE);
    if (layers > 0)
        return layers;
    return deepest(p, s, B, SHARE_MOST) > 0;
}

static double share_of_peak(const struct way *way)
{
    if (strcmp(way->device, "cpu:ref") == 0 || strcmp(way->device, "cpu:emulate") == 0)
        return SHARE_OF_PEAK_SLOW;
    if (way->dtype == DTYPE_BF16 && !dev_is_apart(way->device, way->dtype) &&
        cpu_has_tiles())
        return SHARE_OF_PEAK_TILES;
    return SHARE_OF_PEAK;
}

/* Seconds that the whole case will take. */
static double seconds_of_case(const struct planner *p, const struct spec *s, int64_t B)
{
    const int ranks              = p->D * p->M;
    const double rate            = p->peak * share_of_peak(&p->choices->way);
    const struct traffic_job job = job_of(p, B);
    struct predict_memory memory;
    double step;

    predict_memory(&memory, s, &job, 0, 0);
    step = (double)B * count_flops_train(s) / (ranks * rate) +
           (double)memory.moments / 2 * UPDATE_NUMBERS / UPDATE_BANDWIDTH;
    return step * (STEPS_ALONE + (ranks > 1 ? STEPS_OF_PROOF : 0));
}

/* An official run fills a quarter of the memory: double the batch until it does. */
static int64_t fill_memory(const struct planner *p, const struct spec *s, int64_t B)
{
    while (B < INT32_MAX && share_taken(p, s, B) < SHARE_OFFICIAL &&
           share_taken(p, s, 2 * B) < SHARE_MOST)
        B *= 2;
    return B;
}

/* The largest batch, up to the default one, with which 's' fits and, in the default
 * run, ends in time, or for --official one that fills memory; 's' becomes the slice
 * that runs with it.  Returns 0 if nothing fits.
 */
static int64_t choose_batch(struct spec *s, const struct planner *p)
{
    const int64_t least = least_batch(p) / p->D;

    for (int64_t b = agenda_images(&p->choices->way); b >= least; b--) {
        struct spec slice = *s;

        slice.L = depth(p, s, b * p->D);
        if (slice.L == 0)
            continue;
        if (p->choices->is_default_run && !p->options->official && b > least &&
            seconds_of_case(p, &slice, b * p->D) > AGENDA_BUDGET)
            continue;
        *s = slice;
        return p->options->official ? fill_memory(p, s, b * p->D) : b * p->D;
    }
    return 0;
}

/* ---- the mesh -------------------------------------------------------------------- */

/* How many shapes of the run can be run on the mesh of 'p'; with small batches, where
 * no batch was asked for.
 */
static int runnable(const struct planner *p)
{
    const struct choices *c = p->choices;
    const int64_t B         = c->batches > 0 ? c->batch[0] : least_batch(p);
    int n                   = 0;

    for (int i = 0; i < c->shapes; i++) {
        struct spec s;

        if (options_make_spec(&s, p->options, c, c->shape[i]) == 0 &&
            check_batch(p, &s, B) == 0)
            n += depth(p, &s, B) > 0;
    }
    err_forget();
    return n;
}

/* Tokens a second that the machine is predicted to reach with the first shape that
 * runs, 0 without a machine.
 */
static double predicted(const struct planner *p)
{
    const struct choices *c = p->choices;
    const int64_t least     = c->batches > 0 ? c->batch[0] : least_batch(p);

    for (int i = 0; c->machine != NULL && i < c->shapes; i++) {
        struct cost_rank cost;
        struct traffic_job job;
        struct choice choice;
        struct spec s;
        int64_t B;

        if (options_make_spec(&s, p->options, c, c->shape[i]) != 0 ||
            check_batch(p, &s, least) != 0)
            continue;
        B   = c->batches > 0 ? least : choose_batch(&s, p);
        s.L = B > 0 ? depth(p, &s, B) : 0;
        job = job_of(p, B);
        if (s.L == 0 || cost_make_on(&cost, c->machine, c->way.dtype, p->D * p->M,
                                     p->ranks_per_node, 0) != 0)
            continue;
        choice_make(&choice, &s, &job, &cost);
        return choice.forecast.tokens_per_s;
    }
    err_forget();
    return 0;
}

/* Into 'p' the mesh that runs most shapes, of these the fastest one if there is a
 * machine to predict with, else the one with the smallest M; returns how many it runs.
 */
static int choose_mesh(struct planner *p, int ranks)
{
    const bool is_known = p->choices->machine != NULL;
    struct planner best = *p;
    double fastest      = 0;
    int most            = -1;

    for (p->M = 1; p->M <= ranks && (is_known || most < p->choices->shapes); p->M++) {
        double rate;
        int n;

        p->D = ranks / p->M;
        if (ranks % p->M != 0)
            continue;
        n    = runnable(p);
        rate = n >= most ? predicted(p) : 0;
        if (n > most || (n == most && rate > fastest)) {
            most    = n;
            fastest = rate;
            best    = *p;
        }
    }
    *p = best;
    return most;
}

int agenda_mesh(int *D, int *M, const struct options *o, const struct choices *c,
                int ranks, int ranks_per_node, int64_t node_bytes)
{
    struct planner p = planner_of(o, c, ranks_per_node, node_bytes);

    if (c->way.D > 0 && (int64_t)c->way.D * c->way.M != ranks)
        return ERR(ERR_SHAPE, "--mesh=%dx%d is for %lld ranks, there %s %d", c->way.D,
                   c->way.M, (long long)c->way.D * c->way.M, ranks == 1 ? "is" : "are",
                   ranks);
    if (c->way.D == 0)
        choose_mesh(&p, ranks);
    *D = p.D;
    *M = p.M;
    return 0;
}

/* How many shapes can be run with these choices. */
static int shapes_run(const struct options *o, const struct choices *c, int ranks,
                      int ranks_per_node, int64_t node_bytes)
{
    struct planner p = planner_of(o, c, ranks_per_node, node_bytes);

    return c->way.D > 0 ? runnable(&p) : choose_mesh(&p, ranks);
}

void agenda_device(struct choices *c, const struct options *o, int ranks,
                   int ranks_per_node, int64_t node_bytes)
{
    const bool has_shapes = (c->cases & ~(1U << CASE_MACHINE)) != 0;
    struct choices lean   = *c;

    lean.way.device = "cpu:blis";
    lean.way.packs  = dev_packs(lean.way.device, lean.way.dtype);
    if (strcmp(c->way.device, "auto") == 0 && c->way.dtype == DTYPE_F32 && has_shapes &&
        dev_is_built(lean.way.device) && lean.way.packs < c->way.packs &&
        shapes_run(o, &lean, ranks, ranks_per_node, node_bytes) >
            shapes_run(o, c, ranks, ranks_per_node, node_bytes))
        *c = lean;
}

/* ---- the list -------------------------------------------------------------------- */

static void no_memory(struct agenda_entry *e, const struct planner *p, int64_t B)
{
    struct spec one = e->spec;

    if (p->choices->is_default_run)
        one.L = 1;
    snprintf(
        e->skip, sizeof e->skip,
        "not enough memory: %lld %s with %lld %s needs %.1f GB, more than %.0f %% of "
        "a node's %.1f GB",
        (long long)one.L, one.L == 1 ? "block" : "blocks", (long long)B,
        B == 1 ? "image" : "images", share_taken(p, &one, B) * p->node_bytes * 1e-9,
        100 * SHARE_MOST, p->node_bytes * 1e-9);
}

/* Depth and batch of an entry whose spec is the whole model; B = 0: choose. */
static void fit_entry(struct agenda_entry *e, const struct planner *p, int64_t B)
{
    int64_t layers;

    if (e->id == CASE_GEMM || e->id == CASE_CMM) { /* need a few matrices alone */
        e->batch = B > 0 ? B : (int64_t)AGENDA_IMAGES * p->D;
        return;
    }
    if (e->id == CASE_BLOCK)
        e->spec.L = 1;
    if (B > 0) {
        e->batch = B;
        layers   = depth(p, &e->spec, B);
        if (layers > 0)
            e->spec.L = layers;
    } else {
        e->batch = choose_batch(&e->spec, p);
        layers   = e->batch;
        if (e->batch == 0)
            e->batch = least_batch(p);
    }
    if (layers == 0)
        no_memory(e, p, e->batch);
    else if (p->options->official &&
             share_taken(p, &e->spec, e->batch) < SHARE_OFFICIAL)
        snprintf(e->skip, sizeof e->skip,
                 "--official asks for a quarter of the memory, this takes %.0f %%",
                 100 * share_taken(p, &e->spec, e->batch));
}

static struct agenda_entry *add(struct agenda *a, enum case_id id)
{
    struct agenda_entry *e;

    if (a->count == AGENDA_ENTRIES)
        return NULL;
    e  = &a->entry[a->count++];
    *e = (struct agenda_entry){ .id = id };
    return e;
}

/* The case 'id' for shape number 'i' with every batch. */
static int add_shape(struct agenda *a, const struct planner *p, enum case_id id, int i)
{
    const struct choices *c = p->choices;
    const bool is_rated =
        c->is_default_run ? strcmp(c->shape[i], RATED_BY_DEFAULT) == 0 : i == 0;

    for (int j = 0; j == 0 || j < c->batches; j++) {
        const int64_t B        = c->batches > 0 ? c->batch[j] : 0;
        struct agenda_entry *e = add(a, id);
        int rc;

        if (e == NULL)
            return ERR(ERR_USAGE, "more than %d cases", AGENDA_ENTRIES);
        TRY(options_make_spec(&e->spec, p->options, c, c->shape[i]));
        e->has_spec = true;
        e->is_rated = is_rated && id == CASE_STEP && j == 0;
        rc          = check_batch(p, &e->spec, B > 0 ? B : least_batch(p));
        if (rc == 0) {
            fit_entry(e, p, B);
            continue;
        }
        if (!c->is_default_run || (B > 0 && B < least_batch(p)))
            return rc;
        e->batch = B > 0 ? B : least_batch(p);
        snprintf(e->skip, sizeof e->skip, "%s", err_sentence());
        err_forget();
    }
    return 0;
}

int agenda_make(struct agenda *a, const struct options *o, const struct choices *c,
                int D, int M, int ranks_per_node, int64_t node_bytes, double peak)
{
    struct planner p = planner_of(o, c, ranks_per_node, node_bytes);

    p.D      = D;
    p.M      = M;
    p.peak   = peak;
    a->count = 0;
    for (int id = 0; id < CASES; id++) {
        const bool has_spec = id != CASE_COLL && id != CASE_DATA && id != CASE_MACHINE;

        if ((c->cases >> id & 1U) == 0)
            continue;
        if (!has_spec && add(a, (enum case_id)id) == NULL)
            return ERR(ERR_USAGE, "more than %d cases", AGENDA_ENTRIES);
        for (int i = 0; has_spec && i < c->shapes; i++) {
            if (id == CASE_CKPT && c->is_default_run &&
                strcmp(c->shape[i], SAVED_BY_DEFAULT) != 0)
                continue;
            TRY(add_shape(a, &p, (enum case_id)id, i));
        }
    }
    return 0;
}
