/* SPDX-License-Identifier: BSD-3-Clause */
/* Choices by timing.
 *
 * For each operation the three forms are tried in turn, round by round.  If a ring comes
 * near the plain form, the better one is tried with other numbers of panels.  A form
 * that is more complicated must be faster by a margin, so that noise does not choose it.
 */
#include "config.h"

#include "bench/tune.h"

#include "bench/pair.h"

#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/mem.h"

#include <math.h>

enum { FEWEST_ROWS = 128, MOST_ROUNDS = 25, TRIES = 4 };

#define FORM_MARGIN 0.95 /* of the plain form's time that another one may take, */
#define MARGIN      0.98 /* of one way's, that a more complicated one may */
#define NEAR        1.10 /* of the plain form's time, for panels to be tried */
#define SECONDS     0.4  /* for the forms of one operation, and for its panels */
#define LONGEST     0.06 /* seconds of one operation, if fewer rows can do that */
#define PEAK_SHARE  0.6  /* of the peak that products reach, about */

/* ---- products -------------------------------------------------------------------- */

/* The medians of 'n' manners: of one round, and of as many more as there is time for, of
 * which the first one then counts no more.  Returns the seconds of a round.
 */
static double time_manners(double *median, struct pair *p, enum pair_op op,
                           const struct manner *m, int n)
{
    double seconds[TRIES * MOST_ROUNDS], all = 0;
    int rounds;

    pair_time(median, p, op, m, n, 1);
    for (int k = 0; k < n; k++)
        all += median[k];
    rounds = (int)fmin(SECONDS / fmax(all, 1e-9), MOST_ROUNDS);
    if (rounds < 1)
        return all;
    pair_time(seconds, p, op, m, n, rounds);
    for (int k = 0; k < n; k++) {
        struct stat s;

        stat_of(&s, &seconds[k * rounds], rounds, 0);
        median[k] = s.median;
    }
    return all;
}

int tune_choose(const double *median, const struct manner *m, int n)
{
    int best = 0;

    for (int k = 1; k < n; k++) {
        const bool is_plain = m[best].choice.form == CMM_PLAIN;

        if (median[k] < (is_plain ? FORM_MARGIN : MARGIN) * median[best])
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
    double median[TRIES], seconds;
    struct manner panels[TRIES];
    int best, ring;

    seconds = time_manners(median, p, op, form, 3);
    best    = tune_choose(median, form, 3);
    ring    = 1 + tune_choose(median + 1, form + 1, 2);
    if (median[ring] > NEAR * median[0] || seconds > 2 * SECONDS)
        return form[best].choice;
    for (int k = 0; k < TRIES; k++) {
        static const int tried[TRIES] = { 0, 1, 4, 16 };

        panels[k] = (struct manner){ .choice = { form[ring].choice.form, tried[k] } };
    }
    panels[0] = best == 0 ? form[0] : panels[0];
    time_manners(median, p, op, panels, TRIES);
    return panels[tune_choose(median, panels, TRIES)].choice;
}

void tune_pair(struct cmm_tuned *tuned, struct pair *p)
{
    cmm_set_form(p->cmm, CMM_PLAIN);
    pair_run(p, PAIR_GATHER); /* what the first call of all takes counts for none */
    for (int op = 0; op < PAIR_OPS; op++) {
        cmm_label(p->cmm, pair_name[op]);
        tuned->of[pair_product(p, op)][pair_pass(op)] = tune_operation(p, op);
    }
}

int64_t tune_rows(const struct spec *s, int64_t rows, int M, double peak)
{
    const double cols =
        s->wiring == WIRING_PARALLEL ? 3.0 * (double)s->C + (double)s->F : (double)s->F;
    const double row  = 4 * (double)s->C * cols / M / (PEAK_SHARE * peak);
    const double most = fmax(LONGEST / row, FEWEST_ROWS);

    return peak > 0 && (double)rows > most ? (int64_t)most : rows;
}

void tune_products(struct cmm_tuned *tuned, struct bench *b, const struct spec *spec,
                   int64_t batch)
{
    struct mesh *mesh  = b->mesh;
    const int64_t most = split_most(batch, mesh->D) * spec->N;
    const int64_t rows = tune_rows(spec, most, mesh->M, b->peak);

    for (int k = 0; k < CMM_PRODUCTS * CMM_PASSES; k++)
        tuned->of[k / CMM_PASSES][k % CMM_PASSES] = (struct cmm_choice){ CMM_RING, 0 };
    guard_phase("choosing forms");
    for (int which = 0; which < pair_count(spec); which++) {
        struct pair p;

        if (pair_open(&p, b, spec, which, rows) != 0) {
            err_forget();
            return;
        }
        tune_pair(tuned, &p);
        pair_close(&p);
    }
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

void tune_progress(struct bench *b, bool *is_fallback)
{
    const struct options *o = b->options;
    const bool is_auto      = o->progress == PROGRESS_CHOICE_AUTO;

    b->progress = setting_progress(b->mesh, o->progress);
    if (is_auto && o->tune && b->mesh->nodes > 1 && moves_alone(b->mesh))
        b->progress = progress_set(b->mesh, PROGRESS_NONE);
    *is_fallback =
        o->progress == PROGRESS_CHOICE_THREAD && b->progress == PROGRESS_POLL;
}
