/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,4,6 */
/* Optimizers on shapes whose tensors Adafactor factors in every way, on every
 * mesh, with given gradients: parameters and all state against whole tensors
 * in double precision; the state tiles its tensors; messages and memory are
 * those that were planned.
 */
#include "config.h"

#include "tests/model.h"
#include "tests/ranks.h"
#include "tests/twin.h"
#include "tests/update.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/plan/predict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 3 };

/* A model's memory and its optimizer, without the model. */
struct bench {
    struct spec spec;
    struct mesh *mesh;
    struct dev *dev;
    struct layout layout;
    struct shard *shard;
    struct optim *optim;
    struct optim_options options;
    struct updated *tensor; /* of every item, whole */
    bool is_ahead;          /* updates follow before the host knows the norm */
};

static void bench_open(struct bench *b, struct spec_options shape,
                       enum optimizer method, const char *device, enum dtype dtype,
                       enum param_shard shard, int D, int M)
{
    *b                    = (struct bench){ .options = optim_defaults() };
    b->options.method     = method;
    b->options.decay      = 0.3;
    b->options.head_decay = 10;
    b->options.clip       = 2;
    if (dtype == DTYPE_F64) { /* in others a momentum of bf16 that cancels is far off */
        b->options.beta1 = 0.8;
        b->options.beta2 = 0.55; /* less than Adafactor's own in the last step */
        b->options.eps   = 1e-3;
        b->options.clip  = shape.wiring == WIRING_PARALLEL ? 0 : 2; /* 0: never */
    }
    if (spec_make(&b->spec, &shape) != 0 ||
        mesh_open(&b->mesh, MPI_COMM_WORLD, D, M) != 0 ||
        dev_open(&b->dev, device, dtype, 2) != 0)
        die("%s", err_sentence());
    layout_make(&b->layout, &b->spec, HEAD_INIT_NORMAL, shard, D, M, b->mesh->near,
                b->mesh->d, b->mesh->m);
    if (shard_open(&b->shard, b->mesh, b->dev, &b->layout, 1, false) != 0 ||
        optim_open(&b->optim, b->shard, &b->options) != 0)
        die("%s", err_sentence());
    b->tensor = mem_new((size_t)b->layout.params.count, sizeof *b->tensor);
    for (int i = 0; i < b->layout.params.count; i++)
        update_open(&b->tensor[i], &b->layout.params.param[i], 1);
}

static void bench_close(struct bench *b)
{
    for (int i = 0; i < b->layout.params.count; i++)
        update_close(&b->tensor[i]);
    mem_free(b->tensor);
    optim_close(&b->optim);
    shard_close(&b->shard);
    layout_free(&b->layout);
    dev_close(&b->dev);
    mesh_close(&b->mesh);
}

/* ---- boxes ----------------------------------------------------------------------- */

/* The logical index of the element 'k' of a box, both row-major. */
static int64_t index_in(int dims, const int64_t *dim, const int64_t *lo,
                        const int64_t *hi, int64_t k)
{
    int64_t index = 0, stride = 1;

    for (int i = dims - 1; i >= 0; i--) {
        index += (lo[i] + k % (hi[i] - lo[i])) * stride;
        k /= hi[i] - lo[i];
        stride *= dim[i];
    }
    return index;
}

/* The elements of 'at' as packed doubles; the caller frees them. */
static double *fetch(const struct bench *b, struct mat at)
{
    const int64_t n = mat_size(at);
    double *to      = mem_new((size_t)n + 1, sizeof *to);
    char *raw       = mem_new((size_t)n + 1, sizeof(double));

    dev_get(dev_stream(b->dev, LANE_COMPUTE), raw, at);
    for (int64_t i = 0; i < n; i++)
        to[i] = dtype_load(at.dtype, raw, i);
    mem_free(raw);
    return to;
}

