/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of vitprobe, and what its values mean together. */
#include "config.h"

#include "src/eval/options.h"

#include "src/base/err.h"
#include "src/base/opts_table.h"
#include "src/plan/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OPTS_VALUES struct probe_options

static const struct opt table[] = {
    TITLE("What is probed"),
    { "checkpoint", OPT_TEXT, NULL, "FILE|DIR",
      "a model that was trained: a checkpoint, or the newest one in a folder; it says "
      "itself what it is, but for --image and --patch",
      TEXT(checkpoint) },
    { "features", OPT_TEXT, NULL, "FILE",
      "no model: features that --features-out has written", TEXT(features) },
    { "shape", OPT_TEXT, NULL, "NAME|C/L/F/H",
      "an untrained model: a shape by name (--list-shapes) or as "
      "width/depth/mlp/heads, "
      "with the options below",
      TEXT(shape) },
#define ROWS_FORWARD
#include "src/step/rows.h"
    { "interpolate", OPT_FLAG, "true", NULL,
      "resize the positions of a checkpoint to another --image or --patch; else a "
      "table "
      "of another size is random",
      AT(interpolate) },
    { "batch", OPT_INT, "64", "N", "images that go through the model at a time",
      AT(batch), .min = 1, .max = 1e7 },
    { "stall-timeout", OPT_REAL, "300", "S",
      "end the run when the model moves no message for this long; 0: never",
      AT(stall_timeout), .max = 1e7 },

    TITLE("On which images"),
    { "data", OPT_TEXT, "fractal", "fractal|FILE",
      "to learn from: a set that vitdata has packed, or pictures of iterated function "
      "systems of --classes classes (default: as many as the model has) that nobody "
      "trains on",
      TEXT(data) },
    { "test", OPT_TEXT, "auto", "auto|SHARE|FILE",
      "to test on: a share of the set (auto: what the run has held out, else 0.1), or "
      "another set",
      TEXT(test) },
    { "examples", OPT_INT, NULL, "N",
      "fractals to learn from; 0: twice the most shots for every class, or more until "
      "each has them",
      AT(examples), .max = 1e9 },
    { "test-examples", OPT_INT, "1024", "N", "fractals to test on", AT(test_examples),
      .min = 1, .max = 1e9 },
    { "seed", OPT_INT, "0", "N", "of fractals, and of an untrained model", AT(seed),
      .max = 1e15 },

    TITLE("How it is probed"),
    { "feature", OPT_TEXT, "pre_logits", "pre_logits|block:N",
      "what the classifier is given, or the mean over an image's tokens of what "
      "encoderblock_N leaves",
      TEXT(feature) },
    { "method", OPT_CHOICE, "ridge", "ridge|sgd|lbfgs|head|none",
      "few-shot ridge regression; a linear classifier on all images by stochastic "
      "gradient descent, or by L-BFGS; the model's own classifier; or only "
      "--features-out and --logits-out",
      AT(method) },
    { "shots", OPT_TEXT, "1,5,10,25", "N[,..]",
      "ridge: images of each class to learn from", TEXT(shots) },
    { "seeds", OPT_TEXT, "0,1,2", "N[,..]",
      "ridge: seeds of the choice of these images", TEXT(seeds) },
    { "l2", OPT_TEXT, "auto", "auto|X[,..]",
      "penalties of the squared weights; ridge: not divided by the images, the first "
      "one is for the record (auto: 1024); lbfgs: of the mean loss, to choose from "
      "(auto: 1, 0.1, .. 1e-6)",
      TEXT(l2) },
    { "select", OPT_REAL, "0.1", "SHARE",
      "lbfgs: of the images to learn from, on which the penalty is chosen", AT(select),
      .min = 1e-9, .max = 0.9 },
    { "lr", OPT_REAL, "0.001", "RATE",
      "sgd: learning rate; cosine, warm-up in the first tenth", AT(lr), .max = 1e6 },
    { "epochs", OPT_REAL, "10", "N", "sgd: passes through the images", AT(epochs),
      .max = 1e6 },
    { "learn-batch", OPT_INT, "512", "N", "sgd: images a step", AT(learn_batch),
      .min = 1, .max = 1e7 },
    { "weight-decay", OPT_REAL, NULL, "W", "sgd: decay of the kernel, lr x W a step",
      AT(weight_decay), .max = 1e6 },
    { "solver", OPT_CHOICE, "auto", "auto|scalapack|lapack",
      "ridge: on all ranks or on the first one; auto: scalapack on several ranks, if "
      "it is in this build",
      AT(solver) },

    TITLE("What is written"),
    { "features-out", OPT_TEXT, NULL, "FILE", "write the features of --data",
      TEXT(features_out) },
    { "logits-out", OPT_TEXT, NULL, "FILE", "write the logits of --data in their place",
      TEXT(logits_out) },
    { "records", OPT_TEXT, NULL, "FILE",
      "append the record of the run whose model this is, with the errors of ridge, "
      "top1 of sgd and lbfgs, or loss, top1 and ece of head in the place of the run's; "
      "what else the file knows of the run is kept",
      TEXT(records) },
    { "id", OPT_TEXT, NULL, "TEXT",
      "the record's name; default: what the checkpoint says, the run's own at its end, "
      "ID@STEP on the way",
      TEXT(id) },

#include "src/step/rows_help.h"
};

