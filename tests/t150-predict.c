/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory of a rank, the mesh that fits, the deepest slice that fits. */
#include "config.h"

#include "src/plan/predict.h"

#include "src/base/err.h"
#include "src/plan/count.h"
#include "tests/tap.h"

#include <string.h>

static struct spec make(const char *shape, int64_t layers)
{
    const struct spec_options o = {
        .shape = shape, .layers = layers, .wiring = -1, .qk_norm = -1
    };
    struct spec s;

    ok(spec_make(&s, &o) == 0, "%s can be made", shape);
    return s;
}

static void memory(void)
{
    const struct spec s    = make("So150m", 2);
    struct traffic_job job = { .B = 8, .D = 1, .M = 1, .dtype = DTYPE_F32 };
    const double params    = (double)count_params(&s);
    struct predict_memory p, q;

    predict_memory(&p, &s, &job, 0, 0);
    close_to((double)p.params, 4 * params, 0.001 * 4 * params,
             "parameters take four bytes each, and next to nothing for rounding up");
    ok(p.params % (4 * 16) == 0 && p.params >= 4 * count_params(&s),
       "slots are rounded up to 16 elements");
    ok(p.grads == p.params && p.moments == 2 * p.params,
       "gradients take the same, moments twice that");
    ok(p.total == p.params + p.grads + p.moments + p.kept + p.work + p.batch &&
           p.kept > 0 && p.work > 0 && p.batch > 0,
       "the total is the sum of the families");

    job.dtype = DTYPE_F64;
    predict_memory(&q, &s, &job, 0, 0);
    ok(q.params == 2 * p.params, "f64 takes twice f32");

    job.B = 16;
    predict_memory(&p, &s, &job, 0, 0);
    ok(p.batch == 2 * q.batch && p.kept > q.kept && p.params == q.params,
       "a larger batch takes more activations and no more parameters");
}

/* Sharded over four data ranks, what belongs to parameters is a quarter, and two groups
 * of parameters and two of gradients; computed again, blocks keep what they are given.
 */
static void sharded(void)
{
    const struct spec s    = make("So400m", 0);
    struct traffic_job job = { .B = 32, .D = 4, .M = 1, .dtype = DTYPE_F32 };
    const double params = 4 * (double)count_params(&s), C = (double)s.C,
                 F     = (double)s.F;
    const double head  = 4 * (4 * C * C + 2 * C * F + C * (double)s.K);
    const double block = 4 * (4 * C * C + 2 * C * F);
    struct predict_memory none, full, again;

    predict_memory(&none, &s, &job, 0, 0);
    job.shard = SHARD_FULL;
    predict_memory(&full, &s, &job, 0, 0);
    close_to((double)full.moments, 2 * params / 4, 0.01 * params,
             "moments of four ranks are a quarter each");
    close_to((double)full.params, params / 4 + block + head, 0.01 * params,
             "so are parameters, and two groups of them");
    close_to((double)full.grads, params / 4 + block + head + head / 4, 0.01 * params,
             "and gradients, with room for a part on its way");
    ok(full.kept == none.kept && full.work == none.work, "activations are the same");

    job.remat = REMAT_BLOCK;
    predict_memory(&again, &s, &job, 0, 0);
    ok(again.params == full.params && again.kept < full.kept / 5,
       "blocks that are computed again keep a fraction");
    job.remat  = REMAT_NONE;
    job.micros = 4;
    predict_memory(&again, &s, &job, 0, 0);
    close_to((double)again.kept, (double)full.kept / 4, 0.01 * (double)full.kept,
             "four micro-batches keep a quarter");
    job.D = 1;
    job.B = 8;
    predict_memory(&full, &s, &job, 0, 0);
    job.shard = SHARD_NONE;
    predict_memory(&none, &s, &job, 0, 0);
    ok(full.total == none.total, "with one data rank nothing is sharded");
}

/* What else is kept: packed weights of two rooms where parameters are sharded, and the
 * moments of each optimizer, of Adafactor two bytes and a little.
 */
static void beside(void)
{
    const struct spec s    = make("So400m", 0);
    struct traffic_job job = {
        .B = 32, .D = 4, .M = 1, .dtype = DTYPE_F32, .packs = 2
    };
    const double params = (double)count_params(&s), C = (double)s.C, F = (double)s.F;
    const double block = 4 * C * C + 2 * C * F;
    struct predict_memory p;

    predict_memory(&p, &s, &job, 0, 0);
    close_to((double)p.packed, 2 * 4 * params, 0.01 * params,
             "two packed copies of everything");
    job.shard = SHARD_FULL;
    predict_memory(&p, &s, &job, 0, 0);
    close_to((double)p.packed, 2 * 4 * (params - (double)(s.L - 2) * block),
             0.01 * params, "of sharded blocks those in the two rooms");
    job.optimizer = OPTIMIZER_SGD;
    predict_memory(&p, &s, &job, 0, 0);
    close_to((double)p.moments, 4 * params / 4, 0.01 * params, "SGD has one moment");
    job.optimizer = OPTIMIZER_ADAFACTOR;
    predict_memory(&p, &s, &job, 0, 0);
    close_to((double)p.moments, 2 * params / 4, 0.08 * params,
             "Adafactor one of two bytes, and averages");
}