static double worst_of_box(const struct bench *b, struct mat at, int dims,
                           const int64_t *dim, const int64_t *lo, const int64_t *hi,
                           const double *whole)
{
    double *got  = fetch(b, at);
    double worst = 0;

    for (int64_t k = 0; k < mat_size(at); k++) {
        const double want = whole[index_in(dims, dim, lo, hi, k)];

        worst = tap_worse(worst, fabs(got[k] - want) / fmax(fabs(want), 1e-3));
    }
    mem_free(got);
    return worst;
}

/* ---- steps ----------------------------------------------------------------------- */

/* An update of which the device alone knows whether it is to be, and by how much. */
static void update_ahead(struct bench *b, double loss)
{
    struct dev_stream *s = dev_stream(b->dev, LANE_COMPUTE);
    struct buf losses;
    struct mat all;

    if (dev_alloc(&losses, b->dev, 2 * sizeof(double)) != 0)
        die("%s", err_sentence());
    all = mat_of(&losses, dev_acc(b->dev), 1, 2);
    dev_fill(s, all, 0.0);
    dev_fill(s, mat_cols(all, 1, 2), loss);
    optim_pace(b->optim, 0.5);
    optim_square(b->optim);
    optim_update_ahead(b->optim, all);
    dev_free(&losses);
}

/* Gradients of step 't', the same whoever holds them; some tensors' first are zero. */
static void set_gradients(struct bench *b, int t)
{
    const struct layout *l = &b->layout;
    double norm            = 0;

    for (int i = 0; i < l->params.count; i++) {
        struct updated *u = &b->tensor[i];
        struct piece piece[LAYOUT_PIECES];
        const int pieces  = layout_pieces(piece, l, &l->item[i], l->d, l->m);
        const double size = t == 1 && i % 2 == 1 ? 0 : 0.1;

        for (int64_t k = 0; k < u->size; k++) {
            u->grad[k] = size * rng_normal((uint64_t)t, u->param->stream, (uint64_t)k);
            u->grad[k] = (float)u->grad[k];
            norm += u->grad[k] * u->grad[k];
        }
        for (int j = 0; j < pieces; j++) {
            const struct mat at = shard_piece_grad(b->shard, &l->item[i], &piece[j]);
            char *raw           = mem_new((size_t)mat_size(at) + 1, sizeof(double));

            for (int64_t k = 0; k < mat_size(at); k++)
                dtype_store(at.dtype, raw, k,
                            u->grad[index_in(u->param->dims, u->param->dim, piece[j].lo,
                                             piece[j].hi, k)]);
            dev_put(dev_stream(b->dev, LANE_COMPUTE), at, raw);
            mem_free(raw);
        }
    }
    norm = sqrt(norm);

    const struct update with = { b->options.method,
                                 0.5 * b->options.lr,
                                 b->options.decay,
                                 b->options.head_decay,
                                 b->options.clip > 0 && norm > b->options.clip
                                     ? b->options.clip / norm
                                     : 1,
                                 t,
                                 b->options.beta1,
                                 b->options.beta2,
                                 b->options.eps };

    for (int i = 0; i < l->params.count; i++)
        update_tensor(&b->tensor[i], &with);
    if (!b->is_ahead) {
        optim_update(b->optim, norm, 0.5);
        return;
    }
    update_ahead(b, NAN); /* nothing must change */
    update_ahead(b, 1.5);
    optim_took(b->optim);
}

static double worst_parameter(const struct bench *b)
{
    const struct layout *l = &b->layout;
    double worst           = 0;

    for (int i = 0; i < l->params.count; i++) {
        const struct updated *u = &b->tensor[i];
        struct piece piece[LAYOUT_PIECES];
        const int pieces = layout_pieces(piece, l, &l->item[i], l->d, l->m);

        for (int j = 0; j < pieces; j++) {
            double *got = fetch(b, shard_piece_param(b->shard, &l->item[i], &piece[j]));

            for (int64_t k = 0; k < piece[j].rows * piece[j].cols; k++)
                worst = tap_worse(
                    worst,
                    fabs(got[k] - u->value[index_in(u->param->dims, u->param->dim,
                                                    piece[j].lo, piece[j].hi, k)]));
            mem_free(got);
        }
    }
    return worst / b->options.lr;
}

