/* SPDX-License-Identifier: BSD-3-Clause */
/* The proof of overlap.  In each round, in turn:
 *
 *   run      a step as it is
 *   plain    with plain collectives, where there are others
 *   muted    for each kind of traffic, a step without these messages
 *   empty    a step without any message and without the device's arithmetic: what the
 *            host does
 *   alone    for each kind, the same with these messages; the difference is their time
 *
 * Where steps are played from graphs so are these, but for the empty ones and those
 * with messages alone, which put nothing on the device: two rounds go before, in which
 * each kind of step is done and recorded (step/replay.h).
 *
 * Differences are taken within a round, so that a drift of the clock cancels; a median
 * and its interval over the rounds are reported.
 */
#include "config.h"

#include "bench/overlap.h"

#include "src/base/clock.h"
#include "src/base/mem.h"

#include <math.h>
#include <string.h>

enum { FEWEST_ROUNDS = 3, MOST_ROUNDS = 21, ROUNDS_BEFORE = 2 };

/* Seconds that the fewest rounds may take; of longer steps there are fewer, and in runs
 * that are to take less than a second.
 */
#define PATIENCE 60.0

/* Below this many times the spread, too, a kind is too small. */
#define SMALLEST_SPREAD 2.0

struct round {
    double run, plain, empty, muted[TRAFFIC_KINDS], alone[TRAFFIC_KINDS];
};

enum { ROUND_TIMES = sizeof(struct round) / sizeof(double) };

/* ---- rounds ---------------------------------------------------------------------- */

/* Rounds of what, and bench_go_on()'s code, after which there are no more steps. */
struct proof {
    struct bench *bench;
    struct step *step;
    bool has_traffic[TRAFFIC_KINDS], is_compared;
    int rc;
};

/* With its update, which a device may still be at when the step returns: else it would
 * be the next one's, of other messages or of none.
 */
static double time_step(struct proof *p)
{
    struct step_result ignored;
    double start;

    if (p->rc == 0)
        p->rc = bench_go_on(p->bench);
    if (p->rc != 0)
        return 0;
    coll_barrier(p->bench->mesh);
    start = clock_now();
    step_run(p->step, 1.0, &ignored);
    dev_sync(dev_stream(p->bench->dev, LANE_COMPUTE));
    guard_alive();
    return clock_now() - start;
}

static void mute_all(struct mesh *mesh, bool is_muted)
{
    for (int k = 0; k < TRAFFIC_KINDS; k++)
        mesh_mute(mesh, k, is_muted);
}

/* True if there is a plain form to compare with, and room for it. */
static bool has_plain(struct step *step)
{
    struct vit *v            = step_vit(step);
    const struct mesh *mesh  = vit_mesh(v);
    const enum cmm_form form = cmm_form_of(vit_cmm(v));
    const enum dtype dtype   = dev_dtype(vit_dev(v));
    const int64_t rows = vit_local(v)->rows, C = vit_spec(v)->C;

    return mesh->M > 1 && form != CMM_PLAIN &&
           cmm_bytes(mesh, rows, C, dtype, CMM_PLAIN) <=
               cmm_bytes(mesh, rows, C, dtype, form);
}

static double time_plain(struct proof *p)
{
    struct cmm *cmm          = vit_cmm(step_vit(p->step));
    const enum cmm_form form = cmm_form_of(cmm);
    double seconds;

    cmm_set_form(cmm, CMM_PLAIN);
    seconds = time_step(p);
    cmm_set_form(cmm, form);
    return seconds;
}

static void run_round(struct round *round, struct proof *p)
{
    struct mesh *mesh = p->bench->mesh;

    round->run   = time_step(p);
    round->plain = p->is_compared ? time_plain(p) : 0;
    for (int k = 0; k < TRAFFIC_KINDS; k++) {
        if (!p->has_traffic[k])
            continue;
        mesh_mute(mesh, k, true);
        round->muted[k] = time_step(p);
        mesh_mute(mesh, k, false);
    }
    dev_mute(p->bench->dev, true);
    mute_all(mesh, true);
    round->empty = time_step(p);
    for (int k = 0; k < TRAFFIC_KINDS; k++) {
        if (!p->has_traffic[k])
            continue;
        mesh_mute(mesh, k, false);
        round->alone[k] = time_step(p);
        mesh_mute(mesh, k, true);
    }
    mute_all(mesh, false);
    dev_mute(p->bench->dev, false);
}

