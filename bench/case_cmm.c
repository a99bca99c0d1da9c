/* SPDX-License-Identifier: BSD-3-Clause */
/* Collective matmul apart from a model: gather then multiply and multiply then scatter,
 * forward and backward, at the sizes of a block's products (of the first micro-batch).
 * For each a line
 *
 *   plain      collective, then product
 *   ring       the product of one slice while the next one travels
 *   bidir      the same in half slices, one each way
 *   auto       as --overlap=auto has it
 *   products   the ring without its messages
 *   messages   the ring without its products
 *
 * (dgather and dscatter are the backwards), and of what overlaps hidden = (messages -
 * exposed) / min(messages, products), where exposed = form - products, each of its own
 * form; none where messages take too little to tell, or are moved by the cores.  All
 * alternate, and differences are taken within a round.
 */
#include "config.h"

#include "bench/case.h"
#include "bench/overlap.h"
#include "bench/watch.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/step/tune.h"

#include <math.h>
#include <stdio.h>

enum { FORMS = CMM_FORMS, RUN = 0, PRODUCTS = 1, MESSAGES = 2, WAYS = 3 };
enum { FEWEST_ROUNDS = 3, MOST_ROUNDS = 21 };

#define SECONDS 1.2 /* of timing an operation */

struct job {
    struct bench *bench;
    struct case_result *result;
    struct pair pair;
    bool is_by_cores; /* messages of activations */
};

/* A form as it is, without its messages, and without its products. */
static void list_manners(struct manner manner[FORMS * WAYS])
{
    for (int form = 0; form < FORMS; form++) {
        for (int way = 0; way < WAYS; way++)
            manner[form * WAYS + way] =
                (struct manner){ .choice    = { (enum cmm_form)form, 0 },
                                 .is_silent = way == PRODUCTS,
                                 .is_idle   = way == MESSAGES };
    }
}

/* As many rounds as there is time for; the same on all ranks. */
static int choose_rounds(struct job *j, enum pair_op op, const struct manner *manner)
{
    double once[FORMS * WAYS], all = 0;

    pair_time(once, &j->pair, op, manner, FORMS * WAYS, 1);
    for (int k = 0; k < FORMS * WAYS; k++)
        all += once[k];
    return (int)fmin(fmax(SECONDS / fmax(all, 1e-9), FEWEST_ROUNDS), MOST_ROUNDS);
}

/* Whether a form computes the right thing, by random projection. */
static void check_form(struct row *row, struct job *j, enum pair_op op,
                       enum cmm_form form)
{
    struct bench *b = j->bench;
    struct check check;
    struct watch watch;

    cmm_set_form(j->pair.cmm, form);
    cmm_set_panels(j->pair.cmm, 0);
    watch_open(&watch, b->mesh, b->dev, (uint64_t)b->options->seed);
    watch_start(&watch, j->pair.cmm);
    pair_run(&j->pair, op);
    watch_stop(j->pair.cmm);
    watch_decide(&check, &watch);
    watch_close(&watch);
    row->error     = check.residual;
    row->threshold = check.threshold;
    row_judge(row);
}

static void stat_of_rounds(struct stat *s, const double *seconds, int rounds)
{
    double *sorted = mem_new((size_t)rounds, sizeof *sorted);

    for (int i = 0; i < rounds; i++)
        sorted[i] = seconds[i];
    stat_of(s, sorted, rounds, 0);
    mem_free(sorted);
}

/* The hidden share of a form from its rounds; NaN where there is no telling. */
static double hidden_share(const struct job *j, const double *run,
                           const double *products, const double *messages, int rounds)
{
    double *alone   = mem_new(2 * (size_t)rounds, sizeof *alone);
    double *exposed = alone + rounds;
    struct comm c   = { 0 };
    struct stat all, work;

    for (int i = 0; i < rounds; i++) {
        alone[i]   = messages[i];
        exposed[i] = run[i] - products[i];
    }
    stat_of_rounds(&all, run, rounds);
    stat_of_rounds(&work, products, rounds);
    overlap_times(&c, alone, exposed, rounds, (all.max - all.min) / 2);
    overlap_decide(&c, work.median, all.median, j->is_by_cores);
    mem_free(alone);
    return c.kind == HIDDEN_VALUE ? c.hidden : NAN;
}

