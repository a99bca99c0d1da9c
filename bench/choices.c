/* SPDX-License-Identifier: BSD-3-Clause */
/* What the options ask for, made ready for use: lists taken apart, "auto" replaced, and
 * everything refused that this version does not do, with a sentence.
 */
#include "config.h"

#include "bench/options.h"

#include "bench/case.h"
#include "src/base/err.h"

#include <stdlib.h>
#include <string.h>

static const char *const default_run[] = { "22B", "So400m", "So150m", "608/10/928/16" };

/* The rows' choices, by their place in 'values'. */
enum { OVERLAP_AUTO, OVERLAP_PLAIN, OVERLAP_RING, OVERLAP_BIDIR };
enum { OPTIMIZER_ADAMW };
enum { WIRE_AUTO };
enum { SHARD_NONE };
enum { REMAT_NONE };

enum { RANKS_MOST = 10000000 };

/* ---- lists ------------------------------------------------------------------------- */

/* The next of the words that 'separator' parts, at '*rest', which moves past it; false
 * at the end.  Words that do not fit into 'word' are cut, and are then unknown.
 */
static bool next_word(char *word, size_t size, const char **rest, char separator)
{
    const char *at = *rest;
    const char *end;

    if (at == NULL)
        return false;
    end = strchr(at, separator);
    snprintf(word, size, "%.*s", end != NULL ? (int)(end - at) : (int)strlen(at), at);
    *rest = end != NULL ? end + 1 : NULL;
    return true;
}

/* Read one number of a list by the rules of a row of its own. */
static int parse_number(void *value, const char *text, const char *name,
                        enum opt_type type, double min, double max)
{
    const struct opt row = { .name = name, .type = type, .min = min, .max = max };
    struct opts one      = { .table = &row, .count = 1, .values = value };

