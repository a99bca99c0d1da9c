/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of vittrain, and what its values mean together. */
#include "config.h"

#include "src/train/options.h"

#include "src/base/err.h"
#include "src/base/opts_table.h"

#include <math.h>
#include <string.h>

#define OPTS_VALUES struct train_options

static const struct opt table[] = {
    TITLE("What is trained"),
    { "shape", OPT_TEXT, "S", "NAME|C/L/F/H",
      "a shape by name (--list-shapes) or as width/depth/mlp/heads", TEXT(shape) },
#define ROWS_TUNE "false"
#include "src/step/rows.h"

    TITLE("On which images"),
    { "data", OPT_TEXT, "fractal", "fractal|noise|FILE",
      "pictures of iterated function systems, made as they are needed, of --classes "
      "classes; noise; or a set that vitdata has packed",
      TEXT(data) },
    { "holdout", OPT_TEXT, "auto", "auto|SHARE|FILE",
      "images that are never trained on: a share of the set (auto: 0.1, if those are "
      "no more than 16777216) or another set; 0: none",
      TEXT(holdout) },
    { "augment", OPT_CHOICE, "crop+flip", "none|flip|crop+flip",
      "flip half of the images; crop 5 to 100 % of the area", AT(augment) },
    { "mixup", OPT_REAL, NULL, "P",
      "mix neighbours of a batch, the share from Beta(P, P)", AT(mixup), .max = 100 },
    { "label-smoothing", OPT_REAL, NULL, "SHARE",
      "spread this share of a label evenly over all classes", AT(label_smoothing),
      .max = 1 },
    { "order", OPT_CHOICE, "shuffle", "shuffle|file", "order of the images of a set",
      AT(order) },
    { "batch", OPT_INT, "64", "N", "images in the global batch", AT(batch), .min = 1,
      .max = 1e7 },
    { "seed", OPT_INT, "0", "N", "of all random numbers", AT(seed), .max = 1e15 },

    TITLE("How it learns"),
    { "steps", OPT_INT, NULL, "N", "length of the run; without one of the three: 1000",
      AT(steps), .max = 1e12 },
    { "examples", OPT_INT, NULL, "N", "the same in images", AT(examples), .max = 1e15 },
    { "epochs", OPT_REAL, NULL, "N", "the same in passes through the set", AT(epochs),
      .max = 1e9 },
    { "lr", OPT_REAL, "8e-4", "RATE", "learning rate", AT(lr), .max = 1e6 },
    { "weight-decay", OPT_REAL, "0.03", "W", "decay of kernels: lr x W a step",
      AT(weight_decay), .max = 1e6 },
    { "head-decay", OPT_REAL, "1", "FACTOR",
      "its factor for the classifier's kernel; the papers have 100", AT(head_decay),
      .max = 1e6 },
    { "beta1", OPT_REAL, "0.9", "B", "decay of the momentum", AT(beta1), .max = 1 },
    { "beta2", OPT_REAL, "0.999", "B",
      "decay of second moments; of adafactor's the most", AT(beta2), .max = 1 },
    { "clip", OPT_REAL, "1", "NORM",
      "global norm above which gradients are scaled down; 0: never", AT(clip),
      .max = 1e12 },
    { "schedule", OPT_CHOICE, "rsqrt", "rsqrt|cosine|constant",
      "of the learning rate between warm-up and cool-down", AT(schedule) },
    { "warmup-steps", OPT_TEXT, "auto", "auto|N",
      "the rate rises from 0 in so many steps; auto: a tenth of them",
      TEXT(warmup_steps) },
    { "cooldown-steps", OPT_TEXT, "auto", "auto|N",
      "and falls to 0 in the last ones; auto: a tenth of them, none with cosine",
      TEXT(cooldown_steps) },
    { "timescale", OPT_REAL, "10000", "STEPS", "of rsqrt", AT(timescale), .min = 1e-6,
      .max = 1e12 },
    { "cooldown-at", OPT_TEXT, NULL, "STEP[,..]",
      "at each of these steps also cool down at once, beside the run, which goes on: "
      "into OUT/fork-STEP, and a record ID.STEP",
      TEXT(cooldown_at) },
    { "head-bias", OPT_TEXT, "auto", "auto|B",
      "first bias of the classifier; auto: -ln(classes) with the sigmoid loss, else 0",
      TEXT(head_bias) },
    { "init", OPT_TEXT, NULL, "FILE|DIR",
      "start from the parameters of a checkpoint, or the newest one in a folder; for "
      "other images or patches its embedding is resized, for other classes the "
      "classifier starts anew",
      TEXT(init) },

    TITLE("How it is run"),
    { "log-every", OPT_INT, "10", "STEPS",
      "a line so often, and of the last step; 0: of that alone", AT(log_every),
      .max = 1e12 },
    { "eval-every", OPT_INT, NULL, "STEPS",
      "look at the held-out images so often; 0: at the end alone", AT(eval_every),
      .max = 1e12 },
    { "save-every", OPT_TEXT, NULL, "STEPS|SECONDSs",
      "save so often: 500, or 600s; without it at the end, before forks, when stopped, "
      "and once at the start of a run with a limit, to know how long that takes",
      TEXT(save_every) },
    { "out", OPT_TEXT, NULL, "DIR",
      "folder of the checkpoints; without it none is saved", TEXT(out) },
    { "keep", OPT_INT, "3", "N", "the newest checkpoints that stay; 0: all", AT(keep),
      .max = 1e6 },
    { "resume", OPT_TEXT, "auto", "auto|never|FILE|DIR",
      "go on from a checkpoint, or the newest one in a folder; auto: in --out, if "
      "there is one",
      TEXT(resume) },
    { "time-limit", OPT_REAL, NULL, "SECONDS",
      "save and end before so many seconds; 0: as long as the batch system says",
      AT(time_limit), .max = 1e9 },
    { "stall-timeout", OPT_REAL, "300", "S",
      "end the run when no message moves for this long; 0: never", AT(stall_timeout),
      .max = 1e7 },

    TITLE("What is written"),
    { "json", OPT_TEXT, NULL, "FILE", "write how it ended as one JSON object",
      TEXT(json) },
    { "jsonl", OPT_TEXT, NULL, "FILE",
      "write a line of JSON for every line of the log; default: OUT/log.jsonl",
      TEXT(jsonl) },
    { "trace", OPT_TEXT, NULL, "FILE",
      "write the third step from here on as a time line that Perfetto opens",
      TEXT(trace) },
    { "machine-out", OPT_TEXT, NULL, "FILE",
      "not for training: vitbench --case=machine writes it", TEXT(machine_out) },
    { "progress-report", OPT_REAL, NULL, "SECONDS",
      "say on stderr how far it is, this often; 0: never", AT(progress_report),
      .max = 1e6 },
    { "records", OPT_TEXT, NULL, "FILE", "append the run's record, for vitfit",
      TEXT(records) },
    { "id", OPT_TEXT, NULL, "TEXT",
      "the record's name; default: a number of the options", TEXT(id) },

#include "src/step/rows_help.h"
};

