/* SPDX-License-Identifier: BSD-3-Clause */
/* Evaluation.  Classes are split over the model axis, so the loss and the first choice
 * of an image are put together from what each model rank finds for its own classes.
 */
#include "config.h"

#include "src/step/metric.h"

#include "mesh/guard.h"
#include "src/base/mem.h"

#include <math.h>

enum { BINS = 15 };

/* What a rank knows of an image: of its own classes, until they are merged.  All
 * numbers are doubles, so that they travel as such.
 */
struct seen {
    double largest;  /* logit; -infinity without classes */
    double is_right; /* it belongs to a label */
    double sum;      /* of exp(logit - largest) */
    double loss;     /* sigmoid: the sum; softmax: - sum of target x logit */
    double targets;  /* their sum */
};

enum { SEEN = sizeof(struct seen) / sizeof(double) };

/* Sums over images. */
struct sums {
    double n, loss, right;
    double bin_right[BINS], bin_p[BINS];
};

enum { SUMS = sizeof(struct sums) / sizeof(double) };

/* ---- one image ------------------------------------------------------------------- */

static double softplus(double x)
{
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

static struct seen look(const double *logit, const double *target, int64_t classes,
                        enum loss_kind loss)
{
    struct seen x = { .largest = -INFINITY };

    for (int64_t k = 0; k < classes; k++) {
        if (logit[k] > x.largest) {
            x.largest  = logit[k];
            x.is_right = target[k] > 0;
        }
        x.targets += target[k];
        if (loss == LOSS_SIGMOID)
            x.loss +=
                target[k] * softplus(-logit[k]) + (1 - target[k]) * softplus(logit[k]);
        else
            x.loss -= target[k] * logit[k];
    }
    for (int64_t k = 0; k < classes; k++)
        x.sum += exp(logit[k] - x.largest);
    return x;
}

/* What two ranks know; of equal logits the first counts. */
static struct seen merge(struct seen a, struct seen b)
{
    const bool is_a = a.largest >= b.largest;
    struct seen x   = is_a ? a : b;

    x.sum = 0;
    if (a.sum > 0)
        x.sum += a.sum * exp(a.largest - x.largest);
    if (b.sum > 0)
        x.sum += b.sum * exp(b.largest - x.largest);
    x.loss    = a.loss + b.loss;
    x.targets = a.targets + b.targets;
    return x;
}

static void add_image(struct sums *s, struct seen x, enum loss_kind loss)
{
    const bool is_sigmoid = loss == LOSS_SIGMOID;
    const double p        = is_sigmoid ? 1 / (1 + exp(-x.largest)) : 1 / x.sum;
    const int bin         = p < 1 ? (int)(p * BINS) : BINS - 1;

    s->n++;
    s->loss += is_sigmoid ? x.loss : x.loss + x.targets * (x.largest + log(x.sum));
    s->right += x.is_right;
    if (!(p >= 0))
        return; /* not a number: the loss says so */
    s->bin_right[bin] += x.is_right;
    s->bin_p[bin] += p;
}

/* ---- a batch --------------------------------------------------------------------- */

/* A matrix of the device as doubles; the caller frees them. */
static double *fetch(struct dev *dev, struct mat at)
{
    const int64_t n = mat_size(at);
    double *to      = mem_new((size_t)n + 1, sizeof *to);
    void *raw       = mem_new((size_t)n + 1, dtype_size(at.dtype));

    dev_get(dev_stream(dev, LANE_COMPUTE), raw, at);
    for (int64_t i = 0; i < n; i++)
        to[i] = dtype_load(at.dtype, raw, i);
    mem_free(raw);
    return to;
}

/* Add the first 'wanted' images of the batch, of which forward has just seen some; this
 * row's images are counted by its first rank.
 */
static void add_batch(struct sums *s, struct step *step, struct vit *vit,
                      int64_t wanted)
{
    const struct local *l     = vit_local(vit);
    const enum loss_kind loss = vit_spec(vit)->loss;
    struct mesh *mesh         = vit_mesh(vit);
    double *logit             = fetch(vit_dev(vit), vit_logits(vit));
    double *target            = fetch(vit_dev(vit), step_targets(step));
    struct seen *own          = mem_new((size_t)l->B_l, sizeof *own);
    struct seen *all          = mem_new((size_t)(l->B_l * mesh->M), sizeof *all);

    for (int64_t i = 0; i < l->B_l; i++)
        own[i] = look(logit + i * l->K_l, target + i * l->K_l, l->K_l, loss);
    coll_host_gather(mesh, AXIS_MODEL, (double *)all, (double *)own,
                     (int)l->B_l * SEEN);
    for (int64_t i = 0; i < l->B_l && mesh->m == 0 && l->b.lo + i < wanted; i++) {
        struct seen x = all[i];

        for (int j = 1; j < mesh->M; j++)
            x = merge(x, all[j * l->B_l + i]);
        add_image(s, x, loss);
    }
    mem_free(logit);
    mem_free(target);
    mem_free(own);
    mem_free(all);
}

static void conclude(struct metric *metric, const struct sums *s)
{
    *metric = (struct metric){
        .examples = (int64_t)s->n, .loss = NAN, .top1 = NAN, .ece = NAN
    };
    if (s->n == 0)
        return;
    metric->loss = s->loss / s->n;
    metric->top1 = s->right / s->n;
    metric->ece  = 0;
    for (int i = 0; i < BINS; i++)
        metric->ece += fabs(s->bin_right[i] - s->bin_p[i]) / s->n;
}

void metric_run(struct metric *metric, struct step *step, struct data *data, int64_t n,
                bool (*must_stop)(void *ctx), void *ctx)
{
    struct vit *vit   = step_vit(step);
    struct mesh *mesh = vit_mesh(vit);
    const int64_t B   = vit_batch(vit);
    bool is_stopped   = false;
    struct sums sums  = { 0 };

    for (int64_t s = 0; s * B < n && !is_stopped; s++) {
        for (int micro = 0; micro < vit_micros(vit); micro++) {
            step_forward(step, data, s, micro);
            add_batch(&sums, step, vit, n - s * B);
        }
        guard_alive();
        is_stopped =
            coll_largest(mesh, AXIS_ALL, must_stop != NULL && must_stop(ctx)) > 0;
    }
    coll_host_sum(mesh, AXIS_ALL, (double *)&sums, SUMS);
    conclude(metric, &sums);
    metric->is_stopped = is_stopped;
}
