/* SPDX-License-Identifier: BSD-3-Clause */
/* Updates of all parameters in one launch: the list of segments is copied to the GPU,
 * and every block finds the segment that its elements belong to.  Adafactor's sums are
 * formed segment by segment, each entry by one thread or warp, so that nothing is added
 * out of order.
 */
#include "config.h"

#include "src/dev/cuda_math.h"
#include "src/dev/cuda_view.cuh"

#include <math.h>

namespace {

enum { THREADS = 256, CELLS = THREADS * WIDE * 2 /* elements of a block */ };

struct factors {
    view row, col;
    int axes, fold;
    int64_t extent[DEV_AXES], row_step[DEV_AXES], col_step[DEV_AXES];
};

/* A segment, and the first block that works on it. */
struct piece {
    view param, grad, mu, nu, copy;
    float decay;
    int wide, is_f32, is_factored;
    int64_t first;
    factors f;
};

/* A parameter, and what products read of it. */
template <int V>
__device__ void store_param(const piece &g, int64_t r, int64_t c, const float (&p)[V])
{
    store(g.param, r, c, p);
    if (g.copy.at != NULL)
        store(g.copy, r, c, p);
}

/* ---- Methods --------------------------------------------------------------------- */

/* What may come from a pace has the number that the host knows until begin() looks
 * there; it returns false if nothing is to be updated.
 */
struct adamw_method {
    math_adamw_step a;
    const double *pace;
    __device__ bool begin()
    {
        if (pace != NULL) {
            a.clip    = (float)pace[PACE_CLIP];
            a.rate    = (float)pace[PACE_RATE];
            a.debias1 = (float)pace[PACE_FIRST];
            a.debias2 = (float)pace[PACE_SECOND];
        }
        return !isnan(a.clip);
    }
    template <int V> __device__ void at(const piece &g, int64_t r, int64_t c) const
    {
        float p[V], grad[V], mu[V], nu[V];

        load(p, g.param, r, c);
        load(grad, g.grad, r, c);
        load(mu, g.mu, r, c);
        load(nu, g.nu, r, c);
#pragma unroll
        for (int k = 0; k < V; k++)
            p[k] = math_adamw(p[k], grad[k], &mu[k], &nu[k], g.decay, &a);
        store(g.mu, r, c, mu);
        store(g.nu, r, c, nu);
        store_param(g, r, c, p);
    }
};

struct sgd_method {
    math_sgd_step a;
    const double *pace;
    __device__ bool begin()
    {
        if (pace != NULL) {
            a.clip = (float)pace[PACE_CLIP];
            a.rate = (float)pace[PACE_RATE];
        }
        return !isnan(a.clip);
    }
    template <int V> __device__ void at(const piece &g, int64_t r, int64_t c) const
    {
        float p[V], grad[V], mu[V];

        load(p, g.param, r, c);
        load(grad, g.grad, r, c);
        load(mu, g.mu, r, c);
#pragma unroll
        for (int k = 0; k < V; k++)
            p[k] = math_sgd(p[k], grad[k], &mu[k], g.decay, &a);
        store(g.mu, r, c, mu);
        store_param(g, r, c, p);
    }
};

struct adafactor_method {
    math_adafactor_step a;
    const double *pace;
    __device__ bool begin()
    {
        if (pace != NULL) {
            a.clip  = (float)pace[PACE_CLIP];
            a.rate  = (float)pace[PACE_RATE];
            a.beta2 = (float)pace[PACE_FIRST];
            a.rest2 = (float)(1.0 - pace[PACE_FIRST]);
        }
        return !isnan(a.clip);
    }
    __device__ float factor(const piece &g, int64_t r, int64_t c) const
    {
        int64_t row, col;

        /* of a segment that was flattened to be read in vectors */
        if (g.param.rows == 1 && g.f.fold > 0) {
            int64_t width = 1;

            for (int k = g.f.fold; k < g.f.axes; k++)
                width *= g.f.extent[k];
            r = c / width;
            c = c % width;
        }
        math_factor_place(&row, &col, g.f.axes, g.f.fold, g.f.extent, g.f.row_step,
                          g.f.col_step, r, c);
        return get_one<float>(g.f.row, row) * get_one<float>(g.f.col, col);
    }
    template <int V> __device__ void at(const piece &g, int64_t r, int64_t c) const
    {
        float p[V], grad[V], mu[V], nu[V];

        load(p, g.param, r, c);
        load(grad, g.grad, r, c);
        load(mu, g.mu, r, c);
        if (!g.is_factored)
            load(nu, g.nu, r, c);
#pragma unroll
        for (int k = 0; k < V; k++) {
            const float d = g.is_factored ? a.clip * grad[k] * factor(g, r, c + k)
                                          : math_adafactor_plain(grad[k], &nu[k], &a);

            p[k] = math_adafactor(p[k], d, &mu[k], g.decay, &a);
        }
        if (!g.is_factored)
            store(g.nu, r, c, nu);
        store(g.mu, r, c, mu);
        store_param(g, r, c, p);
    }
};

/* ---- One launch ------------------------------------------------------------------ */

/* Elements 'first' to 'end', of rows of whole vectors. */
template <int V, class Method>
__device__ void update_by(const Method &method, const piece &g, int64_t first,
                          int64_t end)
{
    for (int64_t i = first + threadIdx.x * V; i < end; i += THREADS * V)
        method.template at<V>(g, i / g.param.cols, i % g.param.cols);
}

template <class Method>
__global__ void update(const piece *list, int count, Method method)
{
    __shared__ piece g;
    int64_t first, end;

    if (!method.begin())
        return;
    if (threadIdx.x == 0)
        g = list[piece_of_block(list, count)];
    __syncthreads();
    first = ((int64_t)blockIdx.x - g.first) * CELLS;
    end   = min(first + CELLS, g.param.rows * g.param.cols);
    if (g.wide && g.is_f32)
        update_by<FOUR>(method, g, first, end);
    else if (g.wide)
        update_by<WIDE>(method, g, first, end);
    else
        update_by<1>(method, g, first, end);
}

/* None is. */
bool is_f32(struct mat a)
{
    return mat_is_none(a) || a.dtype == DTYPE_F32;
}

piece piece_of(const struct dev_segment *s, int64_t first)
{
    piece g = {};

    g.param  = view_of(s->param);
    g.grad   = view_of(s->grad);
    g.mu     = view_of(s->mu);
    g.nu     = view_of(s->nu);
    g.copy   = view_of(s->copy);
    g.decay  = (float)s->decay;
    g.first  = first;
    g.is_f32 = is_f32(s->param) && is_f32(s->grad) && is_f32(s->mu) && is_f32(s->nu);
    if (is_packed(g.param) && is_packed(g.grad) && is_packed(g.mu) && is_packed(g.nu) &&
        is_packed(g.copy)) {
        flatten(&g.param);
        flatten(&g.grad);
        flatten(&g.mu);
        flatten(&g.nu);
        flatten(&g.copy);
    }
    g.wide = is_wide(g.param) && is_wide(g.grad) && is_wide(g.mu) && is_wide(g.nu) &&
             is_wide(g.copy);
    if (s->factors != NULL) {
        g.is_factored = 1;
        g.f.row       = view_of(s->factors->row);
        g.f.col       = view_of(s->factors->col);
        g.f.axes      = s->factors->axes;
        g.f.fold      = s->factors->fold;
        for (int k = 0; k < s->factors->axes; k++) {
            g.f.extent[k]   = s->factors->extent[k];
            g.f.row_step[k] = s->factors->row_step[k];
            g.f.col_step[k] = s->factors->col_step[k];
        }
    }
    return g;
}

template <class Method>
void update_all(struct dev_stream *s, const struct dev_segment *segment, int count,
                const Method &method)
{
    piece *list    = (piece *)mem_new((size_t)count + 1, sizeof *list);
    int64_t blocks = 0;
    int pieces     = 0;
    const piece *there;

    for (int i = 0; i < count; i++) {
        if (mat_size(segment[i].param) == 0)
            continue;
        list[pieces++] = piece_of(&segment[i], blocks);
        blocks += blocks_for(mat_size(segment[i].param), CELLS);
    }
    there = (const piece *)cuda_describe(s, list, sizeof *list, (size_t)pieces);
    mem_free(list);
    if (pieces == 0)
        return;
    launch(s, "update", update<Method>, (unsigned)blocks, THREADS, 0, there, pieces,
           method);
}

/* ---- Adafactor's sums ------------------------------------------------------------ */

/* The entries of one of a segment's two vectors, and where each one's terms lie. */
struct entries {
    view grad, to;
    int axes;
    int64_t extent[DEV_AXES], step[DEV_AXES], stride[DEV_AXES]; /* stride: in grad */
    int64_t count;                                              /* entries */
    int64_t terms, apart; /* of each, and elements from one to the next */
};

entries entries_of(const struct dev_segment *g, const int64_t *step, struct mat to)
{
    const struct dev_factors *f = g->factors;
    entries e                   = {};
    int64_t across              = 1;

    e.grad  = view_of(g->grad);
    e.to    = view_of(to);
    e.count = 1;
    e.terms = 1;
    e.axes  = f->axes;
    for (int k = f->axes - 1; k >= 0; k--) {
        if (k == f->fold - 1)
            across = e.grad.ld;
        e.stride[k] = across;
        across *= f->extent[k];
        e.step[k]   = step[k];
        e.extent[k] = f->extent[k];
        if (step[k] == 0 && f->extent[k] > 1) {
            e.terms     = f->extent[k];
            e.apart     = e.stride[k];
            e.extent[k] = 1;
        }
        e.count *= e.extent[k];
    }
    return e;
}

/* A thread has an entry, or a warp where its terms are neighbours. */
template <bool IS_WARP> __global__ void factor_sums(entries e, adafactor_method with)
{
    const int64_t thread = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    const int lane       = IS_WARP ? threadIdx.x % LANES_OF_WARP : 0;
    int64_t i = IS_WARP ? thread / LANES_OF_WARP : thread, from = 0, to = 0;
    float sum = 0.0F;

    if (i >= e.count || !with.begin())
        return;
    for (int k = e.axes - 1; k >= 0; k--) {
        const int64_t n = i % e.extent[k];

        i /= e.extent[k];
        from += n * e.stride[k];
        to += n * e.step[k];
    }
    for (int64_t t = lane; t < e.terms; t += IS_WARP ? LANES_OF_WARP : 1) {
        const float g = with.a.clip * get_one<float>(e.grad, from + t * e.apart);

        sum += g * g;
    }
    if (IS_WARP)
        sum = warp_sum(sum);
    if (lane == 0)
        put_one<float>(e.to, to, get_one<float>(e.to, to) + sum);
}

void add_entries(struct dev_stream *s, const entries &e, const adafactor_method &with)
{
    if (e.count == 0)
        return;
    if (e.apart == 1)
        launch(s, "factor_sums<true>", factor_sums<true>,
               (unsigned)blocks_for(e.count * LANES_OF_WARP, THREADS), THREADS, 0, e,
               with);
    else
        launch(s, "factor_sums<false>", factor_sums<false>,
               (unsigned)blocks_for(e.count, THREADS), THREADS, 0, e, with);
}

/* ---- Adafactor's averages -------------------------------------------------------- */

struct averages {
    view row, col, v_row, v_col, mean;
    float by_row, by_col, by_mean, gap;
    int64_t outer, along, inner;
};

__device__ float blend(view v, view sum, int64_t i, float by,
                       const math_adafactor_step &d)
{
    const float x = d.beta2 * get_one<float>(v, i) +
                    d.rest2 * (get_one<float>(sum, i) * by + d.eps);

    put_one<float>(v, i, x);
    return x;
}

/* Every block has a tensor; each mean is of numbers that one thread has blended. */
__global__ void factor_rows(const averages *list, adafactor_method with)
{
    const averages a = list[blockIdx.x];

    if (!with.begin())
        return;

    for (int64_t i = threadIdx.x; i < a.outer * a.inner; i += blockDim.x) {
        const int64_t first = i / a.inner * a.along * a.inner + i % a.inner;
        float sum           = 0.0F;

        for (int64_t k = 0; k < a.along; k++)
            sum += blend(a.v_row, a.row, first + k * a.inner, a.by_row, with.a);
        put_one<float>(a.mean, i, sum * a.by_mean);
    }
}

__global__ void factor_scales(const averages *list, adafactor_method with)
{
    const averages a = list[blockIdx.x];

    if (!with.begin())
        return;

    for (int64_t i = threadIdx.x; i < a.v_col.cols; i += blockDim.x)
        put_one<float>(a.col, i,
                       1.0F / sqrtf(blend(a.v_col, a.col, i, a.by_col, with.a)));
    for (int64_t i = threadIdx.x; i < a.v_row.cols; i += blockDim.x) {
        const int64_t outer = i / (a.along * a.inner), inner = i % a.inner;
        const float mean = get_one<float>(a.mean, outer * a.inner + inner);

        put_one<float>(a.row, i, sqrtf(mean / get_one<float>(a.v_row, i)));
    }
}

/* The list on the GPU; NULL if it is empty. */
const averages *describe(struct dev_stream *s, const struct dev_averages *tensor,
                         int count)
{
    averages *list;
    const averages *there;

    if (count == 0)
        return NULL;
    list = (averages *)mem_new((size_t)count, sizeof *list);
    for (int i = 0; i < count; i++) {
        const struct dev_averages *t = &tensor[i];

        list[i] = { view_of(t->row),
                    view_of(t->col),
                    view_of(t->v_row),
                    view_of(t->v_col),
                    view_of(t->mean),
                    (float)(1.0 / t->row_count),
                    (float)(1.0 / t->col_count),
                    (float)(1.0 / t->mean_count),
                    0.0F,
                    t->outer,
                    t->along,
                    t->inner };
    }
    there = (const averages *)cuda_describe(s, list, sizeof *list, (size_t)count);
    mem_free(list);
    return there;
}

/* ---- The clip -------------------------------------------------------------------- */

/* One warp, for 'others' is as long as there are micro-batches. */
__global__ void find_clip(double *clip, view sum, view others, double most)
{
    const double squared = get_one<double>(sum, 0);
    float bad            = isfinite(squared) ? 0.0F : 1.0F;
    double scale         = 1.0;

    for (int64_t i = threadIdx.x; i < others.cols; i += LANES_OF_WARP)
        bad += isfinite(get_one<double>(others, i)) ? 0.0F : 1.0F;
    bad = warp_sum(bad);
    if (most > 0.0 && squared > most * most)
        scale = most / sqrt(squared);
    if (threadIdx.x == 0)
        *clip = bad > 0.0F ? (double)NAN : scale;
}

const double *pace_of(struct mat pace)
{
    return mat_is_none(pace) ? NULL : (const double *)mat_ptr(pace);
}

adafactor_method method_of(const struct adafactor *a)
{
    return { { (float)a->beta1, (float)(1.0 - a->beta1), (float)a->beta2,
               (float)(1.0 - a->beta2), (float)a->eps, (float)a->clip,
               (float)(a->schedule * a->lr) },
             pace_of(a->pace) };
}

} /* namespace */