enum { ROWS = sizeof table / sizeof table[0] };

/* What may differ when a run is resumed: its length, */
static const char lengths[] = " steps examples epochs ";

/* and what does not make it another run. */
static const char incidental[] =
    " mesh device dtype threads overlap progress param-shard remat micro-batches tune "
    "ring-wire grad-wire tf32 graph deterministic cooldown-at log-every eval-every out "
    "save-every keep resume time-limit stall-timeout json jsonl trace machine-out "
    "progress-report records id config ";

/* A run that is told neither images nor a shape nor where to start is one that learns
 * to tell fractals apart within minutes on two cores.  Fractals of a class differ by
 * themselves, and a crop of one that has few pixels is a blot: none is cropped.
 */
static const char *const small[][2] = {
    { "shape", "128/4/512/4" }, { "image", "64" }, { "patch", "16" },
    { "classes", "100" },       { "lr", "2e-3" },  { "augment", "none" },
};

static int make_small(struct opts *opts, struct train_options *o)
{
    const bool is_long = opts_is_given(opts, "steps") ||
                         opts_is_given(opts, "examples") ||
                         opts_is_given(opts, "epochs");

    o->is_small = !opts_is_given(opts, "data") && !opts_is_given(opts, "shape") &&
                  !opts_is_given(opts, "init");
    for (size_t i = 0; o->is_small && i < sizeof small / sizeof small[0]; i++) {
        if (!opts_is_given(opts, small[i][0]))
            TRY(opts_set(opts, small[i][0], small[i][1], FROM_PROGRAM));
    }
    if (o->is_small && !is_long)
        TRY(opts_set(opts, "steps", "3000", FROM_PROGRAM));
    return 0;
}