/* The first rank of a mesh holds the larger shares. */
static void the_most(void)
{
    const struct spec s = make("50/2/70/5", 0);
    int larger          = 0;

    for (int M = 1; M <= 5; M++) {
        const struct traffic_job job = {
            .B = 7, .D = 3, .M = M, .dtype = DTYPE_F32, .form = CMM_RING
        };
        struct predict_memory p;

        for (int d = 0; d < 3; d++) {
            for (int m = 0; m < M; m++) {
                predict_memory(&p, &s, &job, d, m);
                larger += p.total > predict_most(&s, &job);
            }
        }
    }
    ok(larger == 0, "no rank needs more than the first one");
}

static const struct traffic_job in_f32 = { .dtype = DTYPE_F32, .form = CMM_RING };

static void meshes(void)
{
    const struct spec small = make("mu", 0), big = make("22B", 0), odd = make("B", 0);
    const int64_t node = INT64_C(512) << 30;
    int D = 0, M = 0;

    ok(predict_mesh(&D, &M, &small, 12, 0, 8, &in_f32, 4, node) == 0 && D == 12 &&
           M == 1,
       "a small model takes no model axis");

    /* 358 GB of parameters, gradients and moments; four ranks to half a terabyte. */
    const int rc = predict_mesh(&D, &M, &big, 1024, 0, 8, &in_f32, 4, node);

    ok(rc == 0 && M > 1 && D * M == 1024,
       "22B takes a model axis that divides the ranks: %dx%d", D, M);

    const struct traffic_job taken = {
        .B = 8 * D, .D = D, .M = M, .dtype = DTYPE_F32, .form = CMM_RING
    };
    const struct traffic_job wider = {
        .B = 16 * D, .D = 2 * D, .M = M / 2, .dtype = DTYPE_F32, .form = CMM_RING
    };

    ok(predict_most(&big, &taken) * 4 < node && predict_most(&big, &wider) * 4 >= node,
       "which fits, and half of it does not");

    ok(predict_mesh(&D, &M, &big, 2, 0, 8, &in_f32, 2, INT64_C(16) << 30) ==
               ERR_MEMORY &&
           D * M == 2 && M == 2,
       "on two ranks of a workstation it does not fit, 1x2 comes nearest");
    ok(err_sentence() != NULL && strstr(err_sentence(), "1x2") != NULL,
       "and the sentence says so");
    tap_note("%s", err_sentence());
    err_forget();

    /* B has 12 heads: of the divisors of 26 only 1 and 2 are not above that. */
    ok(predict_mesh(&D, &M, &odd, 26, 0, 8, &in_f32, 26, 1) == ERR_MEMORY && M <= 12 &&
           26 % M == 0,
       "the model axis is never above the heads");
    err_forget();
}

/* The batch must go onto the mesh, and its memory there is what counts. */
static void batches(void)
{
    const struct spec mu = make("mu", 0), S = make("S", 0);
    struct traffic_job job = { .dtype = DTYPE_F32, .form = CMM_RING, .micros = 2 };
    const int64_t node     = INT64_C(512) << 30;
    int64_t half, whole;
    int D = 0, M = 0;

    ok(predict_mesh(&D, &M, &mu, 12, 12, 0, &in_f32, 12, node) == 0 && D == 12,
       "an image for every rank");
    ok(predict_mesh(&D, &M, &mu, 12, 8, 0, &in_f32, 12, node) == 0 && D == 6 && M == 2,
       "fewer images than ranks take a model axis, whatever the memory");
    ok(err_sentence() == NULL, "without a word");
    ok(predict_mesh(&D, &M, &mu, 12, 12, 0, &job, 12, node) == 0 && D == 6,
       "as do fewer than every micro-batch needs");
    ok(predict_mesh(&D, &M, &mu, 12, 5, 0, &in_f32, 12, node) == ERR_SHAPE &&
           strstr(err_sentence(), "too small for 6 data ranks") != NULL,
       "too few for any mesh are refused");
    err_forget();

    job   = (struct traffic_job){ .B = 32, .D = 1, .M = 2, .dtype = DTYPE_F32 };
    half  = predict_most(&S, &job);
    job.B = 64;
    whole = predict_most(&S, &job);
    ok(predict_mesh(&D, &M, &S, 2, 64, 0, &in_f32, 1, (half + whole) / 2) == ERR_MEMORY,
       "two model ranks have all images of two data ranks");
    err_forget();
}

static void slices(void)
{
    const struct spec s          = make("22B", 0);
    const struct traffic_job job = { .B = 16, .D = 2, .M = 1, .dtype = DTYPE_F32 };
    int64_t last = 0, fell = 0, wrong = 0;

    for (int64_t gb = 4; gb < 1200; gb += 26) {
        const int64_t bytes  = gb << 30;
        const int64_t layers = predict_layers(&s, &job, 2, bytes);
        struct spec slice    = s;

        slice.L = layers;
        wrong += layers > 0 && predict_most(&slice, &job) * 2 >= bytes;
        slice.L = layers + 1;
        wrong += layers < s.L && predict_most(&slice, &job) * 2 < bytes;
        fell += layers < last;
        last = layers;
    }
    ok(wrong == 0, "the deepest slice fits and one block more does not");
    ok(fell == 0 && last == s.L, "more memory, more blocks, at last all of them");
    ok(predict_layers(&s, &job, 2, INT64_C(1) << 30) == 0,
       "not even one fits into 1 GB");
}

int main(void)
{
    memory();
    sharded();
    beside();
    the_most();
    meshes();
    batches();
    slices();
    return tap_done();
}
