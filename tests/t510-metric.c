/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,4 */
/* Held-out loss, top-1 and calibration error: by hand from the logits of one batch, and
 * the same on every mesh for a number of images that is no multiple of the batch.  And
 * the tensor that is named when a run goes wrong.
 */
#include "config.h"

#include "tests/model.h"
#include "tests/ranks.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/step/finite.h"
#include "src/step/metric.h"

#include <math.h>
#include <string.h>

/* From all logits and targets of 'n' images, in the plainest way. */
static struct metric by_hand(const double *z, const double *y, int n, int K,
                             enum loss_kind loss)
{
    struct metric m  = { .examples = n };
    double right[15] = { 0 }, p_sum[15] = { 0 };

    for (int i = 0; i < n; i++, z += K, y += K) {
        double sum = 0, p;
        int best   = 0;

        for (int k = 0; k < K; k++) {
            sum += exp(z[k]);
            best = z[k] > z[best] ? k : best;
        }
        for (int k = 0; k < K; k++) {
            const double s = 1 / (1 + exp(-z[k]));

            m.loss -= loss == LOSS_SIGMOID ? y[k] * log(s) + (1 - y[k]) * log(1 - s)
                                           : y[k] * log(exp(z[k]) / sum);
        }
        p = loss == LOSS_SIGMOID ? 1 / (1 + exp(-z[best])) : exp(z[best]) / sum;
        m.top1 += y[best] > 0;
        right[(int)(15 * p)] += y[best] > 0;
        p_sum[(int)(15 * p)] += p;
    }
    for (int b = 0; b < 15; b++)
        m.ece += fabs(right[b] - p_sum[b]) / n;
    m.loss /= n;
    m.top1 /= n;
    return m;
}

static bool is_close(const struct metric *a, const struct metric *b)
{
    const double off = fmax(fabs(a->loss / b->loss - 1),
                            fmax(fabs(a->top1 - b->top1), fabs(a->ece - b->ece)));

    if (a->examples != b->examples || !(off <= 1e-10))
        tap_note(
            "%lld images, loss %.17g, top-1 %g, ece %g; expected %lld, %.17g, %g, %g",
            (long long)a->examples, a->loss, a->top1, a->ece, (long long)b->examples,
            b->loss, b->top1, b->ece);
    return a->examples == b->examples && off <= 1e-10;
}

static void check_by_hand(struct model_options o)
{
    struct metric got, want;
    struct model m;
    double *z, *y;

    model_open(&m, &o, MPI_COMM_SELF);
    model_stir(&m);
    z = mem_new((size_t)(o.B * m.spec.K), sizeof *z);
    y = mem_new((size_t)(o.B * m.spec.K), sizeof *y);
    step_forward(m.step, m.data, 0, 0);
    model_get(&m, z, vit_logits(m.vit));
    model_get(&m, y, step_targets(m.step));
    want = by_hand(z, y, (int)o.B, (int)m.spec.K, m.spec.loss);
    metric_run(&got, m.step, m.data, o.B, NULL, NULL);
    ok(is_close(&got, &want), "%s: loss, top-1 and calibration by hand",
       loss_name(m.spec.loss));
    want = by_hand(z, y, 3, (int)m.spec.K, m.spec.loss);
    metric_run(&got, m.step, m.data, 3, NULL, NULL);
    ok(is_close(&got, &want), "and of a part of a batch");
    mem_free(z);
    mem_free(y);
    model_close(&m);
}

/* All logits alike. */
static void level(struct model *m)
{
    const struct layout *l = vit_layout(m->vit);

    for (int i = 0; i < l->params.count; i++) {
        struct piece piece[LAYOUT_PIECES];
        const int pieces = layout_pieces(piece, l, &l->item[i], l->d, l->m);

        for (int k = 0; k < pieces && strstr(l->params.param[i].name, "head/"); k++)
            dev_fill(dev_stream(m->dev, LANE_COMPUTE),
                     model_piece(m, &l->item[i], &piece[k], MODEL_PARAM), 0);
    }
    vit_changed(m->vit);
}

static struct metric run(struct model_options o, MPI_Comm comm, int64_t n,
                         bool is_level)
{
    struct metric metric;
    struct model m;

    model_open(&m, &o, comm);
    model_stir(&m);
    if (is_level)
        level(&m);
    metric_run(&metric, m.step, m.data, n, NULL, NULL);
    model_close(&m);
    return metric;
}

