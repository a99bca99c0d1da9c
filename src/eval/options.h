/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of vitprobe: one row each, in options.c, with those that it shares with
 * the other programs; and what follows from them.
 */
#ifndef EVAL_OPTIONS_H
#define EVAL_OPTIONS_H

#include "src/eval/descend.h"
#include "src/eval/fewshot.h"
#include "src/eval/logistic.h"
#include "src/step/setting.h"

enum { PROBE_PATH = 1024 };

enum probe_method { METHOD_RIDGE, METHOD_SGD, METHOD_LBFGS, METHOD_HEAD, METHOD_NONE };

struct probe_options {
    union {
        struct setting setting;
        struct {
            SETTING_MEMBERS;
        };
    };
    bool interpolate;
    bool has_image, has_patch, has_classes; /* were given */
    char given[32]; /* an option that says what a checkpoint says itself, or "" */
    char checkpoint[PROBE_PATH], data[PROBE_PATH], test[PROBE_PATH],
        features[PROBE_PATH], feature[32];
    int64_t batch, examples, test_examples, seed;
    int method, solver;
    char shots[128], seeds[128], l2[256];
    double lr, epochs, weight_decay, select;
    int64_t learn_batch;
    double stall_timeout;
    char features_out[PROBE_PATH], logits_out[PROBE_PATH], records[PROBE_PATH], id[128];
    bool list_shapes, print_config, help, version;
    char config[PROBE_PATH];
};

/* The values made ready for use. */
struct probe_plan {
    struct way way;
    bool has_model;   /* else features are read */
    struct spec spec; /* of an untrained model */
    int64_t feature;  /* FEATURE_POOLED, or a block's number */
    double share;     /* of a set that is tested on; NaN: 'test' names a file */
    struct fewshot few;
    struct descend descend;
    struct logistic logistic;
};

/* Parse.  Returns 0 or ERR_USAGE. */
int probe_options_read(struct opts *opts, void *values, int argc, char **argv);

/* Returns 0, ERR_USAGE or ERR_SHAPE with a sentence. */
int probe_plan(struct probe_plan *p, const struct probe_options *o);

/* True if 'name' is that of a file, not of a source. */
bool probe_is_file(const char *name);

#endif
