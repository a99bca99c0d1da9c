/* SPDX-License-Identifier: BSD-3-Clause */
/* The few-shot protocol of SoViT and ViT-22B (big_vision's fewshot_lsr): for
 * every seed the images of each class are permuted and the first few of them
 * taken; their features are brought to mean 0 and deviation 1, a constant feature
 * of 100 is added, targets are 1 and -1; ridge regression; a test image goes to
 * the class with the largest score.
 */
#ifndef EVAL_FEWSHOT_H
#define EVAL_FEWSHOT_H

#include "src/eval/feature.h"
#include "src/eval/ridge.h"

enum { FEWSHOT_MOST = 16 };

struct fewshot {
    int64_t shots[FEWSHOT_MOST], seed[FEWSHOT_MOST];
    double l2[FEWSHOT_MOST];
    int shot_count, seeds, l2s;
    enum ridge_solver solver;
    int threads; /* of LAPACK */
};

struct fewshot_result {
    double error[FEWSHOT_MOST][FEWSHOT_MOST][FEWSHOT_MOST]; /* [shots][seed][l2] */
    int64_t rows[FEWSHOT_MOST]; /* images that are learnt from, by shots */
    double seconds;             /* of the regressions */
    char about[64];             /* the solver */
};

/* Learn from 'learn', test on 'test', of features of one width.  Returns 0, or what
 * ridge_open() does.  Collective over the mesh.
 */
int fewshot_run(struct fewshot_result *r, const struct part *learn,
                const struct part *test, const struct fewshot *f);

/* The mean error over the seeds, of the first l2; NaN if these shots were not run. */
double fewshot_mean(const struct fewshot_result *r, const struct fewshot *f,
                    int64_t shots);

#endif
