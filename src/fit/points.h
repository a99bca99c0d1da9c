/* SPDX-License-Identifier: BSD-3-Clause */
/* The runs that a law is fitted to, out of tables: a metric and some variables a row,
 * all above zero, and the arm of a star sweep that the row lies on.
 */
#ifndef FIT_POINTS_H
#define FIT_POINTS_H

#include "src/fit/law.h"
#include "src/plan/table.h"

#include <stddef.h>

/* A row that equals the centre in all dimensions but one lies on that arm. */
enum { ARM_CENTRE = -2, ARM_NONE = -1 };

struct points {
    int rows, vars;
    double *y;   /* [rows] */
    double *x;   /* [rows, LAW_VARS] */
    int *arm;    /* [rows] */
    int failed;  /* rows left out because their status is not "done" */
    int missing; /* because they have no metric */
    int again;   /* because a later file has them, too */
};

/* What to read: with 'flops' not NULL the second variable is that column / (6 x the
 * first).
 */
struct columns {
    const char *y;
    const char *var[LAW_VARS];
    int vars;
    const char *flops;
    bool skip_missing;   /* rows that have no metric yet do not count */
    const char *options; /* that name columns, for who looks for one in vain */
};

/* Read all 'files'; of each id the last row of its file counts, and of a run that is in
 * several files, with the same id and variables, the last.  Warns of runs on different
 * data, or of images or patches of different sizes.  Returns 0 or a code with a
 * sentence that names file, line and column.
 */
int points_read(struct points *p, char *const *file, int files,
                const struct columns *c);
void points_close(struct points *p);
void points_copy(struct points *copy, const struct points *p);

/* Another 'n' rows that were left out, if there are any, and 'why', behind 'text'. */
void points_left_part(char *text, size_t size, int n, const char *why);

/* What points_read() has left out, of the metric 'y', behind 'text'. */
void points_left_out(char *text, size_t size, const struct points *p, const char *y);

/* Say of every row on which arm around 'centre' [dims] it lies. */
void points_arms(struct points *p, const double *centre, int dims);

/* Whether two sizes are the same but for the digits that were written of them. */
bool points_same(double a, double b);

/* How many rows have 'x' as variable 'var'. */
int points_frequency(const struct points *p, int var, double x);

/* The most frequent value of every dimension, of several the largest. */
void points_centre(double *centre, const struct points *p, int dims);

/* Number the rows by what their variables but 'along' are, into 'shape' [rows]; returns
 * how many numbers there are.  If 'along' is -1 every row has its own.
 */
int points_shapes(int *shape, const struct points *p, int along);

/* How many values a variable has on an arm. */
int points_values(const struct points *p, int arm, int var);

/* Move the rows that 'takes' wants out of 'from' into 'to', which is made. */
void points_take(struct points *to, struct points *from,
                 bool (*takes)(const struct points *p, int row, const void *what),
                 const void *what);

/* Move the 'count' rows with the largest metric (var -1) or variable into 'to'. */
void points_take_largest(struct points *to, struct points *from, int count, int var);

/* Make one row of those that are alike in all variables, with the mean of their
 * metrics: runs of one shape with several seeds.
 */
void points_average(struct points *p);

/* The mean logarithm of every factor of every term, over the rows that
 * have the term.
 */
struct centre {
    double at[POWERS_COEFS][2];
};

/* The model of 'l' on these points, its variables relative to the centre, which is made
 * here; and parameters as the law is written from those of the model.
 */
void points_model(struct powers *m, struct centre *c, const struct points *p,
                  const struct law *l);
void points_raw(double *raw, const double *theta, const struct centre *c,
                const struct law *l);

#endif
