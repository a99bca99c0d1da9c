/* SPDX-License-Identifier: BSD-3-Clause */
/* What 'vitfit fit --json' left, read back for planning, shapes and plots. */
#ifndef FIT_FITFILE_H
#define FIT_FITFILE_H

#include "src/fit/law.h"

struct growth {
    double value, lo, hi; /* NaN: not known */
    bool is_identified;
};

struct fitfile {
    char path[512], y[LAW_NAME];
    enum law_kind kind;
    double noise, shared, level; /* 'shared': of the noise's variance; NaN: not known */
    int dims; /* of sovit; 2 of chinchilla; those of law_dim_name in their order */
    char dim[LAW_DIMS][LAW_NAME];
    struct growth growth[LAW_DIMS];
    bool has_dim[LAW_DIMS];             /* the arm could be fitted */
    struct law_dim constants[LAW_DIMS]; /* of sovit, at the centre */
    double centre[LAW_DIMS];            /* NaN: not known */
    /* One law of everything (joint, chinchilla, additive), to predict with. */
    bool has_law;
    struct law law;
    double theta[POWERS_PARAMS];
};

/* 0, ERR_IO, or ERR_DATA with a sentence that names the member. */
int fitfile_read(struct fitfile *f, const char *path);

/* True of a sovit law of width, depth and mlp. */
bool fitfile_is_of_shapes(const struct fitfile *f);

/* The constants of dimension k where the other dimensions have the sizes 'x' [dims];
 * where the fit is of a single arm, or not of shapes, those of its own centre.
 */
void fitfile_dim(struct law_dim *d, const struct fitfile *f, int k, const double *x);

/* What a sovit law of everything expects of the shape 'x' [LAW_DIMS] at compute 't';
 * NaN if the fit has none, or is not of shapes, or 'f' is NULL.
 */
double fitfile_expect(const struct fitfile *f, const double *x, double t);

#endif
