/* SPDX-License-Identifier: BSD-3-Clause */
/* Features, then the probe. */
#include "config.h"

#include "src/eval/probe.h"

#include "mesh/guard.h"
#include "src/base/clock.h"
#include "src/base/err.h"

#include <math.h>

/* ---- features ---------------------------------------------------------------------- */

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
    const bool is_apart = p->test_features.count > 0;
    const double share  = is_apart ? 0 : p->plan.share;

    TRY(part_choose(&p->learn, &p->features, share, false));
    return part_choose(&p->test, is_apart ? &p->test_features : &p->features, share,
                       !is_apart);
}

/* ---- the probe --------------------------------------------------------------------- */

int probe_run(struct probe *p)
{
    TRY(p->plan.has_model ? run_model(p) : read_features(p));
    if (p->options->method == METHOD_NONE)
        return 0;
    if (p->options->method == METHOD_HEAD) {
        metric_run(&p->head, p->step, p->test_data, p->test_count, NULL, NULL);
        return 0;
    }
    guard_stop(p->mesh); /* from here on the model moves nothing */
    TRY(mesh_agree(p->mesh, choose_parts(p)));
    return fewshot_run(&p->few, &p->learn, &p->test, &p->plan.few);
}
