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

/* A checkpoint says which record is about it: that of its leg if it is the end of it,
 * else one that would be its own.
 */
static int begin_save(struct trainer *t, struct save *save, const struct leg *leg,
                      int64_t step)
{
    char id[TRAINER_ID], own[TRAINER_ID + 24];
    const bool is_end = step == leg->sched.steps;

    trainer_id(id, t, leg->fork);
    snprintf(own, sizeof own, "%s@%lld", id, (long long)step);
    return save_start(save, step, examples_at(t, step), is_end ? id : own,
                      trainer_spent(t));
}

/* Begin to save the trunk in the background.  A save that fails is no reason to end. */
static void start_save(struct trainer *t, const struct leg *leg, int64_t step)
{
    t->saved_at = clock_now();
    if (begin_save(t, t->save, leg, step) != 0)
        journal_say(&t->journal, "step %lld  not saved", (long long)step);
}

static void say_saved(struct trainer *t, const struct save *save)
{
    journal_say(&t->journal, "step %lld  saved %s", (long long)save_step(save),
                save_path(save));
}

/* All ranks are done with their part of a save, for now.  One that
 * fails has said so.
 */
static void proceed_save(struct trainer *t)
{
    if (save_proceed(t->save) == 0 && !save_is_busy(t->save))
        say_saved(t, t->save);
}

static void finish_save(struct trainer *t)
{
    if (save_is_busy(t->save) && save_finish(t->save) == 0)
        say_saved(t, t->save);
}

/* Save now, and wait for it. */
static int save_now(struct trainer *t, struct save *save, const struct leg *leg,
                    int64_t step)
{
    const bool is_old = save == t->save && t->saved.is_of_run && t->saved.step == step;

    guard_phase("saving");
    if (save_is_busy(save))
        save_finish(save); /* one that fails has said so */
    if (save_step(save) == step || is_old)
        return 0;
    TRY(begin_save(t, save, leg, step));
    TRY(save_finish(save));
    if (save_step(save) == step)
        say_saved(t, save);
    return 0;
}

/* True if 'every' steps are over (0: never). */
static bool is_due(int64_t step, int64_t every)
{
    return every > 0 && step % every == 0;
}

/* What this rank has to say to the others with the next step. */
static void tell(struct trainer *t, const struct leg *leg)
{
    const double every = t->plan.save_seconds;
    const bool is_old  = t->mesh->rank == 0 && every > 0 && leg->fork < 0 &&
                        clock_now() - t->saved_at >= every;

    t->stop.spare = t->step_seconds + 2 * save_seconds(t->save);
    if (stop_is_due(&t->stop))
        step_ask_stop(t->step);
    step_ask_save(t->step, is_old);
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

    tell(t, leg);
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
    if (leg->fork < 0 && (is_due(done, t->plan.save_steps) || r.is_save_due))
        start_save(t, leg, done);
    return is_due(done, t->options->eval_every) ? evaluate(t, done, leg, is_stopped)
                                                : 0;
}

/* ---- forks ----------------------------------------------------------------------- */

static int run_steps(struct trainer *t, const struct leg *leg, bool *is_stopped);

/* The folder of a fork's checkpoint, nothing where none is written. */
static void fork_folder(char *path, size_t size, const struct trainer *t, int64_t fork)
{
    path[0] = '\0';
    if (t->options->out[0] != '\0' &&
        snprintf(path, size, "%s/fork-%lld", t->options->out, (long long)fork) >=
            (int)size)
        path[0] = '\0';
}

/* The cool-down itself, its record and its checkpoint, by which a run that goes on
 * knows that nothing is left to do here.
 */
static int run_leg_of_fork(struct trainer *t, const struct leg *leg, const char *folder,
                           bool *is_stopped)
{
    struct save *save;
    int rc;

    TRY(run_steps(t, leg, is_stopped));
    if (*is_stopped)
        return 0;
    TRY(evaluate(t, leg->sched.steps, leg, is_stopped));
    if (*is_stopped)
        return 0;
    TRY(trainer_record(t, leg->sched.steps, leg->fork, true));
    TRY(save_open(&save, folder, 1, t->vit, t->optim, t->source.train, t->opts,
                  t->options->tune ? &t->tuned : NULL));
    rc = save_now(t, save, leg, leg->sched.steps);
    save_close(&save);
    return rc;
}

/* Cool down beside the trunk, which is afterwards where it was. */
static int run_fork(struct trainer *t, int64_t fork, bool *is_stopped)
{
    const struct leg leg   = { sched_fork(&t->plan.sched, fork), fork };
    const double start     = clock_now();
    struct snapshot *aside = NULL;
    char folder[TRAIN_PATH];
    double took;
    int rc;

    fork_folder(folder, sizeof folder, t, fork);
    if (folder[0] != '\0' && saved_has(folder, leg.sched.steps, t->mesh))
        return 0;
    finish_save(t);
    rc = mesh_agree(t->mesh, snapshot_take(&aside, t->vit, t->optim));
    if (rc != 0) {
        snapshot_free(&aside); /* where there was memory */
        return rc;
    }
    journal_say(&t->journal, "step %lld  fork: cools down to step %lld",
                (long long)fork, (long long)leg.sched.steps);
    journal_start(&t->journal, fork, leg.sched.steps);
    rc = run_leg_of_fork(t, &leg, folder, is_stopped);
    snapshot_restore(aside);
    snapshot_free(&aside);
    step_set_count(t->step, fork);
    t->last = unseen;
    took    = clock_now() - start;
    t->aside += took;
    t->journal.start += took;
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

/* Say which forks cannot leave any more: they are not there, and the run goes on from a
 * later step.
 */
static void name_late_forks(const struct trainer *t)
{
    char folder[TRAIN_PATH];

    for (int i = 0; i < t->plan.forks && t->plan.fork[i] < t->saved.step; i++) {
        const int64_t fork = t->plan.fork[i];
        const int64_t end  = sched_fork(&t->plan.sched, fork).steps;

        fork_folder(folder, sizeof folder, t, fork);
        if (folder[0] != '\0' && saved_has(folder, end, t->mesh))
            continue;
        if (t->mesh->rank == 0)
            WARN(
                "--cooldown-at=%lld: there is no such fork, and the run goes on from "
                "step %lld; --resume=FILE of an earlier one makes it, in another --out",
                (long long)fork, (long long)t->saved.step);
    }
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
    TRY(save_now(t, t->save, trunk, step));
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

    name_late_forks(t);
    t->traced = step_to_trace(t);
    guard_phase("steps");
    journal_start(&t->journal, step_count(t->step), trunk.sched.steps);
    rc = run_steps(t, &trunk, &is_stopped);
    if (rc == 0 && !is_stopped)
        rc = evaluate(t, trunk.sched.steps, &trunk, &is_stopped);
    if (rc != 0) {
        save_finish(t->save); /* the last good one */
        return rc;
    }
    if (is_stopped)
        return stopped(t, &trunk);
    TRY(save_now(t, t->save, &trunk, trunk.sched.steps));
    return trainer_record(t, trunk.sched.steps, -1, true);
}
