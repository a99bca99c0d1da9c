/* SPDX-License-Identifier: BSD-3-Clause */
/* The training loop.  A leg is a number of steps under one schedule, with a folder and
 * a record of its own.  The trunk of a run is a leg, and so is each fork:
 *
 *   trunk   0 ------- S1 ------- S2 ------------- end
 *                      \          \
 *   forks               cool-down  cool-down
 *
 * A fork starts from the trunk's state at its step.  That state is kept aside, and put
 * back when the fork is done.  What ranks must agree on they learn by the result of a
 * step (step.h).
 */
#include "config.h"

#include "src/train/train.h"

#include "mesh/guard.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/step/finite.h"
#include "src/step/timeline.h"
#include "src/train/snapshot.h"

#include <math.h>
#include <stdio.h>

struct leg {
    struct sched sched;
    int64_t fork; /* the step at which it leaves the trunk; -1: it is the trunk */
};

/* Nothing is known of held-out images. */
static const struct metric unseen = { .loss = NAN, .top1 = NAN, .ece = NAN };

/* ---- what every leg does --------------------------------------------------------- */

struct spent trainer_spent(const struct trainer *t)
{
    const double here = clock_now() - t->start - t->aside;
    struct spent all  = t->saved.spent;

    all.seconds += here;
    all.device_seconds += here * t->mesh->size;
    all.save_seconds = t->save_seconds;
    return all;
}

static bool must_stop(void *ctx)
{
    struct trainer *t = ctx;

    journal_report(&t->journal, step_count(t->step), "evaluation");
    return stop_is_due(&t->stop);
}

/* The end of a run of which 'what' is not finite, with step 'step' of its lines. */
static int not_finite(struct trainer *t, const struct leg *leg, int64_t step,
                      const char *what)
{
    char where[2 * PARAM_NAME];
    int rc;

    finite_find(where, sizeof where, t->vit);
    rc = ERR(ERR_CHECK, "step %lld: %s is not finite; the first tensor that is not: %s",
             (long long)step, what, where);
    rc = mesh_agree(t->mesh, rc);
    t->last = unseen;
    trainer_record(t, step, leg->fork, false); /* that it cannot be written, is said */
    return rc;
}

/* Look at the held-out images after 'step' updates; '*is_stopped' if told to stop
 * meanwhile.
 */
static int evaluate(struct trainer *t, int64_t step, const struct leg *leg,
                    bool *is_stopped)
{
    t->last = unseen;
    if (t->source.held == NULL)
        return 0;
    guard_phase("evaluation");
    metric_run(&t->last, t->step, t->source.held, t->source.held_count, must_stop, t);
    guard_phase("steps");
    *is_stopped = t->last.is_stopped;
    if (*is_stopped)
        t->last = unseen; /* by some of the images */
    else
        journal_metric(&t->journal, step, leg->fork, &t->last);
    journal_start(&t->journal, step, leg->sched.steps);
    return *is_stopped || isfinite(t->last.loss)
               ? 0
               : not_finite(t, leg, step, "the loss of held-out images");
}

static int64_t examples_at(const struct trainer *t, int64_t step)
{
    return step * t->options->batch;
}

/* A checkpoint says which record is about it: that of its leg if it 'is_end', else one
 * that would be its own.
 */
static int begin_save(struct trainer *t, const struct leg *leg, int64_t step,
                      bool is_end)
{
    char id[TRAINER_ID], own[TRAINER_ID + 24];

    trainer_id(id, t, leg->fork);
    snprintf(own, sizeof own, "%s@%lld", id, (long long)step);
    return save_start(t->save, step, examples_at(t, step), is_end ? id : own,
                      trainer_spent(t));
}

static void say_saved(struct trainer *t)
{
    journal_say(&t->journal, "step %lld  saved %s", (long long)save_step(t->save),
                save_path(t->save));
}

static void finish_save(struct trainer *t)
{
    if (save_is_busy(t->save) && save_finish(t->save) == 0)
        say_saved(t);
}

static void say_not_saved(struct trainer *t, int64_t step)
{
    journal_say(&t->journal, "step %lld  not saved", (long long)step);
}

/* Begin to save in the background, after the save that may be under way.  One that
 * fails is no reason to end.
 */
static void start_save(struct trainer *t, const struct leg *leg, int64_t step)
{
    finish_save(t);
    t->saved_at = clock_now();
    if (begin_save(t, leg, step, false) != 0)
        say_not_saved(t, step);
}