/* ---- state ----------------------------------------------------------------------- */

/* What the state 's' must be as a whole tensor: an average is held by every element
 * that has it, so any of them will do.
 */
static const double *expected(const struct bench *b, const struct optim_state *s,
                              double **room)
{
    const struct param *p   = s->param;
    const struct updated *u = NULL;
    int64_t stride          = 1;
    int gone                = -1;

    for (int i = 0; i < b->layout.params.count; i++) {
        if (b->tensor[i].param == p)
            u = &b->tensor[i];
    }
    *room = NULL;
    if (strcmp(s->kind, "mu") == 0)
        return u->mu;
    if (s->dims == p->dims)
        return u->nu;

    /* The axis that is gone. */
    for (int i = 0; i < p->dims && gone < 0; i++) {
        if (i == s->dims || p->dim[i] != s->dim[i])
            gone = i;
    }
    /* Of two equal largest axes row drops the last, which was found, col the other. */
    if (strcmp(s->kind, "v_col") == 0 && gone == p->dims - 1 && gone > 0 &&
        p->dim[gone - 1] == p->dim[gone])
        gone--;
    for (int i = gone + 1; i < p->dims; i++)
        stride *= p->dim[i];
    *room = mem_new((size_t)u->size + 1, sizeof **room);
    for (int64_t k = 0; k < u->size; k++) {
        const int64_t above = k / (stride * p->dim[gone]);

        (*room)[above * stride + k % stride] =
            strcmp(s->kind, "v_row") == 0 ? u->nu[k] : u->col[k];
    }
    return *room;
}

static void check_state(const struct bench *b, double tolerance)
{
    struct optim_state *list;
    const int count = optim_states(&list, b->optim);
    double worst = 0, covered = 0, all = 0;

    for (int i = 0; i < count; i++) {
        const struct optim_state *s = &list[i];
        double size                 = 1;
        double *room;
        const double *want = expected(b, s, &room);

        for (int j = 0; j < s->pieces; j++) {
            const struct optim_piece *piece = &s->piece[j];

            covered += piece->is_first ? (double)mat_size(piece->at) : 0;
            worst = tap_worse(worst, worst_of_box(b, piece->at, s->dims, s->dim,
                                                  piece->lo, piece->hi, want));
        }
        for (int k = 0; k < s->dims; k++)
            size *= (double)s->dim[k];
        all += size;
        mem_free(room);
    }
    covered = coll_sum(b->mesh, AXIS_ALL, covered);
    if (!ok(worst <= tolerance && covered == all,
            "  its state, %d tensors, is right and tiles them", count))
        tap_note("off by %g; %g numbers of %g", worst, covered, all);
    mem_free(list);
}

/* Products read copies of what is not sharded, which updates leave: the
 * masters, rounded.
 */
static void check_copies(const struct bench *b, enum param_shard shard)
{
    const struct layout *l = &b->layout;
    int64_t seen = 0, other = 0;

    for (int i = 0; i < l->params.count; i++) {
        const struct item *it = &l->item[i];
        struct piece piece[LAYOUT_PIECES];
        const int pieces = layout_pieces(piece, l, it, l->d, l->m);

        for (int j = 0; j < pieces; j++) {
            const struct mat copy = shard_piece_copy(b->shard, it, &piece[j]);
            double *want, *got;

            if (mat_is_none(copy))
                continue;
            want = fetch(b, shard_piece_param(b->shard, it, &piece[j]));
            got  = fetch(b, copy);
            for (int64_t k = 0; k < mat_size(copy); k++, seen++) {
                const uint16_t rounded = dtype_to_bf16((float)want[k]);

                other += got[k] != dtype_load(DTYPE_BF16, &rounded, 0);
            }
            mem_free(want);
            mem_free(got);
        }
    }
    if (!ok(other == 0 && (seen > 0 || shard == SHARD_FULL),
            "  and its copy is rounded from it"))
        tap_note("%lld numbers of %lld are not", (long long)other, (long long)seen);
}

