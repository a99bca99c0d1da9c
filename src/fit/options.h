/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of vitfit, one table for all its commands; a heading of the table names
 * the commands that its rows are for.
 */
#ifndef FIT_OPTIONS_H
#define FIT_OPTIONS_H

#include "src/base/opts.h"

#include <stdbool.h>
#include <stdint.h>

struct options {
    /* the runs */
    char y[64], compute[64], dims[160], params[64], tokens[64], flops[64];
    bool skip_missing;
    /* the law */
    int law, objective;
    bool shared_c, joint;
    char terms[160], centre[64];
    double delta, level;
    int64_t hold_out, drop_highest;
    /* how sure */
    int64_t bootstrap, threads, seed, seeds;
    int resample;
    bool profile, list_starts;
    /* the sweep */
    bool star, grid;
    char width[256], depth[256], mlp[256], steps[256];
    int64_t batch, warmup_steps, cooldown_steps;
    char train_args[512], probe_args[512];
    double noise;
    int design;
    /* the machine and the model */
    char budget[32], machine[512];
    int64_t heads, patch, image, classes;
    /* the shape */
    char from[512], exponents[96], weights[96], multiple[64], beside[128], shape[64];
    bool guess;
    /* files */
    char fit[512], out[512], json[512];
    /* help */
    bool print_config, help, version;
    char config[512];
};

enum { DESIGN_STAR, DESIGN_OPTIMAL };
enum { OBJECTIVE_CHOICE_AUTO, OBJECTIVE_CHOICE_RELATIVE, OBJECTIVE_CHOICE_HUBER };

extern const struct opt vitfit_options[];
extern const int vitfit_options_count;

/* 0, or ERR_USAGE for an option of the command line that has no effect on 'command',
 * or, of 'plot', on pictures of 'kind' ("" for other commands).  Options of a file or
 * the environment may be for another command.
 */
int options_check(const struct opts *opts, const char *command, const char *kind);

/* True if what is minimised is Huber's function. */
bool options_is_huber(const struct options *o);

/* The numbers of a list, "608,768", "1968/40/6144" or "1/3,1/3,1/3" ('separator' parts
 * them; K, M, G allowed; with commas a fraction, too), into 'x'; returns how many, or
 * ERR_USAGE with the option's name: no number, not above 0, or more than 'most'.
 */
int options_numbers(double *x, int most, const char *text, char separator,
                    const char *option);

/* The words of a comma list; returns how many or ERR_USAGE. */
enum { OPTIONS_WORD = 64 };
int options_words(char word[][OPTIONS_WORD], int most, const char *text,
                  const char *option);

#endif