/* Options that the data, the optimizer or the schedule have no use for. */
static int check_idle(const struct opts *opts, const struct train_options *o)
{
    static const char pictures[] = "is for pictures, and noise has none";
    static const char saves[]    = "needs --out, which checkpoints go to";
    const bool is_noise          = strcmp(o->data, "noise") == 0;
    const struct opt_idle idle[] = {
        { "augment", is_noise, pictures },
        { "mixup", is_noise, pictures },
        { "label-smoothing", is_noise, pictures },
        { "order", is_noise || strcmp(o->data, "fractal") == 0, "is for a set" },
        { "beta2", o->optimizer == OPTIMIZER_SGD, "is for adamw and adafactor" },
        { "timescale", o->schedule != SCHED_RSQRT, "is for --schedule=rsqrt" },
        { "eval-every", strcmp(o->holdout, "0") == 0,
          "is for held-out images, and --holdout=0 leaves none" },
        { "keep", o->out[0] == '\0', saves },
    };

    return opts_check_idle(opts, idle, sizeof idle / sizeof idle[0]);
}

int train_options_read(struct opts *opts, void *values, int argc, char **argv)
{
    struct train_options *o = values;

    TRY(opts_parse(opts, table, ROWS, values, argc, argv));
    o->has_classes = opts_is_given(opts, "classes");
    TRY(check_idle(opts, o));
    return make_small(opts, o);
}

/* ---- what they mean -------------------------------------------------------------- */

/* A number that may be "auto": then '*is_auto', and 'value' stays. */
static int auto_steps(int64_t *value, bool *is_auto, const char *text, const char *name)
{
    *is_auto = strcmp(text, "auto") == 0;
    return *is_auto ? 0 : opts_number(value, text, name, OPT_INT, 0, 1e12);
}

static int plan_save(struct train_plan *p, const struct train_options *o)
{
    const size_t length = strlen(o->save_every);
    char text[sizeof o->save_every];

    if (length == 0)
        return 0;
    if (o->out[0] == '\0')
        return ERR(ERR_USAGE, "--save-every needs --out");
    strcpy(text, o->save_every);
    if (text[length - 1] != 's')
        return opts_number(&p->save_steps, text, "save-every", OPT_INT, 1, 1e12);
    text[length - 1] = '\0';
    return opts_number(&p->save_seconds, text, "save-every", OPT_REAL, 1e-3, 1e9);
}

static int plan_forks(struct train_plan *p, const struct train_options *o)
{
    const char *rest = o->cooldown_at[0] != '\0' ? o->cooldown_at : NULL;
    char word[32];

    while (opts_word(word, sizeof word, &rest, ',')) {
        int64_t *at = &p->fork[p->forks];

        if (p->forks == TRAIN_FORKS)
            return ERR(ERR_USAGE, "--cooldown-at: more than %d steps", TRAIN_FORKS);
        TRY(opts_number(at, word, "cooldown-at", OPT_INT, 1, 1e12));
        if (p->forks++ > 0 && *at <= at[-1])
            return ERR(ERR_USAGE, "--cooldown-at=%s: expected growing steps",
                       o->cooldown_at);
    }
    return 0;
}

