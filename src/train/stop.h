/* SPDX-License-Identifier: BSD-3-Clause */
/* When a run must end before its last step: signals, and the clock.
 *
 * SIGUSR1 (mpirun passes it on), SIGTERM, SIGHUP and a first SIGINT are noted by every
 * rank that gets them (base/told.h).
 * The clock is rank 0's: --time-limit, else SLURM_JOB_END_TIME, else what squeue says
 * of the time that is left.  The ranks agree on all of it once a step.
 */
#ifndef TRAIN_STOP_H
#define TRAIN_STOP_H

#include <stdbool.h>

struct stop {
    double end; /* on clock_now(); infinity: no limit */
    double
        spare; /* seconds that the end of a step needs before it: a step and a save */
};

/* Find the limit, 'limit' seconds from now if not 0.  'is_timed' on rank 0 alone. */
void stop_open(struct stop *s, double limit, bool is_timed);

/* True if this rank should not go on. */
bool stop_is_due(const struct stop *s);

/* What stopped it: "a signal" or "the time limit". */
const char *stop_reason(const struct stop *s);

/* Seconds of squeue's "D-HH:MM:SS", "HH:MM:SS" or "MM:SS"; negative if it is none of
 * them ("UNLIMITED").
 */
double stop_parse_left(const char *text);

#endif