    return opts_set(&one, name, text, FROM_COMMAND_LINE);
}

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
    while (!c->is_default_run && next_word(name, sizeof name, &rest, ',')) {
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

    while (next_word(word, sizeof word, &rest, ',')) {
        if (c->batches == OPTIONS_BATCHES)
            return ERR(ERR_USAGE, "--batch: more than %d batches", OPTIONS_BATCHES);
        TRY(parse_number(&c->batch[c->batches++], word, "batch", OPT_INT, 1, 1e7));
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
    while (next_word(word, sizeof word, &rest, ',')) {
        int found = 0;

        while (found < CASES && strcmp(word, bench_cases[found].name) != 0)
            found++;
        if (strcmp(word, "data") == 0 || strcmp(word, "ckpt") == 0)
            return ERR(ERR_USAGE, "--case=%s is not in this version", word);
        if (found == CASES)
            return ERR(ERR_USAGE, "--case=%s: expected some of %s", word, known);
        c->cases |= 1U << found;
    }
    return 0;
}

static int parse_mesh(struct choices *c, const struct options *o)
{
    char *end;
    long D, M = 0;

    if (strcmp(o->mesh, "auto") == 0)
        return 0;
    D = strtol(o->mesh, &end, 10);
    if (end != o->mesh && *end == 'x' && strspn(end + 1, "0123456789") > 0)
        M = strtol(end + 1, &end, 10);
    if (o->mesh[0] < '0' || o->mesh[0] > '9' || *end != '\0' || D < 1 || M < 1 ||
        D > RANKS_MOST || M > RANKS_MOST / D)
        return ERR(ERR_USAGE, "--mesh=%s: expected DxM, for example 2x1, or auto",
                   o->mesh);
    c->D = (int)D;
    c->M = (int)M;
    return 0;
}

static int parse_sizes(struct choices *c, const struct options *o)
{
    const char *rest = o->sizes;
    char first[32], last[32], factor[32];

    if (o->sizes[0] == '\0')
        return 0;
    if (!next_word(first, sizeof first, &rest, ':') ||
        !next_word(last, sizeof last, &rest, ':') ||
        !next_word(factor, sizeof factor, &rest, ':') || rest != NULL)
        return ERR(ERR_USAGE,
                   "--sizes=%s: expected START:STOP:FACTOR, for example 8:64M:2",
                   o->sizes);
    TRY(parse_number(&c->size_first, first, "sizes", OPT_BYTES, 1, 1e15));
    TRY(parse_number(&c->size_last, last, "sizes", OPT_BYTES, 1, 1e15));
    TRY(parse_number(&c->size_factor, factor, "sizes", OPT_REAL, 1.001, 1e6));
    if (c->size_last < c->size_first)
        return ERR(ERR_USAGE, "--sizes=%s stops before it starts", o->sizes);
    return 0;
}

static int parse_bar(struct choices *c, const struct options *o)
{
    const char *text = o->require_mfu;

    if (text[0] == '\0')
        return 0;
    c->require_mfu_spec = strncmp(text, "spec:", 5) == 0;
    if (c->require_mfu_spec)
        text += 5;
    return parse_number(&c->require_mfu, text, "require-mfu", OPT_REAL, 0, 100);
}

/* ---- what is not done -------------------------------------------------------------- */

static int refuse(const struct options *o)
{
#define LATER " is not in this version"
    const struct {
        bool is_asked;
        const char *sentence;
    } refusal[] = {
        { o->optimizer != OPTIMIZER_ADAMW,
          "--optimizer: only adamw is in this version" },
        { o->device == DEVICE_CPU_ONEDNN,
          "--device=cpu:onednn" LATER ": take cpu:blis" },
        { o->device == DEVICE_CUDA, "--device=cuda" LATER ": take cpu:blis" },
        { o->dtype == DTYPE_CHOICE_BF16, "--dtype=bf16" LATER ": take f32" },
        { o->dtype == DTYPE_CHOICE_EMULATE, "--dtype=bf16:emulate" LATER ": take f32" },
        { o->overlap == OVERLAP_BIDIR, "--overlap=bidir" LATER ": take ring or plain" },
        { o->progress == PROGRESS_CHOICE_THREAD,
          "--progress=thread" LATER ": take poll" },
        { o->param_shard != SHARD_NONE, "--param-shard=full" LATER },
        { o->remat != REMAT_NONE, "--remat=block" LATER },
        { o->micro_batches != 1, "--micro-batches above 1" LATER },
        { o->ring_wire != WIRE_AUTO,
          "--ring-wire is for bf16 runs, which are not in this "
          "version" },
        { o->grad_wire != WIRE_AUTO,
          "--grad-wire is for bf16 runs, which are not in this "
          "version" },
        { o->tf32, "--tf32 needs a GPU, and cuda" LATER },
        { o->require_overlap[0] != '\0', "--require-overlap" LATER },
        { o->profile, "--profile" LATER },
        { o->compare[0] != '\0', "--compare" LATER },
        { o->trace[0] != '\0', "--trace" LATER },
        { o->machine[0] != '\0', "--machine" LATER },
        { o->ranks != 0 && !o->dry_run,
          "--ranks is for --dry-run: mpirun -n says how many "
          "run" },
        { o->official && (o->steps != 0 || o->seconds < 600),
          "--official asks for 600 seconds: leave --steps and --seconds away" },
    };
#undef LATER

    for (size_t i = 0; i < sizeof refusal / sizeof refusal[0]; i++) {
        if (refusal[i].is_asked)
            return ERR(ERR_USAGE, "%s", refusal[i].sentence);
    }
    return 0;
}

/* ---- all together ------------------------------------------------------------------ */

struct spec_options options_spec(const struct options *o, const char *shape)
{
    return (struct spec_options){
        .shape   = shape,
        .layers  = o->layers,
        .wiring  = o->wiring - 1, /* auto, parallel, sequential */
        .qk_norm = o->qk_norm == 0 ? -1 : o->qk_norm == 1, /* auto, on, off */
        .gelu    = o->gelu,
        .pool    = o->pool,
        .loss    = o->loss,
        .image   = (int)o->image,
        .patch   = (int)o->patch,
        .classes = o->classes,
    };
}

int options_make_spec(struct spec *s, const struct options *o, const struct choices *c,
                      const char *shape)
{
    struct spec_options model = options_spec(o, shape);

    if (c->is_default_run)
        model.layers = 0;
    TRY(spec_make(s, &model));
    if (c->is_default_run && o->layers > 0 && o->layers < s->L)
        s->L = o->layers;
    return 0;
}

/* Options of a case that does not run would be passed over in silence. */
static int refuse_idle(const struct choices *c, const struct options *o)
{
    if (o->machine_out[0] != '\0' && (c->cases >> CASE_MACHINE & 1U) == 0)
        return ERR(ERR_USAGE, "--machine-out is for --case=machine");
    if (o->sizes[0] != '\0' && (c->cases >> CASE_COLL & 1U) == 0)
        return ERR(ERR_USAGE, "--sizes is for --case=coll");
    return 0;
}

int options_resolve(struct choices *c, const struct options *o)
{
    struct choices made = {
        .dtype  = o->dtype == DTYPE_CHOICE_F64 ? DTYPE_F64 : DTYPE_F32,
        .device = o->device == DEVICE_CPU_REF    ? "cpu:ref"
                  : o->device == DEVICE_CPU_BLIS ? "cpu:blis"
                                                 : "auto",
        .form   = o->overlap == OVERLAP_PLAIN ? CMM_PLAIN : CMM_RING,
    };

    TRY(refuse(o));
    TRY(parse_cases(&made, o));
    TRY(parse_mesh(&made, o));
    TRY(parse_batches(&made, o));
    TRY(parse_sizes(&made, o));
    TRY(parse_bar(&made, o));
    TRY(parse_shapes(&made, o));
    TRY(refuse_idle(&made, o));
    *c = made;
    return 0;
}
