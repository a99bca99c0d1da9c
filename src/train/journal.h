/* SPDX-License-Identifier: BSD-3-Clause */
/* What a run says on its way: lines on stdout, and the same as lines of JSON.
 *
 *   {"step", "examples", "seconds", "loss", "lr", "grad_norm", "peak_logit",
 *    "tokens_per_s", "mfu_measured"}
 *   {"step", "examples", "seconds", "eval_loss", "top1", "ece", "eval_examples"}
 *
 * Both have "fork": STEP in a fork.  'step' counts updates, so the first line is of
 * step 1; 'seconds' are those of the run as records have them: what it did before it
 * was resumed is in them, and its forks are not, but in a fork's lines that fork.  All
 * of it is for rank 0; on the others nothing is written.
 */
#ifndef TRAIN_JOURNAL_H
#define TRAIN_JOURNAL_H

#include "src/step/metric.h"

#include <stdio.h>

enum { JOURNAL_PATH = 1100 };

struct journal {
    FILE *out, *jsonl; /* NULL: not written */
    char path[JOURNAL_PATH];
    bool has_forks; /* some lines of earlier starts are forks' */
    int64_t looked; /* the last step with one of held-out images: of the run, or of the
                        fork that was last begun */
    bool is_mute;   /* the last line of JSON could not be written */
    double report_every; /* seconds between reports; 0: none */
    double reported_at;  /* on clock_now(), as are the next two */
    double start;     /* of the run, as if it had gone on without a break or a fork */
    double last_time; /* of the last line's step */
    int64_t last_step;
    int rows; /* of the table since its head */
    int64_t B, T, steps;
    int ranks;
    double lr, flops_per_step, peak;
};

/* Open 'path' (empty: none) for lines of JSON; a run that goes on from 'first' keeps
 * its lines up to there and those of all forks, and all until they are written anew.
 * The other members are set by the caller.  Returns 0 or ERR_IO.
 */
int journal_open(struct journal *j, const char *path, int64_t first);
void journal_close(struct journal *j);

/* A fork begins after step 'last': what it wrote after that, when it was begun before,
 * goes.
 */
void journal_cut(struct journal *j, int64_t fork, int64_t last);

/* A leg of the run begins, or goes on after something else: the time until now is none
 * of its steps'.
 */
void journal_start(struct journal *j, int64_t step, int64_t steps);

/* Step 'step' (from 1 on) is done; 'fork': -1, or the fork's step. */
void journal_step(struct journal *j, int64_t step, int64_t fork, double schedule,
                  const struct step_result *r);

void journal_metric(struct journal *j, int64_t step, int64_t fork,
                    const struct metric *m);

/* A line on stderr, if it is time for one: 'step' steps are done, and what comes now
 * ("steps", "evaluation").
 */
void journal_report(struct journal *j, int64_t step, const char *now);

/* Lines for the reader alone: one, or "  label  text" in 80 columns. */
void journal_field(struct journal *j, const char *label, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void journal_say(struct journal *j, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