/* Rounds that do not count; returns the seconds that they took. */
static double run_before(struct proof *p)
{
    const double start = clock_now();
    struct round ignored;

    for (int i = 0; i < ROUNDS_BEFORE && dev_has_tapes(p->bench->dev); i++)
        run_round(&ignored, p);
    return clock_now() - start;
}

/* As many as the time that is left allows, of 'steps' long steps each; the same on all
 * ranks.
 */
static int choose_rounds(struct bench *b, int steps, double step_s, double spent)
{
    const double cost = (0.5 + steps) * step_s; /* steps without arithmetic are short */
    const double left = b->budget_s > 0 ? b->budget_s - spent : b->options->seconds;
    const double n    = coll_smallest(b->mesh, AXIS_ALL, left / cost);
    const double most = b->options->seconds < 1 ? left : PATIENCE;
    const double few  = coll_smallest(b->mesh, AXIS_ALL, most / cost);
    const double least = b->is_quick ? 1 : fmin(fmax(few, 1), FEWEST_ROUNDS);

    return (int)fmin(fmax(n, least), MOST_ROUNDS);
}

/* ---- figures --------------------------------------------------------------------- */

/* How many of 'n' values in order may be left out at either end, so that the median of
 * what they are drawn from lies between the others in 95 of 100 cases: it does not
 * where so many of them, or fewer, are on one side of it.
 */
static int left_out(int n)
{
    const double most = 0.05 / 2;
    double here = pow(0.5, n), sum = here; /* that 'k', or at most so many, are below */
    int k = 0;

    while (sum <= most) {
        here *= (double)(n - k) / (k + 1);
        sum += here;
        k++;
    }
    return k > 0 ? k - 1 : 0;
}

/* Median and interval of 'n' differences; sorts them.  The interval is between the
 * order statistics that hold the median in 95 of 100 cases, or the extremes of a few.
 * One difference alone takes its interval from the 'spread' of the timed steps.
 */
static void interval(double *median, double *lo, double *hi, double *x, int n,
                     double spread)
{
    const int out = left_out(n);
    struct stat s;

    stat_of(&s, x, n, 0);
    *median = s.median;
    *lo     = n > 1 ? x[out] : x[0] - spread;
    *hi     = n > 1 ? x[n - 1 - out] : x[0] + spread;
}

static double spread_of(const struct stat *timed)
{
    return (isnan(timed->p5) ? timed->max - timed->min : timed->p95 - timed->p5) / 2;
}

bool overlap_is_by_cores(struct bench *b, enum traffic kind)
{
    static const enum axis axis_of[TRAFFIC_KINDS] = {
        [ACT_GATHER] = AXIS_MODEL,  [ACT_SCATTER] = AXIS_MODEL,
        [PARAM_GATHER] = AXIS_DATA, [GRAD_SCATTER] = AXIS_DATA,
        [REDUCE] = AXIS_ALL,
    };
    const MPI_Comm all = b->mesh->comm[axis_of[kind]];
    MPI_Comm node;
    int size;

    TRY_MPI(MPI_Comm_split_type(all, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node));
    TRY_MPI(MPI_Comm_size(node, &size));
    TRY_MPI(MPI_Comm_free(&node));
    return dev_is_host(b->dev) &&
           coll_smallest(b->mesh, AXIS_ALL,
                         size == mesh_axis_size(b->mesh, axis_of[kind])) > 0;
}

void overlap_times(struct comm *c, double *alone, double *exposed, int n, double spread)
{
    struct stat s;

    stat_of(&s, alone, n, 0);
    c->alone_s = s.median;
    interval(&c->exposed_s, &c->exposed_lo, &c->exposed_hi, exposed, n, spread);
}

/* Seconds alone and exposed of kind 'k'. */
static void fill_times(struct comm *c, const struct round *round, int rounds, int k,
                       double spread)
{
    double *alone   = mem_new(2 * (size_t)rounds, sizeof *alone);
    double *exposed = alone + rounds;

    for (int i = 0; i < rounds; i++) {
        alone[i]   = fmax(round[i].alone[k] - round[i].empty, 0);
        exposed[i] = round[i].run - round[i].muted[k];
    }
    overlap_times(c, alone, exposed, rounds, spread);
    mem_free(alone);
}

