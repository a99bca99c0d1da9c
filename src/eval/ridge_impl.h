/* SPDX-License-Identifier: BSD-3-Clause */
/* What a struct ridge is, for the two that solve one; for src/eval/ridge* only. */
#ifndef EVAL_RIDGE_IMPL_H
#define EVAL_RIDGE_IMPL_H

#include "src/eval/ridge.h"

struct ridge_ops {
    int (*open)(struct ridge *r, const struct ridge_rows *rows);
    void (*solve)(double *w, struct ridge *r, double l2); /* w is zero before */
    void (*close)(struct ridge *r);
};

struct ridge {
    const struct ridge_ops *ops;
    struct mesh *mesh; /* borrowed */
    int64_t N, D, K, n;
    int threads;
    double *value; /* [n] */
    char about[64];
    void *own; /* of the solver */
};

extern const struct ridge_ops ridge_lapack;
#ifdef HAVE_SCALAPACK
extern const struct ridge_ops ridge_scalapack;
#endif

/* True if each of these products fits into 32 bits with room to spare. */
bool ridge_fits(int64_t a, int64_t b);

/* 1 or -1: the target of class 'k' for an image with this label. */
static inline double ridge_target(int32_t label, int64_t k)
{
    return label == k ? 1 : -1;
}

#endif