/* All ranks are done with their part of a save, for now.  One that
 * fails has said so.
 */
static void proceed_save(struct trainer *t)
{
    if (save_proceed(t->save) == 0 && !save_is_busy(t->save))
        say_saved(t);
}

/* Save now, and wait for it. */
static int save_now(struct trainer *t, const struct leg *leg, int64_t step, bool is_end)
{
    const bool is_old = leg->fork < 0 && t->saved.is_of_run && t->saved.step == step;

    guard_phase("saving");
    finish_save(t); /* one that fails has said so */
    if (save_step(t->save) == step || is_old)
        return 0;
    TRY(begin_save(t, leg, step, is_end));
    TRY(save_finish(t->save));
    if (save_step(t->save) == step)
        say_saved(t);
    return 0;
}

/* True if 'every' steps are over (0: never). */
static bool is_due(int64_t step, int64_t every)
{
    return every > 0 && step % every == 0;
}

/* Whether the clock asks for a save.  A run with a limit needs to know how long one
 * takes: the first step of a start is saved if nothing has told.
 */
static bool is_save_wanted(const struct trainer *t)
{
    const double every  = t->plan.save_seconds;
    const bool is_trial = isfinite(t->stop.end) && t->options->out[0] != '\0' &&
                          t->save_seconds == 0 && step_count(t->step) == t->saved.step;

    return t->mesh->rank == 0 &&
           (is_trial || (every > 0 && clock_now() - t->saved_at >= every));
}

/* What this rank has to say to the others with the next step. */
static void tell(struct trainer *t)
{
    t->save_seconds = fmax(t->save_seconds, save_seconds(t->save));
    t->stop.spare   = t->step_seconds + 2 * t->save_seconds;
    if (stop_is_due(&t->stop))
        step_ask_stop(t->step);
    step_ask_save(t->step, is_save_wanted(t));
    step_say_written(t->step, save_is_written(t->save));
}

/* The step itself.  A time line that cannot be written is no reason to end. */
static void take_step(struct trainer *t, const struct leg *leg, double factor,
                      struct step_result *r)
{
    if (leg->fork < 0 && step_count(t->step) == t->traced) {
        if (timeline_step(t->step, factor, r, t->options->trace) == 0)
            journal_say(&t->journal, "step %lld  traced in %s",
                        (long long)step_count(t->step), t->options->trace);
    } else {
        step_run(t->step, factor, r);
    }
}

/* One step and what follows from it; '*is_stopped' if it was the last for now. */
static int one_step(struct trainer *t, const struct leg *leg, bool *is_stopped)
{
    const int64_t step  = step_count(t->step);
    const double factor = sched_at(&leg->sched, step), before = clock_now();
    const bool was_busy = save_is_busy(t->save);
    struct step_result r;
    const int64_t done = step + 1;

    tell(t);
    t->last = unseen;
    take_step(t, leg, factor, &r);
    guard_alive();
    t->step_seconds = fmax(t->step_seconds, clock_now() - before);
    if (!r.is_finite)
        return not_finite(t, leg, done, "the loss or the gradient's norm");
    if (is_due(done, t->options->log_every) || done == leg->sched.steps)
        journal_step(&t->journal, done, leg->fork, factor, &r);
    journal_report(&t->journal, done, "steps");
    if (was_busy && r.is_written)
        proceed_save(t);
    *is_stopped = r.is_stopped;
    if (done == leg->sched.steps || *is_stopped)
        return 0;
    if (is_due(done, t->plan.save_steps) || r.is_save_due)
        start_save(t, leg, done);
    return is_due(done, t->options->eval_every) ? evaluate(t, done, leg, is_stopped)
                                                : 0;
}

/* A look at the held-out images that a stop has cut off, or a kill, is made up for. */
static int look_again(struct trainer *t, const struct leg *leg, bool *is_stopped)
{
    const int64_t step = step_count(t->step), start = leg->fork < 0 ? 0 : leg->fork;
    const bool is_asked =
        step > start && step < leg->sched.steps && is_due(step, t->options->eval_every);

    if (!is_asked || coll_largest(t->mesh, AXIS_ALL,
                                  t->mesh->rank == 0 && t->journal.looked != step) == 0)
        return 0;
    return evaluate(t, step, leg, is_stopped);
}

/* ---- forks ----------------------------------------------------------------------- */