/* ---- checks ---------------------------------------------------------------------- */

static void check(struct spec_options shape, enum optimizer method, const char *device,
                  enum dtype dtype, enum param_shard shard, int D, int M, bool is_ahead,
                  const char *what)
{
    const double roundings = dtype == DTYPE_F64 ? 1e-9 : 1e-3;
    struct bench b;
    double worst;

    bench_open(&b, shape, method, device, dtype, shard, D, M);
    b.is_ahead = is_ahead;
    for (int t = 1; t <= STEPS; t++)
        set_gradients(&b, t);
    worst = worst_parameter(&b);
    if (!ok(worst <= roundings * 10, "%s, %s on %dx%d, %s, shard %s, %s%s",
            optim_name(method), what, D, M, device, param_shard_name(shard, D),
            dtype_name(dtype), is_ahead ? ", ahead of the norm" : ""))
        tap_note("parameters off by %g of lr", worst);
    /* in f32 each step may round a momentum to its other neighbour in bf16 */
    check_state(&b, dtype == DTYPE_F64 ? 1e-9 : STEPS * 0x1p-7);
    if (dtype == DTYPE_BF16)
        check_copies(&b, shard);
    bench_close(&b);
}

#ifndef CUDA_ON_HOST
static void check_cost(struct spec_options shape, enum param_shard shard, int D, int M)
{
    const struct traffic_job with = { .B         = D,
                                      .D         = D,
                                      .M         = M,
                                      .dtype     = DTYPE_F64,
                                      .optimizer = OPTIMIZER_ADAFACTOR,
                                      .shard     = shard };
    struct traffic_job without    = with;
    struct traffic_count a[TRAFFIC_KINDS], p[TRAFFIC_KINDS];
    struct predict_memory memory;
    struct bench b;
    int64_t before, taken;

    without.optimizer = OPTIMIZER_SGD;
    bench_open(&b, shape, OPTIMIZER_ADAFACTOR, "cpu:ref", DTYPE_F64, shard, D, M);
    traffic_of_rank(a, &b.spec, &with, b.mesh->d, b.mesh->m);
    traffic_of_rank(p, &b.spec, &without, b.mesh->d, b.mesh->m);
    mesh_count_reset(b.mesh);
    optim_update(b.optim, 0, 0);
    ok(b.mesh->sent[REDUCE].messages == a[REDUCE].messages - p[REDUCE].messages &&
           b.mesh->sent[REDUCE].bytes == a[REDUCE].bytes - p[REDUCE].bytes,
       "Adafactor on %dx%d, shard %s, posts what was planned", D, M,
       param_shard_name(shard, D));
    predict_memory(&memory, &b.spec, &with, b.mesh->d, b.mesh->m);
    before = mem_now();
    optim_close(&b.optim);
    taken = before - mem_now();
    if (!ok(llabs(taken - memory.moments) < (64 << 10), "  and takes the memory"))
        tap_note("%lld bytes, planned %lld", (long long)taken,
                 (long long)memory.moments);
    bench_close(&b);
}
#endif

