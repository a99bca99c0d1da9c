/* SPDX-License-Identifier: BSD-3-Clause */
/* What the options ask for, made ready for use: lists taken apart, "auto" replaced, and
 * everything refused that this version does not do, with a sentence.
 */
#include "config.h"

#include "bench/options.h"

#include "bench/case.h"
#include "src/base/draft.h"
#include "src/base/err.h"

#include <stdlib.h>
#include <string.h>

static const char *const default_run[] = { "22B", "So400m", "So150m", "608/10/928/16" };

/* ---- lists ----------------------------------------------------------------------- */

static int parse_shapes(struct choices *c, const struct options *o)
{
    const char *rest = o->shape;
    char name[64];

    c->is_default_run = o->shape[0] == '\0';
    if (c->is_default_run) {
        c->shapes = sizeof default_run / sizeof default_run[0];
        for (int i = 0; i < c->shapes; i++)
            strcpy(c->shape[i], default_run[i]);
    }
    while (!c->is_default_run && opts_word(name, sizeof name, &rest, ',')) {
        if (c->shapes == OPTIONS_SHAPES)
            return ERR(ERR_USAGE, "--shape: more than %d shapes", OPTIONS_SHAPES);
        if (strlen(name) >= sizeof c->shape[0])
            return ERR(ERR_USAGE, "--shape=%s: no shape has such a long name", name);
        strcpy(c->shape[c->shapes++], name);
    }
    for (int i = 0; i < c->shapes; i++) {
        struct spec spec;

        TRY(options_make_spec(&spec, o, c, c->shape[i]));
    }
    return 0;
}

static int parse_batches(struct choices *c, const struct options *o)
{
    const char *rest = o->batch[0] != '\0' ? o->batch : NULL;
    char word[32];

    while (opts_word(word, sizeof word, &rest, ',')) {
        if (c->batches == OPTIONS_BATCHES)
            return ERR(ERR_USAGE, "--batch: more than %d batches", OPTIONS_BATCHES);
        TRY(opts_number(&c->batch[c->batches++], word, "batch", OPT_INT, 1, 1e7));
    }
    return 0;
}

static int parse_cases(struct choices *c, const struct options *o)
{
    const char *rest = o->cases;
    char word[32], known[128] = "";

    for (int i = 0; i < CASES; i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s",
                 i > 0 ? ", " : "", bench_cases[i].name);
    while (opts_word(word, sizeof word, &rest, ',')) {
        int found = 0;

        while (found < CASES && strcmp(word, bench_cases[found].name) != 0)
            found++;
        if (found == CASES)
            return ERR(ERR_USAGE, "--case=%s: expected some of %s", word, known);
        c->cases |= 1U << found;
    }
    return 0;
}

static int parse_sizes(struct choices *c, const struct options *o)
{
    const char *rest = o->sizes;
    char first[32], last[32], factor[32];

    if (o->sizes[0] == '\0')
        return 0;
    if (!opts_word(first, sizeof first, &rest, ':') ||
        !opts_word(last, sizeof last, &rest, ':') ||
        !opts_word(factor, sizeof factor, &rest, ':') || rest != NULL)
        return ERR(ERR_USAGE,
                   "--sizes=%s: expected START:STOP:FACTOR, for example 8:64M:2",
                   o->sizes);
    TRY(opts_number(&c->size_first, first, "sizes", OPT_BYTES, 1, 1e15));
    TRY(opts_number(&c->size_last, last, "sizes", OPT_BYTES, 1, 1e15));
    TRY(opts_number(&c->size_factor, factor, "sizes", OPT_REAL, 1.001, 1e6));
    if (c->size_last < c->size_first)
        return ERR(ERR_USAGE, "--sizes=%s stops before it starts", o->sizes);
    return 0;
}

/* A bar of 0 would be none, and say nothing where there is no figure. */
static int parse_bars(struct choices *c, const struct options *o)
{
    const double least = 0.001, most = 100;
    const char *text = o->require_mfu;

    if (o->require_overlap[0] != '\0')
        TRY(opts_number(&c->require_overlap, o->require_overlap, "require-overlap",
                        OPT_REAL, least, most));
    if (text[0] == '\0')
        return 0;
    c->require_mfu_spec = strncmp(text, "spec:", 5) == 0;
    if (c->require_mfu_spec)
        text += 5;
    return opts_number(&c->require_mfu, text, "require-mfu", OPT_REAL, least, most);
}

/* ---- what is not done ------------------------------------------------------------ */

