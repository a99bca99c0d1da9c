/* SPDX-License-Identifier: BSD-3-Clause */
/* The times of steps as they are taken, on every rank, and what follows from them. */
#ifndef BENCH_SERIES_H
#define BENCH_SERIES_H

#include "bench/case.h"

struct series {
    int n, room;
    double *seconds;          /* [room] of each step */
    double *stage[STAGES];    /* [room] of each step's stages */
    double *busy;             /* [room] of each step inside operations of the device */
    double *loss, *grad_norm; /* [room] */
};

void series_add(struct series *s, double seconds, const double stage[STAGES],
                double busy, double loss, double grad_norm);

/* Make the time of each step the slowest rank's.  Collective over 'mesh'. */
void series_slowest(struct series *s, struct mesh *mesh);

/* Cut the run into SERIES_PARTS parts of neighbouring steps, or as many as there are
 * steps, and give the mean of 'busy' in each; returns how many there are.
 */
enum { SERIES_PARTS = 16 };
int series_parts(double busy[SERIES_PARTS], const struct series *s);

/* Statistics of the steps after series_slowest(), and the medians of the stages, each
 * on its slowest rank.  Times are not in order afterwards.  Collective over 'mesh'.
 */
void series_finish(struct stat *steps, double stage[STAGES], struct series *s,
                   int warmup, struct mesh *mesh);
void series_free(struct series *s);

#endif