static int run_steps(struct trainer *t, const struct leg *leg, bool *is_stopped);

/* The newest checkpoint of the fork, in a folder of its own; of another run: ERR_USAGE.
 * saved_free() in either case.
 */
static int find_fork(char folder[TRAIN_PATH], struct saved *part,
                     const struct trainer *t, int64_t fork)
{
    const char *out = t->options->out;

    *part     = (struct saved){ 0 };
    folder[0] = '\0';
    if (out[0] != '\0' && snprintf(folder, TRAIN_PATH, "%s/fork-%lld", out,
                                   (long long)fork) >= TRAIN_PATH)
        folder[0] = '\0';
    if (folder[0] == '\0')
        return 0;
    return saved_fork(part, folder, t->mesh, &t->source, t->opts, t->options);
}

/* Nothing is left to do of it. */
static bool is_over(const struct saved *part, const struct leg *leg)
{
    return part->step == leg->sched.steps && !part->is_on_the_way;
}

/* Take a fork up where it was saved, with what it has taken. */
static int take_up(struct trainer *t, const struct saved *part)
{
    const struct spent now = trainer_spent(t);

    TRY(saved_load(part, t->vit, t->optim));
    step_set_count(t->step, part->step);
    t->saved.spent.seconds += part->spent.seconds - now.seconds;
    t->saved.spent.device_seconds += part->spent.device_seconds - now.device_seconds;
    t->journal.start -= part->spent.seconds - now.seconds;
    return 0;
}

/* The cool-down itself, its record and its checkpoint, by which a run that goes on
 * knows that nothing is left to do here; or the one with which it goes on here.
 */
static int run_leg_of_fork(struct trainer *t, const struct leg *leg, const char *folder,
                           bool *is_stopped)
{
    struct save *trunk = t->save;
    int rc;

    TRY(save_open(&t->save, folder, 1, t->vit, t->optim, &t->source, t->opts,
                  t->options->tune ? &t->tuned : NULL, NULL));
    rc = look_again(t, leg, is_stopped);
    if (rc == 0)
        rc = run_steps(t, leg, is_stopped);
    if (rc == 0 && !*is_stopped)
        rc = evaluate(t, leg->sched.steps, leg, is_stopped);
    if (rc == 0 && !*is_stopped)
        rc = trainer_record(t, leg->sched.steps, leg->fork, true);
    if (rc == 0)
        rc = save_now(t, leg, step_count(t->step), !*is_stopped);
    save_close(&t->save);
    t->save = trunk;
    return rc;
}

/* The fork, from its trunk or from where it was saved.  The trunk is saved before: a
 * kill costs neither.
 */
static int start_fork(struct trainer *t, const struct leg *leg,
                      const struct saved *part, const char *folder, bool *is_stopped)
{
    const struct leg trunk = { t->plan.sched, -1 };

    if (save_now(t, &trunk, leg->fork, false) != 0)
        say_not_saved(t, leg->fork);
    guard_phase("steps");
    if (part->is_on_the_way)
        TRY(take_up(t, part));
    journal_say(&t->journal, "step %lld  fork: %s step %lld", (long long)leg->fork,
                part->is_on_the_way ? "goes on cooling down to" : "cools down to",
                (long long)leg->sched.steps);
    journal_cut(&t->journal, leg->fork, step_count(t->step));
    journal_start(&t->journal, step_count(t->step), leg->sched.steps);
    return run_leg_of_fork(t, leg, folder, is_stopped);
}

/* Cool down beside the trunk, which is afterwards where it was. */
static int run_fork(struct trainer *t, int64_t fork, bool *is_stopped)
{
    const struct leg leg      = { sched_fork(&t->plan.sched, fork), fork };
    const struct spent before = t->saved.spent;
    const double start = clock_now(), began = t->journal.start;
    struct snapshot *aside = NULL;
    char folder[TRAIN_PATH];
    struct saved part;
    double took;
    int rc = find_fork(folder, &part, t, fork);

    if (rc != 0 || is_over(&part, &leg)) {
        saved_free(&part);
        return rc;
    }
    finish_save(t);
    rc = mesh_agree(t->mesh, snapshot_take(&aside, t->vit, t->optim));
    if (rc == 0) {
        rc = start_fork(t, &leg, &part, folder, is_stopped);
        snapshot_restore(aside);
    }
    snapshot_free(&aside); /* where there was memory */
    saved_free(&part);
    guard_phase("steps");
    step_set_count(t->step, fork);
    took             = clock_now() - start;
    t->last          = unseen;
    t->saved.spent   = before;
    t->journal.start = began + took;
    t->aside += took;
    journal_start(&t->journal, fork, t->plan.sched.steps);
    return rc;
}

