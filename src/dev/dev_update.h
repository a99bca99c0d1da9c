/* SPDX-License-Identifier: BSD-3-Clause */
/* Updates of parameters: operations of a device, as those of dev.h. */
#ifndef DEV_DEV_UPDATE_H
#define DEV_DEV_UPDATE_H

#include "src/dev/dev.h"

/* Adafactor's averages "row" and "col" (plan/factor.h) as a segment finds them.  The
 * segment is a box of its tensor with 'extent' by axis; the first 'fold' axes are the
 * rows of its matrices, the others the columns.
 */
enum { DEV_AXES = 4 };
struct dev_factors {
    /* [1, ..] of dev_acc(), from the number on that the first element belongs to. */
    struct mat row, col;
    int axes, fold;
    int64_t extent[DEV_AXES];
    /* Numbers from one index of an axis to the next; 0: the average runs along it. */
    int64_t row_step[DEV_AXES], col_step[DEV_AXES];
    int tensor; /* its number: segments of one tensor share its averages */
};

/* A part of one tensor on this rank; matrices of one shape, of dev_acc() type. */
struct dev_segment {
    struct mat param, grad;
    struct mat mu;   /* first moment, or SGD's momentum; of Adafactor in bf16 */
    struct mat nu;   /* second moment: AdamW, and Adafactor without factors */
    struct mat copy; /* of param in the run's format; or none */
    double decay;    /* weight decay x the tensor's multiplier */
    const struct dev_factors *factors; /* Adafactor; NULL: the tensor has none */
};

/* Numbers of an update that change from step to step, [1, PACES] of f64 on the device,
 * for updates that are put on a stream before the host knows the norm of their
 * gradients.  An update with a 'pace' takes from there what is named so, instead of
 * what its own numbers would give, and changes nothing where the clip is not a number.
 */
enum {
    PACE_CLIP,
    PACE_RATE,   /* schedule lr */
    PACE_FIRST,  /* AdamW: 1 / (1 - b1^t); Adafactor: beta2 */
    PACE_SECOND, /* AdamW: 1 / (1 - b2^t) */
    PACES
};

/* pace [1, 1], the clip: min(1, most / sqrt(sum)) with 'sum' [1, 1] of f64, or 1 if
 * 'most' is 0; not a number unless 'sum' and all 'others' [1, n] are finite.  Only
 * where the device has a pace.
 */
void dev_clip(struct dev_stream *s, struct mat pace, struct mat sum, struct mat others,
              double most);

/* AdamW with bias correction at step 't' (1, 2, ..), gradients scaled by 'clip'; b1, b2
 * are beta1, beta2, and 'schedule' is the factor of 'lr' at this step, in all updates:
 *   g = clip grad;  mu = b1 mu + (1 - b1) g;  nu = b2 nu + (1 - b2) g^2
 *   param -= schedule lr ((mu / (1 - b1^t)) / (sqrt(nu / (1 - b2^t)) + eps)
 *                         + decay param)
 */
struct adamw {
    double lr, beta1, beta2, eps, schedule, clip;
    int64_t t;
    struct mat pace; /* or none, as in the next two */
};
void dev_adamw(struct dev_stream *s, const struct dev_segment *segment, int count,
               const struct adamw *a);

/* Stochastic gradient descent with momentum:
 *   mu = momentum mu + clip grad;  param -= schedule lr (mu + decay param)
 */
struct sgd {
    double lr, momentum, schedule, clip;
    struct mat pace;
};
void dev_sgd(struct dev_stream *s, const struct dev_segment *segment, int count,
             const struct sgd *a);

/* Adafactor in four operations, between which averages are summed over ranks. */
struct adafactor {
    double lr, beta1, beta2, eps, schedule, clip;
    struct mat pace;
};

/* First, 'row' and 'col' of every segment that has them += the sums of
 * (clip grad)^2.
 */
void dev_factor_sums(struct dev_stream *s, const struct dev_segment *segment, int count,
                     const struct adafactor *a);

/* What becomes of one tensor's sums.  All matrices are [1, n] of dev_acc() type; as a
 * box row is [outer, along, inner].
 */
struct dev_averages {
    struct mat row, col; /* those of struct dev_factors: the sums, then the factors */
    struct mat v_row, v_col; /* running averages */
    struct mat mean;         /* [1, outer * inner]: of v_row over 'along' */
    double row_count, col_count, mean_count; /* numbers that each is the mean of */
    int64_t outer, along, inner;
};

/* Second, v_row = beta2 v_row + (1 - beta2) (row / row_count + eps), and of its part
 * here
 *   mean = sum over 'along' of v_row / mean_count
 */
void dev_factor_rows(struct dev_stream *s, const struct dev_averages *tensor, int count,
                     const struct adafactor *a);

/* Third, v_col likewise; then  row = sqrt(mean / v_row),  col = 1 / sqrt(v_col). */
void dev_factor_scales(struct dev_stream *s, const struct dev_averages *tensor,
                       int count, const struct adafactor *a);

/* Last,  g = clip grad;  u = g row col, or without factors
 *   nu = b2 nu + (1 - b2) (g^2 + eps);  u = g / sqrt(nu)
 * then  m = b1 mu + (1 - b1) u;  param -= schedule lr (m + decay param);  mu = m
 */
void dev_adafactor(struct dev_stream *s, const struct dev_segment *segment, int count,
                   const struct adafactor *a);

/* sum [1, 1] of f64 = or += the sum of squares of all elements of the
 * 'count' matrices.
 */
void dev_sum_squares(struct dev_stream *s, struct mat sum, const struct mat *x,
                     int count, bool is_added);

#endif