static void check_methods(struct spec_options shape, enum param_shard shard, int D,
                          int M, bool has_cuda, const char *what)
{
    for (int i = 0; i < OPTIMIZERS; i++) {
        const enum optimizer method = (enum optimizer)i;

#ifndef CUDA_ON_HOST
        check(shape, method, "cpu:ref", DTYPE_F64, shard, D, M, false, what);
#ifdef HAVE_BLIS
        check(shape, method, "cpu:blis", DTYPE_F32, shard, D, M, false, what);
        if (D * M == 1)
            check(shape, method, "cpu:blis", DTYPE_F64, shard, D, M, false, what);
#endif
#endif
        if (!has_cuda)
            continue;
        check(shape, method, "cuda", DTYPE_F32, shard, D, M, false, what);
        if (D * M == 1)
            check(shape, method, "cuda", DTYPE_F32, shard, D, M, true, what);
        check(shape, method, "cuda", DTYPE_BF16, shard, D, M, D * M == 1, what);
    }
}

/* ---- what the device alone does -------------------------------------------------- */

/* What the GPU finds by itself: norms that are as long as they may be stay so. */
static void check_clips(struct twins *two)
{
    static const double cases[][4] = {
        /* sum, most, one of the others, the clip */
        { 3.0, 2.0, 1.0, 1.0 },      { 9.0, 2.0, 1.0, 2.0 / 3.0 },
        { 0.5, 0.6, 1.0, 0.848528 }, { 100.0, 0.0, 1.0, 1.0 },
        { 3.0, 2.0, NAN, NAN },      { 3.0, 0.0, INFINITY, NAN },
        { NAN, 2.0, 1.0, NAN },      { INFINITY, 2.0, 1.0, NAN },
    };
    bool is_right = true;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct twin pace = twin_blank_f64(two, 1, 1), sum = twin_blank_f64(two, 1, 1);
        struct twin others = twin_random(two, 1, 40, 1.0);
        double clip;

        twin_set(sum, 0, 0, cases[i][0]);
        twin_set(others, 0, 37, cases[i][2]);
        dev_clip(twin_stream(two, 1), pace.got, sum.got, others.got, cases[i][1]);
        clip = twin_got(pace, 0, 0);
        is_right &= isnan(cases[i][3]) ? isnan(clip) : fabs(clip - cases[i][3]) < 1e-6;
        twins_clear(two);
    }
    ok(is_right, "clips of norms");
}

/* A parameter, with one matrix that does not lie as the others do: its rows are apart
 * or it is at a place that is not aligned.
 */
static void check_places(struct twins *two)
{
    enum { ROWS = 9, COLS = 64, MU = 2, NU, COPY, ODD_COPY, NONE };
    const struct adamw a = { 0.01, 0.9, 0.999, 1e-8, 0.5, 0.7, 1, { 0 } };
    bool is_right        = true;

    for (int loose = 0; loose <= NONE + 1 + NU; loose++) {
        const int64_t more = loose == ODD_COPY ? 3 : 0;
        struct twin copy, m[NU + 1];

        two->odd = loose > NONE ? loose - NONE + 1 : 0;
        copy     = twin_blank(two, ROWS, COLS + more);
        copy     = twin_part(copy, ROWS, more, COLS + more);
        if (loose < COPY || loose >= NONE)
            copy.got.ld = COLS;
        for (int i = 0; i <= NU; i++) { /* the parameter and its gradient first */
            m[i] = twin_blank_acc(two, ROWS, COLS);
            if (i != loose)
                m[i].ref.ld = m[i].got.ld = COLS;
            for (int k = 0; k < ROWS * COLS; k++)
                twin_set(m[i], k / COLS, k % COLS, i == NU ? 0.01 : sin(k + i));
        }
        EACH
        {
            const struct dev_segment g = { .param = V(m[0]),
                                           .grad  = V(m[1]),
                                           .mu    = V(m[MU]),
                                           .nu    = V(m[NU]),
                                           .copy  = w == 1 ? copy.got : mat_none(),
                                           .decay = 0.1 };

            dev_adamw(ON, &g, 1, &a);
        }
        for (int i = 0; i <= NU; i++)
            is_right &= twin_agrees(two, m[i], 16.0, 6.0, "an update");
        for (int k = 0; k < ROWS * COLS; k++) {
            const double p         = twin_got(m[0], k / COLS, k % COLS);
            const uint16_t rounded = dtype_to_bf16((float)p);

            is_right &= twin_got(copy, k / COLS, k % COLS) ==
                        dtype_load(DTYPE_BF16, &rounded, 0);
        }
        twins_clear(two);
    }
    two->odd = 0;
    ok(is_right, "an update of matrices that lie unlike each other");
}