static void check_mesh(struct model_options o, int D, int M, bool is_level)
{
    const struct metric alone = run(o, MPI_COMM_SELF, 17, is_level);
    struct metric metric;

    o.D    = D;
    o.M    = M;
    metric = run(o, MPI_COMM_WORLD, 17, is_level);
    ok(is_close(&metric, &alone) && alone.examples == 17,
       "17 images on %dx%d are as on one rank%s", D, M,
       is_level ? ", with logits that are all alike" : "");
}

static bool ask_once(void *asked)
{
    return ++*(int *)asked == 1;
}

static void check_stop(struct model_options o, int D, int M)
{
    struct metric metric;
    struct model m;
    int asked = 0;

    o.D = D;
    o.M = M;
    model_open(&m, &o, MPI_COMM_WORLD);
    metric_run(&metric, m.step, m.data, 100, m.mesh->rank == 0 ? ask_once : NULL,
               &asked);
    ok(metric.is_stopped && metric.examples == o.B,
       "told to stop on one rank, all stop after a batch");
    model_close(&m);
}

/* Images are made where they are wanted: a run that has the memory for its steps has it
 * for other images, too.
 */
static void check_memory(struct model_options o)
{
    struct data_options with = { .seed = 2 };
    struct data *data        = NULL;
    struct metric metric;
    int64_t peak, images;
    struct model m;
    void *all;

    model_open(&m, &o, MPI_COMM_SELF);
    with.image   = m.spec.image;
    with.classes = m.spec.K;
    if (data_open_fractal(&data, &with) != 0)
        die("%s", err_sentence());
    images = o.B * 3 * m.spec.image * m.spec.image * (int64_t)sizeof(float);
    peak   = mem_peak();
    if (mem_alloc(&all, (size_t)(peak - mem_now())) != 0)
        die("%s", err_sentence());
    metric_run(&metric, m.step, data, 2 * o.B, NULL, NULL);
    ok(metric.examples == 2 * o.B && mem_peak() - peak < images,
       "looking at images takes %lld bytes, less than the %lld of a batch",
       (long long)(mem_peak() - peak), (long long)images);
    mem_free(all);
    data_close(&data);
    model_close(&m);
}

/* ---- what is not finite ---------------------------------------------------------- */

static void check_finite(struct model_options o, int D, int M)
{
    const char *const name = "Transformer/encoderblock_1/MlpBlock_0/Dense_1/bias";
    struct step_result r;
    struct model m;
    char text[256];

    o.D = D;
    o.M = M;
    model_open(&m, &o, MPI_COMM_WORLD);
    step_run(m.step, 1, &r);
    finite_find(text, sizeof text, m.vit);
    ok(strcmp(text, "none of parameters and gradients") == 0,
       "nothing is wrong on %dx%d", D, M);
    for (int i = 0; i < vit_layout(m.vit)->params.count; i++) {
        const struct item *it = &vit_layout(m.vit)->item[i];

        if (strcmp(it->param->name, name) == 0 && m.mesh->rank == m.mesh->size - 1)
            dev_fill(dev_stream(m.dev, LANE_COMPUTE),
                     shard_item_grad(vit_shard(m.vit), it), D > M ? NAN : -INFINITY);
    }
    finite_find(text, sizeof text, m.vit);
    ok(strncmp(text, "the gradient of ", 16) == 0 && strcmp(text + 16, name) == 0,
       "a gradient that is wrong on one rank is named to all: %s", text);
    model_close(&m);
}

int main(int argc, char **argv)
{
    const int ranks        = ranks_open(&argc, &argv, "t510-metric");
    struct model_options o = model_odd(WIRING_PARALLEL, POOL_MAP, LOSS_SIGMOID);
    struct model_options q = model_odd(WIRING_SEQUENTIAL, POOL_GAP, LOSS_SOFTMAX);

    if (ranks == 1) {
        check_by_hand(o);
        check_by_hand(q);
        check_memory(o);
    }
    for (int M = 1; M <= ranks; M *= 2) {
        check_mesh(o, ranks / M, M, false);
        check_mesh(q, ranks / M, M, false);
        check_mesh(q, ranks / M, M, true);
        check_stop(q, ranks / M, M);
        check_finite(q, ranks / M, M);
    }
    return ranks_done();
}