enum { ROWS = sizeof table / sizeof table[0] };

/* What a checkpoint says itself. */
static const char *const stored[] = { "shape", "layers", "wiring", "qk-norm",
                                      "gelu",  "pool",   "loss",   "features" };

/* Options that the model, the images or the method have no use for. */
static int check_idle(const struct opts *opts, const struct probe_options *o)
{
    static const char model[] = "is for a model, and --features has none";
    static const char ends[]  = "is for fractals; a file is taken whole";
    static const char ridge[] = "is for --method=ridge", sgd[] = "is for --method=sgd";
    const bool is_read  = o->features[0] != '\0';
    const bool is_whole = is_read || probe_is_file(o->data);
    const bool is_ridge = o->method == METHOD_RIDGE, is_sgd = o->method == METHOD_SGD;
    const bool is_featureless =
        (o->method == METHOD_HEAD || o->method == METHOD_NONE) &&
        o->features_out[0] == '\0';
    const struct opt_idle idle[] = {
        { "data", is_read, model },
        { "layers", is_read, model },
        { "image", is_read, model },
        { "patch", is_read, model },
        { "interpolate", is_read, model },
        { "interpolate", o->checkpoint[0] == '\0', "is for a --checkpoint" },
        { "batch", is_read, model },
        { "feature", is_read, model },
        { "feature", is_featureless, "is for features, which nothing here needs" },
        { "examples", is_whole, ends },
        { "examples",
          o->method == METHOD_HEAD && is_featureless && o->logits_out[0] == '\0',
          "is for images to learn from: --method=head only tests" },
        { "test-examples", is_whole, ends },
        { "shots", !is_ridge && (is_whole || o->examples > 0), ridge },
        { "seeds", !is_ridge, ridge },
        { "solver", !is_ridge, ridge },
        { "l2", !is_ridge && o->method != METHOD_LBFGS,
          "is for --method=ridge and --method=lbfgs" },
        { "select", o->method != METHOD_LBFGS, "is for --method=lbfgs" },
        { "lr", !is_sgd, sgd },
        { "epochs", !is_sgd, sgd },
        { "learn-batch", !is_sgd, sgd },
        { "weight-decay", !is_sgd, sgd },
        { "id", o->records[0] == '\0', "is for --records" },
    };

    return opts_check_idle(opts, idle, sizeof idle / sizeof idle[0]);
}

int probe_options_read(struct opts *opts, void *values, int argc, char **argv)
{
    struct probe_options *o = values;

    *o = (struct probe_options){ 0 }; /* rows of training are not in the table */
    TRY(opts_parse(opts, table, ROWS, values, argc, argv));
    o->micro_batches = 1;
    o->has_image     = opts_is_given(opts, "image");
    o->has_patch     = opts_is_given(opts, "patch");
    o->has_classes   = opts_is_given(opts, "classes");
    o->given[0]      = '\0';
    for (size_t i = 0; i < sizeof stored / sizeof stored[0]; i++) {
        if (opts_is_given(opts, stored[i]))
            strcpy(o->given, stored[i]);
    }
    return check_idle(opts, o);
}

/* ---- what they mean -------------------------------------------------------------- */

bool probe_is_file(const char *name)
{
    return strcmp(name, "fractal") != 0;
}

/* One of three things is probed. */
static int plan_model(struct probe_plan *p, const struct probe_options *o)
{
    const struct spec_options model = setting_spec(&o->setting, o->shape);

    p->has_model = o->features[0] == '\0';
    if (o->has_classes && o->checkpoint[0] != '\0' && probe_is_file(o->data))
        return ERR(ERR_USAGE, "--classes: %s says itself how many it has", o->data);
    if (o->checkpoint[0] != '\0') {
        if (o->given[0] != '\0')
            return ERR(ERR_USAGE, "--%s and --checkpoint exclude each other", o->given);
        return 0;
    }
    if (p->has_model && o->shape[0] == '\0')
        return ERR(ERR_USAGE, "give --checkpoint, --features, or the --shape of an "
                              "untrained model");
    if (!p->has_model && o->shape[0] != '\0')
        return ERR(ERR_USAGE, "--shape and --features exclude each other");
    return p->has_model ? spec_make(&p->spec, &model) : 0;
}

static int plan_feature(struct probe_plan *p, const struct probe_options *o)
{
    static const char block[] = "block:";
    const size_t length       = sizeof block - 1;

    p->feature = FEATURE_POOLED;
    if (strcmp(o->feature, "pre_logits") == 0)
        return 0;
    if (strncmp(o->feature, block, length) != 0)
        return ERR(ERR_USAGE, "--feature=%s: expected pre_logits or block:N",
                   o->feature);
    return opts_number(&p->feature, o->feature + length, "feature", OPT_INT, 0, 1e4);
}

