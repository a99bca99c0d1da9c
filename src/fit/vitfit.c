/* SPDX-License-Identifier: BSD-3-Clause */
/* vitfit: from a plan of runs to the law behind them, and from the law to a shape.
 * It needs no MPI: it runs where the plan is made, on a login node or a laptop.
 */
#include "config.h"

#include "src/base/draft.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/version.h"
#include "src/fit/command.h"

#include <stdio.h>
#include <string.h>

#define USAGE                                                                          \
    "vitfit plan [--star|--grid] --out=DIR [..]    write a sweep and its job\n"        \
    "   or: vitfit fit FILE.. [--law=..] [..]             fit a law to runs\n"         \
    "   or: vitfit pareto FILE.. [..]                     the best shapes of a grid\n" \
    "   or: vitfit shape --budget=B [..]                  the shape for a budget\n"    \
    "   or: vitfit trial FILE.. [..]                      how it did beside others\n"  \
    "   or: vitfit plot KIND FILE.. --out=F.svg|F.png     draw"
#define ABOUT                                                                          \
    "Plans sweeps of Vision Transformer shapes, fits scaling laws to the runs, and "   \
    "gives the compute-optimal shape for a budget.  KIND is one of isoflop, "          \
    "exponents, frontier, pareto, curves, design, trial."
#define STATUS                                                                         \
    "\nExit status: 0 done; 2 an option or the data is wrong, or a file is not there;" \
    "\n3 a file cannot be read or written.\n"                                          \
    "\nEvery option NAME can also be given as VITBENCH_NAME in the environment.\n"

static const struct {
    const char *name;
    int (*run)(FILE *out, const struct options *o, char *const *word, int words);
} commands[] = {
    { "plan", command_plan },     { "fit", command_fit },
    { "pareto", command_pareto }, { "shape", command_shape },
    { "trial", command_trial },   { "plot", command_plot },
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

/* Where the result goes; it must not take the place of what is read. */
static int check_json(const struct options *o, char *const *word, int words)
{
    for (int i = 0; i < words; i++)
        TRY(draft_apart((const char *[]){ o->json, word[i] }, 1, 1));
    TRY(draft_apart((const char *[]){ o->json, o->fit, o->from }, 1, 2));
    return draft_probe(o->json, 0);
}

static int run(FILE *out, const struct opts *opts, const struct options *o,
               char *const *word, int words)
{
    int i = 0;

    while (words > 0 && i < COMMANDS && strcmp(word[0], commands[i].name) != 0)
        i++;
    if (o->help) {
        opts_help(opts, out, USAGE, ABOUT);
        fputs(STATUS, out);
        return 0;
    }
    if (o->version) {
        fprintf(out, "vitfit %s (git %s)\n", version_text(), version_git());
        return 0;
    }
    if (o->print_config) {
        opts_dump(opts, out);
        return 0;
    }
    if (words == 0)
        return ERR(ERR_USAGE,
                   "which of plan, fit, pareto, shape, trial, plot?  --help tells");
    if (i == COMMANDS)
        return ERR(
            ERR_USAGE,
            "'%s' is none of plan, fit, pareto, shape, trial, plot; --help tells",
            word[0]);
    TRY(options_check(opts, word[0],
                      words > 1 && strcmp(word[0], "plot") == 0 ? word[1] : ""));
    TRY(check_json(o, word + 1, words - 1));
    return commands[i].run(out, o, word + 1, words - 1);
}

int main(int argc, char **argv)
{
    char **word = mem_new((size_t)argc, sizeof *word);
    struct options options;
    struct opts opts;
    int words = 0, rc;

    log_open("vitfit", -1);
    words = opts_take_words(word, &argc, argv, vitfit_options, vitfit_options_count);
    rc = opts_parse(&opts, vitfit_options, vitfit_options_count, &options, argc, argv);
    if (rc == 0)
        rc = run(stdout, &opts, &options, word, words);
    if (rc == 0)
        rc = err_unheard(stdout);
    err_say(rc);
    mem_free(word);
    return err_exit_status(rc);
}
