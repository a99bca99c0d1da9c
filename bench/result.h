/* SPDX-License-Identifier: BSD-3-Clause */
/* Everything that a run found out, as plain data.  The text and the JSON are two
 * writers of it; nothing is printed that is not here.  Lives on rank 0.
 */
#ifndef BENCH_RESULT_H
#define BENCH_RESULT_H

#include "src/base/log.h"
#include "src/dev/dev.h"
#include "src/plan/predict.h"

#include <jansson.h>
#include <stdbool.h>

enum status { STATUS_PASS, STATUS_FAIL, STATUS_SKIP, STATUS_INCOMPLETE };

struct check {
    char name[32]; /* "self-test", "products", "overlap", "replicas" */
    double residual, threshold;
    enum status status;
    char note[160]; /* the smallest error it would see, the worst tensor, .. */
};

/* Statistics of n step times: NaN are p5 and p95 of fewer than 20, and the spread, cv,
 * of one alone.
 */
struct stat {
    int n, warmup;
    double median, p5, p95, min, max, mean, cv;
};

/* The share of a step below which messages are too small to tell. */
#define RESULT_SMALLEST 0.05

/* HIDDEN_WAITS: simulated; what is exposed is known, what it is of is not. */
enum hidden_kind {
    HIDDEN_VALUE,
    HIDDEN_NONE,
    HIDDEN_SMALL,
    HIDDEN_CORES,
    HIDDEN_WAITS
};
struct comm {
    int64_t bytes, messages; /* of the rank that sends most, per step */
    double alone_s, exposed_s, exposed_lo, exposed_hi;
    double hidden, hidden_lo, hidden_hi; /* 0 .. 1, with HIDDEN_VALUE */
    enum hidden_kind kind;
};

struct slow_rank {
    int rank;
    char host[HOST_NAME];
    double seconds;
};
enum { SLOW_RANKS = 3 };

struct row { /* of the cases gemm, coll, cmm, block, data, ckpt: a line of a table */
    char name[64];
    int64_t size; /* bytes, or rows */
    int64_t shape[3];
    double seconds, rate; /* FLOP/s; data: images/s; coll: unused */
    double algbw, busbw;  /* bytes/s, coll; ckpt the first alone */
    double blocked;       /* ckpt: seconds that a save holds training up, or NaN */
    double hidden;        /* cmm: 0 .. 1 or NaN */
    double error;         /* against the plain version, scaled; threshold beside it */
    double threshold;
    enum status status;
};

struct cost { /* of a kind of operation, a step, on rank 0 */
    char name[32];
    double calls, seconds, share;    /* of the step's time */
    double flops_per_s, bytes_per_s; /* NaN where it is not measured so */
    double of_peak, of_bandwidth;    /* shares of what was measured */
};

/* What a case of steps spends its time on: opening the model, timing ways of products,
 * steps with their warm-up, the four checks.
 */
enum spent { SPENT_OPENING, SPENT_TUNING, SPENT_STEPS, SPENT_CHECKS, SPENT_PARTS };
extern const char *const spent_name[SPENT_PARTS];

/* A step with plain collectives, by turns with the step as it is: how many times as
 * fast the latter is, and the interval of that; step_s 0: not compared.
 */
struct against_plain {
    double step_s, speed, speed_lo, speed_hi;
};

