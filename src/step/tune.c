/* SPDX-License-Identifier: BSD-3-Clause */
/* Choices by timing.
 *
 * For each operation the three forms are tried in turn, round by round.  If a
 * ring comes near the plain form, the better one is tried with other numbers of
 * panels.  A form that is more complicated must be faster by a margin, so that
 * noise does not choose it.
 *
 * Whatever disturbs a trial makes it longer, so the shorter ones of several rounds
 * count; and what is much longer than the best is not tried again, so that there is
 * time for many rounds of what is close.
 */
#include "config.h"

#include "src/step/tune.h"

#include "mesh/coll.h"
#include "mesh/guard.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/step/setting.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FEWEST_ROWS = 128, FIRST_ROUNDS = 2, MOST_ROUNDS = 25, TRIES = 4 };

#define FORM_MARGIN 0.95 /* of the plain form's time that another one may take, */
#define MARGIN      0.98 /* of one way's, that a more complicated one may */
#define NEAR        1.10 /* of the plain form's time, for panels to be tried */
#define HOPELESS    1.25 /* times the best of the first rounds: not tried again */
#define SECONDS     0.5  /* for the forms of one operation, and for its panels */
#define LONGEST     0.06 /* seconds of one operation, if fewer rows can do that */
#define PEAK_SHARE  0.6  /* of the peak that products reach, about */

/* ---- products -------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* What a manner takes when little disturbs it: the quartile of its
 * rounds; sorts them.
 */
static double quartile(double *seconds, int rounds)
{
    qsort(seconds, (size_t)rounds, sizeof *seconds, by_size);
    return seconds[(rounds - 1) / 4];
}

/* Try 'n' manners for 'rounds' more rounds, those that are not hopeless; round[k] holds
 * the 'had' ones of before.
 */
static void time_more(double round[][FIRST_ROUNDS + MOST_ROUNDS], int had,
                      struct pair *p, enum pair_op op, const struct manner *m,
                      const bool *is_hopeless, int n, int rounds)
{
    double seconds[TRIES * MOST_ROUNDS];
    struct manner left[TRIES];
    int of[TRIES], lefts = 0;

    for (int k = 0; k < n; k++) {
        if (!is_hopeless[k]) {
            of[lefts]     = k;
            left[lefts++] = m[k];
        }
    }
    pair_time(seconds, p, op, left, lefts, rounds);
    for (int k = 0; k < lefts; k++)
        memcpy(&round[of[k]][had], &seconds[k * rounds],
               (size_t)rounds * sizeof *seconds);
}

/* Which of 'n' take much longer than the best one, and the seconds of a round without
 * them.
 */
static double give_up(bool *is_hopeless, const double *seconds, int n)
{
    double best = INFINITY, rest = 0;

    for (int k = 0; k < n; k++)
        best = fmin(best, seconds[k]);
    for (int k = 0; k < n; k++) {
        is_hopeless[k] = seconds[k] > HOPELESS * best;
        rest += is_hopeless[k] ? 0 : seconds[k];
    }
    return rest;
}

/* The seconds of 'n' manners: of one round, or where there is time, of the rounds after
 * it.  Returns those of the first round together.
 */
static double time_manners(double *seconds, struct pair *p, enum pair_op op,
                           const struct manner *m, int n)
{
    double round[TRIES][FIRST_ROUNDS + MOST_ROUNDS], all = 0, rest;
    bool is_hopeless[TRIES] = { false };
    int more;

    pair_time(seconds, p, op, m, n, 1);
    for (int k = 0; k < n; k++)
        all += seconds[k];
    if (all > SECONDS)
        return all;
    time_more(round, 0, p, op, m, is_hopeless, n, FIRST_ROUNDS);
    for (int k = 0; k < n; k++)
        seconds[k] = quartile(round[k], FIRST_ROUNDS);
    rest = give_up(is_hopeless, seconds, n);
    more = (int)fmin((SECONDS - FIRST_ROUNDS * all) / fmax(rest, 1e-9), MOST_ROUNDS);
    if (more < 1)
        return all;
    time_more(round, FIRST_ROUNDS, p, op, m, is_hopeless, n, more);
    for (int k = 0; k < n; k++)
        if (!is_hopeless[k])
            seconds[k] = quartile(round[k], FIRST_ROUNDS + more);
    return all;
}

int tune_choose(const double *seconds, const struct manner *m, int n)
{
    int best = 0;

    for (int k = 1; k < n; k++) {
        const bool is_plain = m[best].choice.form == CMM_PLAIN;

        if (seconds[k] < (is_plain ? FORM_MARGIN : MARGIN) * seconds[best])
            best = k;
    }
    return best;
}

static struct cmm_choice tune_operation(struct pair *p, enum pair_op op)
{
    const struct manner form[] = {
        { .choice = { CMM_PLAIN, 0 } },
        { .choice = { CMM_RING, 0 } },
        { .choice = { CMM_BIDIR, 0 } },
    };
    double seconds[TRIES], round;
    struct manner panels[TRIES];
    int best, ring;

