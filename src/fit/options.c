/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of vitfit's options, and its lists taken apart. */
#include "config.h"

#include "src/fit/options.h"

#include "src/base/err.h"
#include "src/base/opts_table.h"
#include "src/fit/law.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OPTS_VALUES struct options

const struct opt vitfit_options[] = {
    TITLE("every command: the metric"),
    { "y", OPT_TEXT, NULL, "COLUMN",
      "the lower the better; default err_10shot, for chinchilla loss.  In a plan a run "
      "without it is not done",
      TEXT(y) },

    TITLE("fit, pareto, trial and plot: the runs, lines of JSON or CSV"),
    { "compute", OPT_TEXT, "compute", "COLUMN", "the compute of a run", TEXT(compute) },
    { "skip-missing", OPT_FLAG, NULL, NULL, "leave out runs that have no metric yet",
      AT(skip_missing) },

    TITLE("fit, pareto and plot"),
    { "dims", OPT_TEXT, "width,depth,mlp", "COLUMN,..", "the dimensions of a shape",
      TEXT(dims) },

    TITLE("fit and plot"),
    { "flops", OPT_TEXT, NULL, "COLUMN",
      "chinchilla: training FLOPs; then tokens = flops / (6 params)", TEXT(flops) },

    TITLE("fit: columns of --law=chinchilla"),
    { "params", OPT_TEXT, "params", "COLUMN", "parameters", TEXT(params) },
    { "tokens", OPT_TEXT, "tokens", "COLUMN", "tokens", TEXT(tokens) },

    TITLE("fit: the law"),
    { "law", OPT_CHOICE, "sovit", "sovit|chinchilla|additive",
      "sovit: alpha x^-a + (beta x^b + xi) t^-c + eps for every dimension x; "
      "chinchilla: A N^-alpha + B D^-beta + E; additive: one power of every "
      "--terms, and a constant",
      AT(law) },
    { "terms", OPT_TEXT, NULL, "COLUMN,..", "additive: the variables", TEXT(terms) },
    { "shared-c", OPT_FLAG, NULL, NULL, "sovit: one c for all dimensions",
      AT(shared_c) },
    { "joint", OPT_FLAG, NULL, NULL,
      "sovit: one law of all dimensions and all runs, on arms or not", AT(joint) },
    { "objective", OPT_CHOICE, "auto", "auto|relative|huber",
      "sum of squared relative errors, or of Huber's function of the logarithms' "
      "differences; auto: huber for chinchilla",
      AT(objective) },
    { "delta", OPT_REAL, "1e-3", "D", "where Huber's function turns linear", AT(delta),
      .min = 1e-9, .max = 1e3 },
    { "drop-highest", OPT_INT, NULL, "N", "leave out the N runs of highest metric",
      AT(drop_highest), .max = 1e6 },
    { "hold-out", OPT_INT, NULL, "N",
      "leave out the N runs of most compute, and say how well they are predicted",
      AT(hold_out), .max = 1e6 },

    TITLE("fit: how sure"),
    { "bootstrap", OPT_INT, "400", "N", "data sets; 0: profile intervals alone",
      AT(bootstrap), .max = 1e6 },
    { "resample", OPT_CHOICE, "auto", "auto|residuals|rows",
      "what a data set draws anew; auto: residuals, with huber weights of rows",
      AT(resample) },
    { "profile", OPT_FLAG, "true", NULL, "profile intervals; not with huber",
      AT(profile) },
    { "list-starts", OPT_FLAG, NULL, NULL, "print every start and where it ended",
      AT(list_starts) },
    { "threads", OPT_INT, NULL, "N", "for the bootstrap; 0: all cores", AT(threads),
      .max = 256 },

    TITLE("fit and plan"),
    { "centre", OPT_TEXT, NULL, "C/L/F",
      "centre of the star; default 1968/40/6144 in plan, in fit the most frequent "
      "value of every dimension, of several the largest, but none of the only one "
      "that varies",
      TEXT(centre) },
    { "level", OPT_REAL, "0.8", "P", "of intervals", AT(level), .min = 0.01,
      .max = 0.999 },

    TITLE("fit, plan and shape"),
    { "seed", OPT_INT, "0", "N", "of random numbers", AT(seed), .max = 1e15 },

    TITLE("plan and shape: the runs"),
    { "seeds", OPT_INT, "1", "N",
      "train every shape with so many seeds, from --seed on", AT(seeds), .min = 1,
      .max = 1000 },
    { "batch", OPT_INT, "128", "N", "images a step", AT(batch), .min = 1, .max = 1e7 },
    { "warmup-steps", OPT_INT, "10K", "N", "of a run", AT(warmup_steps), .max = 1e9 },
    { "cooldown-steps", OPT_INT, "50K", "N", "of a run and of each fork",
      AT(cooldown_steps), .max = 1e9 },
    { "train-args", OPT_TEXT, NULL, "ARGS", "more options for vittrain in the job",
      TEXT(train_args) },
    { "probe-args", OPT_TEXT, NULL, "ARGS",
      "options for vitprobe; without them the job does not probe", TEXT(probe_args) },

    TITLE("plan: the sweep"),
    { "star", OPT_FLAG, NULL, NULL,
      "one dimension at a time, from the centre (default)", AT(star) },
    { "grid", OPT_FLAG, NULL, NULL, "all combinations", AT(grid) },
    { "width", OPT_TEXT, NULL, "N,..",
      "star: 608,768,928,1088,1328,1648; grid: "
      "416,512,608,768",
      TEXT(width) },
    { "depth", OPT_TEXT, NULL, "N,..", "star: 8,10,12,16,20,24; grid: 6,8,10,12",
      TEXT(depth) },
    { "mlp", OPT_TEXT, NULL, "N,..",
      "star: 1088,1360,1728,2160,2592,3072; grid: "
      "768,928,1088,1360",
      TEXT(mlp) },
    { "steps", OPT_TEXT, NULL, "N,..",
      "star: 500K,1M,2M; grid: those of 600M examples.  All of a shape are one run "
      "with "
      "forks",
      TEXT(steps) },

    TITLE("plan: what it can tell"),
    { "noise", OPT_REAL, NULL, "SD",
      "relative noise of the metric; default that of --fit, else 0.01", AT(noise),
      .min = 0, .max = 1 },
    { "design", OPT_CHOICE, "star", "star|optimal",
      "optimal: move and add runs for the narrowest intervals at equal cost",
      AT(design) },

    TITLE("plan and shape"),
    { "budget", OPT_TEXT, NULL, "FLOP|SECONDSs",
      "forward FLOPs x examples, or device-seconds (2e8s) of --machine; of a plan with "
      "--design=optimal FLOPs, default those of the star",
      TEXT(budget) },
    { "machine", OPT_TEXT, NULL, "FILE|NAME",
      "what vitbench --machine-out measured, or one that vitbench knows",
      TEXT(machine) },
    { "heads", OPT_INT, "16", "H", "of attention", AT(heads), .min = 1, .max = 1e6 },
    { "patch", OPT_INT, "14", "PIXELS", "side of a patch", AT(patch), .min = 1,
      .max = 1e4 },
    { "image", OPT_INT, "224", "PIXELS", "side of an image", AT(image), .min = 1,
      .max = 1e4 },
    { "classes", OPT_INT, "1000", "K", "classes", AT(classes), .min = 1, .max = 1e6 },

    TITLE("shape"),
    { "from", OPT_TEXT, "608/10/928@5.4e18", "C/L/F@T0|FILE",
      "a shape that is optimal at compute T0, in FLOP; or what vitfit pareto --json "
      "wrote",
      TEXT(from) },
    { "exponents", OPT_TEXT, NULL, "SW/SD/SM",
      "how the optimum of each dimension grows with compute; default those of --fit, "
      "else 0.22/0.45/0.6",
      TEXT(exponents) },
    { "guess", OPT_FLAG, NULL, NULL,
      "take exponents of --fit that are not identified, too", AT(guess) },
    { "beside", OPT_TEXT, "1.5/1/1,0.67/1/1", "C/L/F,..",
      "with --out: what the sizes are multiplied with, for shapes to be trained beside "
      "it at equal compute",
      TEXT(beside) },
    { "w", OPT_TEXT, "1/3,1/3,1/3", "W,W,W", "share of compute given to each dimension",
      TEXT(weights) },
    { "multiple", OPT_TEXT, "16/1/16", "C/L/F",
      "sizes are rounded to multiples of these, the width also to whole heads",
      TEXT(multiple) },

    TITLE("trial and plot"),
    { "shape", OPT_TEXT, NULL, "C/L/F",
      "the shape that the others of a trial are compared with; default that of the "
      "first run",
      TEXT(shape) },

    TITLE("plan, shape, trial and plot"),
    { "fit", OPT_TEXT, NULL, "FILE", "what vitfit fit --json wrote", TEXT(fit) },

    TITLE("plan, shape and plot"),
    { "out", OPT_TEXT, NULL, "DIR|FILE",
      "plan, shape: folder for plan.jsonl and array.sbatch; plot: FILE.svg, FILE.png, "
      "or "
      "the gnuplot script FILE.gp",
      TEXT(out) },

    TITLE("fit, pareto, trial, plan and shape"),
    { "json", OPT_TEXT, NULL, "FILE", "write the result as one JSON object",
      TEXT(json) },

    TITLE("every command"),
#include "src/base/opts_help.h"
};