void cuda_clip(struct dev_stream *s, struct mat pace, struct mat sum, struct mat others,
               double most)
{
    launch(s, "find_clip", find_clip, 1, LANES_OF_WARP, 0, (double *)mat_ptr(pace),
           view_of(sum), view_of(others), most);
}

void cuda_adamw(struct dev_stream *s, const struct dev_segment *segment, int count,
                const struct adamw *a)
{
    const double debias1 = 1.0 / (1.0 - pow(a->beta1, (double)a->t));
    const double debias2 = 1.0 / (1.0 - pow(a->beta2, (double)a->t));

    update_all(
        s, segment, count,
        adamw_method{ { (float)a->beta1, (float)(1.0 - a->beta1), (float)a->beta2,
                        (float)(1.0 - a->beta2), (float)a->eps, (float)a->clip,
                        (float)debias1, (float)debias2, (float)(a->schedule * a->lr) },
                      pace_of(a->pace) });
}

void cuda_sgd(struct dev_stream *s, const struct dev_segment *segment, int count,
              const struct sgd *a)
{
    update_all(s, segment, count,
               sgd_method{
                   { (float)a->momentum, (float)a->clip, (float)(a->schedule * a->lr) },
                   pace_of(a->pace) });
}

void cuda_factor_sums(struct dev_stream *s, const struct dev_segment *segment,
                      int count, const struct adafactor *a)
{
    const adafactor_method with = method_of(a);

    for (int i = 0; i < count; i++) {
        const struct dev_factors *f = segment[i].factors;

        if (f == NULL || mat_size(segment[i].grad) == 0)
            continue;
        add_entries(s, entries_of(&segment[i], f->row_step, f->row), with);
        add_entries(s, entries_of(&segment[i], f->col_step, f->col), with);
    }
}

void cuda_factor_rows(struct dev_stream *s, const struct dev_averages *tensor,
                      int count, const struct adafactor *a)
{
    const averages *list = describe(s, tensor, count);

    if (list == NULL)
        return;
    launch(s, "factor_rows", factor_rows, (unsigned)count, THREADS, 0, list,
           method_of(a));
}

void cuda_factor_scales(struct dev_stream *s, const struct dev_averages *tensor,
                        int count, const struct adafactor *a)
{
    const averages *list = describe(s, tensor, count);

    if (list == NULL)
        return;
    launch(s, "factor_scales", factor_scales, (unsigned)count, THREADS, 0, list,
           method_of(a));
}

void cuda_adafactor(struct dev_stream *s, const struct dev_segment *segment, int count,
                    const struct adafactor *a)
{
    update_all(s, segment, count, method_of(a));
}