struct case_result {
    char name[16]; /* "step", "block", .. */
    struct spec spec;
    int64_t batch;
    enum dtype dtype;
    char device[16], overlap[8], progress[8], param_shard[8];
    enum status status;
    char reason[256]; /* of a skip or failure */
    bool is_rated;    /* marked '!' */
    struct stat steps;
    double tokens_per_s, flops_per_step, flops_per_s;
    double mfu_spec, mfu_measured, mfu_palm; /* 0 .. 1, NaN: n/a */
    double peak; /* FLOP/s of a rank that mfu_measured counts with */
    double hfu; /* of the measured peak, with what is computed again; NaN: nothing is */
    enum remat remat;
    int micros;                            /* micro-batches */
    const char *wires;                     /* setting_wires() */
    double loss, grad_norm, peak_logit;    /* of the last step */
    double full_step_s, full_tokens_per_s; /* extrapolated; NaN at full depth */
    /* With --machine; NaN without. */
    double predicted_step_s, predicted_mfu, predicted_exposed_s;
    struct comm comm[TRAFFIC_KINDS];
    struct against_plain plain;
    struct check check[4];
    int checks;
    int64_t memory_predicted, memory_peak; /* of the largest rank */
    int64_t memory_tuned; /* predicted, with the packed copies that were made */
    double compute_min, compute_median, compute_max; /* ranks' seconds a step */
    struct slow_rank slowest[SLOW_RANKS];
    int slow_ranks;
    char straggler[512];         /* a sentence on those that stand out, or empty */
    double stage_s[8];           /* medians by enum stage, slowest rank */
    int tapes;                   /* that a step was played from (step/replay.h) */
    double spent_s[SPENT_PARTS]; /* rank 0's seconds for the whole case; 0: not taken */
    bool has_clocks;
    struct dev_clocks clocks; /* of rank 0's GPU, after the last timed step */
    struct cmm_tuned tuned;   /* what timing chose, */
    unsigned tuned_products;  /* for these: bits by enum cmm_product */
    struct cost *cost;        /* 'costs' of them, likewise; --profile */
    int costs;
    double bandwidth; /* bytes/s of a rank, measured with them */
    struct row *row;  /* 'rows' of them, made by mem_new(); owned by the result */
    int rows;
};

struct result {
    char start[24], end[24];
    int argc;
    char **argv;
    int D, M, near, ranks;
    double peak_spec,
        peak_measured; /* FLOP/s of one rank, the slowest; spec 0: unknown */
    char peak_source[160], peak_by[96];
    struct case_result *cases; /* 'count' of them */
    int count;
    char warning[16][256];
    int warnings;
    int exit_status;
    bool is_incomplete, is_simulated;
    json_t *options, *env, *build, *system, *tuned; /* owned */
};

struct result *result_open(void);
void result_close(struct result **r);
struct case_result *result_add(struct result *r); /* valid until the next add */
/* Keep a warning and say it on stderr; of more than 16 the last says that there are. */
void result_warn(struct result *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Statistics of 'n' times; sorts 'seconds'. */
void stat_of(struct stat *s, double *seconds, int n, int warmup);

/* The case failed, or could not be run: say why.  Of several failures all are said. */
void case_fail(struct case_result *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void case_skip(struct case_result *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The verdict on a case that ran, from what it found: it fails if a check or a row did,
 * or if an MFU is above 100 %.  Sets 'status' and 'reason'.
 */
void result_judge(struct case_result *c);

/* Then fail a case whose MFU is below 'percent' (0: no bar), or unknown: the measured
 * one, or with 'is_spec' the data sheet's.
 */
void result_judge_mfu(struct case_result *c, double percent, bool is_spec);

/* Then fail a case whose messages are not hidden by 'percent' (0: no bar): every kind
 * that takes 5 % of a step alone, or more, must be, and there must be such a kind; what
 * cannot be told fails in the words of the report.
 */
void result_judge_overlap(struct case_result *c, double percent);

/* "72 % (70 to 75)" or why there is no such figure. */
void result_hidden(char *text, size_t size, const struct comm *t);

/* The marked case, or NULL. */
const struct case_result *result_rated(const struct result *r);

/* How many cases have 'status'. */
int result_count(const struct result *r, enum status status);

/* True if at least one case ran, none failed, and the run was not cut short. */
bool result_has_passed(const struct result *r);

/* True if, besides, something was checked in each case that ran: with --no-check
 * nothing is of steps and checkpoints.
 */
bool result_is_valid(const struct result *r);

#endif
