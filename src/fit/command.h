/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands of vitfit: each takes the options and the words behind its name, prints
 * to 'out', and returns 0 or a code with its sentence.
 */
#ifndef FIT_COMMAND_H
#define FIT_COMMAND_H

#include "src/fit/options.h"
#include "src/fit/plan_write.h"
#include "src/fit/trial.h"

#include <stdio.h>

int command_plan(FILE *out, const struct options *o, char *const *word, int words);
int command_fit(FILE *out, const struct options *o, char *const *word, int words);
int command_pareto(FILE *out, const struct options *o, char *const *word, int words);
int command_shape(FILE *out, const struct options *o, char *const *word, int words);
int command_trial(FILE *out, const struct options *o, char *const *word, int words);
int command_plot(FILE *out, const struct options *o, char *const *word, int words);

/* Write 'json' to 'path' (base/draft.h), and release it; an empty path
 * writes nothing.
 */
int command_save(json_t *json, const char *path);

/* What shape and plan share: the training that the options tell of, and the end of a
 * plan, which looks for finished runs and writes DIR/plan.jsonl and DIR/array.sbatch.
 */
struct training command_training(const struct options *o);
int command_look(struct sweep *s, const struct options *o);
int command_write(FILE *out, const struct sweep *s, const struct options *o);

/* The runs of a trial; the trial of them, with the law of --fit, if any, in 'f'. */
int command_read_trial(struct points *p, const struct options *o, char *const *word,
                       int words, const char *y);
int command_open_trial(struct trial *t, struct fitfile *f, const struct points *p,
                       const struct options *o);

#endif
