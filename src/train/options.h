/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of vittrain: one row each, in options.c, with those that it shares with
 * vitbench; and what follows from them.
 */
#ifndef TRAIN_OPTIONS_H
#define TRAIN_OPTIONS_H

#include "src/optim/optim.h"
#include "src/optim/sched.h"
#include "src/step/setting.h"

enum { TRAIN_PATH = 1024, TRAIN_FORKS = 32 };

struct train_options {
    union {
        struct setting setting;
        struct {
            SETTING_MEMBERS;
        };
    };
    bool has_classes; /* --classes was given; else a set says how many there are */
    bool is_small;    /* nothing says what to train: some values are the program's */
    /* images */
    char data[TRAIN_PATH], holdout[TRAIN_PATH];
    int augment, order;
    double mixup, label_smoothing;
    int64_t batch, seed;
    /* learning */
    int64_t steps, examples;
    double epochs;
    double lr, weight_decay, head_decay, beta1, beta2, clip;
    int schedule;
    char warmup_steps[32], cooldown_steps[32], head_bias[32];
    double timescale;
    char cooldown_at[256];
    char init[TRAIN_PATH];
    /* running */
    int64_t log_every, eval_every, keep;
    char save_every[32];
    char out[TRAIN_PATH], resume[TRAIN_PATH];
    double time_limit, stall_timeout;
    /* output */
    char json[TRAIN_PATH], jsonl[TRAIN_PATH], trace[TRAIN_PATH];
    char machine_out[TRAIN_PATH], records[TRAIN_PATH], id[64];
    double progress_report;
    /* help */
    bool list_shapes, print_config, help, version;
    char config[TRAIN_PATH];
};

/* The values made ready for use. */
struct train_plan {
    struct spec spec;
    struct way way;
    struct optim_options optim;
    double holdout;    /* share of a set; NaN: --holdout names a file */
    int64_t held_most; /* images that these may be at most; 0: any number */
    int64_t steps;     /* 0: as many as 'epochs' say, once the set is known */
    bool is_warmup_auto, is_cooldown_auto;
    struct sched sched; /* see train_plan_steps() */
    bool has_head_bias; /* else as the loss has it */
    double head_bias;
    int64_t save_steps;        /* save every so many steps; 0: not by steps */
    double save_seconds;       /* or seconds; 0: not by the clock */
    int64_t fork[TRAIN_FORKS]; /* in growing order */
    int forks;
};

/* Parse.  Returns 0 or ERR_USAGE. */
int train_options_read(struct opts *opts, void *values, int argc, char **argv);

/* Returns 0, ERR_USAGE or ERR_SHAPE with a sentence. */
int train_plan(struct train_plan *p, const struct train_options *o);

/* Complete the schedule: 'count' images are a pass (0: there is no end).  Returns 0 or
 * ERR_USAGE: --epochs without an end, forks from what is already cooling down.
 */
int train_plan_steps(struct train_plan *p, const struct train_options *o,
                     int64_t count);

/* All values as {"name": "text"}, or those alone that make a run what it is: without
 * logging, saving, stopping, and where and how it runs.  The caller owns the reference.
 */
json_t *train_options_json(const struct opts *opts, bool is_essence);

/* 0, or ERR_USAGE that names the first option which differs from those 'stored' and may
 * not: all but steps, logging, saving, stopping, and where and how it runs.
 */
int train_options_compare(const struct opts *opts, const json_t *stored);

/* True if the run is as long as the one with those 'stored'. */
bool train_options_same_length(const struct opts *opts, const json_t *stored);

#endif