const int vitfit_options_count = sizeof vitfit_options / sizeof vitfit_options[0];

bool options_is_huber(const struct options *o)
{
    return o->objective == OBJECTIVE_CHOICE_HUBER ||
           (o->objective == OBJECTIVE_CHOICE_AUTO && o->law == LAW_CHINCHILLA);
}

/* True if 'kind' is a picture, but none of 'kinds'. */
static bool is_other(const char *kind, const char *kinds)
{
    return kind[0] != '\0' && strstr(kinds, kind) == NULL;
}

int options_check(const struct opts *opts, const char *command, const char *kind)
{
    const struct options *o      = opts->values;
    static const char shape[]    = "is for plans that --out is to write";
    static const char star[]     = "is for --star";
    static const char other[]    = "is for other pictures";
    static const char runs[]     = "isoflop frontier pareto curves trial";
    const bool is_fit            = strcmp(command, "fit") == 0;
    const bool is_alone          = strcmp(command, "shape") == 0 && o->out[0] == '\0';
    const bool is_grid           = strcmp(command, "plan") == 0 && o->grid;
    const bool is_chinchilla     = o->law == LAW_CHINCHILLA;
    const struct opt_idle idle[] = {
        { "y", is_alone, shape },
        { "seed", is_alone, shape },
        { "seeds", is_alone, shape },
        { "batch", is_alone, shape },
        { "warmup-steps", is_alone, shape },
        { "cooldown-steps", is_alone, shape },
        { "train-args", is_alone, shape },
        { "probe-args", is_alone, shape },
        { "beside", o->out[0] == '\0', shape },
        { "centre", is_grid, star },
        { "level", is_grid, star },
        { "noise", is_grid, star },
        { "budget", strcmp(command, "plan") == 0 && o->design != DESIGN_OPTIMAL,
          "is for plans with --design=optimal; others cost what their runs cost" },
        { "compute", is_fit && is_chinchilla,
          "is for other laws; chinchilla's is 6 x params x tokens" },
        { "params", is_fit && !is_chinchilla, "is for --law=chinchilla" },
        { "tokens", is_fit && !is_chinchilla, "is for --law=chinchilla" },
        { "flops", is_fit && !is_chinchilla, "is for --law=chinchilla" },
        { "dims", is_fit && o->law != LAW_SOVIT, "is for --law=sovit" },
        { "centre", is_fit && o->law != LAW_SOVIT, "is for --law=sovit" },
        { "shared-c", o->law != LAW_SOVIT, "is for --law=sovit" },
        { "shared-c", o->joint, "goes without saying: --joint is a law of one c" },
        { "joint", o->law != LAW_SOVIT, "is for --law=sovit" },
        { "terms", o->law != LAW_ADDITIVE, "is for --law=additive" },
        { "resample", o->bootstrap == 0, "is for the data sets of --bootstrap" },
        { "guess", o->fit[0] == '\0', "is for exponents of --fit" },
        { "delta", !options_is_huber(o), "is for --objective=huber" },
        { "y", is_other(kind, runs), other },
        { "compute", is_other(kind, runs), other },
        { "skip-missing", is_other(kind, runs), other },
        { "dims", is_other(kind, "pareto curves"), other },
        { "flops", is_other(kind, "isoflop frontier"), other },
        { "shape", is_other(kind, "trial"), other },
        { "fit", is_other(kind, "isoflop exponents frontier trial"), other },
    };

    TRY(opts_check_command(opts, command));
    return opts_check_idle(opts, idle, sizeof idle / sizeof idle[0]);
}