static void compare(struct against_plain *p, const struct round *round, int rounds,
                    double spread)
{
    double *speed = mem_new(2 * (size_t)rounds, sizeof *speed);
    double *plain = speed + rounds;
    struct stat s;

    for (int i = 0; i < rounds; i++) {
        plain[i] = round[i].plain;
        speed[i] = round[i].plain / round[i].run;
    }
    stat_of(&s, plain, rounds, 0);
    p->step_s = s.median;
    interval(&p->speed, &p->speed_lo, &p->speed_hi, speed, rounds, spread / s.median);
    mem_free(speed);
}

double overlap_share(double alone, double exposed, double compute)
{
    return fmin(fmax((alone - exposed) / fmin(alone, compute), 0), 1);
}

void overlap_decide(struct comm *c, double compute, double step_s, bool is_by_cores)
{
    const double spread = (c->exposed_hi - c->exposed_lo) / 2;

    c->hidden    = overlap_share(c->alone_s, c->exposed_s, compute);
    c->hidden_lo = overlap_share(c->alone_s, c->exposed_hi, compute);
    c->hidden_hi = overlap_share(c->alone_s, c->exposed_lo, compute);
    if (is_by_cores)
        c->kind = HIDDEN_CORES;
    else if (c->alone_s < fmax(RESULT_SMALLEST * step_s, SMALLEST_SPREAD * spread) ||
             compute <= 0)
        c->kind = HIDDEN_SMALL;
    else
        c->kind = HIDDEN_VALUE;
}

void overlap_from_waits(struct comm comm[TRAFFIC_KINDS], struct bench *b, int steps)
{
    double waited[TRAFFIC_KINDS];

    memcpy(waited, b->mesh->waited, sizeof waited);
    TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, waited, TRAFFIC_KINDS, MPI_DOUBLE, MPI_SUM,
                          b->mesh->comm[AXIS_ALL]));
    for (int k = 0; k < TRAFFIC_KINDS; k++) {
        comm[k].kind      = comm[k].messages > 0 ? HIDDEN_WAITS : HIDDEN_NONE;
        comm[k].alone_s   = NAN;
        comm[k].exposed_s = waited[k] / b->mesh->size / steps;
    }
}

/* What the rounds say. */
static void conclude(struct case_result *c, const struct proof *p,
                     const struct round *round, int rounds)
{
    const struct stat *timed = &c->steps;
    double compute           = timed->median;

    if (p->is_compared)
        compare(&c->plain, round, rounds, spread_of(timed));
    for (int k = 0; k < TRAFFIC_KINDS; k++) {
        if (!p->has_traffic[k])
            continue;
        fill_times(&c->comm[k], round, rounds, k, spread_of(timed));
        compute -= fmax(c->comm[k].exposed_s, 0);
    }
    for (int k = 0; k < TRAFFIC_KINDS; k++) {
        if (p->has_traffic[k])
            overlap_decide(&c->comm[k], compute, timed->median,
                           overlap_is_by_cores(p->bench, k));
    }
}

int overlap_measure(struct case_result *c, struct bench *b, struct step *step,
                    double spent)
{
    struct proof p = { .bench = b, .step = step, .is_compared = has_plain(step) };
    struct round *round;
    int kinds = 0, rounds;

    for (int k = 0; k < TRAFFIC_KINDS; k++) {
        p.has_traffic[k] = c->comm[k].messages > 0;
        c->comm[k].kind  = HIDDEN_NONE;
        kinds += p.has_traffic[k];
    }
    if (kinds == 0)
        return 0;
    spent += run_before(&p);
    rounds = choose_rounds(b, 1 + p.is_compared + kinds, c->steps.median, spent);
    round  = mem_new((size_t)rounds, sizeof *round);
    for (int i = 0; i < rounds && p.rc == 0; i++)
        run_round(&round[i], &p);
    coll_largest_of(b->mesh, AXIS_ALL, (double *)round, rounds * ROUND_TIMES);
    if (p.rc == 0)
        conclude(c, &p, round, rounds);
    mem_free(round);
    return p.rc;
}