static int refuse(const struct options *o)
{
    const struct {
        bool is_asked;
        const char *sentence;
    } refusal[] = {
        { o->ranks != 0 && !o->dry_run && !o->is_simulated,
          "--ranks is for --dry-run: mpirun -n says how many "
          "run" },
        { o->official && o->is_simulated, "a simulation cannot be --official" },
        { o->official && (o->steps != 0 || o->seconds < 600),
          "--official asks for 600 seconds: leave --steps and --seconds away" },
    };

    for (size_t i = 0; i < sizeof refusal / sizeof refusal[0]; i++) {
        if (refusal[i].is_asked)
            return ERR(ERR_USAGE, "%s", refusal[i].sentence);
    }
    return 0;
}

/* ---- all together ---------------------------------------------------------------- */

int options_make_spec(struct spec *s, const struct options *o, const struct choices *c,
                      const char *shape)
{
    struct spec_options model = setting_spec(&o->setting, shape);

    if (c->is_default_run)
        model.layers = 0;
    TRY(spec_make(s, &model));
    if (c->is_default_run && o->layers > 0 && o->layers < s->L)
        s->L = o->layers;
    return 0;
}

/* Options of a case that does not run would be passed over in silence, as would cases
 * and bars by a plan.  The last three do no harm there.
 */
static int refuse_idle(const struct choices *c, const struct options *o)
{
    const unsigned step = 1U << CASE_STEP, block = 1U << CASE_BLOCK;
    const struct {
        bool is_asked;
        unsigned cases; /* any of which it is for */
        const char *option, *names;
    } idle[] = {
        { o->machine_out[0] != '\0', 1U << CASE_MACHINE, "machine-out", "machine" },
        { o->sizes[0] != '\0', 1U << CASE_COLL, "sizes", "coll" },
        { o->data[0] != '\0', 1U << CASE_DATA, "data", "data" },
        { o->out[0] != '\0', 1U << CASE_CKPT, "out", "ckpt" },
        { o->trace[0] != '\0', step, "trace", "step" },
        { o->jsonl[0] != '\0', step, "jsonl", "step" },
        { o->compare[0] != '\0', step, "compare", "step" },
        { o->profile, step, "profile", "step" },
        { o->official, step | block, "official", "step or block" },
        { c->require_overlap > 0, step, "require-overlap", "step" },
        { c->require_mfu > 0, step | block, "require-mfu", "step or block" },
        { c->way.has_narrow_grads && !o->dry_run, step, "grad-wire", "step" },
        { c->way.has_wide_sums && !o->dry_run, step | block | 1U << CASE_CMM,
          "ring-wire", "step, block or cmm" },
        { o->steps != 0 && !o->dry_run, step | block | 1U << CASE_CKPT, "steps",
          "step, block or ckpt" },
    };

    for (size_t i = 0; i < sizeof idle / sizeof idle[0]; i++) {
        if (idle[i].is_asked && (c->cases & idle[i].cases) == 0)
            return ERR(ERR_USAGE, "--%s is for --case=%s", idle[i].option,
                       idle[i].names);
        if (idle[i].is_asked && o->dry_run)
            return ERR(ERR_USAGE,
                       "--%s is for steps that are run: --dry-run plans them",
                       idle[i].option);
    }
    if (o->dry_run && c->cases != step)
        return ERR(ERR_USAGE, "--dry-run plans steps alone: leave --case away");
    return 0;
}

/* What a simulation cannot know. */
static int refuse_simulated(const struct choices *c, const struct options *o)
{
    if (!o->is_simulated)
        return 0;
    if (c->cases != 1U << CASE_STEP)
        return ERR(ERR_USAGE, "only --case=step is simulated");
    if (o->check)
        return ERR(ERR_USAGE,
                   "a simulation computes nothing that --check could look at");
    if (o->tune)
        return ERR(ERR_USAGE, "--tune chooses by the times of this machine: say "
                              "--overlap instead");
    if (o->device != DEVICE_AUTO)
        return ERR(ERR_USAGE, "a simulation has one device: leave --device away");
    if (o->progress != PROGRESS_CHOICE_AUTO && o->progress != PROGRESS_CHOICE_NONE)
        return ERR(ERR_USAGE, "a simulated network moves messages by itself: leave "
                              "--progress away");
    if (c->require_overlap > 0)
        return ERR(ERR_USAGE, "--require-overlap cannot be told by a simulation");
    return 0;
}

int options_resolve(struct choices *c, const struct options *o)
{
    struct choices made = { 0 };

    TRY(setting_resolve(&made.way, &o->setting));
    if (o->is_simulated)
        made.way.is_apart = false;
    TRY(refuse(o));
    TRY(parse_cases(&made, o));
    TRY(parse_batches(&made, o));
    TRY(parse_sizes(&made, o));
    TRY(parse_bars(&made, o));
    TRY(parse_shapes(&made, o));
    TRY(refuse_simulated(&made, o));
    TRY(refuse_idle(&made, o));
    TRY(draft_apart((const char *[]){ o->json, o->jsonl, o->machine_out, o->trace,
                                      o->machine, o->compare, o->data },
                    4, 3));
    *c = made;
    return 0;
}