/* A tensor of two pieces, of which both have parts in all sums of columns. */
static void check_factor_sums(struct twins *two)
{
    enum { ROWS = 5, COLS = 36, CUT = 2 };
    const struct adafactor a = { 0.01, 0.9, 0.99, 1e-30, 1.0, 0.5, { 0 } };
    struct twin row = twin_blank_acc(two, 1, ROWS), col = twin_blank_acc(two, 1, COLS);
    struct twin grad = twin_blank_acc(two, ROWS, COLS);
    bool is_right    = true;

    for (int k = 0; k < ROWS * COLS; k++)
        twin_set(grad, k / COLS, k % COLS, sin(k));
    EACH
    {
        struct dev_factors f[2];
        struct dev_segment g[2];

        for (int i = 0; i < 2; i++) {
            const int64_t lo = i == 0 ? 0 : CUT, hi = i == 0 ? CUT : ROWS;

            f[i] = (struct dev_factors){ .row      = mat_cols(V(row), lo, hi),
                                         .col      = V(col),
                                         .axes     = 2,
                                         .fold     = 1,
                                         .extent   = { hi - lo, COLS },
                                         .row_step = { 1, 0 },
                                         .col_step = { 0, 1 } };
            g[i] = (struct dev_segment){ .grad    = mat_rows(V(grad), lo, hi),
                                         .factors = &f[i] };
        }
        dev_fill(ON, V(row), 0.0);
        dev_fill(ON, V(col), 0.0);
        dev_factor_sums(ON, g, 2, &a);
    }
    is_right &= twin_agrees(two, row, COLS, COLS, "sums of rows");
    is_right &= twin_agrees(two, col, ROWS, ROWS, "sums of columns");
    ok(is_right, "sums of Adafactor's of two pieces of a tensor");
    twins_clear(two);
}

int main(int argc, char **argv)
{
    const int ranks     = ranks_open(&argc, &argv, "t435-optim");
    const bool has_cuda = twins_can("cuda", DTYPE_F32);
    /* Heads of 36 and 33 columns, equal axes, 36 positions, patches of 32. */
    const struct spec_options shapes[] = {
        { .shape   = "72/1/40/2",
          .wiring  = WIRING_SEQUENTIAL,
          .pool    = POOL_MAP,
          .image   = 18,
          .patch   = 3,
          .classes = 35 },
        { .shape   = "66/1/66/2",
          .wiring  = WIRING_PARALLEL,
          .qk_norm = 1,
          .pool    = POOL_CLS,
          .image   = 33,
          .patch   = 32,
          .classes = 7 },
    };

    for (int M = 1; M <= ranks && M <= 2; M++) {
        const int D = ranks / M;

        for (int shard = SHARD_NONE; shard <= SHARD_FULL && D * M == ranks; shard++) {
            if (shard == SHARD_FULL && D == 1)
                continue;
            for (int i = 0; i < 2; i++)
                check_methods(shapes[i], (enum param_shard)shard, D, M, has_cuda,
                              i == 0 ? "sequential" : "parallel");
#ifndef CUDA_ON_HOST
            check_cost(shapes[0], (enum param_shard)shard, D, M);
#endif
        }
    }
    if (has_cuda && ranks == 1) {
        struct twins two;

        twins_open(&two, "cuda", DTYPE_BF16, 1);
        check_clips(&two);
        check_places(&two);
        check_factor_sums(&two);
        twins_close(&two);
    }
    if (!has_cuda)
        tap_skip("cuda", "there is no GPU, or no CUDA in this build");
    return ranks_done();
}
