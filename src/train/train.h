/* SPDX-License-Identifier: BSD-3-Clause */
/* A training run: its steps, from the first or from where it goes on, to the last; its
 * forks, evaluations on held-out images, and saves; and an orderly end when it is told
 * to stop.
 */
#ifndef TRAIN_TRAIN_H
#define TRAIN_TRAIN_H

#include "src/step/tuned.h"
#include "src/train/journal.h"
#include "src/train/save.h"
#include "src/train/source.h"
#include "src/train/stop.h"

struct trainer {
    const struct opts *opts; /* borrowed, as are the options */
    const struct train_options *options;
    struct train_plan plan;
    struct tuned tuned;  /* what timing has chosen, with --tune */
    bool is_taken_over;  /* by the run up to here, not by this one */
    int64_t node_memory; /* bytes of a node */
    struct mesh *mesh;
    struct dev *dev;
    struct source source;
    struct vit *vit;
    struct optim *optim;
    struct step *step;
    struct claim claim; /* of --out on rank 0, until 'save' has it */
    struct save *save;  /* of the leg under way */
    struct journal journal;
    struct stop stop;
    struct saved saved; /* what it has gone on from */
    struct metric last; /* of the held-out images, if they were looked at since the last
                            step; not numbers else */
    double start;       /* on clock_now() */
    double aside;       /* seconds of forks that are over */
    double saved_at;    /* of the last save by the clock, likewise; rank 0's counts */
    double step_seconds; /* the longest step so far */
    double save_seconds; /* the longest save or loading; 0: not known yet */
    int64_t traced;      /* the step of the trunk that --trace shows; -1: none */
};

/* Open all that a run needs on the ranks of MPI_COMM_WORLD, and load what it goes on
 * from.  Returns 0 or a code, the same on all ranks; close in either case.
 */
int trainer_open(struct trainer *t, const struct opts *opts,
                 const struct train_options *o);
void trainer_close(struct trainer *t);

/* Run to the end.  Returns 0; ERR_STOPPED after a good save, ERR_ENV without one;
 * ERR_CHECK for a loss that is not finite; ERR_IO or ERR_MEMORY where a record, a fork
 * or the last save failed.  The same on all ranks; said.
 */
int trainer_run(struct trainer *t);

/* Append the record of a leg that ended at 'step', of the fork at 'fork' or of the run
 * (-1): done, or failed.  Returns 0 or ERR_IO, the same on all ranks.  Collective.
 */
int trainer_record(struct trainer *t, int64_t step, int64_t fork, bool is_done);

/* What the run has taken without its forks; in a fork what the trunk has up to there,
 * and the fork itself.
 */
struct spent trainer_spent(const struct trainer *t);

/* What records call the run: --id, or a number of its options; and its fork at step
 * 'fork' (-1: none), with the step behind a dot.
 */
enum { TRAINER_ID = 96 };
void trainer_id(char id[TRAINER_ID], const struct trainer *t, int64_t fork);

#endif
