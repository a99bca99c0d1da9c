/* SPDX-License-Identifier: BSD-3-Clause */
/* A case of the benchmark, one thing worth timing, and what all cases share. */
#ifndef BENCH_CASE_H
#define BENCH_CASE_H

#include "bench/options.h"
#include "bench/result.h"
#include "mesh/coll.h"
#include "src/plan/cost.h"
#include "src/step/step.h"

enum case_id {
    CASE_STEP,
    CASE_BLOCK,
    CASE_GEMM,
    CASE_COLL,
    CASE_CMM,
    CASE_DATA,
    CASE_CKPT,
    CASE_MACHINE,
    CASES
};

struct jsonl;
struct bench_files;
struct bench;

/* Run a case for 'spec' (NULL where the case has none) and fill 'c' (a scratch record
 * on ranks other than 0).  Returns 0 also when checks failed (the status says so);
 * codes are for what ends the run, be it bench_go_on()'s.  Collective over the mesh.
 */
typedef int case_fn(struct bench *b, struct case_result *c, const struct spec *spec,
                    int64_t batch);

/* What a case works with; the same on all ranks but for 'result' and 'jsonl' (rank 0
 * alone) and the numbers of this rank.
 */
struct bench {
    const struct options *options;
    const struct choices *choices;
    struct mesh *mesh;
    struct dev *dev;
    struct result *result; /* NULL on other ranks */
    double peak;           /* FLOP/s of the slowest rank, measured before */
    double peak_spec;      /* FLOP/s of a rank by the data sheet, 0: unknown */
    int units;             /* GPUs, which ranks may share, or all ranks */
    int64_t node_memory;   /* bytes that the ranks of a node may use together */
    double budget_s;       /* seconds a case should take, all in; 0: no limit */
    bool is_quick;         /* default run: lower the batch to stay in budget */
    json_t *old;           /* of an earlier run, on rank 0 with --compare; or NULL */
    struct jsonl *jsonl;   /* NULL: none was asked for */
    double peak_own;       /* of this rank: the larger of all measurements */
    int64_t memory_base;   /* mem_high_water() after MPI_Init */
    bool is_crowded;       /* somewhere threads share cores */
    int on_node;           /* ranks on the fullest node */
    const struct cost_rank *model;   /* what is simulated; NULL: the machine at hand */
    case_fn *ckpt;                   /* case_ckpt(); NULL: this build has no HDF5 */
    const struct bench_files *files; /* likewise: what reads sets of images */
    enum progress_form progress;     /* in use */
    const struct cmm_tuned *tuned;   /* of the case at hand, for CMM_AUTO; or NULL */
};

struct bench_case {
    const char *name; /* as typed on the command line */
    case_fn *run;
};
extern const struct bench_case bench_cases[CASES];

case_fn case_step, case_block, case_gemm, case_coll, case_cmm, case_data, case_ckpt,
    case_machine;

/* Add a line to the table of 'c': all zero, but for what has no value yet, which is
 * NaN.  Valid until the next one is added.
 */
struct row *case_add_row(struct case_result *c);

/* Set the verdict on a row from its 'error' and 'threshold'. */
void row_judge(struct row *row);

/* The part of a case that is the same for all: seconds of 'n' calls of 'run', each the
 * maximum over ranks, after 'warmup' ones and a barrier.
 */
typedef void (*timed_fn)(void *ctx);
void bench_time(double *seconds, int n, int warmup, struct mesh *mesh, timed_fn run,
                void *ctx);

/* The median of as many calls as fit into about 'budget' seconds: at least three. */
double bench_median(double budget, struct mesh *mesh, timed_fn run, void *ctx);

/* To be asked between the parts of a case: ERR_STOPPED if any rank has been told to
 * end (base/told.h), else 0.  Collective.
 */
int bench_go_on(const struct bench *b);

#endif