/* "auto", a share, or the name of a file. */
static int plan_test(struct probe_plan *p, const struct probe_options *o)
{
    char *end;

    p->share = strtod(o->test, &end);
    if (o->test[0] == '\0')
        return ERR(ERR_USAGE, "--test needs a share or a file");
    if (strcmp(o->test, "auto") == 0)
        p->share = 0.1;
    else if (*end != '\0')
        p->share = NAN;
    else if (!(p->share > 0 && p->share <= 1))
        return ERR(ERR_USAGE,
                   "--test=%s: expected a share above 0, at most 1, or a file",
                   o->test);
    if (p->has_model && !probe_is_file(o->data) && strcmp(o->test, "auto") != 0)
        return ERR(ERR_USAGE,
                   "--test=%s: fractals are tested on fractals that are held "
                   "out: leave --test away",
                   o->test);
    return 0;
}

/* The numbers of a list, into an array of 'type'. */
static int plan_list(void *values, int *count, const char *list, const char *name,
                     enum opt_type type, double min)
{
    const char *rest = list[0] != '\0' ? list : NULL;
    char word[32];

    *count = 0;
    while (opts_word(word, sizeof word, &rest, ',')) {
        if (*count == FEWSHOT_MOST)
            return ERR(ERR_USAGE, "--%s: more than %d numbers", name, FEWSHOT_MOST);
        TRY(opts_number((char *)values + (size_t)(*count)++ * sizeof(int64_t), word,
                        name, type, min, 1e15));
    }
    return *count > 0 ? 0 : ERR(ERR_USAGE, "--%s needs a number", name);
}

static int plan_shots(struct probe_plan *p, const struct probe_options *o)
{
    struct fewshot *f  = &p->few;
    const double least = 1e-12; /* without a penalty there may be no one answer */
    const bool is_own  = o->method == METHOD_RIDGE && strcmp(o->l2, "auto") != 0;

    _Static_assert((int)FEWSHOT_MOST == (int)LOGISTIC_MOST, "one length of lists");
    _Static_assert(sizeof(double) == sizeof(int64_t), "lists hold either");
    TRY(plan_list(f->shots, &f->shot_count, o->shots, "shots", OPT_INT, 1));
    TRY(plan_list(f->seed, &f->seeds, o->seeds, "seeds", OPT_INT, 0));
    TRY(plan_list(f->l2, &f->l2s, is_own ? o->l2 : "1024", "l2", OPT_REAL, least));
    f->solver = (enum ridge_solver)o->solver;
    return 0;
}

static int plan_linear(struct probe_plan *p, const struct probe_options *o)
{
    p->descend        = (struct descend){ .lr     = o->lr,
                                          .epochs = o->epochs,
                                          .decay  = o->weight_decay,
                                          .batch  = o->learn_batch,
                                          .seed   = (uint64_t)o->seed };
    p->logistic.share = o->select;
    return plan_list(p->logistic.l2, &p->logistic.l2s,
                     strcmp(o->l2, "auto") == 0 ? "1,0.1,0.01,1e-3,1e-4,1e-5,1e-6"
                                                : o->l2,
                     "l2", OPT_REAL, 0);
}

/* Whether records have a place for one of the errors. */
static bool has_recorded_shots(const struct fewshot *f)
{
    struct record r;
    bool is = false;

    for (int i = 0; i < f->shot_count; i++)
        is = is || record_error(&r, f->shots[i]) != NULL;
    return is;
}

static int plan_methods(const struct probe_plan *p, const struct probe_options *o)
{
    if (!p->has_model && (o->method == METHOD_HEAD || o->logits_out[0] != '\0'))
        return ERR(ERR_USAGE, "features have no classifier: %s needs a model",
                   o->method == METHOD_HEAD ? "--method=head" : "--logits-out");
    if (o->method == METHOD_NONE && o->features_out[0] == '\0' &&
        o->logits_out[0] == '\0')
        return ERR(ERR_USAGE, "--method=none needs --features-out or --logits-out");
    if (o->method == METHOD_NONE && o->records[0] != '\0')
        return ERR(ERR_USAGE, "--method=none has no errors for --records");
    if (o->method == METHOD_RIDGE && o->records[0] != '\0' &&
        !has_recorded_shots(&p->few))
        return ERR(ERR_USAGE,
                   "--records have errors of 1, 5, 10 and 25 shots, and "
                   "--shots=%s asks for none of these",
                   o->shots);
    return 0;
}

int probe_plan(struct probe_plan *p, const struct probe_options *o)
{
    struct probe_plan made = { 0 };

    TRY(setting_resolve(&made.way, &o->setting));
    TRY(plan_model(&made, o));
    TRY(plan_feature(&made, o));
    TRY(plan_test(&made, o));
    TRY(plan_shots(&made, o));
    TRY(plan_linear(&made, o));
    TRY(plan_methods(&made, o));
    *p = made;
    return 0;
}
