/* SPDX-License-Identifier: BSD-3-Clause */
/* The runs of a sweep.
 *
 *   star   one dimension at a time takes the values of its grid, the others stay at a
 *          large centre (which itself is not run: it is held out)
 *   grid   all combinations of small values
 *
 * A run is one shape trained for its largest number of steps; the smaller
 * numbers are forks of it, each with a cool-down of its own, so a shape
 * costs about its longest run.
 */
#ifndef FIT_SWEEP_H
#define FIT_SWEEP_H

#include "src/fit/cost.h"
#include "src/fit/law.h"

enum { SWEEP_STEPS = 24, SWEEP_VALUES = 64, SWEEP_ID = 20 };

struct run {
    char id[SWEEP_ID]; /* 16 hexadecimal digits */
    int64_t x[LAW_DIMS], seed;
    int arm; /* -1: of a grid */
    struct spec spec;
    struct cost cost;
    int steps; /* numbers of them, rising; the last is the run's own */
    int64_t step[SWEEP_STEPS];
    int done; /* of 'steps', how many have a record */
};

struct training { /* what all runs share */
    int64_t batch, warmup, cooldown, heads, patch, image, classes;
    int64_t seed, seeds; /* every shape is run with 'seeds' of them, from 'seed' on */
    const char *more;    /* options for the trainer */
};

struct dropped {
    int64_t x[LAW_DIMS];
    char why[256];
};

struct sweep {
    struct training training;
    int64_t centre[LAW_DIMS];
    bool is_star;
    int values[LAW_DIMS], step_values;
    int64_t value[LAW_DIMS][SWEEP_VALUES], step[SWEEP_STEPS];
    int runs, drops;
    struct run *run;
    struct dropped *dropped;
};

/* Make the runs of the values in 's'; with 'm' not NULL what does not fit it is
 * dropped.  Returns 0, or ERR_USAGE: the steps leave no room for warm-up and cool-down.
 * sweep_close() undoes it.
 */
int sweep_make(struct sweep *s, const struct machine *m);
void sweep_close(struct sweep *s);

/* Put one point, a shape and a number of steps, into the sweep, with every seed. */
int sweep_add(struct sweep *s, const int64_t x[LAW_DIMS], int64_t step, int arm,
              const struct machine *m);

/* Give the runs their ids, and count which have records in 'path' (no file: none), with
 * a number in the column 'y' if it is not "".  Warns of records of other runs.
 */
int sweep_look(struct sweep *s, const char *path, const char *y);

/* Images that a run trains on, forks and all. */
double sweep_images(const struct sweep *s, const struct run *r);

/* Forward FLOPs of all runs, forks and all. */
double sweep_flops(const struct sweep *s);

/* The id of the record of step i: the run's, and ".S" behind it for a fork at S. */
void sweep_record_id(char id[2 * SWEEP_ID], const struct sweep *s, const struct run *r,
                     int i);

#endif
