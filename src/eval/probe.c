/* SPDX-License-Identifier: BSD-3-Clause */
/* Features, then the probe. */
#include "config.h"

#include "src/eval/probe.h"

#include "mesh/guard.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/mem.h"

#include <math.h>

/* ---- features -------------------------------------------------------------------- */

/* What the model makes of --data: features if they are wanted, logits if they are. */
static int run_learn(struct probe *p)
{
    const struct probe_options *o = p->options;
    const bool has_logits         = o->logits_out[0] != '\0';
    const int64_t kind[]          = { p->plan.feature, FEATURE_LOGITS };
    struct features made[2]       = { 0 };
    int rc;

    rc = features_run(made, kind, 1 + has_logits, p->step, p->learn_data,
                      p->learn_count);
    if (rc == 0 && o->features_out[0] != '\0')
        rc = features_write(&made[0], o->features_out);
    if (rc == 0 && has_logits)
        rc = features_write(&made[1], o->logits_out);
    p->features = made[0];
    features_free(&made[1]);
    return rc;
}

static int run_model(struct probe *p)
{
    const double start = clock_now();
    const bool is_kept = p->options->method != METHOD_HEAD;

    guard_phase("features");
    if (p->learn_data != NULL) {
        TRY(run_learn(p));
        p->feature_images += p->learn_count;
    }
    if (p->test_data != NULL && is_kept && p->options->method != METHOD_NONE) {
        TRY(features_run(&p->test_features, &p->plan.feature, 1, p->step, p->test_data,
                         p->test_count));
        p->feature_images += p->test_count;
    }
    p->feature_seconds = clock_now() - start;
    return 0;
}

static int read_features(struct probe *p)
{
    const struct probe_options *o = p->options;

    TRY(features_read(&p->features, p->mesh, o->features));
    if (isnan(p->plan.share))
        TRY(features_read(&p->test_features, p->mesh, o->test));
    return o->features_out[0] != '\0' ? features_write(&p->features, o->features_out)
                                      : 0;
}

/* All rows and all of the others, or two parts of the same. */
static int choose_parts(struct probe *p)
{
    struct part all;
    int rc = 0;

    part_all(&all, &p->features);
    if (p->test_features.count > 0) {
        p->learn = all;
        part_all(&p->test, &p->test_features);
        return 0;
    }
    rc = part_split(&p->learn, &all, p->plan.share, false);
    if (rc == 0)
        rc = part_split(&p->test, &all, p->plan.share, true);
    part_free(&all);
    return rc;
}

/* ---- the probe ------------------------------------------------------------------- */

/* A linear classifier on all images to learn from: w is made and tested. */
static int run_linear(struct probe *p)
{
    const bool is_sgd  = p->options->method == METHOD_SGD;
    const double start = clock_now();
    struct scale scale;
    struct linear l = { .part  = &p->learn,
                        .scale = &scale,
                        .K     = p->learn.of->classes,
                        .loss  = is_sgd ? LOSS_SIGMOID : LOSS_SOFTMAX };
    double *w;
    int rc = 0;

    scale_open(&scale, p->features.width, is_sgd ? NULL : &p->learn, 1);
    w = mem_new((size_t)(l.K * (scale.width + 1)), sizeof *w);
    if (is_sgd)
        descend_run(w, &l, &p->plan.descend);
    else
        rc = logistic_run(w, &p->logistic, &l, &p->plan.logistic);
    l.part = &p->test;
    if (rc == 0)
        p->linear = linear_look(NULL, &l, w);
    p->linear_seconds = clock_now() - start;
    scale_close(&scale);
    mem_free(w);
    return rc;
}

/* Parts that features of one kind were made of, and that have classes in common. */
static int check_parts(const struct probe *p)
{
    const struct features *learn = p->learn.of, *test = p->test.of;

    if (learn->width != test->width)
        return ERR(ERR_DATA,
                   "features of %lld numbers to learn from, and of %lld to test on",
                   (long long)learn->width, (long long)test->width);
    if (learn->classes < test->classes)
        return ERR(ERR_DATA, "%s has %lld classes, more than %lld to learn from",
                   p->options->test, (long long)test->classes,
                   (long long)learn->classes);
    return 0;
}

int probe_run(struct probe *p)
{
    int rc;

    TRY(p->plan.has_model ? run_model(p) : read_features(p));
    if (p->options->method == METHOD_NONE)
        return 0;
    if (p->options->method == METHOD_HEAD) {
        metric_run(&p->head, p->step, p->test_data, p->test_count, NULL, NULL);
        return 0;
    }
    guard_stop(p->mesh); /* from here on the model moves nothing */
    rc = choose_parts(p);
    if (rc == 0)
        rc = check_parts(p);
    TRY(mesh_agree(p->mesh, rc));
    return p->options->method == METHOD_RIDGE
               ? fewshot_run(&p->few, &p->learn, &p->test, &p->plan.few)
               : run_linear(p);
}