/* The fork that leaves the trunk at this step, if there is one. */
static int fork_here(struct trainer *t, bool *is_stopped)
{
    const int64_t step = step_count(t->step);

    for (int i = 0; i < t->plan.forks; i++) {
        if (t->plan.fork[i] == step)
            return run_fork(t, step, is_stopped);
    }
    return 0;
}

/* See that the forks that are there are this run's, and no longer than those it makes,
 * whose checkpoints would not be the newest; and say which cannot leave any more: they
 * are not there, or are shorter, and the run goes on from a later step.
 */
static int check_forks(const struct trainer *t)
{
    for (int i = 0; i < t->plan.forks; i++) {
        const struct leg leg = { sched_fork(&t->plan.sched, t->plan.fork[i]),
                                 t->plan.fork[i] };
        char folder[TRAIN_PATH];
        struct saved part;
        int rc = find_fork(folder, &part, t, leg.fork);

        if (rc == 0 && leg.fork >= t->saved.step && part.newest > leg.sched.steps)
            rc = mesh_agree(t->mesh, ERR(ERR_USAGE,
                                         "%s is of step %lld, and the fork ends at "
                                         "step %lld: give another --out",
                                         part.path, (long long)part.newest,
                                         (long long)leg.sched.steps));
        saved_free(&part);
        TRY(rc);
        if (leg.fork < t->saved.step && !is_over(&part, &leg) && t->mesh->rank == 0)
            WARN(
                "--cooldown-at=%lld: there is no fork from there to step %lld, and the "
                "run goes on from step %lld; --resume=FILE of an earlier one makes it, "
                "in another --out",
                (long long)leg.fork, (long long)leg.sched.steps,
                (long long)t->saved.step);
    }
    return 0;
}

/* ---- a run ----------------------------------------------------------------------- */

static int run_steps(struct trainer *t, const struct leg *leg, bool *is_stopped)
{
    while (!*is_stopped && step_count(t->step) < leg->sched.steps) {
        if (leg->fork < 0)
            TRY(fork_here(t, is_stopped));
        if (!*is_stopped)
            TRY(one_step(t, leg, is_stopped));
    }
    return 0;
}

/* Told to stop: what there is, is saved. */
static int stopped(struct trainer *t, const struct leg *trunk)
{
    const int64_t step = step_count(t->step);

    if (t->options->out[0] == '\0')
        return mesh_agree(t->mesh,
                          ERR(ERR_ENV,
                              "stopped by %s after step %lld; without --out nothing is "
                              "saved",
                              stop_reason(&t->stop), (long long)step));
    TRY(save_now(t, trunk, step, step == trunk->sched.steps));
    return mesh_agree(t->mesh, ERR(ERR_STOPPED,
                                   "stopped by %s after step %lld: start it again to "
                                   "go on",
                                   stop_reason(&t->stop), (long long)step));
}

/* The third step from here on, when memory and caches are warm, or the last one. */
static int64_t step_to_trace(const struct trainer *t)
{
    const int64_t third = step_count(t->step) + 2, last = t->plan.sched.steps - 1;

    if (t->options->trace[0] == '\0')
        return -1;
    return third < last ? third : last;
}

int trainer_run(struct trainer *t)
{
    const struct leg trunk = { t->plan.sched, -1 };
    bool is_stopped        = false;
    int rc;

    TRY(check_forks(t));
    t->traced = step_to_trace(t);
    guard_phase("steps");
    journal_start(&t->journal, step_count(t->step), trunk.sched.steps);
    rc = look_again(t, &trunk, &is_stopped);
    if (rc == 0 && !is_stopped)
        rc = run_steps(t, &trunk, &is_stopped);
    if (rc == 0 && !is_stopped)
        rc = evaluate(t, trunk.sched.steps, &trunk, &is_stopped);
    if (rc != 0) {
        save_finish(t->save); /* the last good one */
        return rc;
    }
    if (is_stopped)
        return stopped(t, &trunk);
    TRY(save_now(t, &trunk, trunk.sched.steps, true));
    return trainer_record(t, trunk.sched.steps, -1, true);
}