    round = time_manners(seconds, p, op, form, 3);
    best  = tune_choose(seconds, form, 3);
    ring  = 1 + tune_choose(seconds + 1, form + 1, 2);
    if (seconds[ring] > NEAR * seconds[0] || round > 2 * SECONDS)
        return form[best].choice;
    for (int k = 0; k < TRIES; k++) {
        static const int tried[TRIES] = { 0, 1, 4, 16 };

        panels[k] = (struct manner){ .choice = { form[ring].choice.form, tried[k] } };
    }
    panels[0] = best == 0 ? form[0] : panels[0];
    time_manners(seconds, p, op, panels, TRIES);
    return panels[tune_choose(seconds, panels, TRIES)].choice;
}

int tune_pair(struct cmm_tuned *tuned, struct pair *p)
{
    cmm_set_form(p->cmm, CMM_PLAIN);
    pair_run(p, PAIR_GATHER); /* what the first call of all takes counts for none */
    for (int op = 0; op < PAIR_OPS; op++) {
        if (coll_is_told(p->mesh))
            return ERR_STOPPED;
        cmm_label(p->cmm, pair_name[op]);
        tuned->of[pair_product(p, op)][pair_pass(op)] = tune_operation(p, op);
    }
    return 0;
}

int64_t tune_rows(const struct spec *s, int64_t rows, int M, double peak)
{
    const double cols =
        s->wiring == WIRING_PARALLEL ? 3.0 * (double)s->C + (double)s->F : (double)s->F;
    const double row  = 4 * (double)s->C * cols / M / (PEAK_SHARE * peak);
    const double most = fmax(LONGEST / row, FEWEST_ROWS);

    return peak > 0 && (double)rows > most ? (int64_t)most : rows;
}

int tune_products(struct cmm_tuned *tuned, struct mesh *mesh, struct dev *dev,
                  const struct spec *spec, int64_t B, int micros, double peak,
                  int64_t node_memory)
{
    const int64_t images = split_most(split_most(B, mesh->D), micros > 1 ? micros : 1);
    const int64_t rows   = tune_rows(spec, images * spec->N, mesh->M, peak);
    int rc               = 0;

    for (int k = 0; k < CMM_PRODUCTS * CMM_PASSES; k++)
        tuned->of[k / CMM_PASSES][k % CMM_PASSES] = (struct cmm_choice){ CMM_RING, 0 };
    guard_phase("choosing forms");
    for (int which = 0; which < pair_count(spec) && mesh->M > 1 && rc == 0; which++) {
        struct pair p;

        if (pair_open(&p, mesh, dev, spec, which, rows, node_memory) != 0) {
            err_forget();
            return 0;
        }
        rc = tune_pair(tuned, &p);
        pair_close(&p);
    }
    return rc;
}

/* ---- progress -------------------------------------------------------------------- */

enum { PROBE_BYTES = 8 << 20, PROBES = 5 };

#define PROBE_WAIT  3.0  /* times a message's own time in which nobody calls MPI */
#define PROBE_MOVED 0.25 /* of its own time that may be left to wait for */

/* A message once round the ranks, with 'seconds' between its start and the wait for it;
 * the seconds of this wait.
 */
static double pass_on(struct mesh *mesh, char *out, char *in, double seconds)
{
    const int size = mesh->size, rank = mesh->rank;
    struct wire send, recv;
    double start;

    coll_barrier(mesh);
    wire_recv(&recv, mesh, REDUCE, AXIS_ALL, (rank + size - 1) % size, TAG_DIRECT, in,
              PROBE_BYTES);
    wire_send(&send, mesh, REDUCE, AXIS_ALL, (rank + 1) % size, TAG_DIRECT, out,
              PROBE_BYTES);
    for (start = clock_now(); clock_now() < start + seconds;)
        ;
    start = clock_now();
    wire_wait(&recv);
    wire_wait(&send);
    return clock_now() - start;
}

/* True if messages move while nobody calls MPI: the longest wait is short. */
static bool moves_alone(struct mesh *mesh)
{
    char *out = mem_new(PROBE_BYTES, 1), *in = mem_new(PROBE_BYTES, 1);
    double alone = INFINITY, waited = 0;

    for (int i = 0; i < PROBES; i++)
        alone = fmin(alone, coll_largest(mesh, AXIS_ALL, pass_on(mesh, out, in, 0)));
    for (int i = 0; i < PROBES; i++)
        waited = fmax(waited, coll_largest(mesh, AXIS_ALL,
                                           pass_on(mesh, out, in, PROBE_WAIT * alone)));
    mem_free(in);
    mem_free(out);
    mesh_count_reset(mesh);
    return waited < PROBE_MOVED * alone;
}

enum progress_form tune_progress(struct mesh *mesh, int choice, bool may_choose)
{
    const enum progress_form form = setting_progress(mesh, choice);

    if (choice == PROGRESS_CHOICE_AUTO && may_choose && mesh->nodes > 1 &&
        moves_alone(mesh))
        return progress_set(mesh, PROGRESS_NONE);
    return form;
}