/* Images that are held out unasked, at most: each rank has a list of them, which of a
 * tenth of some billions takes gigabytes.
 */
enum { HELD_MOST = 1 << 24 };

/* "auto", a share, or the name of a file. */
static int plan_holdout(struct train_plan *p, const struct train_options *o)
{
    char *end;

    p->holdout = strtod(o->holdout, &end);
    if (strcmp(o->holdout, "auto") == 0) {
        p->holdout   = 0.1;
        p->held_most = HELD_MOST;
    } else if (o->holdout[0] == '\0' || *end != '\0') {
        p->holdout = NAN;
    } else if (!(p->holdout >= 0 && p->holdout < 1)) {
        return ERR(ERR_USAGE, "--holdout=%s: expected a share below 1, or a file",
                   o->holdout);
    }
    if (o->holdout[0] == '\0')
        return ERR(ERR_USAGE, "--holdout needs a share or a file");
    return 0;
}

/* A mean that takes nothing in stays zero, and AdamW divides by what it lacks. */
static int check_moments(const struct train_options *o)
{
    if (o->beta1 == 1 && o->optimizer != OPTIMIZER_SGD)
        return ERR(ERR_USAGE, "--beta1=1: the momentum would stay zero");
    if (o->beta2 == 1 && o->optimizer == OPTIMIZER_ADAMW)
        return ERR(ERR_USAGE, "--beta2=1: the second moments would stay zero");
    return 0;
}

int train_plan(struct train_plan *p, const struct train_options *o)
{
    const struct spec_options model = setting_spec(&o->setting, o->shape);
    struct train_plan made          = { .optim = optim_defaults() };

    TRY(setting_resolve(&made.way, &o->setting));
    if (o->machine_out[0] != '\0')
        return ERR(ERR_USAGE, "--machine-out: a training run measures no machine; "
                              "vitbench --case=machine does");
    if ((o->steps > 0) + (o->examples > 0) + (o->epochs > 0) > 1)
        return ERR(ERR_USAGE, "give one of --steps, --examples and --epochs; "
                              "0 takes back what a file gives");
    TRY(auto_steps(&made.sched.warmup, &made.is_warmup_auto, o->warmup_steps,
                   "warmup-steps"));
    TRY(auto_steps(&made.sched.cooldown, &made.is_cooldown_auto, o->cooldown_steps,
                   "cooldown-steps"));
    TRY(check_moments(o));
    made.sched.kind      = (enum sched_kind)o->schedule;
    made.sched.timescale = o->timescale;
    made.has_head_bias   = strcmp(o->head_bias, "auto") != 0;
    if (made.has_head_bias)
        TRY(opts_number(&made.head_bias, o->head_bias, "head-bias", OPT_REAL, 0, 0));
    TRY(plan_holdout(&made, o));
    TRY(plan_save(&made, o));
    TRY(plan_forks(&made, o));
    TRY(spec_make(&made.spec, &model));
    made.optim.method     = made.way.optimizer;
    made.optim.lr         = o->lr;
    made.optim.beta1      = o->beta1;
    made.optim.beta2      = o->beta2;
    made.optim.decay      = o->weight_decay;
    made.optim.head_decay = o->head_decay;
    made.optim.clip       = o->clip;
    *p                    = made;
    return 0;
}