static double suffix_of(char letter)
{
    return letter == 'K' ? 1e3 : letter == 'M' ? 1e6 : letter == 'G' ? 1e9 : 0;
}

/* One number at '*at', which moves past it. */
static bool parse_one(double *x, const char **at, bool can_divide)
{
    char *end;

    *x = strtod(*at, &end);
    if (end == *at)
        return false;
    if (suffix_of(*end) > 0)
        *x *= suffix_of(*end++);
    if (can_divide && *end == '/') {
        const char *below = end + 1;
        const double over = strtod(below, &end);

        if (end == below)
            return false;
        *x /= over;
    }
    *at = end;
    return isfinite(*x) && *x > 0;
}

int options_numbers(double *x, int most, const char *text, char separator,
                    const char *option)
{
    const char *at = text;
    int n          = 0;

    for (;; at++) {
        const bool is_more = n == most;

        if (is_more && most > 1)
            return ERR(ERR_USAGE, "--%s=%s: more than %d numbers", option, text, most);
        if (!is_more && parse_one(&x[n++], &at, separator == ',') &&
            (*at == separator || *at == '\0')) {
            if (*at == '\0')
                return n;
            continue;
        }
        if (most == 1)
            return ERR(ERR_USAGE, "--%s=%s: expected a number above 0", option, text);
        return ERR(ERR_USAGE, "--%s=%s: expected numbers above 0, parted by '%c'",
                   option, text, separator);
    }
}

int options_words(char word[][OPTIONS_WORD], int most, const char *text,
                  const char *option)
{
    const char *rest = text[0] != '\0' ? text : NULL;
    char one[OPTIONS_WORD];
    int n = 0;

    while (opts_word(one, sizeof one, &rest, ',')) {
        if (n == most)
            return ERR(ERR_USAGE, "--%s: more than %d names", option, most);
        if (one[0] == '\0')
            return ERR(ERR_USAGE, "--%s=%s: a name is empty", option, text);
        memcpy(word[n++], one, sizeof one);
    }
    return n;
}
