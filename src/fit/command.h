/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands of vitfit: each takes the options and the words behind its name, prints
 * to 'out', and returns 0 or a code with its sentence.
 */
#ifndef FIT_COMMAND_H
#define FIT_COMMAND_H

#include "src/fit/options.h"

#include <stdio.h>

int command_plan(FILE *out, const struct options *o, char *const *word, int words);
int command_fit(FILE *out, const struct options *o, char *const *word, int words);
int command_pareto(FILE *out, const struct options *o, char *const *word, int words);
int command_shape(FILE *out, const struct options *o, char *const *word, int words);
int command_plot(FILE *out, const struct options *o, char *const *word, int words);

/* Write 'json' to 'path' through a temporary name beside it, and release it; an empty
 * path writes nothing.
 */
int command_save(json_t *json, const char *path);

/* Make sure, before anything is computed, that command_save() can write 'path'. */
int command_probe(const char *path);

#endif
