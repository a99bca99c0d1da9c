/* SPDX-License-Identifier: BSD-3-Clause */
/* A probe from its options to its result: a mesh, a frozen model, images, what the
 * model makes of them, and how well a simple learner does with that.
 */
#ifndef EVAL_PROBE_H
#define EVAL_PROBE_H

#include "ckpt/file.h"
#include "src/eval/options.h"
#include "src/step/adopt.h"
#include "src/step/metric.h"

struct probe {
    const struct probe_options *options; /* borrowed */
    struct probe_plan plan;
    struct mesh *mesh;
    struct dev *dev;
    int threads;
    char path[PROBE_PATH];  /* of the checkpoint, or "" */
    struct ckpt_file *file; /* what it says, or NULL */
    struct data *learn_data,
        *test_data; /* test: NULL where it is a part of the other */
    int64_t learn_count, test_count;
    struct vit *vit;
    struct step *step;
    struct adopted adopted; /* what was not taken as it is in the file */

    struct features features, test_features;
    struct part learn, test;
    double feature_seconds;
    int64_t feature_images;

    struct fewshot_result few;
    struct logistic_result logistic;
    struct verdicts linear; /* of sgd or lbfgs on the test images */
    double linear_seconds;
    struct metric head;
};

/* Open all that the options ask for on the ranks of MPI_COMM_WORLD.  Returns 0 or a
 * code, the same on all ranks, said; close in either case.
 */
int probe_open(struct probe *p, const struct probe_options *o);
void probe_close(struct probe *p);

/* Make or read features, write what is to be written, and probe: likewise. */
int probe_run(struct probe *p);

/* The text of it, on rank 0: what is probed; how it went. */
void probe_banner(const struct probe *p);
void probe_report(const struct probe *p);

/* Append the record, on rank 0: 0 or ERR_IO, ERR_DATA.  The other one, asked before the
 * work, says whether there is a reason against it by then.
 */
int probe_record(const struct probe *p);
int probe_check_record(const struct probe *p);

#endif