static struct row *add_row(struct job *j, enum pair_op op, const char *what,
                           const double *seconds, int rounds)
{
    const struct mat w = pair_weights(&j->pair, op);
    struct row *row    = case_add_row(j->result);
    struct stat s;

    stat_of_rounds(&s, seconds, rounds);
    snprintf(row->name, sizeof row->name, "%s %s", pair_name[op], what);
    row->size     = j->pair.mat[PAIR_X].rows;
    row->shape[0] = j->pair.mat[PAIR_X].rows;
    row->shape[1] = w.cols;
    row->shape[2] = w.rows;
    row->seconds  = s.median;
    row->rate     = pair_flops(&j->pair, op) / s.median;
    row->status   = STATUS_SKIP; /* of those that compute nothing whole */
    return row;
}

static void time_operation(struct job *j, enum pair_op op)
{
    struct manner manner[FORMS * WAYS];
    double *seconds, *ring;
    int rounds;

    list_manners(manner);
    rounds  = choose_rounds(j, op, manner);
    seconds = mem_new((size_t)(FORMS * WAYS * rounds), sizeof *seconds);
    pair_time(seconds, &j->pair, op, manner, FORMS * WAYS, rounds);
    for (int form = 0; form < FORMS; form++) {
        const double *run   = seconds + form * WAYS * rounds;
        const double hidden = hidden_share(j, run, run + PRODUCTS * rounds,
                                           run + MESSAGES * rounds, rounds);
        struct row *row     = add_row(j, op, cmm_form_name[form], run, rounds);

        row->hidden = form == CMM_PLAIN ? NAN : hidden;
        check_form(row, j, op, (enum cmm_form)form);
    }
    ring = seconds + CMM_RING * WAYS * rounds;
    add_row(j, op, "products", ring + PRODUCTS * rounds, rounds);
    add_row(j, op, "messages", ring + MESSAGES * rounds, rounds)->rate = 0;
    mem_free(seconds);
}

/* The pair of the MLP, or the only one. */
static int run_pair(struct bench *b, struct case_result *c, const struct spec *spec,
                    int64_t rows)
{
    struct job j = { .bench = b, .result = c };
    int rc       = 0;

    TRY(pair_open(&j.pair, b->mesh, b->dev, spec, pair_count(spec) - 1, rows,
                  b->node_memory));
    j.is_by_cores     = overlap_is_by_cores(b, ACT_GATHER);
    c->tuned_products = 0;
    for (int k = 0; k < CMM_PRODUCTS * CMM_PASSES; k++)
        c->tuned.of[k / CMM_PASSES][k % CMM_PASSES] =
            (struct cmm_choice){ CMM_RING, 0 };
    if (b->options->tune) {
        rc = tune_pair(&c->tuned, &j.pair);
        for (int i = 0; i < 2; i++)
            c->tuned_products |= 1U << j.pair.product[i];
    }
    cmm_tune(j.pair.cmm, &c->tuned);
    for (int op = 0; op < PAIR_OPS && rc == 0; op++) {
        rc = bench_go_on(b);
        if (rc != 0)
            break;
        cmm_select(j.pair.cmm, pair_product(&j.pair, op));
        time_operation(&j, (enum pair_op)op);
    }
    pair_close(&j.pair);
    return rc;
}

int case_cmm(struct bench *b, struct case_result *c, const struct spec *spec,
             int64_t batch)
{
    const struct mesh *mesh = b->mesh;
    struct local l;
    int rc;

    if (mesh->M == 1) {
        case_skip(c, "one rank on the model axis has nothing to gather: --mesh=1x%d",
                  mesh->size > 1 ? mesh->size : 2);
        return 0;
    }
    guard_phase("collective matmul");
    spec_local(&l, spec, batch, mesh->D, mesh->M, mesh->d, mesh->m);
    spec_micro(&l, spec, b->choices->way.micros, 0);
    rc = run_pair(b, c, spec, l.rows);
    if (rc == ERR_MEMORY)
        case_skip(c, "not enough memory");
    if (rc == 0)
        result_judge(c);
    return rc == ERR_MEMORY ? 0 : rc;
}