int train_plan_steps(struct train_plan *p, const struct train_options *o, int64_t count)
{
    enum { DEFAULT_STEPS = 1000, TENTH = 10 };
    const double below = 1 - 1e-12; /* 2.2 x 25 is a little more than 55 */
    double examples    = (double)o->examples;

    if (o->epochs > 0 && count == 0)
        return ERR(ERR_USAGE, "--epochs is for sets with an end: --data=%s has none",
                   o->data);
    if (o->epochs > 0)
        examples = o->epochs * (double)count * below;
    p->steps       = o->steps > 0   ? o->steps
                     : examples > 0 ? (int64_t)ceil(examples / (double)o->batch)
                                    : DEFAULT_STEPS;
    p->sched.steps = p->steps;
    if (p->is_warmup_auto)
        p->sched.warmup = p->steps / TENTH;
    if (p->is_cooldown_auto)
        p->sched.cooldown = p->sched.kind == SCHED_COSINE ? 0 : p->steps / TENTH;
    if (p->forks > 0 && p->sched.cooldown == 0)
        return ERR(ERR_USAGE, "--cooldown-at needs --cooldown-steps");
    if (p->forks > 0 && p->fork[p->forks - 1] > p->steps - p->sched.cooldown)
        return ERR(ERR_USAGE,
                   "--cooldown-at=%s: the run itself ends at step %lld, and cools down "
                   "for that from step %lld on",
                   o->cooldown_at, (long long)p->steps,
                   (long long)(p->steps - p->sched.cooldown));
    return 0;
}

/* ---- options of a run that goes on ----------------------------------------------- */

/* True if 'name' is a word of 'names', which has a space around each. */
static bool is_among(const char *name, const char *names)
{
    const size_t length = strlen(name);

    for (const char *at = names + 1; at != NULL; at = strchr(at, ' ')) {
        at += *at == ' ';
        if (strncmp(at, name, length) == 0 && at[length] == ' ')
            return true;
    }
    return false;
}

static bool is_incidental(const char *name)
{
    return is_among(name, incidental);
}

static bool is_changeable(const char *name)
{
    return is_incidental(name) || is_among(name, lengths);
}

static bool has_value(const struct opt *row)
{
    return row->type != OPT_TITLE && row->type != OPT_ACTION;
}

json_t *train_options_json(const struct opts *opts, bool is_essence)
{
    json_t *all = json_object();
    char text[TRAIN_PATH + 1];

    for (int i = 0; i < opts->count; i++) {
        const struct opt *row = &opts->table[i];

        if (!has_value(row) || (is_essence && is_incidental(row->name)))
            continue;
        opts_text(opts, row, text, sizeof text);
        json_object_set_new(all, row->name, json_string(text));
    }
    return all;
}

/* Whether the row's value is the one stored, 'before', which may be NULL.  The share
 * that --holdout=auto stands for has to be given where it is too many images.
 */
static bool is_stored(const struct opts *opts, const struct opt *row,
                      const char *before)
{
    char text[TRAIN_PATH + 1];

    opts_text(opts, row, text, sizeof text);
    if (before == NULL)
        return false;
    if (strcmp(row->name, "holdout") == 0 && strcmp(before, "auto") == 0 &&
        strcmp(text, "0.1") == 0)
        return true;
    return strcmp(before, text) == 0;
}

bool train_options_same_length(const struct opts *opts, const json_t *stored)
{
    for (int i = 0; i < opts->count; i++) {
        const struct opt *row = &opts->table[i];

        if (has_value(row) && is_among(row->name, lengths) &&
            !is_stored(opts, row,
                       json_string_value(json_object_get(stored, row->name))))
            return false;
    }
    return true;
}

int train_options_compare(const struct opts *opts, const json_t *stored)
{
    char text[TRAIN_PATH + 1];

    for (int i = 0; i < opts->count; i++) {
        const struct opt *row = &opts->table[i];
        const char *before;

        if (!has_value(row) || is_changeable(row->name))
            continue;
        before = json_string_value(json_object_get(stored, row->name));
        opts_text(opts, row, text, sizeof text);
        if (!is_stored(opts, row, before))
            return ERR(ERR_USAGE,
                       "--%s is %s, but %s in the run that is to go on: give the same, "
                       "or another --out",
                       row->name, text[0] != '\0' ? text : "not given",
                       before == NULL      ? "unknown"
                       : before[0] != '\0' ? before
                                           : "not given");
    }
    return 0;
}
